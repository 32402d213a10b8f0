r"""Averages over two, three and four inputs: a grid over two of them, the others in series given those.

.. math:: E[f_a f_b f_c f_d] = \sum_{nodes} w\, f_a(z_a) f_b(z_b)
          \sum_k \frac{R^k}{k!} A^c_{k+j_c}(m_c) A^d_{k+j_d}(m_d)

with m and R the means and the covariance of the inner inputs given the outer ones and f_c = sigma^{(j_c)} (Mehler). The
grid is the trapezoid rule in z_a = L_11 t_1, z_b = L_21 t_1 + L_22 t_2 on a disc. Where nothing is inside, its columns
are 1, 0, 0, ..
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rgflow.brackets.cell_tables import combined, read
from rgflow.brackets.hermite import extrapolated
from rgflow.brackets.outer_pairs import KIND, WHERE, Items
from rgflow.brackets.pair_nodes import functions, nodes
from rgflow.brackets.pair_series import (
    ABSOLUTE,
    DOUBT,
    EDGE,
    FINE,
    HALF,
    NATURAL,
    PROBES,
    VALUE,
    add_rows,
    weigh,
)

Array = NDArray[np.float64]
Whole = NDArray[np.int64]
BLOCK, ROOM = 256, 1 << 17  # nodes at a time, more where few inner inputs' columns fit into the cache
TOGETHER = 1 << 20  # sums that are judged together


@dataclass(frozen=True)
class Inner:
    """Tables of inner inputs: means along (t_1, t_2), the first table and the shares of each; see ``Smoothed``."""

    lines: Array
    first: Whole
    share: Array
    cells: Array
    reach: float
    error: float
    size: float

    @classmethod
    def nothing(cls) -> Inner:
        """For averages over two inputs."""
        return cls(np.zeros((0, 2)), np.zeros(0, np.int64), np.zeros((0, 1)), np.zeros((1, 1, 1, 1)), 1.0, 0.0, 0.0)


@dataclass(frozen=True)
class Work:
    """What is averaged. grids: (J, 7), as :func:`rgflow.brackets.pair_nodes.nodes` takes them. line: cells and reach
    of the table of sigma. functions: starts, coefficients and orders of their terms. furthest: the outermost node."""

    even: bool
    grids: Array
    line: tuple[Array, float]
    functions: tuple[Whole, Array, Whole]
    items: Items
    moments: Whole
    inner: Inner
    lowest: int
    furthest: float
    series: bool  # whether two inputs are inside


@dataclass(frozen=True)
class _Grid:
    start: Whole
    quarter: Whole
    along: Array
    across: Array
    w1: Array
    w2: Array
    edges: Array
    probes: Array


def run(work: Work, jobs: Whole, out: Array) -> None:
    """out[result, moment] = value, error, absolute sum, error and natural size of what is inside, of these pairs."""
    start, many = work.items.start, max(1, TOGETHER // (len(work.moments) * (PROBES + 7)))
    for some in np.split(jobs, np.flatnonzero(np.diff(np.cumsum(start[jobs + 1] - start[jobs]) // many)) + 1):
        count = start[some + 1] - start[some]
        sums = np.zeros((int(count.sum()), len(work.moments), PROBES + 7))
        for job, last, number in zip(some, np.cumsum(count), count, strict=True):
            _sums(work, int(job), sums[last - number : last])
        rows = np.concatenate([np.arange(start[job], start[job + 1]) for job in some])
        items = work.items.rows[rows]
        flat = np.repeat(work.grids[some][:, [0, 2]] == 0.0, count, axis=0)
        meant = (work.moments[:, 4] < 0) | (work.moments[:, 4] == items[:, KIND, None])
        item, moment = np.nonzero(meant)
        with np.errstate(all="ignore"):  # here too: threads do not inherit it from who starts them
            out[items[item, WHERE], moment] = judged(sums, flat)[item, moment]


def judged(sums: Array, flat: NDArray[np.bool_]) -> Array:
    """Values, errors, absolute sums and the last two of ``run`` from the sums (I, M, ..); flat: axes that are points.

    The errors are those of :class:`rgflow.brackets.rules.Rule`: sums against what the rule sees last, and the gain that
    halving the step has at least.
    """
    absolute = sums[..., ABSOLUTE]
    floor = np.maximum(absolute, 1e-300)
    second = extrapolated(sums[..., FINE] / floor, sums[..., HALF] / floor)
    one, *both = np.split(np.abs(sums[..., PROBES:] / floor[..., None]), [1, 3, 5], axis=-1)
    parts = [np.minimum(part, 1.0) for part in (one[..., 0], *(np.hypot(x[..., 0], x[..., 1]) for x in both))]
    powers = [parts[f] ** (1.0 / (1.0 - 0.125 * f)) for f in range(3)]
    first = extrapolated(np.maximum(np.maximum(powers[0], powers[1]), powers[2]), parts[3])
    wrong = np.where(flat[:, :1], 0.0, first) + np.where(flat[:, 1:], 0.0, second)
    error = wrong * absolute + sums[..., EDGE] + sums[..., DOUBT]
    return np.stack([sums[..., VALUE], error, absolute, sums[..., DOUBT], sums[..., NATURAL]], axis=-1)


def _sums(work: Work, job: int, out: Array) -> None:
    """The sums of all items of an outer pair, a few rows of its grid at a time."""
    grid, items, inner = _grid(work, job), work.items, work.inner
    cells, reach = work.line
    highest, lines = cells.shape[2], work.grids[job]
    height, size = len(grid.quarter), len(grid.along)
    rows = grid.along[grid.start[:-1]]
    at_a, _ = _read(cells, reach, 0, np.array([[lines[0], 0.0]]), (rows, np.zeros(height)), np.array([highest]))
    at_b, _ = _read(cells, reach, 0, lines[None, 1:3], (grid.along, grid.across), np.array([highest]))
    P, Q = (np.empty((len(work.functions[0]) - 1, n)) for n in (height, size))
    functions(*work.functions, at_a[0], grid.w1, np.empty(height), P)
    functions(*work.functions, at_b[0], grid.w2, np.empty(size), Q)

    own = slice(items.start[job], items.start[job + 1])
    listed, given = items.rows[own], items.given[own]
    used = slice(items.inner_start[job], items.inner_start[job + 1])
    along, read_by = inner.lines[used], _tables(inner, used, work.furthest)
    count, codes, columns = len(listed), (work.lowest + 1) ** 2, inner.cells.shape[2]
    weight, terms, share = np.ones((count, codes, 1)), np.ones((count, codes), np.int64), np.zeros((count, codes))
    needed, rounding = np.full(len(along), columns), np.full(count, inner.error)
    if work.series:
        weight, terms = np.zeros((count, codes, columns)), np.zeros((count, codes), np.int64)
        needed[:] = 0
        falls = _falls(grid, along, read_by, columns)
        weigh(listed, work.moments, given, work.lowest, falls, np.empty(columns), weight, terms, share, needed)
        rounding = 2 * inner.error / np.sqrt(np.maximum(1.0 - given[:, 0] ** 2, 1.0 / columns))

    step = max(BLOCK, ROOM // ((len(along) + 1) * columns))
    ready = np.empty(codes, np.int64)
    i = 0
    while i < height:
        j = max(i + 1, int(np.searchsorted(grid.start, grid.start[i] + step, side="right")) - 1)
        here = slice(grid.start[i], grid.start[j])
        B, norm = read_by(along, (grid.along[here], grid.across[here]), needed)
        B[-1, 0], norm[-1] = 1.0, 1.0
        norm[:-1] = np.sqrt(norm[:-1]) + inner.size
        room = np.empty((3, codes, B.shape[2]))
        add_rows(
            *(i, j, grid.start, grid.quarter, grid.edges, grid.probes, listed, work.moments, P, Q, B, norm),
            *(work.lowest, weight, terms, share, rounding, ready, room, out),
        )
        i = j


def _grid(work: Work, job: int) -> _Grid:
    """The nodes, with the probes of every row."""
    L11, _, L22, h1, h2, cut, c = work.grids[job]
    most = 0 if L11 == 0.0 else math.ceil((math.asinh(cut / c) if c > 0.0 else cut) / h1)
    rows = most + 1 if work.even else 2 * most + 1
    across = 4 if L22 == 0.0 else 2 * (int(cut / h2) + 1) + 4
    start, quarter, w1 = np.empty(rows + 1, np.int64), np.empty(rows, np.int64), np.empty(rows)
    t1, t2, w2 = (np.empty(rows * across) for _ in range(3))
    edges, probes = np.empty((2, rows)), np.empty((7, rows))
    nodes(work.even, work.grids[job], start, quarter, t1, t2, w1, w2, edges, probes)
    return _Grid(start, quarter, t1[: start[-1]], t2[: start[-1]], w1, w2[: start[-1]], edges, probes)


def _tables(inner: Inner, used: slice, furthest: float) -> Callable[..., tuple[Array, Array]]:
    """A reader of the tables of some inner inputs; cells at both ends that are out of reach are left away."""
    lines = inner.lines[used]
    _, terms, columns, cells = inner.cells.shape
    reached = furthest * math.sqrt(float((lines**2).sum(axis=1).max(initial=0.0)))
    shift = max(0, int((inner.reach - reached) * 0.5 * cells / inner.reach) - 1)
    own = np.zeros((len(lines), terms * columns, cells - 2 * shift))
    flat = inner.cells.reshape(len(inner.cells), terms * columns, cells)
    combined(flat, inner.first[used], inner.share[used], shift, own)
    shaped = own.reshape(len(lines), terms, columns, cells - 2 * shift)
    return lambda *arguments: _read(shaped, inner.reach, shift, *arguments)


def _read(
    tables: Array, reach: float, shift: int, lines: Array, at: tuple[Array, Array], needed: Whole
) -> tuple[Array, Array]:
    """Columns of every table at the nodes, and the sums of their squares; one place more, for nothing inside."""
    size = len(at[0])
    out, norm = np.empty((len(tables) + 1, tables.shape[2], size)), np.empty((len(tables) + 1, size))
    read(tables, reach, shift, lines, *at, needed, np.empty(size, np.int64), np.empty(size), out, norm)
    return out, norm


def _falls(grid: _Grid, lines: Array, read_by: Callable[..., tuple[Array, Array]], columns: int) -> Array:
    """Root mean squares of the columns, from a few rows, which tell how they fall."""
    height = len(grid.quarter)
    some = range(height // 2 % 5, height, 5)
    at = np.concatenate([np.arange(grid.start[i], grid.start[i + 1]) for i in some])
    w = np.concatenate([grid.w1[i] * grid.w2[grid.start[i] : grid.start[i + 1]] for i in some])
    found, _ = read_by(lines, (grid.along[at], grid.across[at]), np.full(len(lines), columns))
    return np.asarray(np.sqrt(found[:-1] ** 2 @ w))
