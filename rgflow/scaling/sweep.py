"""Kernels through all layers in logarithms: one loop over rows of terms, which knows no recurrence by itself.

Every term of a kernel and of a difference of kernels is positive, so that sums of logarithms lose nothing, at any size.
The loop stops where a table of averages has a hole; it is filled, and the loop goes on. Short runs are plain Python;
long ones are compiled by Numba, the same function.
"""

from __future__ import annotations

import math
from functools import lru_cache
from types import FunctionType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rgflow.errors import AccuracyError
from rgflow.scaling.tables import CELL, FINEST, LEAST, MOST, WIDEST, Tables

Array = NDArray[np.float64]
CONSTANT, KERNEL, AVERAGE = 0, 1, 2
LONG = 3000  # layers from which compiling pays
_DONE, _SINGLE, _APART, _FAR = 0, 1, 2, 3


def sweep(terms: NDArray[np.int64], logs: Array, log_K: Array, log_D: Array, tables: Tables) -> None:
    """Fill log_K and log_D, (L + 1, stages + 1), in place; column 0 of layer 0 is given, rows above the input follow.

    Parameters
    ----------
    terms : (T, 3)
        Stage, what (a constant, a kernel, an average), and the stage that is read, in the order of stages.
    logs : (L, T)
        Logarithms of their coefficients; -inf for none.
    log_D : K minus the kernel of two inputs of equal norm; NaN at layer 0: they are not followed.

    Raises AccuracyError where kernels leave the range of the tables, or double precision.
    """
    layers = len(logs)
    run = _compiled() if layers > LONG else _run
    low, high = np.zeros(1), np.zeros(1)
    if np.isnan(tables.degree):
        low, high = (tables.tails(np.array([above]))[0] for above in (False, True))
    numbers = np.array([tables.degree, tables.logs[0], low[0], high[0], tables.floor, tables.origin[0]])
    at = 0
    while True:
        at, stopped, row, column = run(at, terms, logs, log_K, log_D, tables.single, tables.apart, numbers)
        if stopped == _DONE:
            return
        if stopped == _SINGLE:
            try:
                tables.fill_single(row)
            except AccuracyError as error:
                raise AccuracyError(f"at layer {at + 1}: {error}") from None
        elif stopped == _APART:
            tables.fill_apart(row, column)
        else:
            raise AccuracyError(
                f"at layer {at + 1} the kernel is not finite, or too large or too small for two inputs; follow one "
                "input (gamma0=None), or fewer layers"
            )


@lru_cache(maxsize=1)
def _compiled() -> Any:
    """The loop with what it calls, each compiled."""
    from numba import njit

    compiled = njit(cache=True)
    names = dict(globals())
    for function in (_chebyshev, _added, _average, _place, _apart):
        names[function.__name__] = compiled(FunctionType(function.__code__, names))
    return compiled(FunctionType(_run.__code__, names))


# The loop, in words that Python and Numba share; ``numbers``: degree, log c, both tails, the floor, log V(0) ----------


def _run(
    at: int, terms: Any, logs: Any, log_K: Any, log_D: Any, single: Any, apart: Any, numbers: Any
) -> tuple[int, int, int, int]:
    """(layer, why it stopped, row, column of the cell that is missing)."""
    layers, count = logs.shape
    stages = log_K.shape[1] - 1
    both = not math.isnan(log_D[0, 0])
    inner = np.empty(single.shape[2])
    for l in range(at, layers):
        for s in range(1, stages + 1):
            log_K[l + 1, s] = -math.inf
            log_D[l + 1, s] = -math.inf if both else math.nan
        for t in range(count):
            if logs[l, t] == -math.inf:
                continue
            stage, what, source = terms[t, 0], terms[t, 1], terms[t, 2]
            value, change = 0.0, -math.inf
            if what != CONSTANT:
                # stage 0 of this layer is the output of the layer below
                K = log_K[l, stages] if source == 0 else log_K[l + 1, source]
                D = log_D[l, stages] if source == 0 else log_D[l + 1, source]
                if source == 0 and l == 0:
                    K, D = log_K[0, 0], log_D[0, 0]
                value, change = K, D
                if what == AVERAGE:
                    value, missing = _average(K, single, numbers)
                    if missing >= 0:
                        return l, _SINGLE, missing, 0
                    if both and not math.isinf(D):
                        change, stopped, row, column = _apart(K, D, apart, numbers, inner)
                        if stopped != _DONE:
                            return l, stopped, row, column
            log_K[l + 1, stage] = _added(log_K[l + 1, stage], logs[l, t] + value)
            if both:
                log_D[l + 1, stage] = _added(log_D[l + 1, stage], logs[l, t] + change)
        if not abs(log_K[l + 1, stages]) < 1e300:
            return l, _FAR, 0, 0
    return layers, _DONE, 0, 0


