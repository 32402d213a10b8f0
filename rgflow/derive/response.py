"""The answer of an entry of the metric to the layers below, from the integrand of a law.

The same rules as in one step of the expansion, with one hyperedge at most: a leg is 1/2 sum_ab d_a d_b, one half on two
bare fields, and acts on one bracket; jets that it leaves contract on the leading Gaussian. Samples are those of the
jets; a bare derivative acts on each different sample of a bracket.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from itertools import combinations, combinations_with_replacement
from typing import NamedTuple

from rgflow.algebra.jets import Jet, activated
from rgflow.algebra.response import Answer, Entry, Neuron, Samples, collected
from rgflow.layers import Law, Part

ONE = Fraction(1)


@lru_cache(maxsize=65536)
def response(entry: Entry, law: Law) -> tuple[Answer, ...]:
    """The line of dG(l+1): what a neuron carries, one leg on each bracket, and the noise."""
    found: list[Answer] = []
    for part in law.integrand(*entry):
        if part.own:
            found.append(_carried(part, entry))
            continue
        for neuron in _neurons(part):
            found.append(Answer(ONE, part.symbols, None, (), (), part.back, noise=neuron))
            for weight, leg, rest in _legs(neuron):
                found += _contracted(weight, part, rest, (leg,))
    return tuple(found)


@lru_cache(maxsize=65536)
def mean(entry: Entry, law: Law) -> tuple[Answer, ...]:
    """The line of the leading mean, K or Theta, without the constants of the law."""
    found: list[Answer] = []
    for part in law.integrand(*entry):
        for neuron in _neurons(part):
            found += _contracted(ONE, part, neuron, ())
    return tuple(found)


@lru_cache(maxsize=65536)
def shift(entry: Entry, law: Law) -> tuple[Answer, ...]:
    """The line of the mean at next order, K_1 or Theta_1: the shifts below, pairs of legs, a leg on its own noise."""
    found: list[Answer] = []
    for part in law.integrand(*entry):
        if part.own:
            found.append(_carried(part, entry))
            continue
        for neuron in _neurons(part):
            for weight, leg, rest in _legs(neuron):
                found += _contracted(weight, part, rest, (leg,))
                if rest.factors or rest.jets:  # a constant has no noise
                    found.append(Answer(weight, part.symbols, None, (), (), part.back, (leg,), rest))
                for second_weight, second, left in _legs(rest):
                    # the two legs are interchangeable: each pair is met twice
                    found += _contracted(weight * second_weight / 2, part, left, (leg, second))
    return collected(found)


class Exchanged(NamedTuple):
    """coefficient * symbols * the product of two averages, each a sum of answers."""

    coefficient: Fraction
    symbols: tuple[str, ...]
    averages: tuple[tuple[Answer, ...], tuple[Answer, ...]]
    pairs: tuple[Entry, Entry]


@lru_cache(maxsize=65536)
def exchanges(first: Entry, second: Entry, law: Law) -> tuple[Exchanged, ...]:
    """What parameters that are not Gaussian add to the cumulant of two entries."""
    found = []
    for exchange in law.intrinsic(first, second):
        one, other = (
            tuple(answer for neuron in _neurons(part) for answer in _contracted(ONE, part, neuron, ()))
            for part in (Part((), left, right) for left, right in exchange.pairs)
        )
        found.append(Exchanged(exchange.coefficient, exchange.symbols, (one, other), exchange.pairs))
    return tuple(found)


def _carried(part: Part, entry: Entry) -> Answer:
    return Answer(ONE, part.symbols, None, (), (), part.back, (entry,))


def _neurons(part: Part) -> Iterator[Neuron]:
    """The part as functions of one neuron (Faa di Bruno)."""
    if part.linear:
        yield Neuron(jets=(part.left, part.right))
        return
    for left in activated(part.left):
        for right in activated(part.right):
            yield Neuron(tuple(sorted(left.factors + right.factors)), (), left.jets + right.jets)


def _legs(neuron: Neuron) -> Iterator[tuple[Fraction, Entry, Neuron]]:
    """One leg on a function: its weight, the entry it takes, and what it leaves."""
    jets = neuron.jets
    for a, b in combinations_with_replacement(neuron.samples, 2):
        yield Fraction(1, 2) if a == b else ONE, (Jet(a), Jet(b)), neuron.under(a, b)
    for i, jet in enumerate(jets):
        others = replace(neuron, jets=jets[:i] + jets[i + 1 :])
        for a in neuron.samples:
            yield ONE, (jet, Jet(a)), others.under(a)
    for i, j in combinations(range(len(jets)), 2):
        yield ONE, (jets[i], jets[j]), replace(neuron, jets=tuple(x for k, x in enumerate(jets) if k not in (i, j)))


def _contracted(weight: Fraction, part: Part, neuron: Neuron, entries: tuple[Entry, ...]) -> Iterator[Answer]:
    """A function averaged over the leading Gaussian: jets in pairs to Theta and K, the rest a bracket."""
    bracket = neuron.without_jets() if neuron.factors else None
    for thetas, kernels in contractions(neuron.jets):
        yield Answer(weight, part.symbols, bracket, thetas, kernels, part.back, entries)


def contractions(jets: tuple[Jet, ...]) -> Iterator[tuple[tuple[Samples, ...], tuple[Samples, ...]]]:
    """Every way to contract all jets in pairs: the samples of each Theta and of each K."""
    if not jets:
        yield (), ()
        return
    first, rest = jets[0], jets[1:]
    if len(first.edges) > 1:
        return
    for i, other in enumerate(rest):
        if other.edges == first.edges:
            pair = (min(first.sample, other.sample), max(first.sample, other.sample))
            for thetas, kernels in contractions(rest[:i] + rest[i + 1 :]):
                yield ((*thetas, pair), kernels) if first.edges else (thetas, (*kernels, pair))
