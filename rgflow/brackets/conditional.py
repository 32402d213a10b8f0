r"""Averages of a smooth sigma over pairs, triples and quadruples of many inputs, one grid for each outer pair.

A grid over two of the inputs is shared by all that is averaged with them; the third and the fourth are averaged given
those two, through tables (:mod:`rgflow.brackets.smoothed`) and Mehler's series (:mod:`rgflow.brackets.pair_grid`). For
each quadruple the outer pair is the one that leaves the least to do: little correlation, few nodes. What does not meet
the tolerance is told by its error and left to the nested sums of :mod:`rgflow.brackets.smooth`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rgflow.activations import Activation
from rgflow.brackets.covariance import EPSILON
from rgflow.brackets.leibniz import Polynomial, leibniz
from rgflow.brackets.rules import _STRIP, first_step
from rgflow.brackets.smooth import Entry
from rgflow.brackets.smoothed import Smoothed, line, smoothed, strip
from rgflow.brackets.traits import traits

Array = NDArray[np.float64]
Whole = NDArray[np.int64]
Moments = tuple[tuple[Entry, ...], ...]
_STEPS = (1.0, 1.4, 2.0, 3.0)  # how much finer the steps of further attempts are
_TERMS = (20, 36, 60)  # room for terms of Mehler's series
_FINER = {2: 1.4, 3: 1.25, 4: 1.1}  # steps than those for a value: the error is known by extrapolation
_SINH_STEP, _SINH_FROM = 0.13, 3.0  # from this deviation on nodes of the first axis cluster about z = 0
_MOST_NODES = 1 << 19
_OUTER = ((0, 1, 2, 3), (0, 2, 1, 3), (0, 3, 1, 2), (1, 2, 0, 3), (1, 3, 0, 2), (2, 3, 0, 1))


@dataclass(frozen=True)
class Group:
    """Sets of d inputs, (S, d) in increasing order, and the moments wanted of each."""

    subsets: Whole
    moments: Moments


@dataclass(frozen=True)
class _Functions:
    """Functions of one input: sigma and its derivatives to order ``lowest`` first, then polynomials in them."""

    listed: tuple[Polynomial, ...]
    lowest: int

    @property
    def highest(self) -> int:
        return max(order for terms in self.listed for _, product in terms for order in product)

    def arrays(self) -> tuple[Any, Any, Any]:
        """Where the terms of each start; their coefficients; their orders, -1 for none."""
        start = np.cumsum([0, *(len(terms) for terms in self.listed)]).astype(np.int64)
        width = max(len(product) for terms in self.listed for _, product in terms)
        flat = [term for terms in self.listed for term in terms]
        orders = np.array([[*product, *[-1] * (width - len(product))] for _, product in flat], np.int64)
        return start, np.array([float(c) for c, _ in flat]), orders


def suited(activation: Activation, size: int, moments: Sequence[tuple[Entry, ...]]) -> bool:
    """Whether averages over ``size`` inputs are of the form that is done here."""
    if activation.kinks or traits(activation).growth > 0 or not 2 <= size <= 4:
        return False
    if size == 2:
        return True
    several = [sum(_single(leibniz(*entry)) is None for entry in moment) for moment in moments]
    return max(several, default=0) <= (1 if size == 3 else 0)


def conditional_averages(
    activation: Activation, kernels: Array, group: Group, tolerance: float, threads: int = 1
) -> tuple[Array, Array, Array]:
    """Values, errors and absolute integrals (B, S, M) at kernels (B, N, N); NaN where nothing could be had.

    The absolute integral bounds that of |f_c f_d| of the inner inputs by their roots of mean squares.
    """
    job = _Job(activation, kernels, group)
    finer = terms = 0
    while job.left.size and finer < len(_STEPS) and terms < len(_TERMS):
        job.run(_STEPS[finer], _TERMS[terms], threads)
        finer, terms = job.next(tolerance, finer, terms)
    found = job.out.reshape(len(kernels), len(group.subsets), -1, 5)
    return found[..., 0], found[..., 1], found[..., 4]


def _single(terms: Polynomial) -> int | None:
    """The order of a function that is one derivative of sigma, else None."""
    if len(terms) == 1 and terms[0][0] == 1 and len(terms[0][1]) == 1:
        return terms[0][1][0]
    return None


@lru_cache(maxsize=1)
def _steps() -> tuple[Array, Array]:
    scales = np.geomspace(1e-3, 1e3, 241)
    return np.log(scales), np.log(first_step(scales))


def _step(scale: Array) -> Array:
    """:func:`first_step`, read off a table."""
    return np.exp(np.interp(np.log(np.maximum(scale, 1e-3)), *_steps()))


class _Geometry:
    """For every pair of inputs, the greater variance first: roots of the covariance of the two and of each third."""

    def __init__(self, kernels: Array):
        count = kernels.shape[1]
        self.kernels = kernels
        self.pairs = np.array(list(combinations(range(count), 2)), np.int64).reshape(-1, 2)
        self.number = np.zeros((count, count), np.int64)
        self.number[self.pairs[:, 0], self.pairs[:, 1]] = self.number[self.pairs[:, 1], self.pairs[:, 0]] = np.arange(
            len(self.pairs)
        )
        own = np.einsum("bii->bi", kernels)
        self.swap = (own[:, self.pairs[:, 0]] < own[:, self.pairs[:, 1]]).astype(np.int64)  # (B, P)
        b = np.arange(len(kernels))[:, None]
        self.first = np.where(self.swap, self.pairs[:, 1], self.pairs[:, 0])
        self.second = np.where(self.swap, self.pairs[:, 0], self.pairs[:, 1])
        self.L11 = np.sqrt(own[b, self.first])
        inverse = _inverse(self.L11)
        self.along = kernels[b, self.first] * inverse[..., None]  # (B, P, N)
        self.L21 = np.take_along_axis(self.along, self.second[..., None], 2)[..., 0]
        self.L22 = _root(own[b, self.second] - self.L21**2, own[b, self.second])
        self.across = (kernels[b, self.second] - self.along * self.L21[..., None]) * _inverse(self.L22)[..., None]
        self.deviation = _root(own[:, None] - self.along**2 - self.across**2, own[:, None])

    def of(self, pair: Whole, third: Whole) -> tuple[Array, Array, Array]:
        """Along, across and deviation, (B, S)."""
        return self.along[:, pair, third], self.across[:, pair, third], self.deviation[:, pair, third]


def _inverse(x: Array) -> Array:
    return np.divide(1.0, x, out=np.zeros_like(x), where=x > 0)


def _root(left: Array, own: Array) -> Array:
    """Root of a variance that is left, zero within rounding of the whole."""
    return np.sqrt(np.where(left <= 16 * EPSILON * own, 0.0, left))


class _Job:
    """What is to be averaged, arranged by outer pair, and what has been found."""

    def __init__(self, activation: Activation, kernels: Array, group: Group):
        self.activation, self.kernels, self.group = activation, kernels, group
        self.batch, self.count = kernels.shape[:2]
        self.size = group.subsets.shape[1]
        self.geometry = _Geometry(kernels)
        self.functions, self.moments = _read(group)
        self.outer = self.batch * len(self.geometry.pairs)
        self.slope1, self.slope2 = self.geometry.L11.flatten(), self.geometry.L22.flatten()
        self.even, self.trait = activation.parity != 0, traits(activation)
        self.factors = max(sum(len(orders) for orders, _ in moment) for moment in group.moments)
        self.cut = math.sqrt(69 + 4 * self.trait.power * self.factors)
        self.tables: dict[int, Any] = {}
        self.out = np.full((self.batch * len(group.subsets), len(group.moments), 5), np.nan)
        self.pair_where = np.full(self.outer, -1, np.int64)
        self.three, self.four = _Items.empty(self.outer, 6), _Items.empty(self.outer, 7)
        self.given = np.zeros((0, 3))
        self.jobs_of = {2: self._pairs, 3: self._threes, 4: self._fours}[self.size]()
        self.left = np.unique(self.jobs_of)

    # who does what -------------------------------------------------------------------------------------------------

    def _pairs(self) -> Whole:
        subsets = self.group.subsets
        jobs = self._job(self.geometry.number[subsets[:, 0], subsets[:, 1]]).reshape(-1, 1)
        self.pair_where[jobs[:, 0]] = np.arange(jobs.size)
        return jobs

    def _job(self, pair: Whole) -> Whole:
        """Numbers of outer pairs, (B, S)."""
        return np.asarray(pair + len(self.geometry.pairs) * np.arange(self.batch)[:, None])

    def _slopes(self, pair: Whole, thirds: Sequence[Whole]) -> tuple[Array, Array]:
        """How fast the functions of these inputs vary along the two axes."""
        slope1, slope2 = self.geometry.L11[:, pair], self.geometry.L22[:, pair]
        for third in thirds:
            along, across, _ = self.geometry.of(pair, third)
            slope1, slope2 = np.maximum(slope1, np.abs(along)), np.maximum(slope2, np.abs(across))
        return slope1, slope2

    def _threes(self) -> Whole:
        subsets = self.group.subsets
        choices = ((1, 2, 0), (0, 2, 1), (0, 1, 2))  # outer, outer, inner
        outer = [self.geometry.number[subsets[:, p], subsets[:, q]] for p, q, _ in choices]
        slopes = [self._slopes(pair, [subsets[:, c[2]]]) for pair, c in zip(outer, choices, strict=True)]
        cost = np.stack([self._nodes(*slope) for slope in slopes], axis=-1)  # by the input that is inside
        order = np.argsort(cost, axis=-1, kind="stable")  # the best one, and the next where that one has the product
        rows = np.arange(self.batch * len(subsets)).reshape(self.batch, -1)
        jobs_of, parts = [], []
        for kind in np.unique(self.moments[:, 3]):
            inner = np.where(order[..., 0] == kind, order[..., 1], order[..., 0])
            jobs = np.empty(rows.shape, np.int64)
            for (p, q, r), pair, slope in zip(choices, outer, slopes, strict=True):
                here, job = inner == r, self._job(pair)
                jobs[here] = job[here]
                self._vary(job[here], *(x[here] for x in slope))
                swap = self.geometry.swap[:, pair]
                at = [np.where(swap, q, p), np.where(swap, p, q), np.full(rows.shape, r)]
                row = np.stack([job * self.count + subsets[:, r], np.full(rows.shape, kind), rows, *at], axis=-1)
                parts.append((job[here], row[here]))
            jobs_of.append(jobs.ravel())
        jobs, table = (np.concatenate([part[i] for part in parts]) for i in range(2))
        self.three = _Items.made(self.outer, self.count, jobs, table, (0,), local=False)
        return np.stack(jobs_of, axis=-1)

    def _fours(self) -> Whole:
        subsets = self.group.subsets
        rows = np.arange(self.batch * len(subsets)).reshape(self.batch, -1)
        options = []
        for p, q, r, s in _OUTER:
            pair = self.geometry.number[subsets[:, p], subsets[:, q]]
            one, two = self.geometry.of(pair, subsets[:, r]), self.geometry.of(pair, subsets[:, s])
            slope = self._slopes(pair, [subsets[:, r], subsets[:, s]])
            left = self.kernels[:, subsets[:, r], subsets[:, s]] - one[0] * two[0] - one[1] * two[1]
            rho = np.clip(left * _inverse(one[2] * two[2]), -1.0, 1.0)
            terms = 8 + np.minimum(25 / -np.log(np.clip(np.abs(rho), 1e-9, 1 - 1e-6)), 1e4)
            options.append((terms * self._nodes(*slope), pair, slope, np.stack([rho, one[2], two[2]], axis=-1)))
        cost = np.stack([option[0] for option in options])
        # of four inputs in three classes two share one: with such outer pairs a third of all of them does
        alike = np.array([subsets[:, p] % 3 == subsets[:, q] % 3 for p, q, _, _ in _OUTER])[:, None]
        best = np.argmin(np.where(alike, cost, 2 * cost), axis=0)
        jobs_of = np.empty(rows.shape, np.int64)
        parts = []
        for i, (p, q, r, s) in enumerate(_OUTER):
            here = best == i
            _, pair, slope, given = options[i]
            job = self._job(pair)
            jobs_of[here] = job[here]
            self._vary(job[here], *(x[here] for x in slope))
            swap = self.geometry.swap[:, pair]
            at = [np.where(swap, q, p), np.where(swap, p, q), np.full(rows.shape, r), np.full(rows.shape, s)]
            inner = [job * self.count + subsets[:, k] for k in (r, s)]
            parts.append((job[here], np.stack([*inner, rows, *at], axis=-1)[here], given[here]))
        jobs, table, given = (np.concatenate([part[i] for part in parts]) for i in range(3))
        self.four = _Items.made(self.outer, self.count, jobs, table, (0, 1), local=True)
        self.given = given[self.four.order]
        return jobs_of.reshape(-1, 1)

    def _vary(self, jobs: Whole, slope1: Array, slope2: Array) -> None:
        np.maximum.at(self.slope1, jobs, slope1)
        np.maximum.at(self.slope2, jobs, slope2)

    def _steps(self, slope1: Array, slope2: Array) -> tuple[Array, Array, Array]:
        """Steps of the two axes, and c of t_1 = c sinh(s) (0: t_1 = s)."""
        trait, near = (
            self.trait,
            (_STRIP / strip(self.activation)) ** 0.7,
        )  # a wide strip helps less than a narrow one harms
        h1, h2 = _step(near * slope1), _step(near * slope2)
        if trait.frequency > 0:
            h1, h2 = (
                np.minimum(h, np.pi / (trait.frequency * self.factors * slope + 8.3))
                for h, slope in ((h1, slope1), (h2, slope2))
            )
            return h1, h2, np.zeros_like(h1)
        sinh = near * slope1 > _SINH_FROM
        return np.where(sinh, _SINH_STEP, h1), h2, np.where(sinh, 1 / np.maximum(1.0, near * slope1), 0.0)

    def _nodes(self, slope1: Array, slope2: Array) -> Array:
        """How many nodes the first attempt would take."""
        h1, h2, c = self._steps(slope1, slope2)
        rows = np.where(c > 0, np.arcsinh(self.cut / np.where(c > 0, c, 1.0)), self.cut) / h1
        return np.asarray(rows * self.cut / h2 * (1.6 if self.even else 3.2))

    # the work ------------------------------------------------------------------------------------------------------

    def run(self, finer: float, terms: int, threads: int) -> None:
        """One attempt at all outer pairs that are left."""
        from rgflow.brackets.pair_grid import run

        g, lowest = self.geometry, self.functions.lowest
        h1, h2, c = self._steps(self.slope1, self.slope2)
        finer *= _FINER[self.size]
        h1, h2 = h1 / finer, h2 / finer
        nodes = self._nodes(self.slope1, self.slope2) * finer**2
        jobs = self.left[nodes[self.left] < _MOST_NODES]
        if not self.tables:
            self.tables[0] = self._line(h1, h2)
        if terms not in self.tables:
            columns = lowest + (terms if self.size == 4 else 1)
            self.tables[terms] = self.tables[0] and self._read_at(columns, h1, h2)
        if not self.tables[terms]:
            self.left = self.left[:0]
            return
        own, inner = self.tables[0], self.tables[terms]
        reach = self._reach(h1, h2)
        tables_3, tables_4 = (inner if self.size == d else _no_tables() for d in (3, 4))
        cut = np.full(self.outer, self.cut)
        grids = np.stack([g.L11.ravel(), g.L21.ravel(), g.L22.ravel(), h1, h2, cut, c], axis=-1)
        pairs = np.stack([self.pair_where, g.swap.ravel()], axis=-1)
        moments = [self.moments if self.size == d else np.zeros((0, 4), np.int64) for d in (2, 3, 4)]
        out = [self.out if self.size == d else np.zeros((0, 0, 5)) for d in (2, 3, 4)]

        def part(some: Whole) -> None:
            run(
                *(some, self.even, grids, own.cells[0], own.reach, *self.functions.arrays()),
                *(pairs, moments[0], out[0]),
                *(self.three.start, self.three.rows, *tables_3[:3], moments[1], *tables_3[3:], out[1]),
                *(self.four.start, self.four.rows, self.given, self.four.inner_start, *tables_4[:3], reach),
                *(moments[2], *tables_4[3:], lowest, out[2]),
            )

        if threads == 1 or jobs.size < 2 * threads:
            part(jobs)
            return
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(part, [jobs[i :: 4 * threads] for i in range(4 * threads)]))

    def _reach(self, h1: Array, h2: Array) -> float:
        """How far the outermost nodes stand, in deviations."""
        outward = np.maximum(np.cosh(h1) * (1 + h1), 1.0 + h1 / self.cut)
        return float((self.cut * outward + 4 * h2)[self.left].max())

    def _line(self, h1: Array, h2: Array) -> Smoothed | None:
        """sigma and its derivatives wherever the outer inputs go."""
        largest = float(np.einsum("bii->bi", self.kernels).max())
        return line(self.activation, self._reach(h1, h2) * math.sqrt(largest) + 1e-300, self.functions.highest)

    def _read_at(self, columns: int, h1: Array, h2: Array) -> tuple[Any, ...] | None:
        """Lines, first tables and shares of all inner inputs; the tables; reach, error and size."""
        if self.size == 2:
            return _no_tables()
        inner = (self.three if self.size == 3 else self.four).inner
        job, third = inner // self.count, inner % self.count
        g = self.geometry
        place = (job // len(g.pairs), job % len(g.pairs), third)
        along, across, deviation = g.along[place], g.across[place], g.deviation[place]
        reach = self._reach(h1, h2) * float(np.hypot(along, across).max()) + 1e-300
        own = self.tables[0]
        cells = max(4, math.ceil(own.cells.shape[3] * reach / own.reach))
        found = smoothed(self.activation, deviation, reach, self.functions.lowest, columns, cells)
        if found is None:
            return None
        start, share = found.weights(deviation)
        scales = (found.reach, found.error, found.size)
        return np.stack([along, across], axis=-1), start, share, found.cells, scales

    def next(self, tolerance: float, finer: int, terms: int) -> tuple[int, int]:
        """Leave the outer pairs with an average that is not yet good, and say which attempts they need."""
        _, error, absolute, inside, natural = np.moveaxis(self.out, -1, 0)
        coarse = ~(error - inside <= tolerance * absolute)
        short = ~(inside <= tolerance * natural)
        self.left = np.unique(self.jobs_of[(coarse | short).any(axis=1)])
        return finer + bool(coarse.any()), terms + bool(short.any())


def _no_tables() -> tuple[Any, ...]:
    return np.zeros((0, 2)), np.zeros(0, np.int64), np.zeros((0, 1)), np.zeros((1, 1, 1, 1)), (1.0, 0.0, 0.0)


@dataclass(frozen=True)
class _Items:
    """Averages by outer pair: where those of each start, the rows, and the inner inputs (outer pair, input) used."""

    start: Whole
    rows: Whole
    order: Whole
    inner: Whole
    inner_start: Whole

    @classmethod
    def empty(cls, outer: int, width: int) -> _Items:
        nothing, start = np.zeros(0, np.int64), np.zeros(outer + 1, np.int64)
        return cls(start, np.zeros((0, width), np.int64), nothing, nothing, start)

    @classmethod
    def made(cls, outer: int, count: int, jobs: Whole, rows: Whole, columns: tuple[int, ...], local: bool) -> _Items:
        """Sort rows by outer pair; their ``columns`` hold job * count + inner input and are numbered anew.

        ``local``: by their place among the inner inputs of the same outer pair.
        """
        order = np.lexsort((rows[:, columns[0]], jobs))
        jobs, rows = jobs[order], rows[order].copy()
        inner = np.unique(rows[:, columns])
        inner_start = np.searchsorted(inner, count * np.arange(outer + 1)).astype(np.int64)
        for column in columns:
            rows[:, column] = np.searchsorted(inner, rows[:, column]) - (inner_start[jobs] if local else 0)
        start = np.searchsorted(jobs, np.arange(outer + 1)).astype(np.int64)
        return cls(start, np.ascontiguousarray(rows), order, inner, inner_start)


def _read(group: Group) -> tuple[_Functions, Whole]:
    """The functions of one input, and each moment as numbers of functions; for three also which input has a product.

    An input that is averaged inside has one derivative of sigma, whose number is its order.
    """
    size = group.subsets.shape[1]
    terms = [[leibniz(*entry) for entry in moment] for moment in group.moments]
    inner = [order for row in terms for f in row if size > 2 and (order := _single(f)) is not None]
    lowest = max(inner, default=0)
    numbers: dict[Polynomial, int] = {leibniz((j,), 0): j for j in range(lowest + 1)}
    found = [[numbers.setdefault(f, len(numbers)) for f in row] for row in terms]
    if size == 3:
        found = [[*row, next((i for i, f in enumerate(row) if f > lowest), 3)] for row in found]
    return _Functions(tuple(numbers), lowest), np.array(found, np.int64).reshape(len(terms), -1)
