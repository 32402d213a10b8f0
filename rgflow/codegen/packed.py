"""The rows of a table for many inputs, compiled: symmetric components once, errors beside values.

The law is that of :func:`rgflow.codegen.generic.step`. Here a tensor's components that symmetry relates are stored
once, found through an index map, and every term is evaluated three times side by side: at the values; at their absolute
values; and at those plus their errors. The last two, with positive coefficients, differ by a bound on the error.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rgflow.codegen.generic import Array
from rgflow.jit import static

EPSILON = float(np.finfo(float).eps)


@static("contract")
def step(
    samples: int,
    first: int,
    last: int,
    work: Array,
    slots: Array,
    slot_start: Array,
    state: Array,
    errors: Array,
    brackets: Array,
    doubts: Array,
    bracket_offsets: Array,
    hyper: Array,
    tables: Any,
    out: Array,
    out_errors: Array,
) -> None:
    """out[job], out_errors[job] = the new layer's component and its error, for the components first..last - 1.

    samples: number N of inputs. work: rows (target, component), a component being its samples as digits in base N.
    slots: for each tensor from slot_start on, the place of each of its N^arity components in ``state``. brackets:
    values of each shape, at bracket_offsets[shape] + (samples of the factors) * counts + (derivatives on each factor).
    hyper: the symbols of the table and r.
    """
    (
        arity,
        row_start,
        coefficient,
        powers,
        value_start,
        value_tensor,
        value_index,
        bracket_start,
        bracket_shape,
        bracket_factor,
        sum_start,
        sum_bracket,
        shape_width,
        shape_base,
    ) = tables
    external = np.zeros(64, np.int64)
    choice = np.zeros(64, np.int64)
    option = np.zeros((64, 64), np.int64)
    options = np.zeros(64, np.int64)
    digit = np.zeros(64, np.int64)
    for job in range(first, last):
        target = work[job, 0]
        code = work[job, 1]
        for i in range(arity[target] - 1, -1, -1):
            external[i] = code % samples
            code //= samples
        total = below = above = 0.0
        for row in range(row_start[target], row_start[target + 1]):
            weight = coefficient[row]
            for i in range(powers.shape[1]):
                for _ in range(powers[row, i]):
                    weight *= hyper[i]
            if weight == 0.0:
                continue
            first_bracket, last_bracket = bracket_start[row], bracket_start[row + 1]
            sums = sum_start[row + 1] - sum_start[row]
            for d in range(sums):
                b = sum_bracket[sum_start[row] + d]
                width = shape_width[bracket_shape[first_bracket + b]]
                count = 0
                for i in range(width):
                    fresh = True
                    for j in range(i):
                        before = external[bracket_factor[first_bracket + b, j]]
                        fresh = fresh and before != external[bracket_factor[first_bracket + b, i]]
                    if fresh:
                        option[d, count] = i
                        count += 1
                options[d] = count
                digit[d] = 0
            while True:
                for d in range(sums):
                    choice[d] = option[d, digit[d]]
                term, low, high = weight, abs(weight), abs(weight)
                for v in range(value_start[row], value_start[row + 1]):
                    tensor = value_tensor[v]
                    place = 0
                    for i in range(arity[tensor]):
                        index = value_index[v, i]
                        if index >= 0:
                            sample = external[index]
                        else:
                            d = -index - 1
                            b = first_bracket + sum_bracket[sum_start[row] + d]
                            sample = external[bracket_factor[b, choice[d]]]
                        place = place * samples + sample
                    slot = slots[slot_start[tensor] + place]
                    x = state[slot]
                    term *= x
                    low *= abs(x)
                    high *= abs(x) + errors[slot]
                for b in range(first_bracket, last_bracket):
                    shape = bracket_shape[b]
                    width, base = shape_width[shape], shape_base[shape]
                    place = 0
                    for i in range(width):
                        place = place * samples + external[bracket_factor[b, i]]
                    counts = 0
                    size = 1
                    for i in range(width):
                        for d in range(sums):
                            if sum_bracket[sum_start[row] + d] == b - first_bracket and choice[d] == i:
                                counts += size
                        size *= base
                    at = bracket_offsets[shape] + place * size + counts
                    x = brackets[at]
                    term *= x
                    low *= abs(x)
                    high *= abs(x) + doubts[at]
                total += term
                below += low
                above += high
                d = 0
                while d < sums:
                    digit[d] += 1
                    if digit[d] < options[d]:
                        break
                    digit[d] = 0
                    d += 1
                if d == sums:
                    break
        out[job] = total
        out_errors[job] = above - below + 4 * EPSILON * below
