r"""A smooth sigma averaged over what is left of an input when others are known, tabulated in its mean.

.. math:: A_j(m) = E[\sigma^{(j)}(m + s x)],\qquad a_i(m) = E[\sigma^{(J)}(m + s x)\, he_i(x)]

with x standard normal, he_i the normalised Hermite polynomials, and s the deviation that is left. The first depends on
two numbers, m and s; a table holds polynomials in m on equal cells, for each of some deviations s, and is read at other
s by interpolation between neighbours. Since A_{J+i} = a_i sqrt(i!) / s^i, columns A_0 .. A_{J-1}, a_0, a_1, .. hold
every coefficient of Mehler's series without a division by s.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from rgflow.activations import Activation
from rgflow.brackets.cells import MOST_CELLS, PRECISE, TERMS, Smoothed, interpolation, places, polynomials
from rgflow.brackets.hermite import weights
from rgflow.brackets.sigma_line import line, strip
from rgflow.brackets.traits import traits

Array = NDArray[np.float64]
_NODES = (10, 15, 22)  # tables of a bin of deviations
_RATIO, _BINS = 0.6, 7  # bins of deviations shrink so, the last one begins at zero
_FINER = 1.3  # a rule is compared with one of so much smaller steps
_TOGETHER = 1 << 18  # places that are integrated at a time
_CHECKS = np.array([0.037, 0.21, 0.43, 0.62, 0.81, 0.967])  # where a table is compared with the integral itself


def smoothed(
    activation: Activation, deviations: Array, reach: float, lowest: int, columns: int, cells: int
) -> Smoothed | None:
    """Tables for these deviations, or None where they would be too large or not good enough.

    They are integrals of a table of sigma, which costs a tenth of sigma, compared at some places with those of sigma.

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
    sigma = line(activation, reach + high * (11.0 + 1.5 * math.sqrt(columns)), lowest)
    if sigma is None:
        return None
    for top, low in pairwise(edges):
        inside = distinct[(distinct <= top) & ((distinct > low) | (low == 0.0))]
        if not inside.size:
            continue
        found = _bin(activation, sigma, low, top, inside, reach, lowest, columns, cells)
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
    activation: Activation,
    sigma: Smoothed,
    low: float,
    high: float,
    inside: Array,
    reach: float,
    lowest: int,
    columns: int,
    cells: int,
) -> tuple[Array, Array, float, float] | None:
    """Deviations, tables, error and size of one bin."""
    number = _NODES[0]
    near = _strip(activation, float(inside[-1]), reach, lowest, columns)
    while near is not None and cells <= MOST_CELLS:
        direct = inside.size <= number
        nodes = inside if direct else _chebyshev(low, high, number)
        m = places(reach, cells)
        found = polynomials(_integrals(activation, nodes, m, lowest, columns, near, sigma=sigma), cells)
        if found is None:
            cells = cells * 3 // 2
            continue
        values, left_out, size = found
        at = inside[[0, inside.size // 2, -1]] if direct else low + (high - low) * _CHECKS[1::2]
        wrong = _distance(activation, values, size, at, interpolation(low, high, nodes, at), reach, lowest, near)
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


def _integrals(
    activation: Activation,
    deviations: Array,
    m: Array,
    lowest: int,
    columns: int,
    near: float,
    finer: float = 1.0,
    sigma: Smoothed | None = None,
) -> Array:
    """A_j and a_i at every deviation and mean, (V, len(m), columns), by one trapezoid rule; of a table if given."""
    trait, largest = traits(activation), max(float(deviations.max()), 1e-8)
    x, w = weights(near / largest, columns - lowest, trait.power, trait.frequency * largest, finer)
    out = np.empty((deviations.size, m.size, columns))
    together = max(1, _TOGETHER // (m.size * x.size))
    for first in range(0, deviations.size, together):
        here = slice(first, first + together)
        z = m[:, None] + deviations[here, None, None] * x
        found = activation.derivatives(z, lowest) if sigma is None else sigma(z)
        for j in range(lowest):
            out[here, :, j] = found[j] @ w[0]
        out[here, :, lowest:] = found[lowest] @ w.T
    return out


def _distance(
    activation: Activation, values: Array, size: float, at: Array, share: Array, reach: float, lowest: int, near: float
) -> float:
    """The largest distance between what is read and a finer integral."""
    _, _, columns, cells = values.shape
    m = reach * (2 * _CHECKS - 1) * 0.999
    truth = _integrals(activation, at, m, lowest, columns, near, _FINER)
    position = (m + reach) * (0.5 * cells / reach)
    cell = np.minimum(position.astype(int), cells - 1)
    powers = (2 * (position - cell) - 1)[:, None] ** np.arange(TERMS)
    read = np.einsum("mt,dv,vtfm->dmf", powers, share, values[..., cell], optimize=True)
    norm = np.sqrt((truth**2).sum(axis=-1, keepdims=True) + size**2)
    return float((np.abs(read - truth) / np.maximum(norm, 1e-300)).max())


def _chebyshev(low: float, high: float, number: int) -> Array:
    nodes = np.cos(np.pi * (np.arange(number)[::-1] + 0.5) / number)
    return np.asarray(0.5 * (high + low) + 0.5 * (high - low) * nodes)
