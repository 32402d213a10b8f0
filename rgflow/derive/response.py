"""The answer of an entry of the metric to the layers below, from the integrand of a law; one input.

The same rules as in one step of the expansion, with one hyperedge at most: a leg is 1/2 sum_ab d_a d_b, one half on two
bare fields, and acts on one bracket; jets that it leaves contract on the leading Gaussian.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from itertools import combinations
from typing import NamedTuple

from rgflow.algebra.jets import Edges, Jet, activated
from rgflow.algebra.response import Answer, Entry, Neuron, collected
from rgflow.algebra.terms import Bracket
from rgflow.layers import Law, Part

HALF = Fraction(1, 2)
PLAIN: Entry = ((), ())


@lru_cache(maxsize=4096)
def response(entry: Entry, law: Law) -> tuple[Answer, ...]:
    """The line of dG(l+1): what a neuron carries, one leg on each bracket, and the noise."""
    found: list[Answer] = []
    for part in _parts(entry, law):
        if part.own:
            found.append(Answer(Fraction(1), part.symbols, None, 0, 0, part.back, (entry,), own=True))
            continue
        for neuron in _neurons(part):
            found.append(Answer(Fraction(1), part.symbols, None, 0, 0, part.back, noise=neuron))
            for weight, leg, rest in _legs(neuron):
                found += _contracted(weight, part, rest, (leg,))
    return tuple(found)


@lru_cache(maxsize=4096)
def mean(entry: Entry, law: Law) -> tuple[Answer, ...]:
    """The line of the leading mean, K or Theta, without the constants of the law."""
    found: list[Answer] = []
    for part in _parts(entry, law):
        for neuron in _neurons(part):
            found += _contracted(Fraction(1), part, neuron, ())
    return tuple(found)


@lru_cache(maxsize=4096)
def shift(entry: Entry, law: Law) -> tuple[Answer, ...]:
    """The line of the mean at next order, K_1 or Theta_1: the shifts below, pairs of legs, a leg on its own noise."""
    found: list[Answer] = []
    for part in _parts(entry, law):
        if part.own:
            found.append(Answer(Fraction(1), part.symbols, None, 0, 0, part.back, (entry,), own=True))
            continue
        for neuron in _neurons(part):
            for weight, leg, rest in _legs(neuron):
                found += _contracted(weight, part, rest, (leg,))
                if rest.orders or rest.jets:  # a constant has no noise
                    found.append(Answer(weight, part.symbols, None, 0, 0, part.back, (leg,), rest))
                for second_weight, second, left in _legs(rest):
                    # the two legs are interchangeable: each pair is met twice
                    found += _contracted(weight * second_weight / 2, part, left, (leg, second))
    return collected(found)


def _parts(entry: Entry, law: Law) -> tuple[Part, ...]:
    return law.integrand(Jet(0, entry[0]), Jet(0, entry[1]))


def _neurons(part: Part) -> Iterator[Neuron]:
    """The part as functions of one neuron (Faa di Bruno)."""
    if part.linear:
        yield Neuron(jets=(part.left.edges, part.right.edges))
        return
    for left in activated(part.left):
        for right in activated(part.right):
            orders = tuple(sorted(order for _, order in left.factors + right.factors))
            yield Neuron(orders, 0, tuple(jet.edges for jet in left.jets + right.jets))


def _legs(neuron: Neuron) -> Iterator[tuple[Fraction, Entry, Neuron]]:
    """One leg on a function: its weight, the entry it takes, and what it leaves."""
    orders, pending, jets = neuron.orders, neuron.pending, neuron.jets
    if orders:
        yield HALF, PLAIN, Neuron(orders, pending + 2, jets)
        for i, jet in enumerate(jets):
            yield Fraction(1), (jet, ()), Neuron(orders, pending + 1, jets[:i] + jets[i + 1 :])
    for i, j in combinations(range(len(jets)), 2):
        left = tuple(jet for k, jet in enumerate(jets) if k not in (i, j))
        yield Fraction(1), (jets[i], jets[j]), Neuron(orders, pending, left)


def _contracted(weight: Fraction, part: Part, neuron: Neuron, entries: tuple[Entry, ...]) -> Iterator[Answer]:
    """A function averaged over the leading Gaussian: jets in pairs to Theta and K, the rest a bracket."""
    for thetas, kernels in contractions(neuron.jets):
        bracket = None
        if neuron.orders:
            bracket = Bracket(tuple((0, order) for order in neuron.orders), neuron.pending)
        elif neuron.pending:
            continue  # the derivative of a constant
        yield Answer(weight, part.symbols, bracket, thetas, kernels, part.back, entries)


def contractions(jets: tuple[Edges, ...]) -> Iterator[tuple[int, int]]:
    """Every way to contract all jets in pairs: the numbers of Theta and of K."""
    if not jets:
        yield 0, 0
        return
    first, rest = jets[0], jets[1:]
    if len(first) > 1:
        return
    for i, other in enumerate(rest):
        if other == first:
            for thetas, kernels in contractions(rest[:i] + rest[i + 1 :]):
                yield (thetas + 1, kernels) if first else (thetas, kernels + 1)


class Exchanged(NamedTuple):
    """coefficient * symbols * the product of two averages, each a sum of answers."""

    coefficient: Fraction
    symbols: tuple[str, ...]
    averages: tuple[tuple[Answer, ...], tuple[Answer, ...]]


@lru_cache(maxsize=4096)
def exchanges(first: Entry, second: Entry, law: Law) -> tuple[Exchanged, ...]:
    """What parameters that are not Gaussian add to the cumulant of two entries."""
    (a, b), (c, d) = first, second
    found = []
    for exchange in law.intrinsic((Jet(0, a), Jet(0, b)), (Jet(0, c), Jet(0, d))):
        one, other = (
            tuple(answer for neuron in _neurons(part) for answer in _contracted(Fraction(1), part, neuron, ()))
            for part in (Part((), left, right) for left, right in exchange.pairs)
        )
        found.append(Exchanged(exchange.coefficient, exchange.symbols, (one, other)))
    return tuple(found)
