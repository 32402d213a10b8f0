"""Functions of one number as polynomials on equal cells, for each of some deviations, and between these."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
PRECISE = 2e-13  # of the local norm: what a cell or an interpolation may leave out
EXACT = 4e-15  # the same for sigma itself, of each derivative
TERMS = 12  # coefficients of a cell: with cells of half a unit enough for a singularity at distance pi/2
MOST_CELLS = 4096
BLOCK = 2048  # places at a time


@dataclass(frozen=True)
class Smoothed:
    """Tables of one layer.

    Attributes
    ----------
    reach : float
        |m| up to which they hold.
    lowest : int
        J: columns below are A_j, from J on a_i.
    cells : array (V, terms, columns, cells)
        Polynomials in the cell's own coordinate -1..1, lowest power first.
    bins : tuple of (low, high, first table, deviations)
        Bins of deviations, and those of their tables: all that are asked for, or Chebyshev nodes of the bin.
    error : float
        Of what is read, relative to the root of the sum of the squares of all columns at the same place and of
        ``size``.
    size : float
        The largest such root where most of the Gaussian is, |m| < reach / 8.
    """

    reach: float
    lowest: int
    cells: Array
    bins: tuple[tuple[float, float, int, Array], ...]
    error: float
    size: float

    def weights(self, deviations: Array) -> tuple[NDArray[np.int64], Array]:
        """The first of the tables that make up the one of each deviation, and how much of each, (D,) and (D, width)."""
        start = np.zeros(deviations.shape, np.int64)
        share = np.zeros((*deviations.shape, max(len(nodes) for *_, nodes in self.bins)))
        for low, high, first, nodes in self.bins:
            here = (deviations >= low) & (deviations <= high)
            found = interpolation(low, high, nodes, deviations[here])
            alone = (found == 1.0).any(axis=1)
            start[here] = first + np.where(alone, found.argmax(axis=1), 0)
            found[alone] = np.eye(1, found.shape[1])
            share[here, : len(nodes)] = found
        return start, share

    def __call__(self, z: Array) -> Array:
        """The columns of the first table at z, (columns, *z.shape)."""
        from rgflow.brackets.cell_tables import read  # loads Numba

        flat, columns, reader = z.ravel(), self.cells.shape[2], np.array([[1.0, 0.0]])
        found = np.empty((columns, z.size))
        cell, place, norm = np.empty(BLOCK, np.int64), np.empty(BLOCK), np.empty((1, BLOCK))
        out, every = np.empty((1, columns, BLOCK)), np.array([columns])
        for i in range(0, z.size, BLOCK):
            part = flat[i : i + BLOCK]
            read(self.cells[:1], self.reach, 0, reader, part, part, every, cell, place, out, norm)
            found[:, i : i + BLOCK] = out[0, :, : part.size]
        return found.reshape(columns, *z.shape)


def places(reach: float, cells: int) -> Array:
    """Chebyshev nodes of every cell, (cells * terms,)."""
    nodes = np.cos(np.pi * (np.arange(TERMS) + 0.5) / TERMS)
    step = 2 * reach / cells
    middle = step * (np.arange(cells) - 0.5 * (cells - 1))  # exact to rounding near zero
    return np.asarray((middle[:, None] + 0.5 * step * nodes).ravel())


def polynomials(values: Array, cells: int, each: float | None = None) -> tuple[Array, float, float] | None:
    """Values (V, cells * terms, columns) as polynomials, with what they leave out; None if that is too much.

    ``each``: the columns are judged by their own size, not by that of all.
    """
    count, _, columns = values.shape
    shaped = values.reshape(count, cells, TERMS, columns)
    series, powers = _transforms()
    chebyshev = series @ shaped
    # parity may hide one of the last two, and what is left out is smaller than they are
    tails = np.abs(chebyshev[:, :, -2:]).max(axis=2)
    if each is not None:
        norm = np.abs(shaped).max(axis=2)
    else:
        norm = np.sqrt((shaped**2).max(axis=2).sum(axis=-1))[..., None]
    middle = np.abs(np.arange(cells) + 0.5 - 0.5 * cells) < max(1.0, cells / 16)
    size = norm[:, middle].max(axis=(0, 1))
    left_out = float((tails / np.maximum(np.hypot(norm, size), 1e-300)).max())
    if not left_out <= (PRECISE if each is None else each):
        return None
    return np.ascontiguousarray(np.moveaxis(powers @ chebyshev, 1, 3), np.float64), left_out, float(size.max())


@lru_cache(maxsize=1)
def _transforms() -> tuple[Array, Array]:
    """From values at the nodes of a cell to Chebyshev coefficients, and from those to powers.

    Two steps: the entries of their product are large, and their rounding would show.
    """
    nodes = np.cos(np.pi * (np.arange(TERMS) + 0.5) / TERMS)
    series = np.polynomial.chebyshev.chebvander(nodes, TERMS - 1).T * (2.0 / TERMS)
    series[0] *= 0.5
    powers = np.zeros((TERMS, TERMS))
    for k in range(TERMS):
        powers[: k + 1, k] = np.polynomial.chebyshev.cheb2poly(np.eye(TERMS)[k, : k + 1])
    return np.asarray(series, np.float64), powers


def interpolation(low: float, high: float, nodes: Array, x: Array) -> Array:
    """Weights (len(x), nodes): one where a node is hit, else barycentric at Chebyshev nodes of the first kind."""
    k = np.arange(len(nodes))[::-1]
    weights = (-1.0) ** k * np.sin(np.pi * (k + 0.5) / len(nodes))
    distance = x[:, None] - nodes
    hit = distance == 0
    share = weights / np.where(hit, 1.0, distance)
    share = np.where(hit.any(axis=1, keepdims=True), hit.astype(float), share)
    return np.asarray(share / share.sum(axis=1, keepdims=True))