def _added(old: float, new: float) -> float:
    """log(exp(old) + exp(new)); NaN if one of them is."""
    if math.isnan(new):
        return new
    if new > old:
        old, new = new, old
    return old + math.log1p(math.exp(new - old)) if new > -math.inf else old


def _chebyshev(coefficients: Any, x: float) -> float:
    """The sum of T_k(x) (Clenshaw)."""
    one, two = 0.0, 0.0
    for k in range(coefficients.shape[0] - 1, 0, -1):
        one, two = coefficients[k] + 2.0 * x * one - two, one
    return float(coefficients[0] + x * one - two)


def _average(K: float, single: Any, numbers: Any) -> tuple[float, int]:
    """log <sigma sigma>, and the cell that is missing or -1."""
    degree, log_c, low, high = numbers[0], numbers[1], numbers[2], numbers[3]
    if not math.isnan(degree):
        return log_c + degree * K, -1
    if math.isinf(K) and K < 0:
        return float(numbers[5]), -1
    place = K / CELL
    beyond = 0.0
    if place < LEAST:
        beyond, place = low * (K - LEAST * CELL), float(LEAST)
    elif place >= MOST:
        beyond, place = high * (K - MOST * CELL), MOST - 1e-9
    cell = math.floor(place) - LEAST
    if math.isnan(single[cell, 0, 0]):
        return 0.0, cell
    return _chebyshev(single[cell, 0], 2.0 * (place - LEAST - cell) - 1.0) + beyond, -1


def _apart(K: float, D: float, apart: Any, numbers: Any, inner: Any) -> tuple[float, int, int, int]:
    """log of <sigma sigma> less <sigma_1 sigma_2>, why it is not known, row and column of the cell."""
    half = 0.5 * math.exp(D - K)  # b^2 = D/2, a^2 = K - D/2
    if not half < 1.0 + 1e-12:
        return 0.0, _FAR, 0, 0
    log_b = 0.5 * (D - math.log(2.0))
    log_a = 0.5 * (K + math.log(max(1.0 - half, 1e-30)))
    row, column, x, y, rest = _place(K, log_a, log_b, numbers)
    if row >= apart.shape[0] or column >= apart.shape[1]:
        return 0.0, _FAR, 0, 0
    if math.isnan(apart[row, column, 0, 0]):
        return 0.0, _APART, row, column
    for i in range(apart.shape[2]):
        inner[i] = _chebyshev(apart[row, column, i], y)
    return _chebyshev(inner, x) + rest, _DONE, row, column


def _place(K: float, log_a: float, log_b: float, numbers: Any) -> tuple[int, int, float, float, float]:
    """Row, column and place in the cell, and what is to be added as the table ends or is of q = 1."""
    degree, floor = numbers[0], numbers[4]
    rest = 0.0
    if not math.isnan(degree):
        y = (log_b - log_a) / CELL
        if y < -WIDEST:
            rest, y = 2.0 * (y + WIDEST) * CELL, -float(WIDEST)
        column = min(math.floor(y), WIDEST - 1) + WIDEST
        return 0, column, 0.0, 2.0 * (y + WIDEST - column) - 1.0, rest + degree * K
    u = max(log_a / CELL, floor)
    y = log_b / CELL
    if y < floor:  # differences are proportional to b
        rest, y = 2.0 * (y - floor) * CELL, floor
    row, column = math.floor(u) - FINEST, math.floor(y) - FINEST
    return row, column, 2.0 * (u - FINEST - row) - 1.0, 2.0 * (y - FINEST - column) - 1.0, rest
