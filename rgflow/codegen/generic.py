"""The kernel that runs any table of rows: plain Python here, compiled by Numba where it is copied to.

The function is copied, word for word, into a module of the store, where Numba compiles it once for all Systems (Numba
does not notice an edited helper in another file; the store names a module by its text). It also runs as it stands.

A row is coefficient * prod hyper^power * prod tensors * prod brackets. With many inputs it also has summed indices;
each is the sample of one factor of the bracket on which its derivative acts, every distinct sample once.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = Any  # NumPy arrays, or what Numba makes of them


def step(
    samples: int,
    work: Array,
    state: Array,
    offsets: Array,
    brackets: Array,
    bracket_offsets: Array,
    hyper: Array,
    tables: Array,
    out: Array,
) -> None:
    """out[...] = the new layer's tensors, for the components listed in ``work``.

    samples: number N of inputs. work: rows (target, component, position in out), a component being its samples as
    digits in base N. state: tensors of the layer below, each an N^arity block at offsets[tensor]. brackets: values of
    each shape, at bracket_offsets[shape] + (samples of the factors) * counts + (derivatives on each factor). hyper:
    C_b, C_W, lambda_b, lambda_W of the new layer, other symbols of its law by name, and r.
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
    for job in range(work.shape[0]):
        target = work[job, 0]
        code = work[job, 1]
        for i in range(arity[target] - 1, -1, -1):
            external[i] = code % samples
            code //= samples
        total = 0.0
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
                term = weight
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
                    term *= state[offsets[tensor] + place]
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
                    term *= brackets[bracket_offsets[shape] + place * size + counts]
                total += term
                d = 0
                while d < sums:
                    digit[d] += 1
                    if digit[d] < options[d]:
                        break
                    digit[d] = 0
                    d += 1
                if d == sums:
                    break
        out[work[job, 2]] = total
