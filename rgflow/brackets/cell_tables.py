"""Tables of polynomials on equal cells, read at many places and combined: compiled.

Neither calls the other, or anything compiled: see :mod:`rgflow.brackets.pair_nodes`.
"""

from __future__ import annotations

from typing import Any

from rgflow.jit import static

Array = Any  # NumPy arrays, or what Numba makes of them

compiled = static("reassoc", "contract", "nsz")


@compiled
def combined(tables: Array, first: Array, share: Array, shift: int, out: Array) -> None:
    """out[c] (zero before) = the table of one deviation, from its neighbours, without ``shift`` cells at both ends."""
    for c in range(first.size):
        for v in range(share.shape[1]):
            weight = share[c, v]
            if weight != 0.0:
                for k in range(out.shape[1]):
                    row, source = out[c, k], tables[first[c] + v, k, shift:]
                    for i in range(row.size):
                        row[i] += weight * source[i]


@compiled
def read(
    tables: Array,
    reach: float,
    shift: int,
    lines: Array,
    t1: Array,
    t2: Array,
    columns: Array,
    cell: Array,
    s: Array,
    out: Array,
    norm: Array,
) -> None:
    """out[c, :columns[c]] = the columns of table c (terms, columns, cells - 2 shift) at lines[c] . (t_1, t_2).

    norm[c]: the sum of their squares. cell, s: room for the cell of each node and the place in it.
    """
    cells = tables.shape[3]
    scale = 0.5 * (cells + 2 * shift) / reach
    for c in range(tables.shape[0]):
        for n in range(t1.size):
            position = (lines[c, 0] * t1[n] + lines[c, 1] * t2[n] + reach) * scale
            i = int(position)
            cell[n] = min(max(i - shift, 0), cells - 1)
            s[n] = 2.0 * (position - i) - 1.0
            norm[c, n] = 0.0
        for k in range(columns[c]):
            t, found, square = tables[c], out[c, k], norm[c]
            c11, c10, c9, c8, c7, c6 = t[11, k], t[10, k], t[9, k], t[8, k], t[7, k], t[6, k]
            c5, c4, c3, c2, c1, c0 = t[5, k], t[4, k], t[3, k], t[2, k], t[1, k], t[0, k]
            for n in range(t1.size):
                i, y = cell[n], s[n]
                x = (((((c11[i] * y + c10[i]) * y + c9[i]) * y + c8[i]) * y + c7[i]) * y + c6[i]) * y + c5[i]
                x = ((((x * y + c4[i]) * y + c3[i]) * y + c2[i]) * y + c1[i]) * y + c0[i]
                found[n] = x
            for n in range(t1.size):
                square[n] += found[n] * found[n]
