"""The answer of an entry of the metric to the layers below, from the integrand of a law.

The same rules as in one step of the expansion, with one hyperedge at most: a leg is 1/2 sum_ab d_a d_b, one half on two
bare fields, and acts on one bracket; jets that it leaves contract on the leading Gaussian. Samples are those of the
jets; a bare derivative acts on each different sample of a bracket.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from itertools import combinations, combinations_with_replacement, product
from typing import NamedTuple

from rgflow.algebra.jets import Jet, activated
from rgflow.algebra.response import Answer, Entry, Neuron, Samples, collected
from rgflow.derive.normalised import Piece, pieces
from rgflow.layers import Law, Part

ONE = Fraction(1)


class Prefactor(NamedTuple):
    """A number and leading averages, which multiply what fluctuates."""

    weight: Fraction
    norms: tuple[int, ...] = ()
    averages: tuple[Neuron, ...] = ()


class Fluctuation(NamedTuple):
    """A part of how an average over neurons fluctuates: its noise, or ``rest``, averaged, times an entry."""

    weight: Fraction
    rest: Neuron
    entries: tuple[Entry, ...] = ()
    noises: tuple[Neuron, ...] = ()


@lru_cache(maxsize=65536)
def response(entry: Entry, law: Law) -> tuple[Answer, ...]:
    """The line of dG(l+1): what a neuron carries, one leg on each bracket, and the noise."""
    found: list[Answer] = []
    for part in law.integrand(*entry):
        if part.own:
            found.append(_carried(part, entry))
            continue
        for piece in _pieces(part):
            if len(piece.stats) <= 1:
                before, moving = _split(piece)
                for each in _fluctuations(*moving):
                    found += _answers(part, before, each.weight, (each.rest,), each.entries, each.noises)
    return _merged(found, law, entry)


@lru_cache(maxsize=65536)
def mean(entry: Entry, law: Law) -> tuple[Answer, ...]:
    """The line of the leading mean, K or Theta, without the constants of the law."""
    found: list[Answer] = []
    for part in law.integrand(*entry):
        for piece in _pieces(part):
            if not piece.stats:
                found += _answers(part, _prefactor(piece), ONE, (piece.f,))
    return _merged(found, law, entry)


@lru_cache(maxsize=65536)
def shift(entry: Entry, law: Law) -> tuple[Answer, ...]:
    """The line of the mean at next order, K_1 or Theta_1.

    The shifts below, pairs of legs, a leg on its own noise; behind a norm, what two averages fluctuate by together.
    """
    found: list[Answer] = []
    for part in law.integrand(*entry):
        if part.own:
            found.append(_carried(part, entry))
            continue
        for piece in _pieces(part):
            before, moving = _split(piece)
            if len(moving) == 1:
                for each in _shifts(moving[0]):
                    found += _answers(part, before, each.weight, (each.rest,), each.entries, each.noises)
            if len(piece.stats) == 1:
                before, moving = _prefactor(piece), (piece.f, *piece.stats)
            if len(moving) == 2:
                for one, other in product(*map(_fluctuations, moving)):
                    entries, noises = one.entries + other.entries, one.noises + other.noises
                    weight = one.weight * other.weight
                    found += _answers(part, before, weight, (one.rest, other.rest), entries, noises)
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
            tuple(answer for neuron in _neurons(part) for answer in _answers(part, Prefactor(ONE), ONE, (neuron,)))
            for part in (Part((), left, right) for left, right in exchange.pairs)
        )
        found.append(Exchanged(exchange.coefficient, exchange.symbols, (one, other), exchange.pairs))
    return tuple(found)


def _carried(part: Part, entry: Entry) -> Answer:
    norms = tuple(jet.sample for jet in entry) if part.scaled else ()
    return Answer(ONE, part.symbols, (), (), (), part.back, (entry,), norms=norms)


def _pieces(part: Part) -> Iterable[Piece]:
    """The part as functions of one neuron, behind its norm if it has one."""
    if part.norm is not None:
        return pieces(part)
    norms = (part.left.sample, part.right.sample) if part.scaled else ()
    return (Piece(ONE, neuron, norms) for neuron in _neurons(part))


def _prefactor(piece: Piece) -> Prefactor:
    return Prefactor(piece.coefficient, piece.norms, piece.constants)


def _split(piece: Piece) -> tuple[Prefactor, tuple[Neuron, ...]]:
    """Leading averages, and those that fluctuate: of f itself, or of the stats."""
    before = _prefactor(piece)
    if not piece.stats:
        return before, (piece.f,)
    return before._replace(averages=(*before.averages, piece.f)), piece.stats


def _merged(found: list[Answer], law: Law, entry: Entry) -> tuple[Answer, ...]:
    """Behind a norm like answers are many."""
    return collected(found) if any(part.norm for part in law.integrand(*entry)) else tuple(found)


def _fluctuations(neuron: Neuron) -> Iterator[Fluctuation]:
    """The noise of an average over neurons, and one leg on it; nothing of a constant."""
    if not (neuron.factors or neuron.jets):
        return
    yield Fluctuation(ONE, Neuron(), (), (neuron,))
    for weight, leg, rest in _legs(neuron):
        yield Fluctuation(weight, rest, (leg,))


def _shifts(neuron: Neuron) -> Iterator[Fluctuation]:
    """The mean of an average over neurons at next order."""
    for weight, leg, rest in _legs(neuron):
        yield Fluctuation(weight, rest, (leg,))
        if rest.factors or rest.jets:  # a constant has no noise
            yield Fluctuation(weight, Neuron(), (leg,), (rest,))
        for second_weight, second, left in _legs(rest):
            # the two legs are interchangeable: each pair is met twice
            yield Fluctuation(weight * second_weight / 2, left, (leg, second))


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


def _answers(
    part: Part,
    before: Prefactor,
    weight: Fraction,
    averages: tuple[Neuron, ...],
    entries: tuple[Entry, ...] = (),
    noises: tuple[Neuron, ...] = (),
) -> Iterator[Answer]:
    """Functions averaged over the leading Gaussian, each: jets in pairs to Theta and K, the rest brackets."""
    for chosen in product(*(tuple(_averaged(each)) for each in (*before.averages, *averages))):
        brackets = tuple(each.bracket for each in chosen if each.bracket.factors)
        thetas = tuple(pair for each in chosen for pair in each.thetas)
        kernels = tuple(pair for each in chosen for pair in each.kernels)
        total = before.weight * weight
        yield Answer(total, part.symbols, brackets, thetas, kernels, part.back, entries, noises, before.norms)


class Averaged(NamedTuple):
    """A term of the average of a function: what is left without jets, and the samples of each Theta and K."""

    bracket: Neuron
    thetas: tuple[Samples, ...] = ()
    kernels: tuple[Samples, ...] = ()


def _averaged(neuron: Neuron) -> Iterator[Averaged]:
    """Every way to contract all jets: in pairs, and plain values with the activations, <z f> = K <d f>."""
    if not neuron.jets:
        yield Averaged(neuron)
        return
    first, rest = neuron.jets[0], neuron.jets[1:]
    if len(first.edges) > 1:
        return
    for i, other in enumerate(rest):
        if other.edges == first.edges:
            pair = (min(first.sample, other.sample), max(first.sample, other.sample))
            for each in _averaged(replace(neuron, jets=rest[:i] + rest[i + 1 :])):
                if first.edges:
                    yield each._replace(thetas=(*each.thetas, pair))
                else:
                    yield each._replace(kernels=(*each.kernels, pair))
    if not first.edges:
        for sample in neuron.samples:
            for each in _averaged(replace(neuron, jets=rest).under(sample)):
                yield each._replace(kernels=(*each.kernels, (min(first.sample, sample), max(first.sample, sample))))
