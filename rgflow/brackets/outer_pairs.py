"""Which two inputs of each pair, triple and quadruple are averaged last, on a grid that they share with others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rgflow.brackets.pair_geometry import Geometry
from rgflow.brackets.pair_steps import Steps

Array = NDArray[np.float64]
Whole = NDArray[np.int64]
OUTER_3 = ((1, 2, 0), (0, 2, 1), (0, 1, 2))  # outer, outer, inner
OUTER_4 = ((0, 1, 2, 3), (0, 2, 1, 3), (0, 3, 1, 2), (1, 2, 0, 3), (1, 3, 0, 2), (2, 3, 0, 1))
NONE = -1  # of the inner inputs
C, D, KIND, AT_A, AT_B, AT_C, AT_D, WHERE = range(8)


@dataclass(frozen=True)
class Items:
    """Averages by outer pair, of which there are J.

    Attributes
    ----------
    start : (J + 1,)
        Where those of each start.
    rows : (I, 8)
        Inner inputs c and d by their places among those of this outer pair, or -1; the kind of moments that are meant;
        where the functions of a, b, c and d stand in a moment; the place of the result.
    given : (I, 3)
        Of c and d given a and b: correlation, deviations.
    inner, inner_start
        Inner inputs that are used, as job * N + input, and where those of each outer pair start.
    jobs_of : (results, kinds)
        The outer pairs that each result comes from.
    slope1, slope2 : (J,)
        How fast what stands on each grid varies.
    """

    start: Whole
    rows: Whole
    given: Array
    inner: Whole
    inner_start: Whole
    jobs_of: Whole
    slope1: Array
    slope2: Array


def arranged(geometry: Geometry, steps: Steps, subsets: Whole, kinds: Whole) -> Items:
    """Arrange sets of two, three or four inputs, (S, d), numbers increasing, as the steps say is least work."""
    return _Arrangement(geometry, steps, subsets).made(kinds)


class _Arrangement:
    def __init__(self, geometry: Geometry, steps: Steps, subsets: Whole):
        self.geometry, self.steps, self.subsets = geometry, steps, subsets
        self.batch, self.count = geometry.kernels.shape[:2]
        self.slope1, self.slope2 = geometry.L11.flatten(), geometry.L22.flatten()
        self.results = np.arange(self.batch * len(subsets)).reshape(self.batch, -1)
        self.parts: list[tuple[Whole, Whole, Array]] = []

    def made(self, kinds: Whole) -> Items:
        size = self.subsets.shape[1]
        jobs_of = {2: self._pairs, 3: lambda: self._threes(kinds), 4: self._fours}[size]()
        jobs, rows, given = (np.concatenate([part[i] for part in self.parts]) for i in range(3))
        order = np.lexsort((rows[:, C], jobs))
        jobs, rows = jobs[order], np.ascontiguousarray(rows[order])
        used = rows[:, [C, D]]
        inner = np.unique(used[used != NONE])
        every = np.arange(self.geometry.outer + 1)
        inner_start = np.searchsorted(inner, self.count * every).astype(np.int64)
        places = np.searchsorted(inner, used) - inner_start[jobs][:, None]
        rows[:, [C, D]] = np.where(used != NONE, places, NONE)
        start = np.searchsorted(jobs, every).astype(np.int64)
        return Items(start, rows, given[order], inner, inner_start, jobs_of, self.slope1, self.slope2)

    def _add(self, pair: Whole, here: Array, outer: tuple[int, int], inner: tuple[int, ...], kind: int) -> None:
        """Average the sets ``here`` (B, S) on the grids of these pairs, with these of their inputs inside."""
        if not here.any():
            return
        job = self.geometry.job(pair)[here]
        thirds = [self.subsets[:, i] for i in inner]
        slopes = [slope[here] for slope in self.geometry.slopes(pair, thirds)]
        np.maximum.at(self.slope1, job, slopes[0])
        np.maximum.at(self.slope2, job, slopes[1])
        swap = self.geometry.swap[:, pair][here].astype(bool)
        at = [np.where(swap, outer[1], outer[0]), np.where(swap, outer[0], outer[1])]
        at += [np.full(job.shape, i) for i in (*inner, *range(len(inner) + 2, 4))]
        number = [job * self.count + np.broadcast_to(third, here.shape)[here] for third in thirds]
        number += [np.full(job.shape, NONE)] * (2 - len(inner))
        rows = np.stack([*number, np.full(job.shape, kind), *at, self.results[here]], axis=-1)
        given = np.zeros((job.size, 3))
        if len(inner) == 2:
            given = np.stack([x[here] for x in self.geometry.correlation(pair, *thirds)], axis=-1)
        self.parts.append((job, rows, given))

    def _number(self, p: int, q: int) -> Whole:
        return np.asarray(self.geometry.number[self.subsets[:, p], self.subsets[:, q]])

    def _pairs(self) -> Whole:
        pair = self._number(0, 1)
        self._add(pair, np.ones(self.results.shape, bool), (0, 1), (), 0)
        return self.geometry.job(pair).reshape(-1, 1)

    def _threes(self, kinds: Whole) -> Whole:
        """One inside; where that one has a product of derivatives, another."""
        outer = [self._number(p, q) for p, q, _ in OUTER_3]
        inside = self.subsets[:, [r for _, _, r in OUTER_3]].T
        cost = self.steps.nodes(*self.geometry.slopes(np.stack(outer), [inside]))  # by the input that is inside
        order = np.argsort(np.moveaxis(cost, 1, -1), axis=-1, kind="stable")
        jobs_of = []
        for kind in np.unique(kinds):
            inner = np.where(order[..., 0] == kind, order[..., 1], order[..., 0])
            jobs = np.empty(self.results.shape, np.int64)
            for (p, q, r), pair in zip(OUTER_3, outer, strict=True):
                here = inner == r
                jobs[here] = self.geometry.job(pair)[here]
                self._add(pair, here, (p, q), (r,), int(kind))
            jobs_of.append(jobs.ravel())
        return np.stack(jobs_of, axis=-1)

    def _fours(self) -> Whole:
        """Two inside, best with little correlation and few nodes."""
        s = self.subsets
        outer = [self._number(p, q) for p, q, _, _ in OUTER_4]
        thirds = [s[:, [row[i] for row in OUTER_4]].T for i in (2, 3)]
        rho = self.geometry.correlation(np.stack(outer), *thirds)[0]
        terms = 8 + np.minimum(25 / -np.log(np.clip(np.abs(rho), 1e-9, 1 - 1e-6)), 1e4)
        cost = np.moveaxis(terms * self.steps.nodes(*self.geometry.slopes(np.stack(outer), thirds)), 1, 0)
        # of four inputs in three classes two share one: with such outer pairs a third of all of them does
        alike = np.array([s[:, p] % 3 == s[:, q] % 3 for p, q, _, _ in OUTER_4])[:, None]
        best = np.argmin(np.where(alike, cost, 2 * cost), axis=0)
        jobs_of = np.empty(self.results.shape, np.int64)
        for number, (pair, (p, q, i, j)) in enumerate(zip(outer, OUTER_4, strict=True)):
            here = best == number
            jobs_of[here] = self.geometry.job(pair)[here]
            self._add(pair, here, (p, q), (i, j), 0)
        return jobs_of.reshape(-1, 1)
