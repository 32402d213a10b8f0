"""The covariance of the noise of one population at two stages: <f(z^T) g(z^u)> - <f><g>, jets contracted; one input."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from rgflow.algebra.jets import Edges
from rgflow.algebra.response import Neuron


class Overlap(NamedTuple):
    """Theta^a K^b times an average over both stages.

    thetas, kernels : how many of (later, later), (later, earlier), (earlier, earlier).
    later, earlier : what is left of f and g, without jets.
    connected : the product of the two averages is to be subtracted.
    """

    thetas: tuple[int, int, int]
    kernels: tuple[int, int, int]
    later: Neuron
    earlier: Neuron
    connected: bool


@lru_cache(maxsize=4096)
def covariance(f: Neuron, g: Neuron) -> tuple[Overlap, ...]:
    """Every contraction of the jets of f (later stage) and g that ties the two together."""
    items = tuple((0, jet) for jet in f.jets) + tuple((1, jet) for jet in g.jets)
    found = []
    for thetas, kernels, attached in _contractions(items, (bool(f.orders), bool(g.orders))):
        crossed = bool(thetas[1] or kernels[1])
        later = Neuron(f.orders, f.pending + attached[0])
        earlier = Neuron(g.orders, g.pending + attached[1])
        if any(side.pending and not side.orders for side in (later, earlier)):
            continue
        if crossed or (f.orders and g.orders):
            found.append(Overlap(thetas, kernels, later, earlier, not crossed))
    return tuple(found)


Counts = tuple[int, int, int]


def _contractions(
    items: tuple[tuple[int, Edges], ...], activated: tuple[bool, bool]
) -> Iterator[tuple[Counts, Counts, tuple[int, int]]]:
    """Numbers of Theta, of K, and of derivatives on either side that plain values z leave there."""
    if not items:
        yield (0, 0, 0), (0, 0, 0), (0, 0)
        return
    (side, jet), rest = items[0], items[1:]
    if len(jet) > 1:
        return
    for i, (other_side, other) in enumerate(rest):
        if other == jet:
            for thetas, kernels, attached in _contractions(rest[:i] + rest[i + 1 :], activated):
                place = side + other_side
                if jet:
                    yield _more(thetas, place), kernels, attached
                else:
                    yield thetas, _more(kernels, place), attached
    if not jet and activated[1 - side]:
        for thetas, kernels, attached in _contractions(rest, activated):
            yield thetas, _more(kernels, 1), (attached[0] + side, attached[1] + 1 - side)


def _more(counts: Counts, place: int) -> Counts:
    return (counts[0] + (place == 0), counts[1] + (place == 1), counts[2] + (place == 2))
