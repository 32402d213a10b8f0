r"""A smooth sigma averaged over what is left of an input when others are known, tabulated in its mean.

.. math:: A_j(m) = E[\sigma^{(j)}(m + s x)],\qquad a_i(m) = E[\sigma^{(J)}(m + s x)\, he_i(x)]

with x standard normal, he_i the normalised Hermite polynomials, and s the deviation that is left. The first depends on
two numbers, m and s; a table holds polynomials in m on equal cells, for each of some deviations s, and is read at other
s by interpolation between neighbours. Since A_{J+i} = a_i sqrt(i!) / s^i, columns A_0 .. A_{J-1}, a_0, a_1, .. hold
every coefficient of Mehler's series without a division by s.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from rgflow.activations import Activation
from rgflow.brackets.traits import traits

Array = NDArray[np.float64]
PRECISE = 2e-13  # of the local norm: what a cell or an interpolation may leave out
EXACT = 4e-15  # the same for sigma itself, of each derivative
_TERMS = 12  # coefficients of a cell: with cells of half a unit enough for a singularity at distance pi/2
_WIDTH = 0.33  # of the strip of analyticity
_MOST_CELLS = 4096
_NODES = (10, 15, 22)  # tables of a bin of deviations
_RATIO, _BINS = 0.6, 7  # bins of deviations shrink so, the last one begins at zero
_FINER = 1.3  # a rule is compared with one of so much smaller steps
_CHECKS = np.array([0.037, 0.21, 0.43, 0.62, 0.81, 0.967])  # where a table is compared with the integral itself


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
            found = _interpolation(low, high, nodes, deviations[here])
            alone = (found == 1.0).any(axis=1)
            start[here] = first + np.where(alone, found.argmax(axis=1), 0)
            found[alone] = np.eye(1, found.shape[1])
            share[here, : len(nodes)] = found
        return start, share


@lru_cache(maxsize=64)
def strip(activation: Activation) -> float:
    """About how far the nearest singularity of sigma is from the real line, from its derivatives; a first guess.

    >>> from rgflow.activations import activation
    >>> round(strip(activation("tanh")), 1)
    1.5
    """
    size = np.abs(activation.derivatives(np.linspace(-6.0, 6.0, 241), 9)).max(axis=1)
    scale = max(float(size[:2].max()), 1e-300)
    radii = [(size[k] / math.factorial(k) / scale) ** (-1 / k) for k in (6, 7, 8, 9) if size[k] > 0]
    return float(min(8.0, *radii)) if radii else 8.0


def line(activation: Activation, reach: float, order: int) -> Smoothed | None:
    """sigma and its derivatives themselves (s = 0), as a table with order + 1 columns."""
    cells = max(4, math.ceil(2 * reach / (_WIDTH * strip(activation))))
    while cells <= _MOST_CELLS:
        x = _places(reach, cells)
        found = _polynomials(np.moveaxis(activation.derivatives(x, order), 0, -1)[None], cells, each=EXACT)
        if found is not None:
            return Smoothed(reach, order + 1, found[0], ((0.0, 0.0, 0, np.zeros(1)),), *found[1:])
        cells = cells * 3 // 2
    return None


def smoothed(
    activation: Activation, deviations: Array, reach: float, lowest: int, columns: int, cells: int
) -> Smoothed | None:
    """Tables for these deviations, or None where they would be too large or not good enough.

    Parameters
    ----------
    deviations : (D,)
        Where the tables will be read; several may be equal.
    reach : float
        Largest |m|.
    lowest : int
        J, the highest written derivative that is asked for.
    columns : int
        More than J.
    cells : int
        A first guess of their number.
    """
    distinct = np.unique(deviations)
    high = float(distinct[-1])
    edges = [high * _RATIO**i for i in range(_BINS)] + [0.0]
    tables: list[Array] = []
    bins: list[tuple[float, float, int, Array]] = []
    error = size = 0.0
    first = 0
    for top, low in pairwise(edges):
        inside = distinct[(distinct <= top) & ((distinct > low) | (low == 0.0))]
        if not inside.size:
            continue
        found = _bin(activation, low, top, inside, reach, lowest, columns, cells)
        if found is None:
            return None
        nodes, values, wrong, norm = found
        if tables and values.shape[3] != tables[0].shape[3]:
            return smoothed(activation, deviations, reach, lowest, columns, max(values.shape[3], tables[0].shape[3]))
        tables.append(values)
        bins.append((low, top, first, nodes))
        first += len(nodes)
        error, size = max(error, wrong), max(size, norm)
        cells = values.shape[3]
    return Smoothed(reach, lowest, np.concatenate(tables), tuple(bins), error, size)


def _bin(
    activation: Activation, low: float, high: float, inside: Array, reach: float, lowest: int, columns: int, cells: int
) -> tuple[Array, Array, float, float] | None:
    """Deviations, tables, error and size of one bin."""
    number = _NODES[0]
    near = _strip(activation, float(inside[-1]), reach, lowest, columns)
    while near is not None and cells <= _MOST_CELLS:
        direct = inside.size <= number
        nodes = inside if direct else _chebyshev(low, high, number)
        m = _places(reach, cells)
        found = _polynomials(_integrals(activation, nodes, m, lowest, columns, near), cells)
        if found is None:
            cells = cells * 3 // 2
            continue
        values, left_out, size = found
        at = inside[[0, inside.size // 2, -1]] if direct else low + (high - low) * _CHECKS[1::2]
        wrong = _distance(activation, values, size, at, _interpolation(low, high, nodes, at), reach, lowest, near)
        if wrong <= PRECISE:
            return nodes, values, left_out + wrong + 1e-15, size
        if direct or number == _NODES[-1]:
            cells = cells * 3 // 2
        else:
            number = _NODES[_NODES.index(number) + 1]
    return None


def _strip(activation: Activation, s: float, reach: float, lowest: int, columns: int) -> float | None:
    """A strip whose rule agrees with a finer one at a few means."""
    m = reach * (2 * _CHECKS - 1) * 0.97
    one = np.array([s])
    near = strip(activation)
    for _ in range(5):
        found = _integrals(activation, one, m, lowest, columns, near)
        truth = _integrals(activation, one, m, lowest, columns, near, _FINER)
        norm = np.sqrt((truth**2).sum(axis=-1, keepdims=True))
        if (np.abs(found - truth) <= 0.1 * PRECISE * (norm + norm[:, len(m) // 2])).all():
            return near
        near *= 0.6
    return None


def _places(reach: float, cells: int) -> Array:
    """Chebyshev nodes of every cell, (cells * terms,)."""
    nodes = np.cos(np.pi * (np.arange(_TERMS) + 0.5) / _TERMS)
    step = 2 * reach / cells
    middle = -reach + step * (np.arange(cells) + 0.5)
    return np.asarray((middle[:, None] + 0.5 * step * nodes).ravel())


def _polynomials(values: Array, cells: int, each: float | None = None) -> tuple[Array, float, float] | None:
    """Values (V, cells * terms, columns) as polynomials, with what they leave out; None if that is too much.

    ``each``: the columns are judged by their own size, not by that of all.
    """
    count, _, columns = values.shape
    shaped = values.reshape(count, cells, _TERMS, columns)
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
    nodes = np.cos(np.pi * (np.arange(_TERMS) + 0.5) / _TERMS)
    series = np.polynomial.chebyshev.chebvander(nodes, _TERMS - 1).T * (2.0 / _TERMS)
    series[0] *= 0.5
    powers = np.zeros((_TERMS, _TERMS))
    for k in range(_TERMS):
        powers[: k + 1, k] = np.polynomial.chebyshev.cheb2poly(np.eye(_TERMS)[k, : k + 1])
    return np.asarray(series, np.float64), powers


def _integrals(
    activation: Activation, deviations: Array, m: Array, lowest: int, columns: int, near: float, finer: float = 1.0
) -> Array:
    """A_j and a_i at every deviation and mean, (V, len(m), columns), by the trapezoid rule."""
    out = np.empty((deviations.size, m.size, columns))
    for v, s in enumerate(deviations):
        x, w = _rule(activation, float(s), lowest, columns, near, finer)
        found = activation.derivatives(m[:, None] + s * x, lowest)
        for j in range(lowest):
            out[v, :, j] = found[j] @ w[0]
        out[v, :, lowest:] = found[lowest] @ w.T
    return out


def _rule(
    activation: Activation, s: float, lowest: int, columns: int, near: float, finer: float
) -> tuple[Array, Array]:
    """Nodes, and weights times the Hermite polynomials, (columns - lowest, nodes).

    The step makes exp(y^2/2 - 2 pi y / h), the size of what is aliased, 1e-15 for some y within the strip.
    """
    trait = traits(activation)
    y = min(near / max(s, 1e-8), 8.4)
    h = 2 * math.pi / ((35 + 0.5 * y * y) / y + 0.7 * math.sqrt(columns) + trait.frequency * s) / finer
    count = math.ceil((9.0 + 1.5 * math.sqrt(columns)) / h)
    x = h * np.arange(-count, count + 1)
    w = np.empty((columns - lowest, x.size))
    w[0] = h * np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
    for i in range(1, len(w)):
        w[i] = x * w[i - 1] / math.sqrt(i)
        if i > 1:
            w[i] -= math.sqrt((i - 1) / i) * w[i - 2]
    matter = np.abs(w).max(axis=0) * (1 + np.abs(x)) ** trait.power > 1e-18
    return x[matter], w[:, matter]


def _distance(
    activation: Activation, values: Array, size: float, at: Array, share: Array, reach: float, lowest: int, near: float
) -> float:
    """The largest distance between what is read and a finer integral."""
    _, _, columns, cells = values.shape
    m = reach * (2 * _CHECKS - 1) * 0.999
    truth = _integrals(activation, at, m, lowest, columns, near, _FINER)
    position = (m + reach) * (0.5 * cells / reach)
    cell = np.minimum(position.astype(int), cells - 1)
    powers = (2 * (position - cell) - 1)[:, None] ** np.arange(_TERMS)
    read = np.einsum("mt,dv,vtfm->dmf", powers, share, values[..., cell], optimize=True)
    norm = np.sqrt((truth**2).sum(axis=-1, keepdims=True) + size**2)
    return float((np.abs(read - truth) / np.maximum(norm, 1e-300)).max())


def _chebyshev(low: float, high: float, number: int) -> Array:
    nodes = np.cos(np.pi * (np.arange(number)[::-1] + 0.5) / number)
    return np.asarray(0.5 * (high + low) + 0.5 * (high - low) * nodes)


def _interpolation(low: float, high: float, nodes: Array, x: Array) -> Array:
    """Weights (len(x), nodes): one where a node is hit, else barycentric at Chebyshev nodes of the first kind."""
    k = np.arange(len(nodes))[::-1]
    weights = (-1.0) ** k * np.sin(np.pi * (k + 0.5) / len(nodes))
    distance = x[:, None] - nodes
    hit = distance == 0
    share = weights / np.where(hit, 1.0, distance)
    share = np.where(hit.any(axis=1, keepdims=True), hit.astype(float), share)
    return np.asarray(share / share.sum(axis=1, keepdims=True))
