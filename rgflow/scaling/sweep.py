"""Kernels through all layers in logarithms: one loop over rows of terms, which knows no recurrence by itself.

Every term of a kernel and of a difference of kernels is positive, so that sums of logarithms lose nothing, at any size.
The loop stops where a table of averages has a hole; it is filled, and the loop goes on. Short runs are plain Python;
long ones are compiled by Numba, the same function.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rgflow.errors import AccuracyError
from rgflow.scaling.averages import CELL, FINEST, LEAST, MOST, WIDEST, Averages

Array = NDArray[np.float64]
CONSTANT, KERNEL, AVERAGE = 0, 1, 2
LONG = 3000  # layers from which compiling pays
_DONE, _SINGLE, _APART, _FAR = 0, 1, 2, 3


def sweep(terms: NDArray[np.int64], logs: Array, log_K: Array, log_D: Array, tables: Averages) -> None:
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
    at = 0
    while True:
        at, stopped, row, column = run(
            at, terms, logs, log_K, log_D, tables.single, tables.apart, tables.degree, tables.logs[0], low[0], high[0]
        )
        if stopped == _DONE:
            return
        if stopped == _SINGLE:
            tables.fill_single(row)
        elif stopped == _APART:
            tables.fill_apart(row, column)
        else:
            raise AccuracyError(
                f"at layer {at + 1} the kernel is not finite, or too large or too small for two inputs; follow one "
                "input (gamma0=None), or fewer layers"
            )


@lru_cache(maxsize=1)
def _compiled() -> Any:
    from numba import njit

    return njit(cache=True)(_run)


def _run(
    at: int,
    terms: Any,
    logs: Any,
    log_K: Any,
    log_D: Any,
    single: Any,
    apart: Any,
    degree: float,
    log_c: float,
    low: float,
    high: float,
) -> tuple[int, int, int, int]:
    """(layer, why it stopped, row, column of the cell that is missing)."""
    layers, count = logs.shape
    nodes = single.shape[2]
    stages = log_K.shape[1] - 1
    both = not math.isnan(log_D[0, 0])
    inner = np.empty(nodes)
    for l in range(at, layers):
        for s in range(1, stages + 1):
            log_K[l + 1, s] = -math.inf
            log_D[l + 1, s] = -math.inf if both else math.nan
        for t in range(count):
            if logs[l, t] == -math.inf:
                continue
            stage, what, source = terms[t, 0], terms[t, 1], terms[t, 2]
            value, change = 0.0, -math.inf
            if what != 0:
                # stage 0 of this layer is the output of the layer below
                K = log_K[l, stages] if source == 0 else log_K[l + 1, source]
                D = log_D[l, stages] if source == 0 else log_D[l + 1, source]
                if source == 0 and l == 0:
                    K, D = log_K[0, 0], log_D[0, 0]
                value, change = K, D
                if what == 2:
                    if not math.isnan(degree):
                        value = log_c + degree * K
                    elif math.isinf(K) and K < 0:
                        value = -math.inf
                    else:
                        place = K / CELL
                        beyond = 0.0
                        if place < LEAST:
                            beyond, place = low * (K - LEAST * CELL), float(LEAST)
                        elif place >= MOST:
                            beyond, place = high * (K - MOST * CELL), MOST - 1e-9
                        cell = math.floor(place) - LEAST
                        if math.isnan(single[cell, 0, 0]):
                            return l, 1, cell, 0
                        x = 2.0 * (place - LEAST - cell) - 1.0
                        one, two = 0.0, 0.0
                        for k in range(nodes - 1, 0, -1):
                            one, two = single[cell, 0, k] + 2.0 * x * one - two, one
                        value = single[cell, 0, 0] + x * one - two + beyond
                    if both and not math.isinf(D):
                        # b^2 = D/2, a^2 = K - D/2
                        half = 0.5 * math.exp(D - K)
                        if not half < 1.0 + 1e-12:
                            return l, 3, 0, 0
                        log_b = 0.5 * (D - math.log(2.0))
                        log_a = 0.5 * (K + math.log(max(1.0 - half, 1e-30)))
                        if not math.isnan(degree):
                            y = (log_b - log_a) / CELL
                            rest = 0.0
                            if y < -WIDEST:
                                rest, y = 2.0 * (y + WIDEST) * CELL, -float(WIDEST)
                            row, x = 0, 0.0
                            column = min(math.floor(y), WIDEST - 1) + WIDEST
                            y = 2.0 * (y + WIDEST - column) - 1.0
                            rest += degree * K
                        else:
                            u = max(log_a / CELL, float(FINEST))
                            y = log_b / CELL
                            rest = 0.0
                            if y < FINEST:  # differences are proportional to b
                                rest, y = 2.0 * (y - FINEST) * CELL, float(FINEST)
                            row = math.floor(u) - FINEST
                            column = math.floor(y) - FINEST
                            if row >= apart.shape[0] or column >= apart.shape[1]:
                                return l, 3, 0, 0
                            x = 2.0 * (u - FINEST - row) - 1.0
                            y = 2.0 * (y - FINEST - column) - 1.0
                        if math.isnan(apart[row, column, 0, 0]):
                            return l, 2, row, column
                        for i in range(nodes):
                            one, two = 0.0, 0.0
                            for k in range(nodes - 1, 0, -1):
                                one, two = apart[row, column, i, k] + 2.0 * y * one - two, one
                            inner[i] = apart[row, column, i, 0] + y * one - two
                        one, two = 0.0, 0.0
                        for k in range(nodes - 1, 0, -1):
                            one, two = inner[k] + 2.0 * x * one - two, one
                        change = inner[0] + x * one - two + rest
            # log(exp(old) + exp(new))
            for which in range(2):
                if which == 1 and not both:
                    continue
                old = log_K[l + 1, stage] if which == 0 else log_D[l + 1, stage]
                new = logs[l, t] + (value if which == 0 else change)
                if new > old:
                    old, new = new, old
                if new > -math.inf:
                    old += math.log1p(math.exp(new - old))
                if which == 0:
                    log_K[l + 1, stage] = old
                else:
                    log_D[l + 1, stage] = old
        if not abs(log_K[l + 1, stages]) < 1e300:
            return l, 3, 0, 0
    return layers, 0, 0, 0
