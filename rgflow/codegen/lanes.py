"""The kernel that runs a table of rows for many points at once: brackets from tables in K, points side by side.

Static code, compiled by Numba once for all Systems and activations: rows, tables and hyperparameters are data. A block
of ``LANES`` points goes through all layers before the next one starts, so that its state stays in the cache; every
inner loop runs over lanes, which is what the compiler turns into vector instructions.

A bracket is a function of the one number K. Its polynomials stand in cells of K whose edges are read off the bits of
the floating-point number; a cell also serves the next one, so that neighbouring points mostly share their coefficients.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rgflow.brackets.in_kernel import DEGREE
from rgflow.jit import static

LANES = 64  # points of a block
GROUP = 16  # lanes that share a cell where they can
GOOD, RUNS_AWAY, MISSING, BEYOND = 0, 1, 2, 3  # what became of a point
EPSILON = float(np.finfo(np.float64).eps)
_TERMS = DEGREE + 1
_INFINITE = 0x7FF0000000000000  # the bits of infinity
# NaN marks lanes that are lost, so that everything but the order of operations stays as IEEE has it.
_FLAGS = ("contract", "reassoc", "nsz", "arcp")

assert _TERMS == 13, "Horner's rule is written out below"


@static(*_FLAGS)
def run(
    begin: int,
    first: Any,
    monomials: Any,
    rows: Any,
    scale: Any,
    keep: Any,
    wanted: Any,
    tables: Any,
    out: Any,
    errors: Any,
    status: Any,
    missing: Any,
) -> None:
    """Flow N of P points, from ``begin``, and fill out, errors, status and missing in place.

    Parameters
    ----------
    first : (T, N)
        Tensors of these points at layer 1; K is tensor 0.
    monomials : (Q, N)
        Products of the hyperparameters that differ from point to point.
    rows : target (R,), monomial (R,), start (R + 1,), factor (F,)
        A row adds scale * monomial * product of factors to its target; factor f < T is a tensor, T + m bracket m.
    scale : (L - 1, R)
        The rest of every coefficient, layer by layer.
    keep : (L,)
        Slot in ``out`` of each layer, or -1.
    wanted : (W,)
        What is kept: tensors, or T + m for bracket m of the layer below.
    tables : shift, low, centre, inverse, state (C,), coefficient (C, M, DEGREE + 1), doubt (C, M), zero (M,)
        See :class:`rgflow.brackets.in_kernel.Tables`.
    out, errors : (S, W, P)
        ``errors`` may have no slots: then they are not found.
    status : (P,)
        GOOD; RUNS_AWAY: K is not finite, or negative; MISSING: no cell at K, left in ``missing`` (P,); BEYOND: none
        can be had.
    """
    target, monomial, start, factor = rows
    tensors, count = first.shape[0], tables[5].shape[1]
    doubtful, never = errors.shape[0] > 0, errors.shape[0] < 0  # not False itself, for which all would be compiled anew
    x = np.empty((tensors + count, LANES))
    y = np.empty((tensors + count, LANES))
    e = np.empty((tensors + count, LANES))
    new = np.empty((tensors, LANES))
    displaced = np.empty((tensors, LANES))
    bound = np.empty((tensors, LANES))
    weights = np.empty((monomials.shape[0], LANES))
    fate = np.empty(LANES, np.int64)
    lost = np.empty(LANES)
    product, other = np.empty(LANES), np.empty(LANES)
    views = x.view(np.int64), x.reshape(tensors + count, LANES // GROUP, GROUP), product
    others = y.view(np.int64), y.reshape(tensors + count, LANES // GROUP, GROUP), product
    bits_of_new, bits_of_displaced = new.view(np.int64), displaced.view(np.int64)
    end = begin + first.shape[1]
    for block in range(begin, end, LANES):
        lanes = min(LANES, end - block)
        for p in range(LANES):
            point = block - begin + min(p, lanes - 1)  # the last block repeats its last point
            fate[p] = GOOD
            lost[p] = 0.0
            for m in range(count):  # the first layer is made by no average
                x[tensors + m, p] = y[tensors + m, p] = e[tensors + m, p] = math.nan
            for t in range(tensors):
                x[t, p] = first[t, point]
                y[t, p] = first[t, point] * (1.0 + 2.0 * EPSILON)
                e[t, p] = 2.0 * EPSILON * abs(first[t, point])
            for q in range(monomials.shape[0]):
                weights[q, p] = monomials[q, point]
        _store(0, keep, wanted, x, y, e, doubtful, block, lanes, out, errors)
        settled = displaced_settled = False
        for layer in range(scale.shape[0]):
            if not settled:  # at a fixed point of K the brackets are what they were, to the last bit
                _brackets(x, e, tensors, tables, views, fate, lost, doubtful)
            _rows(x, tensors, target, monomial, start, factor, scale, layer, weights, product, new)
            if doubtful:
                if not displaced_settled:
                    for p in range(LANES):
                        y[0, p] = abs(y[0, p])
                    _brackets(y, displaced, tensors, tables, others, fate, lost, never)
                    for m in range(count):
                        sign = 1.0 - 2.0 * (m & 1)  # apart, so that errors do not cancel in differences
                        for p in range(LANES):
                            y[tensors + m, p] += sign * e[tensors + m, p]
                _rows(y, tensors, target, monomial, start, factor, scale, layer, weights, product, displaced)
                _bounds(x, e, tensors, target, monomial, start, factor, scale, layer, weights, product, other, bound)
                displaced_settled = settled and _same(others[0], bits_of_displaced)
                for t in range(tensors):
                    for p in range(LANES):
                        y[t, p] = displaced[t, p]
                        e[t, p] = bound[t, p]
            settled = _same(views[0], bits_of_new)
            for t in range(tensors):
                for p in range(LANES):
                    x[t, p] = new[t, p]
            _store(layer + 1, keep, wanted, x, y, e, doubtful, block, lanes, out, errors)
        _check(x, fate)
        for p in range(lanes):
            status[block + p] = fate[p]
            missing[block + p] = lost[p]


@static()
def _same(old: Any, new: Any) -> bool:
    """Whether K is the same in every lane, bit by bit."""
    different = 0
    for p in range(LANES):
        different |= old[0, p] ^ new[0, p]
    return different == 0


@static()
def _check(x: Any, fate: Any) -> None:
    """Lanes whose K no flow can go on from are lost."""
    for p in range(LANES):
        x[0, p] += 0.0  # no -0
        if not 0.0 <= x[0, p] < math.inf:
            if fate[p] == GOOD:
                fate[p] = RUNS_AWAY
            x[0, p] = math.nan


@static()
def _store(
    layer: int,
    keep: Any,
    wanted: Any,
    x: Any,
    y: Any,
    e: Any,
    doubtful: bool,
    block: int,
    lanes: int,
    out: Any,
    errors: Any,
) -> None:
    slot = keep[layer]
    if slot < 0:
        return
    for w in range(wanted.shape[0]):
        t = wanted[w]
        for p in range(lanes):
            out[slot, w, block + p] = x[t, p]
        if doubtful:
            for p in range(lanes):
                errors[slot, w, block + p] = abs(x[t, p] - y[t, p]) + e[t, p]


@static(*_FLAGS)
def _rows(
    x: Any,
    tensors: int,
    target: Any,
    monomial: Any,
    start: Any,
    factor: Any,
    scale: Any,
    layer: int,
    weights: Any,
    product: Any,
    out: Any,
) -> None:
    """The new tensors: for every row scale * monomial * product of factors."""
    for t in range(tensors):
        for p in range(LANES):
            out[t, p] = 0.0
    # neither views nor new arrays: to count references and to ask for memory costs more than the arithmetic
    for row in range(target.shape[0]):
        s = scale[layer, row]
        if s == 0.0:
            continue
        w, o, a, many = monomial[row], target[row], start[row], start[row + 1] - start[row]
        if many == 0:
            for p in range(LANES):
                out[o, p] += s * weights[w, p]
        elif many == 1:
            f = factor[a]
            for p in range(LANES):
                out[o, p] += s * weights[w, p] * x[f, p]
        elif many == 2:
            f, g = factor[a], factor[a + 1]
            for p in range(LANES):
                out[o, p] += s * weights[w, p] * (x[f, p] * x[g, p])
        elif many == 3:
            f, g, h = factor[a], factor[a + 1], factor[a + 2]
            for p in range(LANES):
                out[o, p] += s * weights[w, p] * (x[f, p] * x[g, p]) * x[h, p]
        else:
            for p in range(LANES):
                product[p] = s * weights[w, p]
            for i in range(a, a + many):
                f = factor[i]
                for p in range(LANES):
                    product[p] *= x[f, p]
            for p in range(LANES):
                out[o, p] += product[p]


@static(*_FLAGS)
def _bounds(
    x: Any,
    e: Any,
    tensors: int,
    target: Any,
    monomial: Any,
    start: Any,
    factor: Any,
    scale: Any,
    layer: int,
    weights: Any,
    below: Any,
    above: Any,
    out: Any,
) -> None:
    """Errors through the polynomial with positive coefficients: its growth from |x| to |x| + e, and rounding."""
    for t in range(tensors):
        for p in range(LANES):
            out[t, p] = 0.0
    for row in range(target.shape[0]):
        if scale[layer, row] == 0.0:
            continue
        for p in range(LANES):
            below[p] = abs(scale[layer, row] * weights[monomial[row], p])
            above[p] = below[p]
        for i in range(start[row], start[row + 1]):
            f = factor[i]
            for p in range(LANES):
                size = abs(x[f, p])
                below[p] *= size
                above[p] *= size + e[f, p]
        for p in range(LANES):
            out[target[row], p] += (above[p] - below[p]) + 4.0 * EPSILON * below[p]


@static(*_FLAGS)
def _brackets(x: Any, e: Any, tensors: int, tables: Any, views: Any, fate: Any, lost: Any, doubtful: bool) -> None:
    """Brackets at K = x[0] into the rows of x after the tensors, their errors into those of e.

    ``views``: the bits of x, x by groups of lanes, and room for a row.
    """
    shift, low, centre, inverse, state, coefficient, doubt, _ = tables
    cells, count = doubt.shape
    bits, groups, u = views
    least, most = bits[0, 0], bits[0, 0]
    for p in range(LANES):  # positive numbers are in the order of their bits, and NaN is above them all
        least, most = min(least, bits[0, p]), max(most, bits[0, p])
    if least < 0 or most >= _INFINITE:
        _check(x, fate)
        least, most = 0, _INFINITE
    cell = (least >> shift) - low
    if 0 <= cell < cells and (most >> shift) - low <= cell + 1 and state[cell] == 1:
        for p in range(LANES):
            u[p] = (x[0, p] - centre[cell]) * inverse[cell]
        for m in range(count):
            c0, c1, c2 = coefficient[cell, m, 0], coefficient[cell, m, 1], coefficient[cell, m, 2]
            c3, c4, c5 = coefficient[cell, m, 3], coefficient[cell, m, 4], coefficient[cell, m, 5]
            c6, c7, c8 = coefficient[cell, m, 6], coefficient[cell, m, 7], coefficient[cell, m, 8]
            c9, c10, c11 = coefficient[cell, m, 9], coefficient[cell, m, 10], coefficient[cell, m, 11]
            c12 = coefficient[cell, m, 12]
            for p in range(LANES):
                v, s = u[p], u[p] * u[p]
                even = (((((c12 * s + c10) * s + c8) * s + c6) * s + c4) * s + c2) * s + c0
                x[tensors + m, p] = even + v * (((((c11 * s + c9) * s + c7) * s + c5) * s + c3) * s + c1)
            if doubtful:
                for p in range(LANES):
                    e[tensors + m, p] = doubt[cell, m]
        return
    # by groups: sums of indices would hide from the compiler that they are not negative
    for g in range(LANES // GROUP):
        least, most = bits[0, g * GROUP], bits[0, g * GROUP]
        for p in range(GROUP):
            b = bits[0, g * GROUP + p]
            least, most = min(least, b), max(most, b)
        cell = (least >> shift) - low
        if 0 <= cell < cells and (most >> shift) - low <= cell + 1 and state[cell] == 1:
            for p in range(GROUP):
                u[p] = (groups[0, g, p] - centre[cell]) * inverse[cell]
            for m in range(count):
                c0, c1, c2 = coefficient[cell, m, 0], coefficient[cell, m, 1], coefficient[cell, m, 2]
                c3, c4, c5 = coefficient[cell, m, 3], coefficient[cell, m, 4], coefficient[cell, m, 5]
                c6, c7, c8 = coefficient[cell, m, 6], coefficient[cell, m, 7], coefficient[cell, m, 8]
                c9, c10, c11 = coefficient[cell, m, 9], coefficient[cell, m, 10], coefficient[cell, m, 11]
                c12 = coefficient[cell, m, 12]
                for p in range(GROUP):
                    v, s = u[p], u[p] * u[p]
                    even = (((((c12 * s + c10) * s + c8) * s + c6) * s + c4) * s + c2) * s + c0
                    groups[tensors + m, g, p] = even + v * (((((c11 * s + c9) * s + c7) * s + c5) * s + c3) * s + c1)
                if doubtful:
                    for p in range(GROUP):
                        e[tensors + m, g * GROUP + p] = doubt[cell, m]
            continue
        for p in range(g * GROUP, g * GROUP + GROUP):
            _one(x, e, p, (bits[0, p] >> shift) - low, tensors, tables, fate, lost, doubtful)


@static(*_FLAGS)
def _one(x: Any, e: Any, p: int, cell: int, tensors: int, tables: Any, fate: Any, lost: Any, doubtful: bool) -> None:
    """The brackets of one lane, whose neighbours stand in other cells, or which has none."""
    _, _, centre, inverse, state, coefficient, doubt, zero = tables
    cells, count = doubt.shape
    K = x[0, p]
    if K > 0.0 and 0 <= cell < cells and state[cell] == 1:
        v = (K - centre[cell]) * inverse[cell]
        for m in range(count):
            total = coefficient[cell, m, DEGREE]
            for k in range(DEGREE - 1, -1, -1):
                total = total * v + coefficient[cell, m, k]
            x[tensors + m, p] = total
            if doubtful:
                e[tensors + m, p] = doubt[cell, m]
        return
    for m in range(count):
        value = zero[m] if K == 0.0 else math.nan
        x[tensors + m, p] = value
        if doubtful:
            e[tensors + m, p] = 4.0 * EPSILON * abs(value)
        if math.isnan(value) and fate[p] == GOOD:
            fate[p] = BEYOND if K == 0.0 or (0 <= cell < cells and state[cell] == 2) else MISSING
            lost[p] = K
