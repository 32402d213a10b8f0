"""From per-network numbers to estimates with standard errors: batches, k-statistics, and the spread between batches."""

from __future__ import annotations

import numpy as np

from rgflow.sampling.draw import Array

MINIMUM_BATCHES = 50
MAXIMUM_BATCHES = 500
# Networks of a batch below which the spread between batches is measured with fewer batches rather than smaller ones:
# a covariance loses 1/(networks of a batch) of its efficiency.
_PREFERRED_SIZE = 50


def batch_sizes(networks: int, bytes_per_network: int = 0, largest: int = 2**25) -> list[int]:
    """Sizes of the batches, equal up to one network; their number depends on the problem, never on the machine.

    At least 50 batches, at most 500 unless the record of a batch would pass ``largest`` bytes.

    >>> batch_sizes(101)[:3], len(batch_sizes(101)), len(batch_sizes(10_000)), len(batch_sizes(10**6))
    ([3, 2, 2], 50, 200, 500)
    """
    number = min(max(MINIMUM_BATCHES, networks // _PREFERRED_SIZE), MAXIMUM_BATCHES)
    number = max(number, -(-networks * bytes_per_network // largest))
    number = min(number, max(MINIMUM_BATCHES, networks // 3))
    size, larger = divmod(networks, number)
    return [size + 1] * larger + [size] * (number - larger)


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


def combine(estimates: list[Array], sizes: list[int]) -> tuple[Array, Array]:
    """Weighted mean of independent unbiased batch estimates, and its standard error.

    x = sum_b w_b x_b,   se^2 = B/(B-1) sum_b w_b^2 (x_b - x)^2,   w_b = size of the batch / networks
    """
    values = np.stack(estimates)
    share = np.asarray(sizes, dtype=float) / sum(sizes)
    share = share.reshape(-1, *[1] * (values.ndim - 1))
    number = len(sizes)
    with np.errstate(over="ignore", invalid="ignore"):
        value = np.sum(share * values, axis=0)
        variance = number / (number - 1) * np.sum((share * (values - value)) ** 2, axis=0)
    return np.asarray(value), np.asarray(np.sqrt(variance))
