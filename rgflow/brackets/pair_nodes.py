r"""The nodes of a grid over two inputs, and functions on it: compiled.

The nodes of a row of t_2 are kept in four classes, every fourth node each, so that sums against the alternating sign
and against half that frequency, which tell the error, come with the value.

Each calls no other compiled function: Numba keeps compiled code by the time stamp of a function's own file, and links
what it calls into it, so that it would not notice an edit elsewhere. What joins them is plain Python
(:mod:`rgflow.brackets.pair_grid`), which also allocates: an array made inside costs a tenth of a second to compile.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rgflow.jit import static

Array = Any  # NumPy arrays, or what Numba makes of them

FREQUENCIES = np.array([1.0, 0.875, 0.875, 0.75, 0.75, 0.5, 0.5])  # of the probes, the last pair for half
compiled = static("reassoc", "contract", "nsz")


@compiled
def nodes(
    even: bool,
    grid: Array,
    start: Array,
    quarter: Array,
    along: Array,
    across: Array,
    w1: Array,
    w2: Array,
    edges: Array,
    probes: Array,
) -> int:
    """Fill in the nodes of one outer pair; returns the number of rows.

    grid: L_11, L_21, L_22, steps of t_1 and t_2, cut, c of t_1 = c sinh(s) or 0. start, quarter: where rows and, four
    each, their classes stand. along, across: t_1 and t_2 of each node. w1, w2: weights of rows and, within them, nodes.
    edges, probes: by row; whether it is an end of the first axis, and has ends itself; waves that the rule sees last.
    """
    h1, h2, cut, clustered = grid[3], grid[4], grid[5], grid[6]
    point1, point2 = grid[0] == 0.0, grid[2] == 0.0
    most = 0 if point1 else math.ceil((math.asinh(cut / clustered) if clustered > 0.0 else cut) / h1)
    low = 0 if even or point1 else -most
    start[0] = 0
    for i in range(most - low + 1):
        t1, slope = (low + i) * h1, 1.0
        if clustered > 0.0:
            slope = clustered * math.cosh(t1)
            t1 = clustered * math.sinh(t1)
        q = (2 * (0 if point2 else int(math.sqrt(max(cut * cut - t1 * t1, 0.0)) / h2) + 1) + 4) // 4
        quarter[i], start[i + 1] = q, start[i] + 4 * q
        weight = 1.0 if point1 else h1 * slope * math.exp(-0.5 * t1 * t1) / math.sqrt(2 * math.pi)
        w1[i] = 2.0 * weight if even and low + i > 0 else weight
        edges[0, i] = 1.0 if most > 0 and (low + i == most or low + i == -most) else 0.0
        edges[1, i] = 0.0 if point2 else 1.0
        for f in range(7):
            angle = math.pi * FREQUENCIES[f] * (low + i)
            probes[f, i] = math.cos(angle) if f % 2 == 0 else 0.0 if even else math.sin(angle)  # even: folded
        for place in range(4):
            for k in range(q):
                n = start[i] + place * q + k
                t2 = 0.0 if point2 else (4 * k + place - 2 * q) * h2
                along[n], across[n] = t1, t2
                w2[n] = h2 * math.exp(-0.5 * t2 * t2) / math.sqrt(2 * math.pi)
        if point2:  # all but one of the four nodes count nothing
            w2[start[i] : start[i + 1]] = 0.0
            w2[start[i]] = 1.0
    return most - low + 1


@compiled
def functions(start: Array, weight: Array, orders: Array, values: Array, w: Array, term: Array, out: Array) -> None:
    """out[u] = w times a polynomial in the derivatives of sigma, at all nodes; term is room for one of its terms."""
    for u in range(start.size - 1):
        out[u] = 0.0
        for t in range(start[u], start[u + 1]):
            for n in range(w.size):
                term[n] = weight[t] * w[n]
            for j in range(orders.shape[1]):
                if orders[t, j] >= 0:
                    for n in range(w.size):
                        term[n] *= values[orders[t, j], n]
            for n in range(w.size):
                out[u, n] += term[n]
