"""Hypergraphs and diagrams of a derivation as data: what is drawn, and which terms of the recursion it feeds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property

from rgflow.algebra.jets import Pair
from rgflow.algebra.partitions import Blocks
from rgflow.algebra.recursion import term_order
from rgflow.algebra.terms import Term
from rgflow.algebra.tex import symbol_tex
from rgflow.derive.steps.contraction import Sum, Way
from rgflow.derive.steps.graphs import Edges, Vertices
from rgflow.derive.steps.names import (
    FIELDS,
    INTEGRAND,
    OWN_PART,
    Name,
    Vertex,
    caption,
    disposed_tex,
    disposed_text,
    expression_tex,
    expression_text,
    leg_label,
    names_of,
)
from rgflow.derive.steps.svg import drawing, lettering

GRAPH, CONSTANT, EXCHANGE = "graph", "constant", "exchange"


@dataclass(frozen=True)
class Contraction:
    """A diagram with the jets of its averages disposed of: one term.

    Attributes
    ----------
    name : str
        That of its diagram, and a number if that has several or its legs take jets.
    way : Way
        ``taken`` by each leg, ``pairs`` contracted to Theta and K, ``attached`` to the sigmas; the ``term``.
    """

    name: str
    way: Way
    vertices: tuple[tuple[tuple[Name, ...], ...], ...]
    edges: Edges
    below: str
    many: bool

    @property
    def term(self) -> Term:
        """The term that it gives, with its own part of the coefficient."""
        return self.way.term

    @property
    def resolved(self) -> bool:
        """Whether a leg takes a jet, so that its picture says more than that of its diagram."""
        return any(self.way.taken)

    def svg(self) -> str:
        """The diagram with what each leg takes written beside it: a whole SVG document."""
        labels = [leg_label(jets, self.many) for jets in self.way.taken]
        return drawing(self.vertices, self.edges, self.below, f"contraction {self.name}", legs=labels)

    def latex(self) -> str:
        """What is done to its jets, as LaTeX (without delimiters)."""
        return disposed_tex(self.way.taken, self.way.pairs, self.way.attached, self.many)

    def _repr_svg_(self) -> str:
        return self.svg()

    def __str__(self) -> str:
        return disposed_text(self.way.taken, self.way.pairs, self.way.attached, self.many)


@dataclass(frozen=True)
class Diagram:
    """A hypergraph whose vertices are split into brackets and whose legs end on them.

        value = weight * r^cost * prod over hyperedges kappa * prod over brackets <D_1 .. D_m prod of integrands>

    with D = 1/2 sum_ab d_a d_b for each leg, ab the entry of kappa at that leg.

    Attributes
    ----------
    name : str
        The number of its hypergraph and a letter: 2a.
    kind : str
        "graph"; or what a law adds: "constant" (C_b), "exchange" (a product of two averages, by parameters that are not
        Gaussian).
    vertices : tuple of tuples of brackets
        A bracket is the tuple of its entries' numbers in ``entries``; brackets are numbered through all vertices.
    entries : tuple of pairs of jets
        The metric entries whose integrands are averaged.
    edges : tuple of Hyperedge
        Its ``legs`` are numbers of brackets, its ``order`` is q of kappa^{[q]}.
    weight : Fraction
        (-1)^(m-1) (m-1)! of every vertex, over the symmetry of equal legs and edges.
    cost : int
        The power of the width ratio r.
    ways : tuple of Way
        How its jets can be disposed of, each with the term that results; see :attr:`contractions`.
    reason : str
        Why it vanishes, if it feeds none.
    own : tuple of int
        The entries that stand for the own part of their neuron, o instead of g; of layers whose neurons keep a past.
    """

    name: str
    kind: str
    vertices: Vertices
    entries: tuple[Pair, ...]
    edges: Edges
    weight: Fraction
    cost: int
    many: bool
    integrands: tuple[tuple[Sum, ...], ...]
    ways: tuple[Way, ...] = ()
    reason: str = ""
    own: tuple[int, ...] = ()

    @cached_property
    def terms(self) -> tuple[Term, ...]:
        """The terms of the recursion that it feeds; their coefficients are its own contribution."""
        sums: dict[Term, Fraction] = defaultdict(Fraction)
        for way in self.ways:
            sums[alike(way.term)] += way.term.coefficient
        return tuple(replace(term, coefficient=total) for term, total in sums.items())

    @property
    def contractions(self) -> tuple[Contraction, ...]:
        """Its terms one by one: what each leg takes, and what the other jets contract to."""
        several = len(self.ways) > 1 or any(any(way.taken) for way in self.ways)
        return tuple(
            Contraction(
                f"{self.name}.{i}" if several else self.name,
                way,
                self._names,
                self.edges,
                caption(self.weight, self.cost),
                self.many,
            )
            for i, way in enumerate(self.ways, 1)
        )

    @property
    def _names(self) -> tuple[tuple[tuple[Name, ...], ...], ...]:
        names = iter(vertex.names for vertex in self._factors)
        return tuple(tuple(next(names) for _ in brackets) for brackets in self.vertices)

    @property
    def brackets(self) -> tuple[tuple[int, ...], ...]:
        """The entries of each bracket, in the order in which legs number them."""
        return tuple(bracket for vertex in self.vertices for bracket in vertex)

    def svg(self) -> str:
        """The diagram as a picture: a whole SVG document; of a constant, its symbol."""
        if self.kind == CONSTANT:
            return lettering(str(self), f"diagram {self.name}")
        return drawing(self._names, self.edges, caption(self.weight, self.cost), f"diagram {self.name}")

    @property
    def _factors(self) -> tuple[Vertex, ...]:
        if self.kind == EXCHANGE:
            return tuple(Vertex(names_of([self.entries[i] for i in b], self.many, FIELDS)) for b in self.brackets)
        letters = [OWN_PART if i in self.own else INTEGRAND for i in range(len(self.entries))]
        return tuple(
            Vertex(tuple(name for i in b for name in names_of([self.entries[i]], self.many, letters[i])))
            for b in self.brackets
        )

    @property
    def _symbols(self) -> tuple[str, ...]:
        """Hyperparameters that stand before it: those of integrands are in their g."""
        if self.kind == GRAPH:
            return ()
        return tuple(
            s for bracket in self.integrands for integrand in bracket for part in integrand for s in part.symbols
        )

    def latex(self) -> str:
        """Its expression as LaTeX (without delimiters)."""
        if self.kind == CONSTANT:
            return " + ".join(symbol_tex(name) for term in self.terms for name, _ in term.symbols)
        return expression_tex(self.weight, self.cost, self.edges, self._factors, self._symbols)

    def _repr_svg_(self) -> str:
        return self.svg()

    def __str__(self) -> str:
        if self.kind == CONSTANT:
            return " + ".join(name for term in self.terms for name, _ in term.symbols)
        return expression_text(self.weight, self.cost, self.edges, self._factors, self._symbols)


@dataclass(frozen=True)
class Hypergraph:
    """A connected hypergraph: cumulants over one neuron tied together by cumulants of the metric below.

        value = weight * r^cost * prod over hyperedges kappa * prod over vertices (D for each leg) c(integrands)

    Attributes
    ----------
    name : str
        Its number.
    blocks : tuple of tuples of int
        The vertices: numbers of the entries whose integrands share a neuron.
    edges : tuple of Hyperedge
        Its ``legs`` are numbers of vertices.
    weight : Fraction
        One over the symmetry of equal legs and edges.
    cost : int
        Its power of 1/n, and of the width ratio r.
    letter : str
        Of its integrands: g, or h where each of them is g or the own part o.
    diagrams : tuple of Diagram
        The same with brackets at its vertices.
    """

    name: str
    blocks: Blocks
    entries: tuple[Pair, ...]
    edges: Edges
    weight: Fraction
    cost: int
    many: bool
    letter: str
    diagrams: tuple[Diagram, ...]

    @property
    def terms(self) -> tuple[Term, ...]:
        """The terms of the recursion that it feeds, with what it contributes to each."""
        return collected(self.diagrams)

    @property
    def reason(self) -> str:
        """Why it vanishes, if it feeds no term."""
        if self.terms:
            return ""
        return next((d.reason for d in self.diagrams if d.reason), "its diagrams cancel each other")

    def svg(self) -> str:
        """The hypergraph as a picture: a whole SVG document."""
        names = [[vertex.names] for vertex in self._factors]
        return drawing(names, self.edges, caption(self.weight, self.cost), f"hypergraph {self.name}", cumulants=True)

    @property
    def _factors(self) -> tuple[Vertex, ...]:
        blocks = ([self.entries[i] for i in block] for block in self.blocks)
        return tuple(Vertex(names_of(entries, self.many, self.letter), cumulant=True) for entries in blocks)

    def latex(self) -> str:
        """Its expression as LaTeX (without delimiters)."""
        return expression_tex(self.weight, self.cost, self.edges, self._factors)

    def _repr_svg_(self) -> str:
        return self.svg()

    def __str__(self) -> str:
        return expression_text(self.weight, self.cost, self.edges, self._factors)


def collected(diagrams: Iterable[Diagram]) -> tuple[Term, ...]:
    """Like terms of diagrams added up, in the order of a recursion; what cancels is left out."""
    sums: dict[Term, Fraction] = defaultdict(Fraction)
    for diagram in diagrams:
        for term in diagram.terms:
            sums[alike(term)] += term.coefficient
    found = (replace(term, coefficient=total) for term, total in sums.items() if total)
    return tuple(sorted(found, key=term_order))


def alike(term: Term) -> Term:
    """The term with coefficient 1, by which like terms are known."""
    return replace(term, coefficient=Fraction(1))
