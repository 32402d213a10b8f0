"""Connected hypergraphs: how fluctuations of the metric tie functions of it together.

The joint cumulant of smooth functions of the metric G = K + dG is a sum over connected hypergraphs. The vertices are
the functions; a hyperedge is a cumulant kappa_j^{[q]} of dG with j legs, of cost j - 1 + q in powers of 1/n; a leg is
1/2 sum_ab d_a d_b acting on one bracket of one vertex. The weight of a hypergraph is 1/2 for every leg on two bare
fields, divided by the symmetry of equal legs and of equal hyperedges.

Legs that carry jets are fixed beforehand (``Cluster``): legs that share a direction must lie in one hyperedge, since
a cumulant that holds a direction only once vanishes. Hyperedges are listed edge by edge, with unordered legs.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import cache, lru_cache
from itertools import combinations_with_replacement
from math import factorial
from typing import NamedTuple

from rgflow.algebra.partitions import set_partitions

BareLegs = tuple[int, ...]  # the bracket on which each bare leg (d d) acts, sorted


class Hyperedge(NamedTuple):
    """kappa_j^{[order]}: clusters of jet legs (their indices) and bare legs (their brackets)."""

    clusters: tuple[int, ...]
    bare: BareLegs
    order: int


class Cluster(NamedTuple):
    """Jet legs that share directions: how many, and the mask of vertices that they touch."""

    legs: int
    vertices: int


class Hypergraph(NamedTuple):
    """Hyperedges with the product of their combinatorial weights."""

    edges: tuple[Hyperedge, ...]
    weight: Fraction


@cache
def _bare_edges(brackets: int, most: int) -> tuple[tuple[int, BareLegs, int, Fraction], ...]:
    """All (cost, legs, order, weight) of hyperedges with bare legs only, of cost 1..most."""
    found = []
    for legs_count in range(1, most + 2):
        for legs in combinations_with_replacement(range(brackets), legs_count):
            weight = _bare_weight(legs)
            for order in range(most - legs_count + 2):
                cost = legs_count - 1 + order
                if cost >= 1:
                    found.append((cost, legs, order, weight))
    return tuple(found)


def _bare_weight(legs: BareLegs) -> Fraction:
    symmetry = 1
    for bracket in set(legs):
        symmetry *= factorial(legs.count(bracket))
    return Fraction(1, 2 ** len(legs) * symmetry)


@lru_cache(maxsize=4096)
def _bare_graphs(brackets: int, cost: int) -> tuple[tuple[tuple[tuple[BareLegs, int], ...], Fraction], ...]:
    """All multisets of bare hyperedges of total cost ``cost``, connected or not."""
    kinds = _bare_edges(brackets, cost)
    found: list[tuple[tuple[tuple[BareLegs, int], ...], Fraction]] = []

    def extend(start: int, left: int, chosen: tuple[tuple[BareLegs, int], ...], weight: Fraction) -> None:
        if left == 0:
            found.append((chosen, weight))
            return
        for i in range(start, len(kinds)):
            edge_cost, legs, order, edge_weight = kinds[i]
            copies, total, w, edges = 0, left, weight, chosen
            while total >= edge_cost:
                copies += 1
                total -= edge_cost
                edges = (*edges, (legs, order))
                w = w * edge_weight / copies
                extend(i + 1, total, edges, w)

    extend(0, cost, (), Fraction(1))
    return tuple(found)


def connected(masks: list[int], vertices: int) -> bool:
    """Whether hyperedges with these vertex masks tie vertices 0..vertices-1 together."""
    if vertices == 1:
        return True
    everything = (1 << vertices) - 1
    reached = 1
    waiting = [mask for mask in masks if mask & (mask - 1)]
    grown = True
    while grown and reached != everything:
        grown = False
        for mask in waiting:
            if mask & reached and mask & ~reached:
                reached |= mask
                grown = True
    return reached == everything


def hypergraphs(
    vertex_of: tuple[int, ...], vertices: int, clusters: tuple[Cluster, ...], cost: int
) -> Iterator[Hypergraph]:
    """Every connected hypergraph of the given total cost.

    Parameters
    ----------
    vertex_of : tuple of int
        The vertex to which each bracket belongs.
    vertices : int
        Number of vertices.
    clusters : tuple of Cluster
        Jet legs that must be used, each cluster whole within one hyperedge.
    cost : int
        Total power of 1/n.
    """
    if not clusters:
        yield from _without_clusters(vertex_of, vertices, cost)
        return
    brackets = len(vertex_of)
    for groups in set_partitions(len(clusters)):
        legs = [sum(clusters[i].legs for i in group) for group in groups]
        if sum(max(count - 1, 0) for count in legs) > cost:
            continue
        masks = []
        for group in groups:
            mask = 0
            for i in group:
                mask |= clusters[i].vertices
            masks.append(mask)
        yield from _dress(groups, legs, masks, 0, (), Fraction(1), [], vertex_of, vertices, brackets, cost)


def _dress(
    groups: tuple[tuple[int, ...], ...],
    legs: list[int],
    masks: list[int],
    at: int,
    edges: tuple[Hyperedge, ...],
    weight: Fraction,
    edge_masks: list[int],
    vertex_of: tuple[int, ...],
    vertices: int,
    brackets: int,
    left: int,
) -> Iterator[Hypergraph]:
    """Give each group of clusters its bare legs and its order, then add bare hyperedges."""
    if at == len(groups):
        for more, more_weight in _bare_graphs(brackets, left):
            if connected(edge_masks + [_mask(b, vertex_of) for b, _ in more], vertices):
                yield Hypergraph(edges + tuple(Hyperedge((), b, q) for b, q in more), weight * more_weight)
        return
    base = legs[at] - 1
    for extra in range(left - base + 1):
        for bare in combinations_with_replacement(range(brackets), extra):
            bare_weight = _bare_weight(bare)
            mask = masks[at] | _mask(bare, vertex_of)
            for order in range(left - base - extra + 1):
                spent = base + extra + order
                if spent == 0:
                    continue  # a single leg of order 0 is the leading metric, already contracted
                yield from _dress(
                    groups,
                    legs,
                    masks,
                    at + 1,
                    (*edges, Hyperedge(groups[at], bare, order)),
                    weight * bare_weight,
                    [*edge_masks, mask],
                    vertex_of,
                    vertices,
                    brackets,
                    left - spent,
                )


@lru_cache(maxsize=4096)
def _without_clusters(vertex_of: tuple[int, ...], vertices: int, cost: int) -> tuple[Hypergraph, ...]:
    found = []
    for bare, weight in _bare_graphs(len(vertex_of), cost):
        if connected([_mask(b, vertex_of) for b, _ in bare], vertices):
            found.append(Hypergraph(tuple(Hyperedge((), b, q) for b, q in bare), weight))
    return tuple(found)


def _mask(brackets: BareLegs, vertex_of: tuple[int, ...]) -> int:
    mask = 0
    for bracket in brackets:
        mask |= 1 << vertex_of[bracket]
    return mask
