r"""Averages of a smooth sigma over one to three inputs of moderate correlation, from integrals over one at a time.

.. math:: E[f_b(z_b) f_c(z_c) \mid z_a] = \sum_k \rho^k\, b_k(z_a)\, c_k(z_a),\qquad
          b_k(z_a) = E[f_b(m_b + s_b x)\, he_k(x)]

(Mehler), with m, s and rho the means, deviations and correlation given a third input, over which the trapezoid rule
sums, or given none; he_k are the normalised Hermite polynomials. Nothing is divided by a kernel. What the series leaves
out is at most |rho|^n times the roots of what the squares of the first n coefficients leave of E[f^2].
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from rgflow.activations import Activation
from rgflow.brackets.covariance import EPSILON
from rgflow.brackets.hermite import extrapolated, summed, weights
from rgflow.brackets.leibniz import Polynomial, evaluate, highest_order, leibniz
from rgflow.brackets.pair_geometry import inverse, root
from rgflow.brackets.sigma_line import line, strip
from rgflow.brackets.smooth import Entry
from rgflow.brackets.traits import traits

Array = NDArray[np.float64]
Whole = NDArray[np.int64]
_WIDEST = 8.0  # deviations, in widths of the strip of analyticity: beyond, nodes should cluster about zero
_CLOSEST = {1: 1.0, 2: 0.9, 3: 0.6}  # correlations beyond are not tried
_SETS = {1: 512, 2: 256, 3: 12}  # sets of inputs at a time, those that need about the same rules
_COLUMNS, _MOST_COLUMNS = 8, 80  # terms come in such steps, up to so many
_NEIGHBOURS = 4  # coefficients that are looked at together: one alone may not see its error, by its phase
_FINER = {1: (2.2, 3.0), 2: (2.0, 3.0), 3: (1.2, 1.6)}  # steps than those for a value: its error must be known, too
_OUTER_FINER = 1.3  # those of the outer input, once more: its rule sees products
_TOGETHER = 1 << 16  # places at a time
_OUTER = ((0, 1, 2), (1, 0, 2), (2, 0, 1))  # outer, inner, inner


def hermite_averages(
    activation: Activation, kernels: Array, subsets: Whole, moments: Sequence[tuple[Entry, ...]], tolerance: float
) -> tuple[Array, Array]:
    """Values and errors (B, S, M) of sets of one to three inputs at kernels (B, N, N); NaN where there are none.

    An error, without that of rounding, is at most ``tolerance`` of the roots of mean squares of what is inside. Moments
    that vanish by parity are left to the caller: the sum over an outer input is taken as even if sigma has a parity.
    """
    sets, (count, size) = _Sets.of(kernels, subsets), subsets.shape
    out = np.full((2, len(sets.rho), len(moments)), np.nan)
    good = (sets.reach <= _WIDEST * strip(activation)) & (np.abs(sets.rho) <= _CLOSEST[size])
    alike = np.lexsort((sets.steep, _terms(sets.rho)))
    left = alike[good[alike]]
    for part in np.array_split(left, math.ceil(left.size / _SETS[size])) if left.size else ():
        for finer in _FINER[size]:
            out[:, part] = _Job(activation, moments, sets, part, finer).averaged(sets, part, tolerance)
            part = part[np.isnan(out[1, part]).any(axis=1)]
            if not part.size:
                break
    values, errors = out.reshape(2, len(kernels), count, -1)
    return values, errors


@dataclass(frozen=True)
class _Sets:
    """All sets of all groups, P = B S, the outer input, if any, chosen for few nodes and terms.

    outer : (P,), group and outer input as one number; deviation : (P,), its own. order : (d, P), places within a set,
    the outer one first. inner, slope, rest : (1 or 2, P), group and inner input, z = slope t + rest x.
    rho : (P,), correlation of x. steep : (P,), the largest slope. reach : (P,), the largest deviation.
    """

    outer: Whole
    deviation: Array
    order: Whole
    inner: Whole
    slope: Array
    rest: Array
    rho: Array
    steep: Array
    reach: Array

    @classmethod
    def of(cls, kernels: Array, subsets: Whole) -> _Sets:
        group = np.repeat(np.arange(len(kernels)), len(subsets))
        inputs = np.tile(subsets.T, len(kernels))
        own = np.sqrt(kernels[group, inputs, inputs])
        first = group * kernels.shape[1]
        if len(inputs) < 3:
            none, order = np.zeros_like(own), np.arange(len(inputs))[:, None] + 0 * group
            rho = kernels[group, inputs[0], inputs[-1]] * inverse(own[0] * own[-1]) * (len(inputs) - 1)
            return cls(first, none[0], order, first + inputs, none, own, rho, own.max(axis=0), own.max(axis=0))
        choices = [_given(kernels, group, inputs[list(order)]) for order in _OUTER]
        steep = [
            np.maximum(own[order[0]], np.abs(choice[0]).max(axis=0))
            for order, choice in zip(_OUTER, choices, strict=True)
        ]
        best = np.argmin(np.multiply(steep, [8 + _terms(rho) for _, _, rho in choices]), axis=0)
        slope, rest, rho = (np.choose(best, [choice[i] for choice in choices]) for i in range(3))
        order = np.array(_OUTER)[best].T
        inputs, own = (np.take_along_axis(x, order, 0) for x in (inputs, own))
        steepest = np.choose(best, steep)
        return cls(first + inputs[0], own[0], order, first + inputs[1:], slope, rest, rho, steepest, own.max(axis=0))


def _given(kernels: Array, group: Whole, inputs: Whole) -> tuple[Array, Array, Array]:
    """Slopes and deviations (2, P) of two inputs, and their correlation (P,), given the first."""
    a, b, c = inputs
    slope = kernels[group, a, inputs[1:]] * inverse(np.sqrt(kernels[group, a, a]))
    variance = kernels[group, inputs[1:], inputs[1:]]
    rest = root(variance - slope**2, variance)
    left = kernels[group, b, c] - slope[0] * slope[1]
    return slope, rest, np.clip(left * inverse(rest[0] * rest[1]), -1.0, 1.0)


@dataclass(frozen=True)
class _Inside:
    """Hermite coefficients a_k of V inner inputs at T places of the outer one, of F functions, (V, F, T, n), and their
    errors; E[f^2], and what the coefficients leave of it, (V, F, T)."""

    values: Array
    doubts: Array
    squares: Array
    tails: Array


class _Job:
    """Moments by functions of one input, and the rules over the outer input (t) and the inner ones (x)."""

    def __init__(
        self, activation: Activation, moments: Sequence[tuple[Entry, ...]], sets: _Sets, part: Whole, finer: float
    ):
        rows = [[leibniz(*entry) for entry in moment] for moment in moments]
        numbers: dict[Polynomial, int] = {}
        self.numbers = np.array([[numbers.setdefault(f, len(numbers)) for f in row] for row in rows])
        self.activation, self.functions = activation, tuple(numbers)
        self.order, self.even = highest_order(self.functions), activation.parity != 0
        trait, near = traits(activation), strip(activation)
        most = [max(len(product) for _, product in f) if f else 0 for f in self.functions]
        factors = float(np.array(most)[self.numbers].sum(axis=1).max())
        self.terms = int(_terms(sets.rho[part]).max()) if len(sets.inner) == 2 else _NEIGHBOURS
        along = max(float(sets.steep[part].max()), 1e-8)
        across = max(float(sets.rest[:, part].max()), 1e-8)
        self.frequency = trait.frequency * factors
        self.x, self.w = weights(near / across, self.terms, trait.power * factors, self.frequency * across, finer)
        quarters = np.argsort(np.arange(self.x.size) % 4, kind="stable")  # every fourth node, one quarter after another
        self.x, self.w = self.x[quarters], self.w[:, quarters]
        self.edges = np.searchsorted(quarters % 4, np.arange(5))
        self.t, self.v = np.zeros(1), np.ones(1)
        if len(sets.order) == 3:
            finer *= _OUTER_FINER
            rule = weights(near / along, 1, trait.power * factors, self.frequency * along, finer)
            self.t, self.v = rule[0], rule[1][0]
            if self.even:  # what is summed is even: half of the nodes
                self.t, self.v = self.t[self.t.size // 2 :], 2 * self.v[self.t.size // 2 :]
                self.v[0] *= 0.5

    def averaged(self, sets: _Sets, part: Whole, tolerance: float) -> tuple[Array, Array]:
        """Values and errors (P, M) of some sets."""
        codes = sets.inner[:, part] + (sets.inner.max() + 1) * sets.outer[part]
        _, at, rows = np.unique(codes, return_index=True, return_inverse=True)
        slope, rest = (x[:, part].ravel()[at] for x in (sets.slope, sets.rest))
        found = self._inside(slope, rest)
        which = np.moveaxis(self.numbers[:, sets.order[:, part]], 0, -1)  # of the functions: (d, P, M)
        inner = which[-len(codes) :]
        value, error, natural = _joined(found, rows.reshape(codes.shape)[..., None], inner, sets.rho[part])
        if len(which) == 3:
            z = sets.deviation[part, None] * self.t
            f = evaluate(self.functions, self.activation.derivatives(z, self.order))
            h = f[which[0], np.arange(len(part))[:, None]] * self.v
            value, wrong = summed(h * value, self.even)
            error, natural = ((np.abs(h) * x).sum(axis=-1) for x in (error, natural))
            error += wrong
        else:
            value, error, natural = value[..., 0], error[..., 0], natural[..., 0]
        return value, np.where(error <= tolerance * natural + 16 * EPSILON * natural, error, np.nan)

    def _inside(self, slope: Array, rest: Array) -> _Inside:
        """Of inner inputs z = slope t + rest x, some at a time, which fit into the cache."""
        many = max(1, _TOGETHER // (self.t.size * self.x.size))
        blocks = [self._integrated(slope[i : i + many], rest[i : i + many]) for i in range(0, len(slope), many)]
        return _Inside(*(np.concatenate(part) for part in zip(*blocks, strict=True)))

    def _integrated(self, slope: Array, rest: Array) -> tuple[Array, Array, Array, Array]:
        z = (slope[:, None] * self.t)[..., None] + rest[:, None, None] * self.x
        sigma = None
        if self.t.size > 1:  # many places: a table costs less
            sigma = line(self.activation, max(float(np.abs(z).max()), 1e-8), self.order)
        derivatives = self.activation.derivatives(z, self.order) if sigma is None else sigma(z)[: self.order + 1]
        f = np.moveaxis(evaluate(self.functions, derivatives), 0, 1)
        squares = f**2 @ self.w[0]
        parts = [f[..., i:j] @ self.w[:, i:j].T for i, j in pairwise(self.edges)]
        floor = np.sqrt(np.maximum(squares, 1e-300))[..., None]
        even, odd = parts[0] + parts[2], parts[1] + parts[3]
        values = even + odd
        half = np.sqrt((parts[0] - parts[2]) ** 2 + (parts[1] - parts[3]) ** 2)
        doubts = extrapolated(np.abs(even - odd) / floor, half / floor)
        np.maximum.accumulate(doubts, axis=-1, out=doubts)
        doubts[..., :_NEIGHBOURS] = doubts[..., _NEIGHBOURS - 1, None]
        tails = np.maximum(squares - (values**2).sum(axis=-1), 32 * EPSILON * squares)
        return values, doubts * floor, squares, tails


def _terms(rho: Array) -> Whole:
    """As many as are certainly enough for a correlation, but not more than are reasonable."""
    needed = 32 / -np.log(np.clip(np.abs(rho), 1e-9, 0.99))
    return np.asarray(np.minimum(_COLUMNS * np.ceil(needed / _COLUMNS), _MOST_COLUMNS), np.int64)


def _joined(found: _Inside, rows: Whole, columns: Whole, rho: Array) -> tuple[Array, Array, Array]:
    """Values, errors and natural sizes (P, M, T) of the series.

    rows (inner, P, 1) and columns (inner, P, M) tell whose coefficients.
    """
    (a, da, square, tail), *others = (
        [x[row, column] for x in (found.values, found.doubts, found.squares, found.tails)]
        for row, column in zip(rows, columns, strict=True)
    )
    if not others:
        return a[..., 0], da[..., 0], np.sqrt(square)
    b, db, other_square, other_tail = others[0]
    power = rho[:, None, None, None] ** np.arange(a.shape[-1])
    value = np.einsum("pmtk,pmtk->pmt", a * power, b)
    power = np.abs(power)
    error = np.einsum("pmtk,pmtk->pmt", (np.abs(a) + da) * power, db)
    error += np.einsum("pmtk,pmtk->pmt", np.abs(b) * power, da)
    error += np.abs(rho[:, None, None]) ** a.shape[-1] * np.sqrt(tail * other_tail)
    return value, error, np.sqrt(square * other_square)
