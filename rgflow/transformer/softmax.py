r"""Averages over Gaussian attention rows: <Omega Omega> and <dOmega dOmega>, contracted with what stands beside them.

The logits l_tu = q_t.k_u/sqrt(C) of a head are Gaussian for C -> infinity, with a product as covariance,

.. math:: E[l_{tu} l_{t'u'}] = K^q_{tt'} K^k_{uu'} \quad\Rightarrow\quad l = L_q\, g\, L_k^T, \quad L L^T = K,

g of independent normal numbers; kernels may be singular. Rows of softmax and their slopes J_{t;ab} = d Omega_ta/d l_tb
= Omega_ta (delta_ab - Omega_tb) are averaged over shifted Sobol points, in replicas that are independent of each other,
whose spread is the error. Where logits vanish, or leave no choice, one evaluation is exact.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_MOST_SOBOL = 21201  # dimensions that SciPy's table of direction numbers holds
_ROOM = 2**22  # numbers of one array in work
_EPSILON = float(np.finfo(float).eps)


@dataclass(frozen=True, eq=False)
class Softmax:
    """Attention rows of one block in R replicas.

    Attributes
    ----------
    queries, keys : (R, A, A)
        K^q and K^k of all tokens.
    allowed : (A, A) of bool
        Whether token t may attend to u: of the same input, and under a causal mask not later.
    draws : int
        Evaluations of each replica, a power of two.
    sequences : R SeedSequences
    """

    queries: Array
    keys: Array
    allowed: NDArray[np.bool_]
    draws: int
    sequences: tuple[np.random.SeedSequence, ...]

    @property
    def exact(self) -> bool:
        """Nothing is random: no token has a choice, or all logits vanish."""
        return bool((self.allowed.sum(axis=1) == 1).all()) or not self.queries.any() or not self.keys.any()

    def square(self, between: Array) -> Array:
        """sum_ab E[Omega_ta Omega_t'b] X_ab for each X of (X, R, A, A)."""
        return self.averages(between, np.zeros_like(between[:0]), between[0])[0]

    def averages(self, between: Array, along: Array, values: Array) -> tuple[Array, Array]:
        """Both averages from the same rows.

        Parameters
        ----------
        between : (X, R, A, A)
            What stands between rows: sum_ab E[Omega_ta Omega_t'b] X_ab.
        along : (Y, R, A, A)
            What stands between logits: sum_bd E[sum_ac J_{t;ab} V_ac J_{t';cd}] Y_bd; symmetric.
        values : (R, A, A)
            V of that.

        Returns
        -------
        (X, R, A, A), (Y, R, A, A)
        """
        first, second = np.zeros_like(between), np.zeros_like(along)
        for r in range(len(self.queries)):
            total = 0
            for rows in self._rows(r):
                total += len(rows)
                square, slope = _contracted(rows, between[:, r], along[:, r], values[r])
                first[:, r] += square
                second[:, r] += slope
            first[:, r] /= total
            second[:, r] /= total
        return first, second

    def _rows(self, replica: int) -> Iterator[Array]:
        """Omega as (draws, A, A), a few draws at a time."""
        if self.exact:
            yield self.allowed[None] / self.allowed.sum(axis=1, keepdims=True)
            return
        left, right = _root(self.queries[replica]), _root(self.keys[replica])
        for normal in _normals(self.sequences[replica], self.draws, left.shape[1], right.shape[1], len(left)):
            logits = np.where(self.allowed, left @ normal @ right.T, -np.inf)
            logits -= logits.max(axis=2, keepdims=True)
            np.exp(logits, out=logits)
            yield logits / logits.sum(axis=2, keepdims=True)


def _contracted(rows: Array, between: Array, along: Array, values: Array) -> tuple[Array, Array]:
    """Sums over draws of Omega X Omega^T and of the slopes.

    With J as above sum_ac J_{t;ab} V_ac J_{t';cd} = Omega_tb Omega_t'd (V_bd - P_td - P_t'b + Q_tt'), P = Omega V and
    Q = Omega V Omega^T.
    """
    count, size, _ = rows.shape
    flat = rows.reshape(count * size, size)
    together = rows.transpose(1, 0, 2).reshape(size, count * size)

    def squared(x: Array) -> Array:
        """sum over draws of Omega x Omega^T."""
        return np.asarray(_turned(flat @ x, count) @ together.T)

    square = np.array([squared(x) for x in between]).reshape(between.shape)
    if not len(along):
        return square, np.zeros_like(along)
    P = rows @ values
    Q = P @ rows.transpose(0, 2, 1)
    slope = np.empty_like(along)
    for i, y in enumerate(along):
        Y = (flat @ y).reshape(rows.shape)
        crossed = _turned((P * Y).reshape(flat.shape), count) @ together.T
        product = np.einsum("dtu,dtu->tu", Q, Y @ rows.transpose(0, 2, 1))
        slope[i] = squared(y * values) - crossed - crossed.T + product
    return square, slope


def _turned(flat: Array, count: int) -> Array:
    """(draws * A, A) as (A, draws * A): one row for each token."""
    size = flat.shape[1]
    return flat.reshape(count, size, size).transpose(1, 0, 2).reshape(size, count * size)


def _root(kernel: Array) -> Array:
    """L (A, rank) with L L^T = K, the widest direction first."""
    scale, vectors = np.linalg.eigh((kernel + kernel.T) / 2)
    kept = scale > len(kernel) * _EPSILON * max(float(scale[-1]), 0.0)
    return np.asarray((vectors[:, kept] * np.sqrt(scale[kept]))[:, ::-1])


def _normals(sequence: np.random.SeedSequence, draws: int, left: int, right: int, size: int) -> Iterator[Array]:
    """``draws`` matrices (left, right) of normal numbers: shifted Sobol points, first dimensions for what is wide."""
    from scipy.special import ndtri
    from scipy.stats import qmc

    generator = np.random.default_rng(sequence)
    dimensions = left * right
    some = max(1, _ROOM // max(dimensions, size * size))
    if dimensions > _MOST_SOBOL:
        for start in range(0, draws, some):
            yield generator.standard_normal((min(some, draws - start), left, right))
        return
    order = np.argsort((np.arange(left)[:, None] + np.arange(right)).reshape(-1), kind="stable")
    points = qmc.Sobol(dimensions, scramble=False)
    shift = generator.random(dimensions)
    some = 1 << (min(some, draws).bit_length() - 1)
    for _ in range(0, draws, some):
        uniform = (points.random(some) + shift) % 1.0
        normal = ndtri(np.clip(uniform, _EPSILON, 1 - _EPSILON))
        found = np.empty_like(normal)
        found[:, order] = normal
        yield found.reshape(-1, left, right)
