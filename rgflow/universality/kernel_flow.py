"""The way of one kernel through the layers, for many hyperparameters at once: between which kernels each flow ends.

A table of averages says where F(K) = C_b + C_W g(K) crosses the diagonal; the first crossing on the way is where the
flow ends, unless F falls so steeply there that the flow overshoots. Then one layer is made and the search begins anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rgflow.errors import AccuracyError
from rgflow.universality.kernel_table import Array, Table

Averages = Callable[[Array], tuple[Array, Array]]  # K -> values and errors (3, P) of g, g', <s's'>
Choice = NDArray[np.bool_]

EPS = float(np.finfo(np.float64).eps)
_TURNS = 256  # overshoots halve (see fixed_points): far fewer are ever needed


@dataclass(frozen=True, eq=False)
class _Start:
    """Flows from kernels K (P,) to ``following`` = F(K), with hyperparameters b, w (P,), over the nodes of a table."""

    table: Table
    b: Array
    w: Array
    K: Array
    following: Array

    @cached_property
    def up(self) -> Choice:
        """Whether a flow grows."""
        return self.following - self.K > 0

    @cached_property
    def sign(self) -> Array:
        """1 for flows that grow, -1 for others: (P, 1)."""
        return np.where(self.up, 1.0, -1.0)[:, None]

    @cached_property
    def F(self) -> Array:
        """F at the nodes, (P, N)."""
        return np.asarray(self.b[:, None] + self.w[:, None] * self.table.values[0])

    @cached_property
    def noise(self) -> Array:
        """The error of F at the nodes, (P, N)."""
        return np.asarray(self.w[:, None] * self.table.errors[0] + 4 * EPS * self.table.K)

    @cached_property
    def ahead(self) -> Array:
        """|F - K| at the nodes, positive as long as the flow goes on: (P, N)."""
        return self.sign * (self.F - self.table.K)

    @cached_property
    def still(self) -> Choice:
        """Starts on a fixed point, where flows stay; the smallest noise is that of K itself."""
        nodes = self.table.K
        nearest = np.minimum(np.searchsorted(nodes, self.K), nodes.size - 1)
        noise = self.w * self.table.errors[0, nearest] + 4 * EPS * nodes[nearest]
        moved = np.abs(self.following - self.K)
        return np.asarray((moved <= noise * self.K / nodes[nearest]) & (nodes[0] < self.K))

    @cached_property
    def side(self) -> Choice:
        """Nodes to which a flow is directed, (P, N)."""
        nodes, K = self.table.K, self.K[:, None]
        return np.where(self.up[:, None], nodes > K, nodes < K)


def flow_ends(table: Table, exact: Averages, b: Array, w: Array, first: Array) -> tuple[Array, Array]:
    """Kernels lo <= K* <= hi where flows end: (0, K_0) for those below the table, (inf, inf) for those beyond it."""
    K = np.maximum(first, table.K[0])
    lo, hi = np.zeros(K.size), np.zeros(K.size)
    left = np.arange(K.size)
    for _ in range(_TURNS):
        distinct, place = np.unique(K[left], return_inverse=True)
        g = exact(distinct)[0][0][place]
        start = _Start(table, b[left], w[left], K[left], b[left] + w[left] * g)
        low, high = _touched(start, exact, *_crossed(start))
        ends = start.still | _kept(start, low, high)
        lo[left[ends]], hi[left[ends]] = low[ends], high[ends]
        K[left] = np.maximum(start.following, table.K[0])
        left = left[~ends]
        if not left.size:
            return lo, hi
    raise AccuracyError(f"the flow with C_b = {b[left[0]]}, C_W = {w[left[0]]} has not settled after {_TURNS} layers")


def _crossed(start: _Start) -> tuple[Array, Array]:
    """From K in the direction of F(K) - K: the neighbouring nodes between which F first crosses the diagonal."""
    nodes, K, up = start.table.K, start.K, start.up
    crossed = start.side & (start.ahead < -start.noise)
    stops = crossed.any(axis=1)
    at = np.where(up, np.argmax(crossed, axis=1), nodes.size - 1 - np.argmax(crossed[:, ::-1], axis=1))
    lo = np.where(up, np.maximum(nodes[np.maximum(at - 1, 0)], K), nodes[at])
    hi = np.where(up, nodes[at], np.minimum(nodes[np.minimum(at + 1, nodes.size - 1)], K))
    lo = np.where(stops, lo, np.where(up, np.inf, 0.0))
    hi = np.where(stops, hi, np.where(up, np.inf, nodes[0]))
    return np.where(start.still, K, lo), np.where(start.still, K, hi)


def _touched(start: _Start, exact: Averages, lo: Array, hi: Array) -> tuple[Array, Array]:
    """Ends before lo .. hi: roots in pairs between two neighbouring nodes, where F only just touches the diagonal."""
    table, b, w, K = start.table, start.b, start.w, start.K
    up, ahead, noise, nodes = lo >= K, start.ahead, start.noise, table.K
    side = start.side & ~start.still[:, None]
    slope = np.where(up, 1.0, -1.0)[:, None] * (w[:, None] * table.values[1] - 1)
    width = np.diff(nodes)
    clear = ahead > noise  # where all is noise, so are the dips
    dips = clear[:, :-1] & clear[:, 1:] & (slope[:, :-1] < 0) & (slope[:, 1:] > 0) & (side[:, :-1] | side[:, 1:])
    # a convex function lies above its tangents
    dips &= ahead[:, :-1] + slope[:, :-1] * width <= noise[:, :-1]
    dips &= ahead[:, 1:] - slope[:, 1:] * width <= noise[:, 1:]
    row, j = np.nonzero(dips)
    if not row.size:
        return lo, hi
    left, right = nodes[j].copy(), nodes[j + 1].copy()
    sign = np.where(up[row], 1.0, -1.0)
    for _ in range(50):
        middle = (left + right) / 2
        falls = sign * (w[row] * table.read(middle)[0][1] - 1) < 0
        left, right = np.where(falls, middle, left), np.where(falls, right, middle)
    bottom = (left + right) / 2
    depth = sign * (b[row] + w[row] * exact(bottom)[0][0] - bottom)
    met = (depth <= noise[row, j]) & _between(bottom, np.where(up, K, hi)[row], np.where(up, lo, K)[row])
    order = np.argsort(-np.abs(np.log(bottom / K[row])), kind="stable")
    lo, hi = lo.copy(), hi.copy()
    for i in order[met[order]]:  # the nearest comes last and stays
        n = row[i]
        if up[n]:
            lo[n], hi[n] = max(nodes[j[i]], K[n]), bottom[i]
        else:
            lo[n], hi[n] = bottom[i], min(nodes[j[i] + 1], K[n])
    return lo, hi


def _kept(start: _Start, lo: Array, hi: Array) -> Choice:
    """Whether an interval about the way with one fixed point in it is mapped into itself: then the flow ends there."""
    table, up = start.table, start.up
    ends = np.isinf(lo) | (lo == 0)
    if (table.values[1] >= -table.errors[1]).all():
        return np.ones_like(ends)
    nodes, F, rise, K = table.K, start.F, up[:, None], start.K[:, None]
    way = _between(nodes, np.where(rise, K, hi[:, None]), np.where(rise, lo[:, None], K))
    most = np.maximum(np.where(way, F, 0.0).max(axis=1), np.maximum(start.following, hi))
    least = np.minimum(np.where(way, F, np.inf).min(axis=1), np.minimum(start.following, lo))
    beyond = _between(nodes, np.where(up, hi, least)[:, None], np.where(up, most, lo)[:, None])
    back = np.where(rise, K <= F, K >= F) & (start.ahead < 0)
    return np.asarray(ends | (back | ~beyond).all(axis=1))


def _between(x: Array, low: Array, high: Array) -> Choice:
    return np.asarray((low <= x) & (x <= high))


def root(of: Averages, b: Array, w: Array, lo: Array, hi: Array, K: Array) -> tuple[Array, Array]:
    """The root lo <= K <= hi, with F(lo) > lo and F(hi) < hi, by Newton's steps that stay inside; and |F(K) - K|."""
    lo, hi, K, left = lo.copy(), hi.copy(), K.copy(), np.zeros(K.size)
    active = np.arange(K.size)
    for _ in range(80):
        at, c, a = K[active], w[active], b[active]
        values, errors = of(at)
        gap = a + c * values[0] - at
        left[active] = np.abs(gap)
        lo[active] = np.where(gap > 0, at, lo[active])
        hi[active] = np.where(gap > 0, hi[active], at)
        with np.errstate(divide="ignore", invalid="ignore"):
            new = at - gap / (c * values[1] - 1)
        low, high = lo[active], hi[active]
        new = np.where((new >= low) & (new <= high), new, (low + high) / 2)
        settled = (np.abs(gap) <= c * errors[0] + 2 * EPS * at) | (np.abs(new - at) <= 2 * EPS * at)
        K[active] = np.where(settled, at, new)
        active = active[~settled]
        if not active.size:
            break
    return K, left
