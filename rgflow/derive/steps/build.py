"""What the steps of a derivation are made of: partitions, hypergraphs, diagrams with their terms; and their checks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import product

from rgflow.algebra.jets import Jet, Pair
from rgflow.algebra.partial import relabelled
from rgflow.algebra.partitions import Blocks, set_partitions
from rgflow.algebra.tensor import Tensor
from rgflow.algebra.terms import Term
from rgflow.derive.steps import worlds
from rgflow.derive.steps.contraction import Sum, Way, contract
from rgflow.derive.steps.diagram import CONSTANT, EXCHANGE, GRAPH, Diagram, Hypergraph
from rgflow.derive.steps.direct import average_of, value_of_diagram, value_of_term
from rgflow.derive.steps.graphs import Edges, Split, connected_graphs, splits
from rgflow.derive.steps.law import averaged, law_values, owned
from rgflow.derive.steps.names import INTEGRAND, OWN_OR_NOT
from rgflow.derive.steps.polynomials import Average
from rgflow.derive.steps.step import check
from rgflow.derive.steps.trusted import symbol
from rgflow.layers import Law, Part

Values = tuple[Fraction, Fraction]


@dataclass(frozen=True)
class Material:
    """All that a derivation of one tensor through one law goes through.

    partial : its tensors with directions go by the letters of partial Jacobians.
    """

    tensor: Tensor
    many: bool
    law: Law
    partial: bool = False

    @property
    def entries(self) -> tuple[Pair, ...]:
        """The metric entries of the cumulant."""
        if self.many:
            return self.tensor.pairs
        return tuple((Jet(0, a.edges), Jet(0, b.edges)) for a, b in self.tensor.pairs)

    @property
    def degree(self) -> int:
        """Of the activation with which values are taken: so high that no derivative of a term makes it zero."""
        return 3 + self.tensor.order + max(len(jet.edges) for pair in self.entries for jet in pair) // 2

    @cached_property
    def partitions(self) -> tuple[Blocks, ...]:
        """Set partitions of the entries: those in a block share a neuron."""
        return set_partitions(self.tensor.level)

    @property
    def letter(self) -> str:
        """Of integrands: g, or h where they may be own parts."""
        return OWN_OR_NOT if self.owners else INTEGRAND

    def cost(self, blocks: Blocks) -> int:
        """The order in 1/n of the cumulant of a partition's blocks."""
        return len(blocks) - 1 + self.tensor.order

    @cached_property
    def graphs(self) -> tuple[tuple[Blocks, int, tuple[tuple[Edges, Fraction], ...]], ...]:
        """The hypergraphs of every partition."""
        return tuple(
            (blocks, self.cost(blocks), connected_graphs(len(blocks), self.cost(blocks))) for blocks in self.partitions
        )

    @cached_property
    def split(self) -> tuple[tuple[Blocks, Edges, Fraction, tuple[Split, ...]], ...]:
        """Every hypergraph with its vertices as brackets."""
        return tuple(
            (blocks, edges, weight, splits(blocks, edges, weight))
            for blocks, _, graphs in self.graphs
            for edges, weight in graphs
        )

    @cached_property
    def hypergraphs(self) -> tuple[Hypergraph, ...]:
        """Hypergraphs with their diagrams, and these with the terms that they feed."""
        return tuple(
            Hypergraph(
                str(number),
                blocks,
                self.entries,
                edges,
                weight,
                self.cost(blocks),
                self.many,
                self.letter,
                tuple(self._diagrams(str(number), split, blocks)),
            )
            for number, (blocks, edges, weight, split) in enumerate(self.split, 1)
        )

    @cached_property
    def owners(self) -> tuple[int, ...]:
        """The entries that have an own part, of the neuron's past."""
        return tuple(i for i, pair in enumerate(self.entries) if owned(self.law, pair))

    def _diagrams(self, number: str, split: Sequence[Split], blocks: Blocks) -> Iterator[Diagram]:
        """The brackets of a hypergraph, with every choice of entries that stand for their own part."""
        chosen = [own for own in worlds.choices(len(self.entries), self.owners) if not worlds.together(blocks, own)]
        for i, (each, own) in enumerate(product(split, chosen)):
            brackets = [
                [(owned if j in own else averaged)(self.law, self.entries[j]) for j in bracket]
                for vertex in each.vertices
                for bracket in vertex
            ]
            yield self._fed(GRAPH, number + _letters(i), each, brackets, self.cost(blocks), self.entries, own)

    def _fed(
        self,
        kind: str,
        name: str,
        each: Split,
        brackets: list[list[Sum]],
        cost: int,
        entries: tuple[Pair, ...],
        own: tuple[int, ...] = (),
    ) -> Diagram:
        ways, reason = contract(brackets, each.edges, each.weight, cost, not self.many)
        integrands = tuple(map(tuple, brackets))
        arguments = (each.vertices, entries, each.edges, each.weight, cost, self.many, integrands)
        if self.partial:
            ways = tuple(way._replace(term=relabelled((way.term,))[0]) for way in ways)
        return Diagram(name, kind, *arguments, ways, reason, own)

    @cached_property
    def additions(self) -> tuple[Diagram, ...]:
        """What the law adds without an average over neurons, or with a product of two."""
        return tuple(self._additions())

    def _additions(self) -> Iterator[Diagram]:
        entries, plain = self.entries, Fraction(1)
        if self.tensor.level == 1 and self.tensor.order == 0:
            for name in self.law.constants(*entries[0]):
                way = Way((), (), (), Term(plain, ((name, 1),), 0, (), ()))
                yield Diagram("law", CONSTANT, (), entries, (), plain, 0, self.many, (), (way,))
        if self.tensor.level == 2 and self.tensor.order == 0:
            for i, exchange in enumerate(self.law.intrinsic(*entries)):
                (a, c), (b, d) = exchange.pairs
                brackets: list[list[Sum]] = [[(Part(exchange.symbols, a, c),)], [(Part((), b, d),)]]
                twice = Split((((0,), (1,)),), (), exchange.coefficient)
                yield self._fed(EXCHANGE, f"law {_letters(i)}", twice, brackets, 0, exchange.pairs)

    @property
    def diagrams(self) -> tuple[Diagram, ...]:
        """All diagrams, those of the law first."""
        return self.additions + tuple(d for h in self.hypergraphs for d in h.diagrams)

    # Checks: each gives the values of both sides ----------------------------------------------------------------------

    def law_values(self) -> Values:
        """Integrands by nilpotent directions; by Faa di Bruno's monomials."""
        return law_values(self.law, self.entries, self.degree)

    def cumulance_values(self) -> Values:
        """Sums over neurons written out; set partitions."""
        return worlds.total_cumulance(self.tensor.level, self.partitions, self.owners)

    def graph_values(self) -> Values:
        """Cumulants from moments of a fluctuation; hypergraphs."""
        return worlds.expansion(self.graphs)

    def bracket_values(self) -> Values:
        """Cumulants over a neuron from moments; products of brackets."""
        return worlds.brackets(self.split)

    def contraction_values(self) -> Values:
        """Every diagram differentiated leg by leg; the terms that it feeds. BrokenStep at the first that differs."""
        known: dict[tuple[Sum, ...], Average] = {}
        left = right = Fraction(0)
        for diagram in self.diagrams:
            for integrands in diagram.integrands:
                if integrands not in known:
                    known[integrands] = average_of(integrands, self.degree)
            if diagram.kind == CONSTANT:
                direct = Fraction(symbol([name for name, _ in diagram.terms[0].symbols]))
            else:
                averages = [known[integrands] for integrands in diagram.integrands]
                direct = value_of_diagram(averages, diagram.edges, diagram.weight, diagram.cost)
            printed = self.value(diagram.terms)
            check(f"diagram {diagram.name} of {self.tensor.name} ({diagram})", direct, printed)
            left, right = left + direct, right + printed
        return left, right

    def value(self, terms: Sequence[Term]) -> Fraction:
        """The sum of terms as they are printed."""
        return sum((value_of_term(term, self.degree) for term in terms), Fraction(0))


def _letters(i: int) -> str:
    """a, b, .., z, aa, ab, ..

    >>> _letters(1), _letters(27)
    ('b', 'ab')
    """
    return (_letters(i // 26 - 1) if i >= 26 else "") + chr(ord("a") + i % 26)
