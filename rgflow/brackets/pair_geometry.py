"""Pairs of inputs as the outer variables of averages: the covariance of two, and of every other input given them."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from rgflow.brackets.covariance import EPSILON

Array = NDArray[np.float64]
Whole = NDArray[np.int64]


class Geometry:
    """For every pair of inputs, the greater variance first: z_1 = L11 t_1, z_2 = L21 t_1 + L22 t_2, and of each third.

    Attributes
    ----------
    kernels : (B, N, N)
    pairs : (P, 2), numbers increasing; number : (N, N), that of each pair
    swap : (B, P), whether the second of the two comes first
    L11, L21, L22 : (B, P)
    along, across, deviation : (B, P, N)
        z = along t_1 + across t_2 + deviation x.
    """

    def __init__(self, kernels: Array):
        count = kernels.shape[1]
        self.kernels = kernels
        self.pairs = np.array(list(combinations(range(count), 2)), np.int64).reshape(-1, 2)
        one, two = self.pairs.T
        self.number = np.zeros((count, count), np.int64)
        self.number[one, two] = self.number[two, one] = np.arange(len(self.pairs))
        own = np.einsum("bii->bi", kernels)
        self.swap = (own[:, one] < own[:, two]).astype(np.int64)
        b = np.arange(len(kernels))[:, None]
        first, second = np.where(self.swap, two, one), np.where(self.swap, one, two)
        self.L11 = np.sqrt(own[b, first])
        self.along = kernels[b, first] * inverse(self.L11)[..., None]
        self.L21 = np.take_along_axis(self.along, second[..., None], 2)[..., 0]
        self.L22 = root(own[b, second] - self.L21**2, own[b, second])
        self.across = (kernels[b, second] - self.along * self.L21[..., None]) * inverse(self.L22)[..., None]
        self.deviation = root(own[:, None] - self.along**2 - self.across**2, own[:, None])

    @property
    def outer(self) -> int:
        """Number of outer pairs of all groups."""
        return int(self.L11.size)

    def job(self, pair: Whole) -> Whole:
        """Numbers of outer pairs among those of all groups, (B, S)."""
        return np.asarray(pair + len(self.pairs) * np.arange(len(self.kernels))[:, None])

    def of(self, pair: Whole, third: Whole) -> tuple[Array, Array, Array]:
        """Along, across and deviation, (B, S)."""
        return self.along[:, pair, third], self.across[:, pair, third], self.deviation[:, pair, third]

    def correlation(self, pair: Whole, third: Whole, fourth: Whole) -> tuple[Array, Array, Array]:
        """Of two inputs given a pair: their correlation and deviations, (B, S)."""
        one, two = self.of(pair, third), self.of(pair, fourth)
        left = self.kernels[:, third, fourth] - one[0] * two[0] - one[1] * two[1]
        return np.clip(left * inverse(one[2] * two[2]), -1.0, 1.0), one[2], two[2]

    def slopes(self, pair: Whole, thirds: list[Whole]) -> tuple[Array, Array]:
        """How fast the functions of a pair and of these others vary along the two axes, (B, S)."""
        slope1, slope2 = self.L11[:, pair], self.L22[:, pair]
        for third in thirds:
            along, across, _ = self.of(pair, third)
            slope1, slope2 = np.maximum(slope1, np.abs(along)), np.maximum(slope2, np.abs(across))
        return slope1, slope2


def inverse(x: Array) -> Array:
    """1/x, and 0 where x is 0."""
    return np.divide(1.0, x, out=np.zeros_like(x), where=x > 0)


def root(left: Array, own: Array) -> Array:
    """Root of a variance that is left, zero within rounding of the whole."""
    return np.sqrt(np.where(left <= 16 * EPSILON * own, 0.0, left))
