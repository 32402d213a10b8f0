"""``Derivation``: the steps from a layer's law to a recursion, each an equality checked when it is built."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import overload

from rgflow.algebra.recursion import Recursion
from rgflow.algebra.tensor import Tensor
from rgflow.algebra.terms import Term
from rgflow.derive.steps import printing, words
from rgflow.derive.steps.build import Material
from rgflow.derive.steps.diagram import EXCHANGE, Diagram, Hypergraph, alike, collected
from rgflow.derive.steps.law import law_lines
from rgflow.derive.steps.step import Drawn, Line, Step, check
from rgflow.errors import BrokenStep

TITLES = (
    "The layer's law",
    "Law of total cumulance",
    "Hypergraphs",
    "Brackets",
    "Contraction",
    "The recursion",
)
Parts = tuple[words.Words, Sequence[Line], tuple[Fraction, Fraction]]
Fed = tuple[Term, tuple[tuple[Diagram, Fraction], ...]]


@dataclass(frozen=True, repr=False)
class Derivation(Sequence[Step]):
    """The derivation of a recursion: six :class:`Step`, each checked in exact arithmetic when it is built.

    It is a sequence of steps that prints itself: ``str()``, :meth:`markdown`, :meth:`latex`.

    Attributes
    ----------
    recursion : Recursion
        What is derived; the sixth step is equal to it term by term.
    hypergraphs : tuple of Hypergraph
        Every connected hypergraph of the right cost, with its diagrams.
    diagrams : tuple of Diagram
        All diagrams, and what the law adds to them (constants, ...), each with the terms that it feeds.
    vanishing : tuple of Diagram
        Those that feed none, with their ``reason``.
    matching : tuple of (Term, ((Diagram, coefficient), ...))
        For every term of the recursion the diagrams that feed it; their coefficients add up to its own.

    Raises
    ------
    BrokenStep
        When a step is built whose two sides are not equal.
    """

    recursion: Recursion
    material: Material

    @property
    def hypergraphs(self) -> tuple[Hypergraph, ...]:
        """Every connected hypergraph of the right cost."""
        return self.material.hypergraphs

    @property
    def diagrams(self) -> tuple[Diagram, ...]:
        """The diagrams, and what the law adds to them."""
        return self.material.diagrams

    @property
    def vanishing(self) -> tuple[Diagram, ...]:
        """The diagrams that feed no term."""
        return tuple(d for d in self.diagrams if not d.terms)

    @cached_property
    def matching(self) -> tuple[Fed, ...]:
        """For every term of the recursion the diagrams that feed it, with what each contributes."""
        return tuple((term, tuple(self._fed.get(alike(term), ()))) for term in self.recursion.terms)

    @cached_property
    def cancelled(self) -> tuple[Fed, ...]:
        """Terms (with coefficient 1) that are not in the recursion, since the diagrams that feed them cancel."""
        known = {alike(term) for term in self.recursion.terms}
        return tuple((term, tuple(fed)) for term, fed in self._fed.items() if term not in known)

    @cached_property
    def _fed(self) -> dict[Term, list[tuple[Diagram, Fraction]]]:
        fed: dict[Term, list[tuple[Diagram, Fraction]]] = {}
        for diagram in self.diagrams:
            for term in diagram.terms:
                fed.setdefault(alike(term), []).append((diagram, term.coefficient))
        return fed

    @cached_property
    def _built(self) -> dict[int, Step]:
        return {}

    def _step(self, number: int) -> Step:
        if number not in self._built:
            build = (self._law, self._cumulance, self._graphs, self._brackets, self._contraction, self._recursion)
            said, lines, values = build[number - 1]()
            self._built[number] = Step(number, TITLES[number - 1], said, tuple(lines), *values)
        return self._built[number]

    def __len__(self) -> int:
        return len(TITLES)

    @overload
    def __getitem__(self, index: int) -> Step: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Step, ...]: ...

    def __getitem__(self, index: int | slice) -> Step | tuple[Step, ...]:
        numbers = range(1, len(TITLES) + 1)[index]
        return tuple(map(self._step, numbers)) if isinstance(numbers, range) else self._step(numbers)

    def __iter__(self) -> Iterator[Step]:
        return map(self._step, range(1, len(TITLES) + 1))

    # The steps --------------------------------------------------------------------------------------------------------

    def _law(self) -> Parts:
        m = self.material
        lines = law_lines(m.law, m.entries, m.many)
        return (
            words.law_words(self.recursion, any(d.kind == EXCHANGE for d in m.additions), bool(m.owners)),
            lines,
            self.material.law_values(),
        )

    def _cumulance(self) -> Parts:
        m = self.material
        leading = replace(m, tensor=Tensor(m.tensor.structure))  # constants belong to the mean, whatever order is asked
        lines = printing.cumulance_lines(m.entries, m.many, m.partitions, leading.additions, m.letter)
        return words.CUMULANCE, lines, m.cumulance_values()

    def _graphs(self) -> Parts:
        lines = printing.listed(self.recursion, self.hypergraphs, self.material.additions)
        return words.graph_words(self.recursion), lines, self.material.graph_values()

    def _brackets(self) -> Parts:
        diagrams = [d for h in self.hypergraphs for d in h.diagrams]
        lines = printing.listed(self.recursion, diagrams, self.material.additions)
        return words.BRACKETS, lines, self.material.bracket_values()

    def _contraction(self) -> Parts:
        lines = [line for d in self.diagrams for line in printing.fed_lines(d, self.recursion)]
        return words.CONTRACTION, lines, self.material.contraction_values()

    def _recursion(self) -> Parts:
        rec, found = self.recursion, collected(self.diagrams)
        ours, theirs = ({alike(t): t.coefficient for t in terms} for terms in (found, rec.terms))
        for term in dict.fromkeys([*ours, *theirs]):
            what = f"the coefficient of a term of {rec.name} ({printing.term_text(term, self.material.many)})"
            check(what, ours.get(term, Fraction(0)), theirs.get(term, Fraction(0)))
        if len(theirs) != len(rec.terms):
            raise BrokenStep(f"{rec.name} has like terms that are not collected; derive the recursion anew")
        lines = printing.recursion_lines(rec, self.matching, self.cancelled)
        left = sum((self.material.value(d.terms) for d in self.diagrams), Fraction(0))
        return words.COLLECTED, lines, (left, self.material.value(rec.terms))

    # Printing ---------------------------------------------------------------------------------------------------------

    @property
    def _heading(self) -> str:
        count = len(self.diagrams)
        inputs = "many inputs" if self.material.many else "one input"
        time = " in one time" if self.material.law.carry and self.recursion.tensor.cost else ""
        layer = f"{self.material.law.name} layer{time}"
        return f"{self.recursion.name}, {layer}, {inputs}: {len(self)} steps, {count} diagrams"

    def markdown(self, folder: str | None = None) -> str:
        """The derivation as Markdown with LaTeX between dollars.

        Parameters
        ----------
        folder : str, optional
            Pictures are links into this folder (see :meth:`pictures`); without it they are part of the text.
        """
        return printing.markdown(self._heading, self, folder, self.recursion.name)

    def latex(self) -> str:
        """The derivation as LaTeX, to be put between ``\\begin{document}`` and its end; it needs amsmath."""
        return printing.latex(self._heading, self)

    def pictures(self) -> dict[str, str]:
        """Pictures of hypergraphs, diagrams, and contractions whose legs take jets: {file name: SVG document}."""
        diagrams = [d for h in self.hypergraphs for d in h.diagrams]
        drawn: list[Drawn] = [*self.hypergraphs, *diagrams]
        drawn += [each for d in diagrams for each in d.contractions if each.resolved]
        return {printing.file_name(self.recursion.name, each.name): each.svg() for each in drawn}

    def _repr_markdown_(self) -> str:
        return self.markdown()

    def text(self, width: int = 100) -> str:
        """The derivation as plain text in so many columns."""
        return "\n\n".join([self._heading, *(step.text(width) for step in self)])

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        left = len(self) - len(self._built)
        return f"<Derivation {self._heading}{f', {left} of them built when read' if left else ''}>"
