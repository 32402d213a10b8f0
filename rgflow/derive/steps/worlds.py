"""Small worlds in which the first steps are checked: every quantity is a trusted number, every sum is finite and exact.

- *Three neurons*, and three networks with probabilities: the cumulants of averages over neurons by writing out all sums
  over neuron indices, beside the law of total cumulance.
- *One fluctuation* x instead of a matrix dG: functions of it by their Taylor coefficients, the moments of x from its
  cumulants, both as series in 1/n, beside the sum over hypergraphs.
- *One neuron*: cumulants of integrands as functions of x from their moments, beside the products of brackets.

Cumulants come from moments by kappa(I) = m(I) - sum over J in I with the first of I, kappa(J) m(I - J): no partitions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from functools import cache, partial
from itertools import combinations, product
from math import comb, factorial, prod
from typing import Any

from rgflow.algebra.partitions import Blocks
from rgflow.derive.steps.graphs import Edges, Hyperedge, Split
from rgflow.derive.steps.trusted import trusted

Members = tuple[int, ...]
NEURONS = 3
CHANCES = (Fraction(1, 2), Fraction(1, 3), Fraction(1, 6))  # of the three networks


class Series:
    """A power series, cut off."""

    def __init__(self, coefficients: Iterable[Fraction | int]):
        self.coefficients = tuple(map(Fraction, coefficients))

    def __mul__(self, other: Series | Fraction | int) -> Series:
        if not isinstance(other, Series):
            return Series(other * c for c in self.coefficients)
        one, two = self.coefficients, other.coefficients
        return Series(sum((one[i] * two[k - i] for i in range(k + 1)), Fraction(0)) for k in range(len(one)))

    def __add__(self, other: Series) -> Series:
        return Series(a + b for a, b in zip(self.coefficients, other.coefficients, strict=True))

    def __sub__(self, other: Series) -> Series:
        return self + other * -1

    def derivative(self, times: int) -> Fraction:
        """At zero."""
        return self.coefficients[times] * factorial(times)


def cumulant_of(members: Members, moments: Callable[[Members], Any]) -> Any:
    """The joint cumulant from joint moments, in any ring."""

    @cache
    def kappa(held: Members) -> Any:
        first, rest = held[0], held[1:]
        found = moments(held)
        for size in range(len(rest)):
            for some in combinations(rest, size):
                others = tuple(i for i in rest if i not in some)
                found = found - kappa((first, *some)) * moments(others)
        return found

    return kappa(members)


# Three neurons --------------------------------------------------------------------------------------------------------


OWN = 100  # added to the number of an entry that stands for its own neuron's past


def _neuron(network: int, members: Members) -> int:
    """E[product of the integrands of ``members`` over one neuron], given the network."""
    return trusted(f"moment {network} {members}")


def total_cumulance(level: int, partitions: Sequence[Blocks], owners: Sequence[int] = ()) -> tuple[Fraction, Fraction]:
    """kappa of averages over neurons: all sums over neuron indices written out; sum over set partitions.

    owners : entries with an own part besides, a function of a neuron of its own that is not averaged.
    """

    @cache
    def moment(members: Members) -> Fraction:
        """E of the product of the members; one beyond OWN is at its own neuron, the others at any."""
        total = Fraction(0)
        for network, chance in enumerate(CHANCES):
            for neurons in product(*([m - OWN] if m >= OWN else range(NEURONS) for m in members)):
                groups = (tuple(m for m, j in zip(members, neurons, strict=True) if j == k) for k in set(neurons))
                total += chance * prod(_neuron(network, group) for group in groups)
        return total / Fraction(NEURONS ** sum(m < OWN for m in members))

    left = right = Fraction(0)
    for chosen in choices(level, owners):
        named = tuple(m + OWN if m in chosen else m for m in range(level))
        left += cumulant_of(named, moment)
        for blocks in partitions:
            if together(blocks, chosen):
                continue
            inside = [tuple(named[m] for m in block) for block in blocks]
            inner = [[cumulant_of(block, partial(_neuron, s)) for s in range(len(CHANCES))] for block in inside]

            def outer(held: Members, inner: list[list[int]] = inner) -> Fraction:
                total = Fraction(0)
                for network, chance in enumerate(CHANCES):
                    total += chance * prod(inner[b][network] for b in held)
                return total

            power = Fraction(NEURONS) ** (len(blocks) - level)
            right += power * cumulant_of(tuple(range(len(blocks))), outer)
    return left, right


def choices(level: int, owners: Sequence[int]) -> list[Members]:
    """Which entries stand for their own part, in every way, averages first."""
    return [chosen for count in range(level + 1) for chosen in combinations(owners, count)]


def together(blocks: Blocks, own: Members) -> bool:
    """Whether a block holds two own parts: a neuron is the own neuron of one entry at most."""
    return any(len(set(block) & set(own)) > 1 for block in blocks)


# One fluctuation ------------------------------------------------------------------------------------------------------


def _kappa(edge: Hyperedge) -> int:
    return trusted(f"kappa {len(edge.legs)} {edge.order}")


def _function(name: object, most: int) -> list[int]:
    """The derivatives at zero of a function of x."""
    return [trusted(f"derivative {name} {times}") for times in range(most + 1)]


@cache
def _moments_of_fluctuation(cost: int) -> tuple[Series, ...]:
    """E[x^j] to order n^(-cost), j to 2 cost, from cumulants n^(1-m) sum_q kappa_m^{[q]} n^(-q) but kappa_1^{[0]}."""

    def kappa(legs: int) -> Series:
        orders = [power - legs + 1 for power in range(cost + 1)]
        return Series(_kappa(Hyperedge((0,) * legs, q)) if q >= 0 and legs + q > 1 else 0 for q in orders)

    found = [Series([1] + [0] * cost)]
    for j in range(1, 2 * cost + 1):
        total = Series([0] * (cost + 1))
        for legs in range(1, j + 1):
            total = total + kappa(legs) * found[j - legs] * comb(j - 1, legs - 1)
        found.append(total)
    return tuple(found)


def _vertex(block: Members, most: int) -> Series:
    """c_B as a function of x: the cumulant over one neuron, from moments that are functions of x."""
    found: Series = cumulant_of(block, lambda held: _series(held, most))
    return found


def _series(held: Members, most: int) -> Series:
    return Series(Fraction(d, factorial(j)) for j, d in enumerate(_function(held, most)))


def expansion(groups: Sequence[tuple[Blocks, int, Sequence[tuple[Edges, Fraction]]]]) -> tuple[Fraction, Fraction]:
    """The cumulants of the vertices of each partition at their order in 1/n: from their moments; sum over hypergraphs.

    groups : the blocks of a partition, the order, and its hypergraphs with their weights.
    """
    left = right = Fraction(0)
    for blocks, cost, graphs in groups:
        vertices = [_vertex(block, 2 * cost) for block in blocks]

        def moment(held: Members, vertices: list[Series] = vertices, cost: int = cost) -> Series:
            function = Series([1] + [0] * 2 * cost)
            for v in held:
                function = function * vertices[v]
            total = Series([0] * (cost + 1))
            for c, mean in zip(function.coefficients, _moments_of_fluctuation(cost), strict=True):
                total = total + mean * c
            return total

        left += cumulant_of(tuple(range(len(blocks))), moment).coefficients[cost]
        derivatives = [[c.derivative(j) for j in range(2 * cost + 1)] for c in vertices]
        right += sum((_value(edges, weight, derivatives) for edges, weight in graphs), Fraction(0))
    return left, right


def _value(edges: Edges, weight: Fraction, derivatives: Sequence[Sequence[int | Fraction]]) -> Fraction:
    """weight * prod kappa * prod of derivatives, one for each leg."""
    legs = Counter(end for edge in edges for end in edge.legs)
    return weight * prod(map(_kappa, edges)) * prod(each[legs[v]] for v, each in enumerate(derivatives))


# One neuron -----------------------------------------------------------------------------------------------------------


def brackets(groups: Sequence[tuple[Blocks, Edges, Fraction, Sequence[Split]]]) -> tuple[Fraction, Fraction]:
    """Hypergraphs with cumulants over one neuron at their vertices: these from moments; as products of brackets."""
    left = right = Fraction(0)
    for blocks, edges, weight, split in groups:
        most = sum(len(edge.legs) for edge in edges)
        vertices = [_vertex(block, most) for block in blocks]
        left += _value(edges, weight, [[c.derivative(j) for j in range(most + 1)] for c in vertices])
        for each in split:
            averages = [_function(bracket, most) for vertex in each.vertices for bracket in vertex]
            right += _value(each.edges, each.weight, averages)
    return left, right
