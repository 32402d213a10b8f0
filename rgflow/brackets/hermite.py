r"""The trapezoid rule against Hermite polynomials: E[f(x) he_i(x)] for many f at once, x standard normal.

he_i are normalised, E[he_i he_j] = delta_ij. Steps are rounded to a few per octave, so that the weights of one call
serve the next.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_PER_OCTAVE = 16  # steps
_LOST = 1e-18  # weights below, powers of x included, are left away


def weights(near: float, columns: int, power: float, frequency: float = 0.0, finer: float = 1.0) -> tuple[Array, Array]:
    """Nodes, symmetric and equally spaced, and weights times the first Hermite polynomials, (columns, nodes).

    Parameters
    ----------
    near : float
        Width of the strip about the real line in which f is analytic.
    columns : int
    power, frequency : float
        f grows at most like |x|^power and oscillates at most so fast.
    finer : float
        A factor of smaller steps than those that leave out 1e-15.

    The step makes exp(y^2/2 - 2 pi y / h), the size of what is aliased, 1e-15 for some y within the strip.
    """
    y = min(near, 8.4)
    h = 2 * math.pi / ((35 + 0.5 * y * y) / y + 0.7 * math.sqrt(columns) + frequency) / finer
    return _weights(math.floor(math.log2(h) * _PER_OCTAVE), columns, power)


@lru_cache(maxsize=32)
def _weights(level: int, columns: int, power: float) -> tuple[Array, Array]:
    h = 2.0 ** (level / _PER_OCTAVE)
    count = math.ceil((9.0 + 1.5 * math.sqrt(columns)) / h)
    x = h * np.arange(-count, count + 1)
    w = np.empty((columns, x.size))
    w[0] = h * np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
    for i in range(1, columns):
        w[i] = x * w[i - 1] / math.sqrt(i)
        if i > 1:
            w[i] -= math.sqrt((i - 1) / i) * w[i - 2]
    matter = np.abs(w).max(axis=0) * (1 + np.abs(x)) ** power > _LOST
    x, w = x[matter], np.ascontiguousarray(w[:, matter])
    x.flags.writeable = w.flags.writeable = False  # shared by all who ask
    return x, w


def summed(terms: Array, even: bool) -> tuple[Array, Array]:
    """Sums over the nodes of a trapezoid rule, the last axis, and their errors; ``even``: nodes from zero on.

    The errors are those of :class:`rgflow.brackets.rules.Rule`: sums against what the rule sees last, and the gain that
    halving the step has at least.
    """
    total = np.abs(terms).sum(axis=-1)
    found = terms @ _probes(terms.shape[-1], even)
    pairs = np.hypot(found[..., 1::2], found[..., 2::2]) / np.maximum(total, 1e-300)[..., None]
    fine, below, lower, half = np.moveaxis(np.minimum(pairs, 1.0), -1, 0)
    fine = np.maximum(np.maximum(fine, below ** (1 / 0.875)), lower ** (1 / 0.75))
    return found[..., 0], extrapolated(fine, half) * total


@lru_cache(maxsize=64)
def _probes(nodes: int, even: bool) -> Array:
    j = np.arange(nodes) - (0 if even else nodes // 2)
    columns = [np.ones(nodes)]
    for frequency in (1.0, 0.875, 0.75, 0.5):
        columns += [np.cos(np.pi * frequency * j), (not even) * np.sin(np.pi * frequency * j)]
    return np.column_stack(columns)


def extrapolated(fine: Array, half: Array) -> Array:
    """The relative error of a sum from what its rule sees last and at half that frequency, as in Rule.sums."""
    fine = np.where((fine < 1e-3) & (half > 4 * fine), fine * 4 * fine / np.maximum(half, 1e-300), fine)
    return np.where(fine > 0.03, 2.0, fine)
