"""The covariance of the noise of one population at two stages: <f(z^T) g(z^u)> - <f><g>, with jets contracted."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from rgflow.algebra.jets import Jet
from rgflow.algebra.response import Neuron

LATER, CROSSED, EARLIER = 0, 1, 2  # where the two contracted jets stand


class Contraction(NamedTuple):
    """Theta or K of two samples: both at the later stage, one at each (the later one's first), or both earlier."""

    place: int
    samples: tuple[int, int]


class Overlap(NamedTuple):
    """Thetas and Ks times an average over both stages.

    later, earlier : what is left of f and g, without jets.
    connected : the product of the two averages is to be subtracted.
    """

    thetas: tuple[Contraction, ...]
    kernels: tuple[Contraction, ...]
    later: Neuron
    earlier: Neuron
    connected: bool


@lru_cache(maxsize=65536)
def covariance(f: Neuron, g: Neuron) -> tuple[Overlap, ...]:
    """Every contraction of the jets of f (later stage) and g that ties the two together."""
    items = tuple((0, jet) for jet in f.jets) + tuple((1, jet) for jet in g.jets)
    found = []
    for thetas, kernels, attached in _contractions(items, (f.samples, g.samples)):
        crossed = any(each.place == CROSSED for each in (*thetas, *kernels))
        if crossed or (f.factors and g.factors):
            later = f.without_jets().under(*(sample for side, sample in attached if side == 0))
            earlier = g.without_jets().under(*(sample for side, sample in attached if side == 1))
            found.append(Overlap(thetas, kernels, later, earlier, not crossed))
    return tuple(found)


Contracted = tuple[tuple[Contraction, ...], tuple[Contraction, ...], tuple[tuple[int, int], ...]]


def _contractions(
    items: tuple[tuple[int, Jet], ...], samples: tuple[tuple[int, ...], tuple[int, ...]]
) -> Iterator[Contracted]:
    """Thetas, Ks, and the (side, sample) of derivatives that plain values z leave on the activations of either side."""
    if not items:
        yield (), (), ()
        return
    (side, jet), rest = items[0], items[1:]
    if len(jet.edges) > 1:
        return
    for i, (other_side, other) in enumerate(rest):
        if other.edges == jet.edges:
            made = _contraction(side, jet.sample, other_side, other.sample)
            for thetas, kernels, attached in _contractions(rest[:i] + rest[i + 1 :], samples):
                yield ((*thetas, made), kernels, attached) if jet.edges else (thetas, (*kernels, made), attached)
    if not jet.edges:
        for on in (1 - side, side):
            for sample in samples[on]:
                made = _contraction(side, jet.sample, on, sample)
                for thetas, kernels, attached in _contractions(rest, samples):
                    yield thetas, (*kernels, made), (*attached, (on, sample))


def _contraction(side: int, sample: int, other_side: int, other: int) -> Contraction:
    if side != other_side:
        return Contraction(CROSSED, (sample, other) if side == 0 else (other, sample))
    return Contraction(LATER if side == 0 else EARLIER, (min(sample, other), max(sample, other)))
