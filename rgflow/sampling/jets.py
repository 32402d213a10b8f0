"""Forward-mode jets: derivatives of neurons along tangent directions, carried exactly through the layers.

The jet z_S of a neuron is its derivative along the directions e in S, z_S = (prod_{e in S} eps_e . d/dtheta) z, where
every eps_e is a random vector over *all* parameters with covariance lambda. The average over eps_e of a product in
which e occurs twice is the contraction of two parameter derivatives with the learning-rate tensor.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from rgflow.sampling import draw
from rgflow.sampling.draw import Array, Purpose, Streams, Together

Directions = tuple[int, ...]
Jets = dict[Directions, Array]


def subsets(pool: int, order: int) -> list[Directions]:
    """All sets of at most ``order`` of the directions 0..pool-1, smaller sets first.

    >>> subsets(3, 2)
    [(), (0,), (1,), (2,), (0, 1), (0, 2), (1, 2)]
    """
    return [chosen for size in range(order + 1) for chosen in combinations(range(pool), size)]


def subsets_of(directions: Directions) -> list[Directions]:
    """All subsets, the empty one first.

    >>> subsets_of((0, 2))
    [(), (0,), (2,), (0, 2)]
    """
    return [chosen for size in range(len(directions) + 1) for chosen in combinations(directions, size)]


def without(directions: Directions, e: int) -> Directions:
    """The set less one direction."""
    return tuple(d for d in directions if d != e)


def activate(derivatives: NDArray[np.float64], jets: Mapping[Directions, Array]) -> Jets:
    """Jets of sigma(z) from those of z.

    s_S = sum over set partitions of S of sigma^{(number of blocks)}(z) prod_blocks z_block   (Faa di Bruno)

    Parameters
    ----------
    derivatives : (order + 1, m, N, n)
        sigma and its derivatives at z = jets[()].
    jets : mapping from set to (m, N, n)
        Closed under taking subsets.
    """
    activated: Jets = {}
    for directions in jets:
        total = np.zeros_like(derivatives[0])
        for blocks in _partitions(directions):
            term = derivatives[len(blocks)]
            for block in blocks:
                term = term * jets[block]
            total += term
        activated[directions] = total
    return activated


def first_layer(streams: Streams | Together, z: Array, tangent_root: Array, sets: Sequence[Directions]) -> Jets:
    """Jets of layer 1 with pre-activations z (m, N, n): linear in the parameters, so of first order only.

    z_e has covariance Theta^1 = lambda_b + lambda_W x.x'/n_0 over inputs, independently for each neuron and direction;
    only that covariance matters, so it is made from random signs.
    """
    jets: Jets = {}
    generator = streams(Purpose.WEIGHT_DIRECTIONS, 1)
    count, inputs, width = z.shape
    singles = sum(len(directions) == 1 for directions in sets)
    drawn = draw.signs(generator, count, (singles, inputs, width), 1.0)
    for directions in sets:
        if not directions:
            jets[directions] = z
        elif len(directions) == 1:
            jets[directions] = np.matmul(tangent_root, drawn[:, directions[0]])
        else:
            jets[directions] = np.zeros_like(z)
    return jets


def propagate(s: Mapping[Directions, Array], W: Array, tangents: Sequence[tuple[Array, Array]], bias: Array) -> Jets:
    """Jets of the next layer from the activated jets of this one.

    z'_S = [S empty] b + [S = {e}] eps^b_e + s_S W + sum_{e in S} s_{S-e} eps^W_e

    Parameters
    ----------
    s : mapping from set to (m, N, n)
    W : (m, n, n')
    tangents : for each direction the pair of eps^W (m, n, n') and eps^b (m, 1, n')
    bias : (m, 1, n')
    """
    out = dict(zip(s, _rows_times(list(s.values()), W), strict=True))
    for e, (weight, offset) in enumerate(tangents):
        holding = [directions for directions in s if e in directions]
        shed = [s[without(directions, e)] for directions in holding]
        for directions, term in zip(holding, _rows_times(shed, weight), strict=True):
            out[directions] += term
        out[(e,)] += offset
    out[()] += bias
    return out


def tangents(
    streams: Streams | Together,
    layer: int,
    place: int,
    rates: tuple[float, float],
    shape: tuple[int, int, int],
    pool: int,
) -> list[tuple[Array, Array]]:
    """For each of ``pool`` directions eps^W (count, n, width) and eps^b (count, 1, width), of covariance lambda.

    ``rates`` are lambda_W and lambda_b, ``shape`` is that of eps^W; ``place`` tells the weights of a layer apart.
    """
    count, n, width = shape
    by_weight = streams(Purpose.WEIGHT_DIRECTIONS, layer, place)
    by_bias = streams(Purpose.BIAS_DIRECTIONS, layer, place)
    eps_W = draw.signs(by_weight, count, (pool, n, width), float(np.sqrt(rates[0] / n)))
    eps_b = draw.signs(by_bias, count, (pool, 1, width), float(np.sqrt(rates[1])))
    return [(eps_W[:, e], eps_b[:, e]) for e in range(pool)]


def _rows_times(rows: list[Array], matrix: Array) -> list[Array]:
    """Each (m, N, n) array times (m, n, n'), in one product of matrices for each network."""
    inputs = rows[0].shape[1]
    product = np.matmul(np.concatenate(rows, axis=1), matrix)
    return [product[:, k * inputs : (k + 1) * inputs] for k in range(len(rows))]


def _partitions(items: Directions) -> Iterator[list[Directions]]:
    """All set partitions, blocks in increasing order."""
    if not items:
        yield []
        return
    first, rest = items[0], items[1:]
    for size in range(len(rest) + 1):
        for mates in combinations(rest, size):
            others = tuple(item for item in rest if item not in mates)
            for blocks in _partitions(others):
                yield [(first, *mates), *blocks]
