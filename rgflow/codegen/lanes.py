"""The kernel that runs a table of rows for many points at once: brackets from tables in K, points side by side.

Static code, compiled by Numba once for all Systems and activations: rows, tables and hyperparameters are data. A block
of ``LANES`` points goes through all layers before the next one starts, so that its state stays in the cache; every
inner loop runs over lanes, which is what the compiler turns into vector instructions. A layer reads the tensors of one
side of ``x`` and writes those of the other, so that nothing is copied.

A bracket is a function of the one number K. Its polynomials stand in cells of K whose edges are read off the bits of
the floating-point number; a cell also serves the next one, so that neighbouring points mostly share their coefficients.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rgflow.brackets.in_kernel import DEGREE, KNOWN, UNKNOWN
from rgflow.jit import static
from rgflow.memory import zeros

LANES = 64  # points of a block
GROUP = 16  # lanes that share a cell where they can
_GROUPS = LANES // GROUP
GOOD, RUNS_AWAY, MISSING, BEYOND = 0, 1, 2, 3  # what became of a point
EPSILON = float(np.finfo(np.float64).eps)
_TERMS = DEGREE + 1
_INFINITE = 0x7FF0000000000000  # the bits of infinity
# NaN marks lanes that are lost, so that everything but the order of operations stays as IEEE has it.
_FLAGS = ("contract", "reassoc", "nsz", "arcp")

assert _TERMS == 13, "Horner's rule is written out below"


def room(tensors: int, count: int, monomials: int, factor: NDArray[np.int64]) -> tuple[Any, ...]:
    """Where :func:`run` works, made here: to compile what makes and views arrays would take a second of every new user.

    Returns x, y (the flow beside it, displaced by its errors) and e (errors) by rows of lanes, the bits of x and y,
    factors as rows of x (2, F), monomials, fates, three more rows, and x, bits and e, y, bits and e by groups of lanes.
    """
    rows = 2 * tensors + count
    x, y, e = zeros(3, rows, LANES)
    bits, bits_of_y = x.view(np.int64), y.view(np.int64)
    shape = rows, _GROUPS, GROUP
    views = x.reshape(shape), bits.reshape(shape), e.reshape(shape)
    others = y.reshape(shape), bits_of_y.reshape(shape), e.reshape(shape)
    factors = np.stack([np.where(factor < tensors, factor, factor + tensors), factor + tensors])  # even layers, odd
    weights, rest, fate = zeros(monomials, LANES), zeros(3, LANES), zeros(LANES).view(np.int64)
    return x, bits, y, bits_of_y, e, factors, weights, fate, rest, views, others


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
    space: Any,
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
    space : of :func:`room`
    """
    target, monomial, start, _ = rows
    tensors, count = first.shape[0], tables[5].shape[1]
    doubtful, never = errors.shape[0] > 0, errors.shape[0] < 0  # not False itself, for which all would be compiled anew
    averages = 2 * tensors  # rows of x, y and e: tensors of even layers, of odd ones, and brackets
    x, bits, y, bits_of_y, e, factors, weights, fate, rest, views, others = space
    by_row = monomial, start, factors
    lost, product, other = rest[0], rest[1], rest[2]
    end = begin + first.shape[1]
    for block in range(begin, end, LANES):
        lanes = min(LANES, end - block)
        for t in range(tensors):
            _fill(x, t, first[t, block - begin : block - begin + lanes])
        for q in range(monomials.shape[0]):
            _fill(weights, q, monomials[q, block - begin : block - begin + lanes])
        for m in range(averages, averages + count):  # the first layer is made by no average
            for p in range(LANES):
                x[m, p] = math.nan
        for p in range(LANES):
            fate[p] = GOOD
            lost[p] = 0.0
        if doubtful:
            for t in range(averages + count):
                for p in range(LANES):
                    y[t, p] = x[t, p] * (1.0 + 2.0 * EPSILON)
                    e[t, p] = 2.0 * EPSILON * abs(x[t, p])
        settled = displaced_settled = False
        for layer in range(keep.size):
            odd = layer & 1
            here = tensors * odd
            _store(layer, here, tensors, keep, wanted, x, y, e, doubtful, block, lanes, out, errors)
            if layer == scale.shape[0]:
                break
            if not settled:  # at a fixed point of K the brackets are what they were, to the last bit
                left = _brackets(here, averages, views, tables, doubtful)
                if left:
                    _rest(left, here, averages, x, bits, e, tables, fate, lost, doubtful)
            _rows(x, odd, tensors, target, by_row, scale, layer, weights, product)
            if doubtful:
                if not displaced_settled:
                    for p in range(LANES):
                        y[here, p] = abs(y[here, p])
                    left = _brackets(here, averages, others, tables, never)
                    if left:
                        _rest(left, here, averages, y, bits_of_y, e, tables, fate, lost, never)
                    for m in range(count):
                        sign = 1.0 - 2.0 * (m & 1)  # apart, so that errors do not cancel in differences
                        for p in range(LANES):
                            y[averages + m, p] += sign * e[averages + m, p]
                _rows(y, odd, tensors, target, by_row, scale, layer, weights, product)
                _bounds(x, e, odd, tensors, target, by_row, scale, layer, weights, product, other)
            settled = _same(bits, tensors)
            displaced_settled = settled and doubtful and _same(bits_of_y, tensors)
        _check(x, tensors * (scale.shape[0] & 1), fate)
        for p in range(lanes):
            status[block + p] = fate[p]
            missing[block + p] = lost[p]


