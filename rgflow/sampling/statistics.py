"""From per-network numbers to estimates with standard errors: batches, k-statistics, and the spread between batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

import numpy as np

from rgflow.sampling.draw import Array

MINIMUM_BATCHES = 50
MAXIMUM_BATCHES = 500
# Networks of a batch below which the spread between batches is measured with fewer batches rather than smaller ones:
# a covariance loses 1/(networks of a batch) of its efficiency.
_PREFERRED_SIZE = 50


class BatchSizes(Sequence[int]):
    """``networks`` cut into ``number`` batches, equal up to one network: a list that takes no memory."""

    def __init__(self, networks: int, number: int):
        self.networks = networks
        self._number = number
        self._size, self._larger = divmod(networks, number)

    def __len__(self) -> int:
        return self._number

    @overload
    def __getitem__(self, at: int) -> int: ...

    @overload
    def __getitem__(self, at: slice) -> list[int]: ...

    def __getitem__(self, at: int | slice) -> int | list[int]:
        if isinstance(at, slice):
            return [self[batch] for batch in range(*at.indices(self._number))]
        return self._size + (range(self._number)[at] < self._larger)


def batch_sizes(networks: int, bytes_per_network: int = 0, largest: int = 2**25) -> BatchSizes:
    """Sizes of the batches, the largest first; their number depends on the problem, never on the machine.

    At least 50 batches, at most 500 unless the record of a batch would pass ``largest`` bytes.

    >>> batch_sizes(101)[:3], len(batch_sizes(101)), len(batch_sizes(10_000)), len(batch_sizes(10**6))
    ([3, 2, 2], 50, 200, 500)
    """
    number = min(max(MINIMUM_BATCHES, networks // _PREFERRED_SIZE), MAXIMUM_BATCHES)
    number = max(number, -(-networks * bytes_per_network // largest))
    number = min(number, max(MINIMUM_BATCHES, networks // 3))
    return BatchSizes(networks, number)


def mean(x: Array) -> Array:
    """Average over networks, the first axis."""
    return np.asarray(np.mean(x, axis=0))


def covariance(x: Array, y: Array) -> Array:
    """Unbiased covariance over networks, 1/(m-1) sum dx dy: (m, L, p), (m, L, q) -> (L, p, q).

    >>> covariance(np.array([[[1.0]], [[3.0]]]), np.array([[[1.0]], [[3.0]]]))
    array([[[2.]]])
    """
    dx, dy = x - mean(x), y - mean(y)
    return np.asarray(np.einsum("mlp,mlq->lpq", dx, dy) / (len(x) - 1))


def third_cumulant(x: Array) -> Array:
    """Third k-statistic over networks, m/((m-1)(m-2)) sum dx dx dx, unbiased: (m, L, p) -> (L, p, p, p); m >= 3."""
    m = len(x)
    dx = x - mean(x)
    pairs = dx[..., :, None] * dx[..., None, :]
    return np.asarray(np.einsum("mlpq,mlr->lpqr", pairs, dx) * (m / ((m - 1) * (m - 2))))


class Combination:
    """Weighted mean of independent unbiased batch estimates, and its standard error, one batch after the other.

    x = sum_b w_b x_b,   se^2 = B/(B-1) sum_b w_b^2 (x_b - x)^2,   w_b = size of the batch / networks

    Sums are of d_b = x_b - x_1, of the size of the spread, so that nothing is lost when they are subtracted.
    """

    def __init__(self, networks: int):
        self._networks = networks
        self._batches = 0

    def add(self, estimate: Array, size: int) -> None:
        """Take in the estimate of one batch."""
        if not self._batches:
            self._origin = np.array(estimate)
            self._linear, self._square, self._mixed = (np.zeros_like(self._origin) for _ in range(3))
            self._weights = 0.0
        weight = size / self._networks
        with np.errstate(over="ignore", invalid="ignore"):
            moved = weight * (estimate - self._origin)
            self._linear += moved
            self._square += moved**2
            self._mixed += weight * moved
        self._weights += weight**2
        self._batches += 1

    def result(self) -> tuple[Array, Array]:
        """x and se, of at least two batches."""
        shift = self._linear
        with np.errstate(over="ignore", invalid="ignore"):
            spread = self._square - 2 * shift * self._mixed + shift**2 * self._weights
            variance = self._batches / (self._batches - 1) * np.maximum(spread, 0.0)
            return np.asarray(self._origin + shift), np.asarray(np.sqrt(variance))
