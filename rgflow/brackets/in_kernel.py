"""Brackets of one input as functions of K: polynomials in cells, each with a measured error, made when needed.

Edges of cells are floating-point numbers with few bits: K with its last ``shift`` bits cut off. Every octave has as
many cells, so that a cell is narrow relative to K and a low degree serves from the smallest kernel to the largest. The
polynomial of a cell holds in the next one too.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from rgflow.activations import Activation
from rgflow.brackets.emit_quadrature import breaks_at_zero
from rgflow.brackets.moments import sized_moments
from rgflow.brackets.smooth import Entry
from rgflow.errors import AccuracyError

Array = NDArray[np.float64]
_Kind = TypeVar("_Kind", bound=np.generic)
DEGREE = 12
EMPTY, KNOWN, UNKNOWN = 0, 1, 2  # of a cell: not made yet, made, cannot be made
EPSILON = float(np.finfo(np.float64).eps)
_COARSE, _FINE = 51, 46  # bits cut off: 2 cells in an octave, or up to 64 where a bracket varies faster
_GOOD = 4e-14  # of the average of the absolute integrand: what finer cells would improve
_ENOUGH = 1e-6  # beyond this a number is refused
_NOTHING = 1e-20
_TINY = 1e-280  # below this numbers lose their digits on the way to zero, and absolute errors are small enough
_NODES = np.cos(np.pi * (np.arange(DEGREE + 1) + 0.5) / (DEGREE + 1))
_CHECKS = np.cos(np.pi * np.arange(DEGREE + 2) / (DEGREE + 1))  # between the nodes, and the ends
# Values to Chebyshev coefficients, and these to powers: in one step rounding would be amplified a hundredfold.
_TO_CHEBYSHEV = np.polynomial.chebyshev.chebvander(_NODES, DEGREE).T * (2.0 / (DEGREE + 1))
_TO_CHEBYSHEV[0] /= 2.0
_TO_POWERS = np.zeros((DEGREE + 1, DEGREE + 1))
for _k in range(DEGREE + 1):
    _TO_POWERS[_k, : _k + 1] = np.polynomial.chebyshev.cheb2poly(np.eye(_k + 1)[_k])
LEAST, MOST = 1e-300, 1e300  # kernels beyond have no cells
_CHUNK = 64  # cells made together
_AHEAD = 128  # cells made beyond the one that is missing, or as many as there are


class _Fit(NamedTuple):
    """Cells (C,), polynomials (C, M, DEGREE + 1), errors and sizes (C, M), and which cells (C,) are too wide."""

    centre: Array
    half: Array
    coefficient: Array
    doubt: Array
    size: Array
    wide: NDArray[np.bool_]


class Tables:
    """Brackets (orders, pending) of one activation at any K.

    Attributes
    ----------
    shift : int
        A cell is named by the bits of K without the last ``shift``.
    low : int
        Name of the first cell.
    centre, inverse : (C,)
        Own coordinate u = (K - centre) * inverse, -1..1 over the cell and the next.
    state : (C,) of EMPTY, KNOWN, UNKNOWN
    coefficient : (C, M, DEGREE + 1)
    doubt : (C, M)
        Absolute error: what the polynomial misses between its nodes, measured there, and that of the quadrature.
    zero : (M,)
        The brackets at K = 0; NaN where a kink at 0 makes them depend on how K vanishes.
    """

    def __init__(self, activation: Activation, entries: Sequence[Entry]):
        self.activation, self.entries = activation, tuple(entries)
        self._moments = [((tuple(sorted(orders)), pending),) for orders, pending in entries]
        self._growing = threading.Lock()
        self.reason = ""  # why a cell cannot be made
        self.shift = self._settled()
        self._clear()
        self.zero = self._at_zero()

    def _settled(self) -> int:
        """How narrow cells must be, judged at one cell of every octave that flows commonly visit."""
        octaves = np.ldexp(1.0, np.arange(-12, 9))
        for shift in range(_COARSE, _FINE, -1):
            octaves = octaves[self._too_wide(octaves, shift)]
            if not len(octaves):
                return shift
        return _FINE

    def _too_wide(self, kernels: Array, shift: int) -> NDArray[np.bool_]:
        """At which kernels cells of this width miss more than they should; not where brackets cannot be had."""
        first = kernels.view(np.int64) >> shift
        try:
            return self._fit((first << shift).view(np.float64), (first + 2 << shift).view(np.float64)).wide
        except AccuracyError:
            if len(kernels) == 1:
                return np.zeros(1, np.bool_)
        return np.concatenate([self._too_wide(kernels[i : i + 1], shift) for i in range(len(kernels))])

    def _clear(self) -> None:
        count = len(self.entries)
        self.low = 0
        self._ceiling: int | None = None  # name of the first cell from which on averages cannot be had
        self.centre, self.inverse, self.state = np.zeros(0), np.zeros(0), np.zeros(0, np.int64)
        self.coefficient, self.doubt = np.zeros((0, count, DEGREE + 1)), np.zeros((0, count))

    def arrays(self) -> tuple[object, ...]:
        """What the kernel reads; growing the tables makes new arrays and leaves these as they are."""
        with self._growing:
            parts = (self.centre, self.inverse, self.state, self.coefficient, self.doubt, self.zero)
            return (self.shift, self.low, *parts)

    def grow(self, least: float, most: float) -> None:
        """Make the cells from one kernel to another, and some beyond on the side to which the tables grow."""
        with self._growing:
            while True:
                first, last = (int(name) for name in self._names(np.array([least, most])))
                if self._has(first) and self._has(last):
                    return
                if not len(self.state):
                    first, last = first - _AHEAD // 4, last + _AHEAD // 4
                elif first < self.low:
                    first -= max(_AHEAD, len(self.state))
                if len(self.state) and last >= self.low + len(self.state):
                    last += _AHEAD // 4
                lowest, highest = self._names(np.array([LEAST, MOST]))
                if self._make(max(first, int(lowest)), min(last, int(highest))):
                    return

    def _names(self, kernels: Array) -> NDArray[np.int64]:
        return np.ascontiguousarray(kernels, np.float64).view(np.int64) >> self.shift

    def _has(self, name: int) -> bool:
        place = name - self.low
        return bool(0 <= place < len(self.state) and self.state[place] != EMPTY)

    def _edges(self, names: NDArray[np.int64]) -> Array:
        return (names << self.shift).view(np.float64)

    def _make(self, first: int, last: int) -> bool:
        """Cells first..last; False if they turn out to be too wide: all are made anew, narrower, when asked again."""
        # in chunks at fixed places, so that the last digits of a cell do not depend on which others were missing
        first, last = first // _CHUNK * _CHUNK, last // _CHUNK * _CHUNK + _CHUNK - 1
        last = min(last, int(self._names(np.array([np.finfo(float).max]))[0]) - 2)
        self._reserve(first, last)
        for start in range(first, last + 1, _CHUNK):
            names = np.arange(start, min(start + _CHUNK, last + 1))
            if (self.state[names - self.low] != EMPTY).all():
                continue
            if self._ceiling is not None and names[0] >= self._ceiling:
                self.state[names - self.low] = UNKNOWN
            elif not self._fill(names):
                self.shift -= 1
                self._clear()
                return False
        return True

    def _reserve(self, first: int, last: int) -> None:
        """Room for the cells first..last beside those that are there."""
        old = len(self.state)
        low = min(first, self.low) if old else first
        high = max(last, self.low + old - 1) if old else last
        shape, place = high - low + 1, self.low - low if old else 0

        def moved(array: NDArray[_Kind]) -> NDArray[_Kind]:
            wider = np.zeros((shape, *array.shape[1:]), array.dtype)
            wider[place : place + old] = array
            return wider

        self.centre, self.inverse, self.state = moved(self.centre), moved(self.inverse), moved(self.state)
        self.coefficient, self.doubt = moved(self.coefficient), moved(self.doubt)
        self.low = low

    def _fill(self, names: NDArray[np.int64]) -> bool:
        """Fit the cells; False if the polynomials miss more than they should and cells can still be made narrower."""
        try:
            fit = self._fit(self._edges(names), self._edges(names + 2))
        except AccuracyError as error:
            return self._fill_part(names, error)
        if fit.wide.any() and self.shift > _FINE:
            return False
        # what is as good as zero beside the other brackets need not be known relative to itself
        enough = _ENOUGH * fit.size + _NOTHING * fit.size.max(axis=-1, keepdims=True) + _TINY
        useful = (fit.doubt <= enough).all(axis=-1)
        if not useful.all() and not self.reason:
            self.reason = f"their polynomials in K are not accurate enough at K = {fit.centre[~useful][0]:.3g}"
        places = names - self.low
        self.centre[places], self.inverse[places] = fit.centre, 1 / fit.half
        self.coefficient[places], self.doubt[places] = fit.coefficient, fit.doubt
        self.state[places] = np.where(useful, KNOWN, UNKNOWN)
        return True

    def _fit(self, left: Array, right: Array) -> _Fit:
        """Polynomials over cells from ``left`` to ``right``, (C,) each."""
        centre, half = 0.5 * (left + right), 0.5 * (right - left)
        values, doubts, sizes = self._averages(centre[:, None] + half[:, None] * _NODES)
        seen, seen_doubts, seen_sizes = self._averages(centre[:, None] + half[:, None] * _CHECKS)
        coefficient = (values @ _TO_CHEBYSHEV.T) @ _TO_POWERS
        fitted = coefficient @ np.vander(_CHECKS, DEGREE + 1, increasing=True).T
        size = np.maximum(sizes.max(axis=-1), seen_sizes.max(axis=-1))
        quadrature = np.maximum(doubts.max(axis=-1), seen_doubts.max(axis=-1))
        missed = np.abs(fitted - seen).max(axis=-1)
        rounding = 8 * EPSILON * size + 4 * EPSILON * np.abs(coefficient).sum(axis=-1)
        wide = (missed > _GOOD * size + 4 * quadrature + rounding + _TINY).any(axis=-1)
        return _Fit(centre, half, coefficient, 2 * missed + 2 * quadrature + rounding, size, wide)

    def _fill_part(self, names: NDArray[np.int64], error: AccuracyError) -> bool:
        """Of cells that cannot all be made those up to, or from, the first that cannot."""
        self.reason = self.reason or str(error)
        good = [self._possible(names[0]), self._possible(names[-1])]
        if good[0] == good[1]:
            self.state[names - self.low] = UNKNOWN
            # what cannot be had above a kernel where it can, cannot be had beyond either
            if (self.state[: names[0] - self.low] == KNOWN).any():
                self._limit(names[0])
            return True
        inside, outside = (0, len(names) - 1) if good[0] else (len(names) - 1, 0)
        while abs(inside - outside) > 1:
            middle = (inside + outside) // 2
            if self._possible(names[middle]):
                inside = middle
            else:
                outside = middle
        lost, made = (names[outside:], names[:outside]) if good[0] else (names[: outside + 1], names[outside + 1 :])
        self.state[lost - self.low] = UNKNOWN
        if good[0]:
            self._limit(lost[0])
        return self._fill(made)

    def _limit(self, name: np.int64) -> None:
        self._ceiling = int(name) if self._ceiling is None else min(self._ceiling, int(name))

    def _possible(self, name: int) -> bool:
        edges = self._edges(np.array([name, name + 2], np.int64))
        try:
            self._averages(edges[None, :])
        except AccuracyError:
            return False
        return True

    def _averages(self, kernels: Array) -> tuple[Array, Array, Array]:
        """Values, errors and absolute averages of the brackets at kernels (C, n), each (C, M, n)."""
        found = sized_moments(
            self.activation, kernels.reshape(-1, 1, 1), self._moments, "almost_everywhere", tolerance=1e-14
        )
        shape = (*kernels.shape, len(self.entries))
        values, errors, sizes = (part.reshape(shape).transpose(0, 2, 1) for part in found)
        return values, errors, sizes

    def _at_zero(self) -> Array:
        """The brackets of z = 0."""
        if not self.entries:
            return np.zeros(0)
        kinked = np.array([breaks_at_zero(self.activation, entry) for entry in self.entries])
        found = np.full(len(self.entries), np.nan)
        live = [i for i in range(len(self.entries)) if not kinked[i]]
        if live:
            try:
                moments = [self._moments[i] for i in live]
                found[live] = sized_moments(self.activation, [[[0.0]]], moments, "almost_everywhere")[0][0]
            except AccuracyError:
                pass
        return found


@lru_cache(maxsize=64)
def tables(activation: Activation, entries: tuple[Entry, ...]) -> Tables:
    """The tables of these brackets, the same in every call of a process."""
    return Tables(activation, entries)
