r"""Averages over initialisations of products of output jets, to first order in 1/n.

Given the random metric of the last hidden layer the output jets are Gaussian, independent from output to output, so a
product of them averages to a sum over pairings, each pair a Kronecker delta of neurons times an entry of the metric:

    E[prod of pairs] = prod of means + (1/n) (one mean replaced by its correction) + (1/n) (two joined in a cumulant).

The entries, their means and their cumulants are the letters of the theory: K, Theta, K_1, Theta_1, V, A, .., U.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

from rgflow.algebra import Tensor
from rgflow.algebra.jets import Jet
from rgflow.algebra.tensor import canonical

Pairing = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Moment:
    """A product of tensors in an average, with the pairs of jets whose neurons are the same.

    Attributes
    ----------
    tensors : tuple of (Tensor, samples)
        Samples in the order of the tensor's arguments.
    pairs : tuple of pairs
        Positions of jets in the product that share a neuron.
    order : int
        The power of 1/n.
    """

    tensors: tuple[tuple[Tensor, tuple[int, ...]], ...]
    pairs: Pairing
    order: int


def moments(jets: Sequence[Jet], centred: frozenset[int], order: int) -> tuple[Moment, ...]:
    """The terms of E[product of jets] up to n^-order (0 or 1).

    Parameters
    ----------
    jets : sequence of Jet
        Sample labels are any integers; each edge occurs in two jets.
    centred : set of edges
        Kernels from which their leading mean Theta is taken off: Delta H = H - Theta.
    """
    return _moments(tuple(jets), centred, order)


@lru_cache(maxsize=4096)
def _moments(jets: tuple[Jet, ...], centred: frozenset[int], order: int) -> tuple[Moment, ...]:
    found = []
    for pairs in pairings(tuple(range(len(jets)))):
        entries = [(jets[a], jets[b]) for a, b in pairs]
        ragged = [i for i, (a, b) in enumerate(entries) if a.edges != b.edges]
        tight = [i for i, (a, b) in enumerate(entries) if a.edges == b.edges and set(a.edges) & centred]
        means = [(entry,) for entry in entries]
        if not ragged and not tight:
            found.append(Moment(tuple(_value(group) for group in means), pairs, 0))
        if order == 0:
            continue
        for i in range(len(entries)):  # one mean corrected
            if not ragged and set(tight) <= {i}:
                tensors = [_value(group, 1 if j == i else 0) for j, group in enumerate(means)]
                found.append(Moment(tuple(tensors), pairs, 1))
        for i, j in combinations(range(len(entries)), 2):  # two joined
            joined = (entries[i], entries[j])
            if set(ragged) | set(tight) <= {i, j} and _closed(joined):
                rest = [means[k] for k in range(len(entries)) if k not in (i, j)]
                found.append(Moment((_value(joined), *map(_value, rest)), pairs, 1))
    return tuple(found)


def pairings(places: tuple[int, ...]) -> Iterator[Pairing]:
    """All ways to pair up an even number of places; none for an odd one.

    >>> len(list(pairings((0, 1, 2, 3, 4, 5))))
    15
    """
    if not places:
        yield ()
        return
    first, rest = places[0], places[1:]
    for i, other in enumerate(rest):
        for others in pairings(rest[:i] + rest[i + 1 :]):
            yield ((first, other), *others)


def _closed(entries: tuple[tuple[Jet, Jet], ...]) -> bool:
    """Whether each edge occurs twice among the entries; otherwise their cumulant averages to zero."""
    edges = [edge for pair in entries for jet in pair for edge in jet.edges]
    return all(edges.count(edge) == 2 for edge in edges)


def _value(entries: tuple[tuple[Jet, Jet], ...], order: int = 0) -> tuple[Tensor, tuple[int, ...]]:
    """The cumulant of entries of the metric as a tensor and its arguments."""
    structure, labels = canonical(entries)
    tensor = Tensor(structure, order)
    return tensor, tuple(labels[slot] for slot in tensor.slots)
