"""What is random in a network: independent streams, weights, tangent directions, Gaussians of a given covariance.

Every array has the networks of a chunk as its first axis and every stream serves one layer and one purpose, so that the
numbers a network gets do not depend on how many networks are drawn at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Words = NDArray[np.uint64]
Bits = type[np.random.PCG64] | type[np.random.SFC64]

# Keeps our children apart from those that a caller spawns from the same SeedSequence.
_FAMILY = 0x7267666C


class Purpose(IntEnum):
    """What the numbers of a stream are used for."""

    NEURONS = 0
    WEIGHTS = 1
    BIASES = 2
    WEIGHT_DIRECTIONS = 3
    BIAS_DIRECTIONS = 4
    LOSS = 5


class Streams:
    """The random streams of one batch of networks, one for each layer, purpose and place inside the layer."""

    def __init__(self, root: np.random.SeedSequence, batch: int, bits: Bits = np.random.PCG64):
        self._root = root
        self._batch = batch
        self._bits = bits
        self._open: dict[tuple[int, int], np.random.Generator] = {}

    def __call__(self, purpose: Purpose, layer: int, place: int = 0) -> np.random.Generator:
        """The generator of this layer, purpose and place; it continues where its last use stopped."""
        number = int(purpose) + len(Purpose) * place
        if (number, layer) not in self._open:
            key = (*self._root.spawn_key, _FAMILY, self._batch, layer, number)
            sequence = np.random.SeedSequence(self._root.entropy, spawn_key=key, pool_size=self._root.pool_size)
            self._open[number, layer] = np.random.Generator(self._bits(sequence))
        return self._open[number, layer]


class Together:
    """The streams of consecutive batches, drawn together: so many networks of each, one after the other."""

    def __init__(self, streams: Sequence[Streams], counts: Sequence[int]):
        self._streams, self._counts = streams, counts

    def __call__(self, purpose: Purpose, layer: int, place: int = 0) -> Generators:
        """The generators of this layer, purpose and place."""
        return Generators([one(purpose, layer, place) for one in self._streams], self._counts)


class Generators:
    """Generators that each fill so many rows of an array."""

    def __init__(self, generators: Sequence[np.random.Generator], counts: Sequence[int]):
        self._each = list(zip(generators, counts, strict=True))

    def standard_normal(self, size: tuple[int, ...]) -> Array:
        """As numpy.random.Generator does."""
        found, start = np.empty(size), 0
        for generator, count in self._each:
            generator.standard_normal(out=found[start : start + count])
            start += count
        return found

    def integers(self, low: int, high: int, size: tuple[int, ...], dtype: type[np.uint64], endpoint: bool) -> Words:
        """As numpy.random.Generator does."""
        found = np.empty(size, dtype=dtype)
        start = 0
        for generator, count in self._each:
            shape = (count, *size[1:])
            found[start : start + count] = generator.integers(low, high, size=shape, dtype=dtype, endpoint=endpoint)
            start += count
        return found


def covariance_root(covariance: Array) -> Array:
    """L with L L^T = covariance, lower triangular, for positive *semi*definite matrices (..., N, N).

    A pivot within rounding of zero ends its column: the input it belongs to is a function of the earlier ones, so
    equal, opposite or vanishing inputs stay exactly so. The covariance is reproduced to sqrt(rounding) at worst.

    >>> covariance_root(np.array([[4.0, 4.0], [4.0, 4.0]]))
    array([[2., 0.],
           [2., 0.]])
    """
    size = covariance.shape[-1]
    rest = covariance.copy()
    root = np.zeros_like(rest)
    floor = 8 * size * np.finfo(float).eps * np.abs(np.diagonal(covariance, axis1=-2, axis2=-1))
    for k in range(size):
        pivot = rest[..., k, k]
        alive = pivot > floor[..., k]
        scale = np.sqrt(np.where(alive, pivot, 1.0))
        column = np.where(alive[..., None], rest[..., k:, k] / scale[..., None], 0.0)
        root[..., k:, k] = column
        rest[..., k:, k:] -= column[..., :, None] * column[..., None, :]
    return root


def neurons(generator: np.random.Generator | Generators, root: Array, count: int, width: int) -> Array:
    """Independent neurons, each Gaussian over the N inputs with covariance root root^T; shape (count, N, width)."""
    normal = generator.standard_normal((count, root.shape[-1], width))
    return np.asarray(np.matmul(root, normal))


def weights(generator: np.random.Generator | Generators, count: int, fan_in: int, fan_out: int, C_W: float) -> Array:
    """W_ij ~ N(0, C_W / fan_in) as an array (count, fan_in, fan_out): the index summed over comes first."""
    drawn = generator.standard_normal((count, fan_in, fan_out))
    drawn *= np.sqrt(C_W / fan_in)
    return drawn


def biases(generator: np.random.Generator | Generators, count: int, width: int, C_b: float) -> Array:
    """b_i ~ N(0, C_b), shape (count, 1, width): the same for all inputs."""
    drawn = generator.standard_normal((count, 1, width))
    drawn *= np.sqrt(C_b)
    return drawn


def signs(generator: np.random.Generator | Generators, count: int, shape: tuple[int, ...], scale: float) -> Array:
    """Independent entries +scale or -scale, shape (count, *shape).

    Every direction occurs exactly twice in a tensor, so that only its covariance matters, never its higher moments:
    signs are as good as Gaussian directions, with less variance and at a tenth of the cost.
    """
    entries = int(np.prod(shape))
    # Whole 64-bit words for each network: a network takes the same bits whatever the size of its chunk.
    words = generator.integers(0, 2**64 - 1, size=(count, -(-entries // 64)), dtype=np.uint64, endpoint=True)
    bits = np.unpackbits(words.view(np.uint8), axis=-1, count=entries)
    drawn = bits.astype(np.float64)
    drawn *= 2 * scale
    drawn -= scale
    return drawn.reshape(count, *shape)