# Parts of run, in it whole. Those of every layer make neither views nor arrays and call nothing: to count references
# and to ask for memory costs more than the arithmetic.


@static(inlined=True)
def _fill(rows: Any, row: int, given: Any) -> None:
    """A row of lanes from the numbers of its points; the last block repeats its last point."""
    for p in range(given.size):
        rows[row, p] = given[p]
    for p in range(given.size, LANES):
        rows[row, p] = given[given.size - 1]


@static(inlined=True)
def _same(bits: Any, tensors: int) -> bool:
    """Whether K is the same on both sides in every lane, bit by bit."""
    different = 0
    for p in range(LANES):
        different |= bits[0, p] ^ bits[tensors, p]
    return different == 0


@static(inlined=True)
def _check(x: Any, kernel: int, fate: Any) -> None:
    """Lanes whose K no flow can go on from are lost."""
    for p in range(LANES):
        x[kernel, p] += 0.0  # no -0
        if not 0.0 <= x[kernel, p] < math.inf:
            if fate[p] == GOOD:
                fate[p] = RUNS_AWAY
            x[kernel, p] = math.nan


@static(inlined=True)
def _store(
    layer: int,
    side: int,
    tensors: int,
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
        t = wanted[w] + (side if wanted[w] < tensors else tensors)
        for p in range(lanes):
            out[slot, w, block + p] = x[t, p]
        if doubtful:
            for p in range(lanes):
                errors[slot, w, block + p] = abs(x[t, p] - y[t, p]) + e[t, p]


@static(*_FLAGS, inlined=True)
def _rows(
    x: Any,
    odd: int,
    tensors: int,
    target: Any,
    by_row: Any,
    scale: Any,
    layer: int,
    weights: Any,
    product: Any,
) -> None:
    """The new tensors: for every row scale * monomial * product of factors."""
    monomial, start, factors = by_row
    there = tensors * (1 - odd)
    for t in range(there, there + tensors):
        for p in range(LANES):
            x[t, p] = 0.0
    for row in range(target.shape[0]):
        s = scale[layer, row]
        if s == 0.0:
            continue
        w, o, a, many = monomial[row], there + target[row], start[row], start[row + 1] - start[row]
        if many == 0:
            for p in range(LANES):
                x[o, p] += s * weights[w, p]
        elif many == 1:
            f = factors[odd, a]
            for p in range(LANES):
                x[o, p] += s * weights[w, p] * x[f, p]
        elif many == 2:
            f, g = factors[odd, a], factors[odd, a + 1]
            for p in range(LANES):
                x[o, p] += s * weights[w, p] * (x[f, p] * x[g, p])
        elif many == 3:
            f, g, h = factors[odd, a], factors[odd, a + 1], factors[odd, a + 2]
            for p in range(LANES):
                x[o, p] += s * weights[w, p] * (x[f, p] * x[g, p]) * x[h, p]
        else:
            for p in range(LANES):
                product[p] = s * weights[w, p]
            for i in range(a, a + many):
                f = factors[odd, i]
                for p in range(LANES):
                    product[p] *= x[f, p]
            for p in range(LANES):
                x[o, p] += product[p]


@static(*_FLAGS, inlined=True)
def _bounds(
    x: Any,
    e: Any,
    odd: int,
    tensors: int,
    target: Any,
    by_row: Any,
    scale: Any,
    layer: int,
    weights: Any,
    below: Any,
    above: Any,
) -> None:
    """Errors through the polynomial with positive coefficients: its growth from |x| to |x| + e, and rounding."""
    monomial, start, factors = by_row
    there = tensors * (1 - odd)
    for t in range(there, there + tensors):
        for p in range(LANES):
            e[t, p] = 0.0
    for row in range(target.shape[0]):
        if scale[layer, row] == 0.0:
            continue
        for p in range(LANES):
            below[p] = abs(scale[layer, row] * weights[monomial[row], p])
            above[p] = below[p]
        for i in range(start[row], start[row + 1]):
            f = factors[odd, i]
            for p in range(LANES):
                size = abs(x[f, p])
                below[p] *= size
                above[p] *= size + e[f, p]
        for p in range(LANES):
            e[there + target[row], p] += (above[p] - below[p]) + 4.0 * EPSILON * below[p]


@static(*_FLAGS, inlined=True)
def _brackets(kernel: int, averages: int, views: Any, tables: Any, doubtful: bool) -> int:
    """Brackets at K = x[kernel] into the rows from ``averages``, their errors into those of e, by groups of lanes.

    Returns, as bits, the groups whose lanes share no cell: sums of indices would hide from the compiler that they are
    not negative, hence x, its bits and e by groups, which are ``views``.
    """
    x, bits, e = views
    shift, low, centre, inverse, state, coefficient, doubt, _ = tables
    cells, count = doubt.shape
    left = 0
    for g in range(_GROUPS):
        least, most = bits[kernel, g, 0], bits[kernel, g, 0]
        for p in range(GROUP):  # positive numbers are in the order of their bits; NaN is above, what is negative below
            least, most = min(least, bits[kernel, g, p]), max(most, bits[kernel, g, p])
        cell = (least >> shift) - low
        if not (0 <= cell < cells and (most >> shift) - low <= cell + 1 and state[cell] == KNOWN):
            left |= 1 << g
            continue
        c, h = centre[cell], inverse[cell]
        for m in range(count):
            c0, c1, c2 = coefficient[cell, m, 0], coefficient[cell, m, 1], coefficient[cell, m, 2]
            c3, c4, c5 = coefficient[cell, m, 3], coefficient[cell, m, 4], coefficient[cell, m, 5]
            c6, c7, c8 = coefficient[cell, m, 6], coefficient[cell, m, 7], coefficient[cell, m, 8]
            c9, c10, c11 = coefficient[cell, m, 9], coefficient[cell, m, 10], coefficient[cell, m, 11]
            c12 = coefficient[cell, m, 12]
            for p in range(GROUP):
                u = (x[kernel, g, p] - c) * h
                s = u * u
                even = (((((c12 * s + c10) * s + c8) * s + c6) * s + c4) * s + c2) * s + c0
                x[averages + m, g, p] = even + u * (((((c11 * s + c9) * s + c7) * s + c5) * s + c3) * s + c1)
            if doubtful:
                for p in range(GROUP):
                    e[averages + m, g, p] = doubt[cell, m]
    return left


@static(*_FLAGS, inlined=True)
def _rest(
    left: int,
    kernel: int,
    averages: int,
    x: Any,
    bits: Any,
    e: Any,
    tables: Any,
    fate: Any,
    lost: Any,
    doubtful: bool,
) -> None:
    """The brackets of groups that are ``left``, lane by lane: these stand in several cells, or have none."""
    shift, low, centre, inverse, state, coefficient, doubt, zero = tables
    cells, count = doubt.shape
    _check(x, kernel, fate)
    for p in range(LANES):
        if not left >> p // GROUP & 1:
            continue
        K, cell = x[kernel, p], (bits[kernel, p] >> shift) - low
        if K > 0.0 and 0 <= cell < cells and state[cell] == KNOWN:
            u = (K - centre[cell]) * inverse[cell]
            for m in range(count):
                total = coefficient[cell, m, DEGREE]
                for k in range(DEGREE - 1, -1, -1):
                    total = total * u + coefficient[cell, m, k]
                x[averages + m, p] = total
                if doubtful:
                    e[averages + m, p] = doubt[cell, m]
            continue
        for m in range(count):
            value = zero[m] if K == 0.0 else math.nan
            x[averages + m, p] = value
            if doubtful:
                e[averages + m, p] = 4.0 * EPSILON * abs(value)
            if math.isnan(value) and fate[p] == GOOD:
                fate[p] = BEYOND if K == 0.0 or (0 <= cell < cells and state[cell] == UNKNOWN) else MISSING
                lost[p] = K
