r"""Averages over two, three and four inputs, compiled: a grid over two of them, the others in series given those.

.. math:: E[f_a f_b f_c f_d] = \sum_{nodes} w\, f_a(z_a) f_b(z_b)
          \sum_k \frac{R^k}{k!} A^c_{k+j_c}(m_c) A^d_{k+j_d}(m_d)

with m and R the means and the covariance of the inner inputs given the outer ones and f_c = sigma^{(j_c)} (Mehler). The
grid is the trapezoid rule in z_a = L_11 t_1, z_b = L_21 t_1 + L_22 t_2 on a disc; the rows of t_2 are kept in four
classes, every fourth node each, so that sums against the alternating sign and against half that frequency, which tell
the error, come with the value.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rgflow.jit import static

Array = Any  # NumPy arrays, or what Numba makes of them

FREQUENCIES = np.array([1.0, 0.875, 0.875, 0.75, 0.75, 0.5, 0.5])
BLOCK = 256  # nodes at a time where many inner inputs share them: their columns should stay in the cache
compiled = static("reassoc", "contract", "nsz")


@compiled
def read(table: Array, reach: float, shift: int, x: Array, columns: int, out: Array) -> None:
    """out[:columns] = the columns of a table (terms, columns, cells - shift) at x, all nodes of a column at once."""
    cells = 0.5 * (table.shape[2] + 2 * shift) / reach
    cell, s = np.empty(x.size, np.int64), np.empty(x.size)
    for n in range(x.size):
        position = (x[n] + reach) * cells
        i = int(position)
        cell[n] = min(max(i - shift, 0), table.shape[2] - 1)
        s[n] = 2.0 * (position - i) - 1.0
    for k in range(columns):
        a, b, c, d = table[11, k], table[10, k], table[9, k], table[8, k]
        e, f, g, h = table[7, k], table[6, k], table[5, k], table[4, k]
        p, q, r, o = table[3, k], table[2, k], table[1, k], table[0, k]
        for n in range(x.size):
            i, y = cell[n], s[n]
            high = ((((a[i] * y + b[i]) * y + c[i]) * y + d[i]) * y + e[i]) * y + f[i]
            out[k, n] = (((((high * y + g[i]) * y + h[i]) * y + p[i]) * y + q[i]) * y + r[i]) * y + o[i]


@compiled
def tabled(tables: Array, start: int, share: Array, shift: int, out: Array) -> None:
    """out = the table of one deviation, from its neighbours, without ``shift`` cells at both ends."""
    terms, columns, cells = out.shape
    for v in range(share.size):
        if v == 0 or share[v] != 0.0:
            for d in range(terms):
                for k in range(columns):
                    row, source = out[d, k], tables[start + v, d, k]
                    for i in range(cells):
                        row[i] = (row[i] if v > 0 else 0.0) + share[v] * source[i + shift]


@compiled
def outside(cells: int, reach: float, furthest: float) -> int:
    """How many cells at either end are never read."""
    return max(0, int((reach - furthest) * 0.5 * cells / reach) - 1)


@compiled
def row_of(Q: Array, n: int, q: int, p: float, flat: bool, out: Array) -> float:
    """Add a row of weighted values to the sums value, absolute, fine, half, edge of ``out``; returns its own sum."""
    c0 = c1 = c2 = c3 = size = 0.0
    for k in range(n, n + q):
        c0 += Q[k]
        size += abs(Q[k])
    for k in range(n + q, n + 2 * q):
        c1 += Q[k]
        size += abs(Q[k])
    for k in range(n + 2 * q, n + 3 * q):
        c2 += Q[k]
        size += abs(Q[k])
    for k in range(n + 3 * q, n + 4 * q):
        c3 += Q[k]
        size += abs(Q[k])
    whole, weight = p * (c0 + c1 + c2 + c3), abs(p)
    out[0] += whole
    out[1] += weight * size
    out[2] += weight * abs(c0 + c2 - c1 - c3)
    out[3] += weight * math.sqrt((c0 - c2) ** 2 + (c1 - c3) ** 2)
    if not flat:
        out[4] += weight * (abs(Q[n]) + abs(Q[n + 4 * q - 1]))
    out[5] = weight * size
    return whole


@compiled
def judged(sums: Array, rows: Array, probes: Array, flat: Array, out: Array) -> None:
    """out[:3] = value, error of the grid, absolute sum, from the sums of all rows and the rows themselves.

    The errors are those of :class:`rgflow.brackets.rules.Rule`: sums against what the rule sees last, and the gain that
    halving the step has at least. flat: whether the first and second axis are points.
    """
    floor = max(sums[1], 1e-300)
    wrong = 0.0
    if not flat[1]:
        wrong += extrapolated(sums[2] / floor, sums[3] / floor)
    if not flat[0]:
        fine = half = 0.0
        for f in range(4):
            one = two = 0.0
            for i in range(rows.size):
                one += rows[i] * probes[max(2 * f - 1, 0), i]
                two += rows[i] * probes[2 * f, i]
            part = abs(one) if f == 0 else math.sqrt(one * one + two * two)
            part = min(part / floor, 1.0)
            if f == 3:
                half = part
            elif part > 0.0:
                fine = max(fine, part if f == 0 else part ** (1.0 / (1.0 - 0.125 * f)))
        wrong += extrapolated(fine, half)
    out[0] = sums[0]
    out[1] = wrong * sums[1] + sums[4]
    out[2] = sums[1]


@compiled
def total(
    P: Array, Q: Array, start: Array, quarter: Array, probes: Array, rows: Array, flat: Array, out: Array
) -> None:
    """out[:3] = value, error of the grid, absolute sum of P(t_1) Q(t_1, t_2), both with their weights."""
    sums = np.zeros(6)
    for i in range(P.size):
        rows[i] = row_of(Q, start[i], quarter[i], P[i], flat[1], sums)
        sums[4] += probes[7, i] * sums[5]
    judged(sums, rows, probes, flat, out)


@compiled
def extrapolated(fine: float, half: float) -> float:
    """The error of the value from the probes, as in Rule.sums."""
    if fine < 1e-3 and half > 4 * fine:
        fine *= 4 * fine / half
    return 2.0 if fine > 0.03 else fine


@compiled
def nodes(
    even: bool, grid: Array, line: Array, line_reach: float
) -> tuple[Array, Array, Array, Array, Array, Array, Array, Array, Array, Array]:
    """Nodes of one outer pair: rows and their quarters, t_1, t_2, weights, probes, sigma and derivatives at both."""
    L11, L21, L22, h1, h2, cut, clustered = grid
    flat = np.array([L11 == 0.0, L22 == 0.0])
    n1 = 0 if flat[0] else math.ceil((math.asinh(cut / clustered) if clustered > 0.0 else cut) / h1)
    low = 0 if even or flat[0] else -n1
    height = n1 - low + 1
    orders = line.shape[1]
    start, quarter = np.zeros(height + 1, np.int64), np.zeros(height, np.int64)
    t1, w1, probes = np.zeros(height), np.zeros(height), np.zeros((8, height))
    for i in range(height):
        t1[i] = (low + i) * h1
        slope = 1.0
        if clustered > 0.0:
            slope = clustered * math.cosh(t1[i])
            t1[i] = clustered * math.sinh(t1[i])
        wide = 0 if flat[1] else int(math.sqrt(max(cut * cut - t1[i] * t1[i], 0.0)) / h2) + 1
        quarter[i] = (2 * wide + 4) // 4
        start[i + 1] = start[i] + 4 * quarter[i]
        w1[i] = 1.0 if flat[0] else h1 * slope * math.exp(-0.5 * t1[i] * t1[i]) / math.sqrt(2 * math.pi)
        if even and low + i > 0:
            w1[i] *= 2.0
        for f in range(7):
            angle = math.pi * FREQUENCIES[f] * (low + i)
            probes[f, i] = math.cos(angle) if f % 2 == 0 else 0.0 if even else math.sin(angle)  # even: folded
        probes[7, i] = 1.0 if not flat[0] and (i == height - 1 or (i == 0 and low < 0)) else 0.0
    size = start[height]
    t2, w2 = np.zeros(size), np.zeros(size)
    values_a, values_b = np.zeros((orders, height)), np.zeros((orders, size))
    z = np.zeros(size)
    read(line, line_reach, 0, L11 * t1, orders, values_a)
    for i in range(height):
        for c in range(4):
            for k in range(quarter[i]):
                n = start[i] + c * quarter[i] + k
                if flat[1]:
                    w2[n] = 1.0 if c == 0 and k == 0 else 0.0
                else:
                    t2[n] = (4 * k + c - 2 * quarter[i]) * h2
                    w2[n] = h2 * math.exp(-0.5 * t2[n] * t2[n]) / math.sqrt(2 * math.pi)
                z[n] = L21 * t1[i] + L22 * t2[n]
    read(line, line_reach, 0, z, orders, values_b)
    return start, quarter, flat, t1, t2, w1, w2, probes, values_a, values_b


@compiled
def functions_at(start: Array, weight: Array, orders: Array, values: Array, w: Array) -> Array:
    """Polynomials in the derivatives of sigma, times the weights of the nodes: (functions, nodes)."""
    out = np.zeros((start.size - 1, w.size))
    term = np.empty(w.size)
    for u in range(start.size - 1):
        for t in range(start[u], start[u + 1]):
            for n in range(w.size):
                term[n] = weight[t] * w[n]
            for j in range(orders.shape[1]):
                if orders[t, j] >= 0:
                    factor = values[orders[t, j]]
                    for n in range(w.size):
                        term[n] *= factor[n]
            for n in range(w.size):
                out[u, n] += term[n]
    return out


@compiled
def means(along: float, across: float, start: Array, t1: Array, t2: Array, first: int, last: int) -> Array:
    """along t_1 + across t_2 at the nodes of the rows first..last - 1."""
    out = np.empty(start[last] - start[first])
    for i in range(first, last):
        for n in range(start[i], start[i + 1]):
            out[n - start[first]] = along * t1[i] + across * t2[n]
    return out


@compiled
def weights_of(
    given: Array, jc: int, jd: int, lowest: int, falls_c: Array, falls_d: Array, weight: Array
) -> tuple[int, float]:
    """Weights of Mehler's series of sigma^(jc)(z_c) sigma^(jd)(z_d), how many of its terms matter, and what is left.

    given: correlation of the two and their deviations. falls: the root mean squares of the columns. The rest, relative
    to the last two terms: normalised coefficients of Hermite polynomials do not grow, so that two terms further on a
    term is smaller by rho^2 at least; those of a function analytic in a strip fall like exp(-c sqrt(k)), with c from
    the last four, which is what helps where rho is near one.
    """
    rho, sc, sd = given
    most = falls_c.size - max(jc, jd)
    size = np.zeros(most)
    power = 1.0  # rho^k sc^.. sd^.. sqrt(ic! id!) / k!
    whole = 0.0
    for k in range(most):
        if k > 0:
            ic, id = k - (lowest - jc), k - (lowest - jd)
            power *= rho / k
            power *= math.sqrt(ic) if ic > 0 else sc
            power *= math.sqrt(id) if id > 0 else sd
        weight[k] = power
        size[k] = abs(power) * falls_c[k + jc] * falls_d[k + jd]
        whole += size[k]
    terms = most
    dropped = 0.0
    while terms > 2 and dropped + size[terms - 1] < 1e-13 * whole:
        dropped += size[terms - 1]
        terms -= 1
    share = rho * rho / max(1.0 - rho * rho, 1e-15)
    if terms > 3:
        before = size[terms - 3] + size[terms - 4]
        last = size[terms - 1] + size[terms - 2]
        if last < 0.9 * before:
            share = min(share, 8.0 / math.log(before / last) if last > 0.0 else 0.0)
    return terms, share


@compiled
def mehler(
    weight: Array,
    terms: int,
    share: float,
    C: Array,
    D: Array,
    norm: Array,
    rounding: float,
    product: Array,
    doubt: Array,
) -> None:
    """product[n] = sum_k weight C D at the nodes of a block; doubt[n], a bound on its error."""
    product[:] = 0.0
    for k in range(terms):
        w, c, d = weight[k], C[k], D[k]
        for n in range(product.size):
            product[n] += w * c[n] * d[n]
    v, w, k = abs(weight[max(terms - 2, 0)]), abs(weight[terms - 1]), max(terms - 2, 0)
    c, d, e, f = C[k], D[k], C[terms - 1], D[terms - 1]
    for n in range(product.size):
        doubt[n] = share * (v * abs(c[n] * d[n]) + w * abs(e[n] * f[n])) + rounding * norm[n]


@compiled
def three(
    job: int,
    grid: tuple[Array, ...],
    P: Array,
    Q: Array,
    start_of: Array,
    items: Array,
    line: Array,
    table: Array,
    share: Array,
    moments: Array,
    tables: Array,
    scales: tuple[float, float, float],
    out: Array,
) -> None:
    """The averages over three inputs of one outer pair: the inner one read off its table."""
    start, quarter, flat, t1, t2, probes = grid
    reach, table_error, table_size = scales
    rows, product = np.zeros(t1.size), np.zeros(t2.size)
    own = np.zeros(tables.shape[1:])
    A, norm = np.zeros((tables.shape[2], t2.size)), np.zeros(t2.size)
    done = -1
    for item in range(start_of[job], start_of[job + 1]):
        c, kind, where, at_a, at_b, at_c = items[item]
        if c != done:
            done = c
            tabled(tables, table[c], share[c], 0, own)
            read(own, reach, 0, means(line[c, 0], line[c, 1], start, t1, t2, 0, t1.size), A.shape[0], A)
            for n in range(t2.size):
                x = 0.0
                for k in range(A.shape[0]):
                    x += A[k, n] * A[k, n]
                norm[n] = math.sqrt(x) + table_size
        for m in range(moments.shape[0]):
            if moments[m, 3] == kind:
                p, q, a = P[moments[m, at_a]], Q[moments[m, at_b]], A[moments[m, at_c]]
                natural = 0.0
                for i in range(t1.size):
                    x = 0.0
                    for n in range(start[i], start[i + 1]):
                        product[n] = q[n] * a[n]
                        x += abs(q[n]) * norm[n]
                    natural += abs(p[i]) * x
                total(p, product, start, quarter, probes, rows, flat, out[where, m])
                out[where, m, 1] += table_error * natural
                out[where, m, 3] = table_error * natural
                out[where, m, 4] = natural


@compiled
def four(
    job: int,
    grid: tuple[Array, ...],
    w1: Array,
    w2: Array,
    P: Array,
    Q: Array,
    start_of: Array,
    items: Array,
    given: Array,
    inner_start: Array,
    line: Array,
    table: Array,
    share: Array,
    furthest: float,
    moments: Array,
    tables: Array,
    scales: tuple[float, float, float],
    lowest: int,
    out: Array,
) -> None:
    """The averages over four inputs of one outer pair, a few rows of its grid at a time."""
    start, quarter, flat, t1, t2, probes = grid
    reach, table_error, table_size = scales
    base, inners = inner_start[job], inner_start[job + 1] - inner_start[job]
    first, count = start_of[job], start_of[job + 1] - start_of[job]
    _, terms_of, columns, cells = tables.shape
    furthest_line = 0.0
    for c in range(inners):
        furthest_line = max(furthest_line, math.sqrt(line[base + c, 0] ** 2 + line[base + c, 1] ** 2))
    shift = outside(cells, reach, furthest * furthest_line)
    own = np.zeros((inners, terms_of, columns, cells - 2 * shift))
    falls = np.zeros((inners, columns))
    for c in range(inners):
        tabled(tables, table[base + c], share[base + c], shift, own[c])
        for i in range(t1.size // 2 % 5, t1.size, 5):  # a few rows tell how the columns fall
            x = means(line[base + c, 0], line[base + c, 1], start, t1, t2, i, i + 1)
            B = np.empty((columns, x.size))
            read(own[c], reach, shift, x, columns, B)
            for k in range(columns):
                for n in range(x.size):
                    falls[c, k] += w1[i] * w2[start[i] + n] * B[k, n] * B[k, n]
        for k in range(columns):
            falls[c, k] = math.sqrt(falls[c, k])
    size = lowest + 1
    weight = np.zeros((count, size, size, columns))
    terms, share_left = np.zeros((count, size, size), np.int64), np.zeros((count, size, size))
    needed = np.zeros(inners, np.int64)
    for item in range(count):
        c, d, where, at_a, at_b, at_c, at_d = items[first + item]
        for m in range(moments.shape[0]):
            jc, jd = moments[m, at_c], moments[m, at_d]
            if terms[item, jc, jd] == 0:
                number, left = weights_of(given[first + item], jc, jd, lowest, falls[c], falls[d], weight[item, jc, jd])
                terms[item, jc, jd], share_left[item, jc, jd] = number, left
                needed[c], needed[d] = max(needed[c], number + jc), max(needed[d], number + jd)
    sums, rows = np.zeros((count, moments.shape[0], 8)), np.zeros((count, moments.shape[0], t1.size))
    i = 0
    while i < t1.size:
        j = i + 1
        while j < t1.size and start[j + 1] - start[i] <= BLOCK:
            j += 1
        nodes_here = start[j] - start[i]
        B, norm = np.empty((inners, columns, nodes_here)), np.empty((inners, nodes_here))
        for c in range(inners):
            where_to = means(line[base + c, 0], line[base + c, 1], start, t1, t2, i, j)
            read(own[c], reach, shift, where_to, needed[c], B[c])
            for n in range(nodes_here):
                norm[c, n] = 0.0
            for k in range(needed[c]):
                for n in range(nodes_here):
                    norm[c, n] += B[c, k, n] * B[c, k, n]
            for n in range(nodes_here):
                norm[c, n] = math.sqrt(norm[c, n]) + table_size
        series, doubt = np.empty((size, size, nodes_here)), np.empty((size, size, nodes_here))
        ready = np.zeros((size, size), np.int64)
        both, product = np.empty(nodes_here), np.empty(nodes_here)
        for item in range(count):
            c, d, where, at_a, at_b, at_c, at_d = items[first + item]
            for n in range(nodes_here):
                both[n] = norm[c, n] * norm[d, n]
            for m in range(moments.shape[0]):
                jc, jd = moments[m, at_c], moments[m, at_d]
                if ready[jc, jd] != item + 1:
                    ready[jc, jd] = item + 1
                    rho = given[first + item, 0]
                    rounding = 2 * table_error / math.sqrt(max(1.0 - rho * rho, 1.0 / columns))
                    mehler(
                        weight[item, jc, jd],
                        terms[item, jc, jd],
                        share_left[item, jc, jd],
                        B[c, jc:],
                        B[d, jd:],
                        both,
                        rounding,
                        series[jc, jd],
                        doubt[jc, jd],
                    )
                p, q = P[moments[m, at_a]], Q[moments[m, at_b]]
                inside, wrong, total_of = series[jc, jd], doubt[jc, jd], sums[item, m]
                for row in range(i, j):
                    x = y = 0.0
                    shifted = start[row] - start[i]
                    for n in range(start[row + 1] - start[row]):
                        value = q[start[row] + n]
                        product[n] = value * inside[shifted + n]
                        x += abs(value) * wrong[shifted + n]
                        y += abs(value) * both[shifted + n]
                    total_of[6] += abs(p[row]) * x
                    total_of[7] += abs(p[row]) * y
                    rows[item, m, row] = row_of(product, 0, quarter[row], p[row], flat[1], total_of)
                    total_of[4] += probes[7, row] * total_of[5]
        i = j
    for item in range(count):
        where = items[first + item, 2]
        for m in range(moments.shape[0]):
            judged(sums[item, m], rows[item, m], probes, flat, out[where, m])
            out[where, m, 1] += sums[item, m, 6]
            out[where, m, 3] = sums[item, m, 6]
            out[where, m, 4] = sums[item, m, 7]


@compiled
def run(
    jobs: Array,
    even: bool,
    grids: Array,
    line: Array,
    line_reach: float,
    function_start: Array,
    function_weight: Array,
    function_orders: Array,
    pairs: Array,
    pair_moments: Array,
    found_pairs: Array,
    three_start: Array,
    three_items: Array,
    three_line: Array,
    three_table: Array,
    three_share: Array,
    three_moments: Array,
    tables_3: Array,
    scales_3: tuple[float, float, float],
    found_threes: Array,
    four_start: Array,
    four_items: Array,
    four_given: Array,
    inner_start: Array,
    inner_line: Array,
    inner_table: Array,
    inner_share: Array,
    furthest: float,
    four_moments: Array,
    tables_4: Array,
    scales_4: tuple[float, float, float],
    lowest: int,
    found_fours: Array,
) -> None:
    """All averages of some outer pairs; :mod:`rgflow.brackets.conditional` says what the arrays hold."""
    for job in jobs:
        start, quarter, flat, t1, t2, w1, w2, probes, values_a, values_b = nodes(even, grids[job], line, line_reach)
        P = functions_at(function_start, function_weight, function_orders, values_a, w1)
        Q = functions_at(function_start, function_weight, function_orders, values_b, w2)
        grid = (start, quarter, flat, t1, t2, probes)
        where, swap = pairs[job]
        if where >= 0:
            rows = np.zeros(t1.size)
            for m in range(pair_moments.shape[0]):
                p, q = P[pair_moments[m, swap]], Q[pair_moments[m, 1 - swap]]
                total(p, q, start, quarter, probes, rows, flat, found_pairs[where, m])
                found_pairs[where, m, 3] = 0.0
                found_pairs[where, m, 4] = found_pairs[where, m, 2]
        if three_start[job + 1] > three_start[job]:
            three(
                job,
                grid,
                P,
                Q,
                three_start,
                three_items,
                three_line,
                three_table,
                three_share,
                three_moments,
                tables_3,
                scales_3,
                found_threes,
            )
        if four_start[job + 1] > four_start[job]:
            four(
                job,
                grid,
                w1,
                w2,
                P,
                Q,
                four_start,
                four_items,
                four_given,
                inner_start,
                inner_line,
                inner_table,
                inner_share,
                furthest,
                four_moments,
                tables_4,
                scales_4,
                lowest,
                found_fours,
            )
