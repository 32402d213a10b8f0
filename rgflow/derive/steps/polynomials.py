"""Polynomials in the jets of one neuron, and their Gaussian averages by Isserlis' theorem, in whole numbers.

sigma is a polynomial. D_S sigma(z) is the coefficient of prod_{e in S} eps_e in sigma(sum over T in S of z_T eps_T),
with eps_e^2 = 0: no Faa di Bruno.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import combinations
from math import perm

from rgflow.algebra.jets import Edges, Jet, Pair
from rgflow.derive.steps.trusted import covariance, sigma, symbol
from rgflow.layers import Part

Powers = tuple[tuple[Jet, int], ...]  # jets with their exponents, sorted
Polynomial = dict[Powers, int]
Nilpotent = dict[frozenset[int], Polynomial]


def times(one: Polynomial, other: Polynomial) -> Polynomial:
    """The product."""
    found: dict[Powers, int] = defaultdict(int)
    for p, a in one.items():
        for q, b in other.items():
            powers = dict(p)
            for jet, power in q:
                powers[jet] = powers.get(jet, 0) + power
            found[tuple(sorted(powers.items()))] += a * b
    return found


def plus(one: Polynomial, other: Polynomial, factor: int = 1) -> Polynomial:
    """one + factor * other."""
    found = defaultdict(int, one)
    for p, b in other.items():
        found[p] += factor * b
    return found


@lru_cache(maxsize=4096)
def _field(jet: Jet, degree: int, linear: bool) -> tuple[tuple[Powers, int], ...]:
    """s_a = D_S sigma(z), or the jet itself."""
    if linear:
        return ((((jet, 1),), 1),)
    argument: Nilpotent = {frozenset(part): {((Jet(jet.sample, part), 1),): 1} for part in _subsets(jet.edges)}
    power: Nilpotent = {frozenset(): {(): 1}}
    found: Polynomial = {}
    for coefficient in sigma(degree):
        found = plus(found, power.get(frozenset(jet.edges), {}), coefficient)
        power = _nilpotent(power, argument)
    return tuple(found.items())


def _subsets(edges: Edges) -> Iterable[Edges]:
    return (part for size in range(len(edges) + 1) for part in combinations(edges, size))


def _nilpotent(one: Nilpotent, other: Nilpotent) -> Nilpotent:
    found: Nilpotent = {}
    for s, p in one.items():
        for t, q in other.items():
            if not s & t:
                found[s | t] = plus(found.get(s | t, {}), times(p, q))
    return found


def integrand(parts: tuple[Part, ...], degree: int) -> Polynomial:
    """g_ab with numbers for the hyperparameters."""
    found: Polynomial = {}
    for part in parts:
        left, right = (dict(_field(jet, degree, part.linear)) for jet in (part.left, part.right))
        found = plus(found, times(left, right), symbol(part.symbols))
    return found


class Average:
    """<d_{J1} .. d_{Jm} P> over the Gaussian jets, with the derivatives of a polynomial P remembered."""

    def __init__(self, polynomial: Polynomial):
        self.variables = tuple(sorted({jet for powers in polynomial for jet, _ in powers}))
        place = {jet: i for i, jet in enumerate(self.variables)}
        rows = []
        for powers, coefficient in polynomial.items():
            row = [0] * len(place)
            for jet, power in powers:
                row[place[jet]] = power
            rows.append((tuple(row), coefficient))
        self._rows = tuple(row for row in rows if row[1])
        dressed = [i for i, jet in enumerate(self.variables) if jet.edges]
        held = {tuple(self.variables[i] for i in dressed for _ in range(row[i])) for row, _ in self._rows}
        self._takable = {jets for row in held for jets, left in _divided(row) if _may_average(left)}
        self._begun = {part for jets in self._takable for part, _ in _divided(jets)}
        self._known: dict[tuple[int, ...], int] = {}
        self._place = place

    def __call__(self, acting: Iterable[Jet] = ()) -> int:
        """The average after one derivative for each jet named."""
        counts = [0] * len(self.variables)
        for jet in acting:
            if jet not in self._place:
                return 0
            counts[self._place[jet]] += 1
        key = tuple(counts)
        if key not in self._known:
            self._known[key] = self._average(key)
        return self._known[key]

    def choices(self, legs: int) -> Iterator[tuple[Pair, ...]]:
        """What so many legs may act on, each on two jets, without what directions forbid from the outset."""
        pairs = [(a, b) for i, a in enumerate(self.variables) for b in self.variables[i:]]

        def extended(so_far: tuple[Pair, ...], taken: tuple[Jet, ...]) -> Iterator[tuple[Pair, ...]]:
            if len(so_far) == legs:
                if taken in self._takable:
                    yield so_far
                return
            for pair in pairs:
                more = tuple(sorted((*taken, *(jet for jet in pair if jet.edges))))
                if more in self._begun:
                    yield from extended((*so_far, pair), more)

        return extended((), ())

    def _average(self, counts: tuple[int, ...]) -> int:
        total = 0
        for row, coefficient in self._rows:
            left = tuple(p - c for p, c in zip(row, counts, strict=True))
            if min(left, default=0) >= 0:
                for p, c in zip(row, counts, strict=True):
                    coefficient *= perm(p, c)
                total += coefficient * moment(tuple((j, p) for j, p in zip(self.variables, left, strict=True) if p))
        return total


@lru_cache(maxsize=1 << 16)
def moment(powers: Powers) -> int:
    """E[prod of jets to their powers]: the first one is paired with every other."""
    if not powers:
        return 1
    if sum(power for _, power in powers) % 2:
        return 0
    (first, power), rest = powers[0], powers[1:]
    total = 0
    left = ((first, power - 1), *rest)
    for i, (other, count) in enumerate(left):
        if count and (covered := covariance(first, other)):
            lowered = (*left[:i], (other, count - 1), *left[i + 1 :])
            total += count * covered * moment(tuple(each for each in lowered if each[1]))
    return total


def factor(sample: int, order: int, degree: int) -> Polynomial:
    """sigma^{(order)}(z_sample)."""
    jet = Jet(sample)
    return {
        (((jet, power - order),) if power > order else ()): perm(power, order) * coefficient
        for power, coefficient in enumerate(sigma(degree))
        if power >= order
    }


def _divided(jets: tuple[Jet, ...]) -> list[tuple[tuple[Jet, ...], tuple[Jet, ...]]]:
    """Sorted jets in two parts, in every way."""
    found: list[tuple[tuple[Jet, ...], tuple[Jet, ...]]] = [((), ())]
    for jet in jets:
        found = [each for one, other in found for each in (((*one, jet), other), (one, (*other, jet)))]
    return found


def _may_average(jets: tuple[Jet, ...]) -> bool:
    """Whether the average of dressed jets is not zero by their directions alone."""
    singles = Counter(jet.edges for jet in jets)
    return all(len(edges) == 1 and count % 2 == 0 for edges, count in singles.items())
