"""Hypergraphs of one step of the derivation, listed on their own: vertices, hyperedges with legs, weights, cost.

The joint cumulant of m functions c_1(G) .. c_m(G) of the metric G = K + dG is, at order n^(-cost), the sum over
connected hypergraphs on m vertices of

    weight * prod over hyperedges kappa_j^{[q]} * prod over vertices (a derivative of c for every leg that ends there),

cost = sum of (j - 1 + q), weight = 1 / (permutations of equal legs of an edge and of equal edges). A vertex c_B is a
cumulant over one neuron, so a sum of products of brackets; legs act on its brackets by the product rule.

This listing shares no code with that of :mod:`rgflow.derive.hypergraphs`, which fixes first what jets do.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from itertools import combinations_with_replacement, product
from math import factorial, prod
from typing import NamedTuple

from rgflow.algebra.partitions import Blocks, set_partitions

Bracket = tuple[int, ...]  # the entries whose integrands are averaged together
Vertices = tuple[tuple[Bracket, ...], ...]  # the brackets of each vertex


class Hyperedge(NamedTuple):
    """kappa_j^{[order]}, a cumulant of the metric below: where its j legs end, sorted."""

    legs: tuple[int, ...]
    order: int

    @property
    def cost(self) -> int:
        """Its power of 1/n, j - 1 + order."""
        return len(self.legs) - 1 + self.order


Edges = tuple[Hyperedge, ...]


class Split(NamedTuple):
    """A hypergraph with its vertices split into brackets: legs end on brackets, numbered through all vertices."""

    vertices: Vertices
    edges: Edges
    weight: Fraction


@lru_cache(maxsize=256)
def connected_graphs(vertices: int, cost: int) -> tuple[tuple[Edges, Fraction], ...]:
    """Every connected hypergraph on so many vertices of a total cost, with its weight.

    >>> [(edges[0].legs, str(weight)) for edges, weight in connected_graphs(1, 1)]
    [((0,), '1'), ((0, 0), '1/2')]
    """
    kinds = [
        Hyperedge(legs, order)
        for count in range(1, cost + 2)
        for legs in combinations_with_replacement(range(vertices), count)
        for order in range(cost + 2 - count)
        if count - 1 + order
    ]
    return tuple((edges, symmetry(edges)) for edges in _multisets(kinds, cost) if _connects(edges, vertices))


def symmetry(edges: Edges) -> Fraction:
    """One over the permutations of equal legs and of equal hyperedges."""
    legs = prod(factorial(times) for edge in edges for times in Counter(edge.legs).values())
    return Fraction(1, legs * prod(factorial(times) for times in Counter(edges).values()))


def _multisets(kinds: list[Hyperedge], cost: int) -> Iterator[Edges]:
    if cost == 0:
        yield ()
        return
    for i, kind in enumerate(kinds):
        if kind.cost <= cost:
            for rest in _multisets(kinds[i:], cost - kind.cost):
                yield (kind, *rest)


def _connects(edges: Edges, vertices: int) -> bool:
    apart = [{vertex} for vertex in range(vertices)]
    for edge in edges:
        touched = [part for part in apart if part & set(edge.legs)]
        apart = [part for part in apart if part not in touched] + [set().union(*touched)]
    return len(apart) == 1


def splits(blocks: Blocks, edges: Edges, weight: Fraction) -> tuple[Split, ...]:
    """A hypergraph's vertices as brackets, (-1)^(m-1) (m-1)! for m of them, with every way for legs to choose one.

    >>> [str(each.weight) for each in splits(((0, 1),), (), Fraction(1))]
    ['1', '-1']
    """
    found: list[Split] = []
    for chosen in product(*(set_partitions(len(block)) for block in blocks)):
        vertices = tuple(
            tuple(tuple(block[i] for i in part) for part in parts) for block, parts in zip(blocks, chosen, strict=True)
        )
        moments = prod((-1) ** (len(parts) - 1) * factorial(len(parts) - 1) for parts in chosen)
        counts: dict[Edges, int] = defaultdict(int)
        for placed in _placements(vertices, edges):
            counts[placed] += 1
        found += [Split(vertices, placed, weight * moments * times) for placed, times in counts.items()]
    return tuple(found)


def _placements(vertices: Vertices, edges: Edges) -> Iterator[Edges]:
    """Every leg on every bracket of its vertex: the product rule."""
    first = [sum(map(len, vertices[:v])) for v in range(len(vertices))]
    brackets = [range(start, start + len(parts)) for start, parts in zip(first, vertices, strict=True)]
    sizes = [len(edge.legs) for edge in edges]
    for ends in product(*(brackets[vertex] for edge in edges for vertex in edge.legs)):
        rest = iter(ends)
        placed = [
            Hyperedge(tuple(sorted(next(rest) for _ in range(size))), edge.order)
            for edge, size in zip(edges, sizes, strict=True)
        ]
        yield tuple(sorted(placed))
