"""Mehler's series of two inner inputs, and its sums over the rows of a grid: compiled.

Neither calls the other, or anything compiled: see :mod:`rgflow.brackets.pair_nodes`.
"""

from __future__ import annotations

import math
from typing import Any

from rgflow.jit import static

Array = Any  # NumPy arrays, or what Numba makes of them

VALUE, ABSOLUTE, FINE, HALF, EDGE, DOUBT, NATURAL, PROBES = range(8)  # places of the sums, seven probes at the end
compiled = static("reassoc", "contract", "nsz")


@compiled
def weigh(
    items: Array,
    moments: Array,
    given: Array,
    lowest: int,
    falls: Array,
    size: Array,
    weight: Array,
    terms: Array,
    share: Array,
    needed: Array,
) -> None:
    """Weights of Mehler's series of sigma^(jc)(z_c) sigma^(jd)(z_d), how many of its terms matter, and what is left.

    given: correlation of the two and their deviations. falls: the root mean squares of the columns. weight, terms,
    share: by item and jc (lowest + 1) + jd. needed: columns of each inner input. The rest, relative to the last two
    terms: normalised coefficients of Hermite polynomials do not grow, so that two terms further on a term is smaller
    by rho^2 at least; those of a function analytic in a strip fall like exp(-c sqrt(k)), with c from the last four,
    which is what helps where rho is near one.
    """
    for item in range(items.shape[0]):
        c, d = items[item, 0], items[item, 1]
        rho, sc, sd = given[item, 0], given[item, 1], given[item, 2]
        for m in range(moments.shape[0]):
            jc, jd = moments[m, items[item, 5]], moments[m, items[item, 6]]
            code = jc * (lowest + 1) + jd
            if terms[item, code] > 0:
                continue
            power, whole = 1.0, 0.0  # rho^k sc^.. sd^.. sqrt(ic! id!) / k!
            count = falls.shape[1] - max(jc, jd)
            for k in range(count):
                if k > 0:
                    ic, id = k - (lowest - jc), k - (lowest - jd)
                    power *= rho / k
                    power *= math.sqrt(ic) if ic > 0 else sc
                    power *= math.sqrt(id) if id > 0 else sd
                weight[item, code, k] = power
                size[k] = abs(power) * falls[c, k + jc] * falls[d, k + jd]
                whole += size[k]
            dropped = 0.0
            while count > 2 and dropped + size[count - 1] < 1e-13 * whole:
                dropped += size[count - 1]
                count -= 1
            left = rho * rho / max(1.0 - rho * rho, 1e-15)
            if count > 3:
                before = size[count - 3] + size[count - 4]
                last = size[count - 1] + size[count - 2]
                if last < 0.9 * before:
                    left = min(left, 8.0 / math.log(before / last) if last > 0.0 else 0.0)
            terms[item, code], share[item, code] = count, left
            needed[c], needed[d] = max(needed[c], count + jc), max(needed[d], count + jd)


@compiled
def add_rows(
    first: int,
    last: int,
    start: Array,
    quarter: Array,
    edges: Array,
    probes: Array,
    items: Array,
    moments: Array,
    P: Array,
    Q: Array,
    B: Array,
    norm: Array,
    lowest: int,
    weight: Array,
    terms: Array,
    share: Array,
    rounding: Array,
    ready: Array,
    room: Array,
    sums: Array,
) -> None:
    """Add the rows first..last - 1 of the grid to the sums of every item and moment.

    items: inner c, inner d, kind, then where a, b, c, d stand in a moment. moments: numbers of functions and orders of
    sigma, and the kind of item that they are for, -1 for all. B, norm: the columns of every inner input at the nodes of
    these rows, and their sizes. probes, edges: by row; whether it is an end of the first axis, and has ends itself.
    room: for products of two inner functions, bounds on their errors, and sizes; ready: which there are.
    """
    base = start[first]
    size = start[last] - base
    size_of = room[2, 0]
    ready[:] = -1
    for item in range(items.shape[0]):
        c, d = items[item, 0], items[item, 1]
        for n in range(size):
            size_of[n] = norm[c, n] * norm[d, n]
        for m in range(moments.shape[0]):
            if moments[m, 4] >= 0 and moments[m, 4] != items[item, 2]:
                continue
            jc, jd = moments[m, items[item, 5]], moments[m, items[item, 6]]
            code = jc * (lowest + 1) + jd
            product, wrong = room[0, code], room[1, code]
            if ready[code] != item:
                ready[code] = item
                count, left, floor = terms[item, code], share[item, code], rounding[item]
                for n in range(size):
                    product[n] = 0.0
                for k in range(count):
                    x, C, D = weight[item, code, k], B[c, jc + k], B[d, jd + k]
                    for n in range(size):
                        product[n] += x * C[n] * D[n]
                k = max(count - 2, 0)
                x, y = left * abs(weight[item, code, k]), left * abs(weight[item, code, count - 1])
                C, D, E, F = B[c, jc + k], B[d, jd + k], B[c, jc + count - 1], B[d, jd + count - 1]
                for n in range(size):
                    wrong[n] = x * abs(C[n] * D[n]) + y * abs(E[n] * F[n]) + floor * size_of[n]
            p, q, total = P[moments[m, items[item, 3]]], Q[moments[m, items[item, 4]]], sums[item, m]
            for row in range(first, last):
                u, v, step = start[row], start[row] - base, quarter[row]
                s0 = s1 = s2 = s3 = absolute = unsure = natural = 0.0
                for k in range(step):
                    q0, q1, q2, q3 = q[u + k], q[u + step + k], q[u + 2 * step + k], q[u + 3 * step + k]
                    x0, x1 = q0 * product[v + k], q1 * product[v + step + k]
                    x2, x3 = q2 * product[v + 2 * step + k], q3 * product[v + 3 * step + k]
                    s0, s1, s2, s3 = s0 + x0, s1 + x1, s2 + x2, s3 + x3
                    absolute += abs(x0) + abs(x1) + abs(x2) + abs(x3)
                    unsure += abs(q0) * wrong[v + k] + abs(q1) * wrong[v + step + k]
                    unsure += abs(q2) * wrong[v + 2 * step + k] + abs(q3) * wrong[v + 3 * step + k]
                    natural += abs(q0) * size_of[v + k] + abs(q1) * size_of[v + step + k]
                    natural += abs(q2) * size_of[v + 2 * step + k] + abs(q3) * size_of[v + 3 * step + k]
                whole, high = p[row] * (s0 + s1 + s2 + s3), abs(p[row])
                total[VALUE] += whole
                total[ABSOLUTE] += high * absolute
                total[FINE] += high * abs(s0 + s2 - s1 - s3)
                total[HALF] += high * math.sqrt((s0 - s2) ** 2 + (s1 - s3) ** 2)
                total[DOUBT] += high * unsure
                total[NATURAL] += high * natural
                ends = abs(q[u] * product[v]) + abs(q[u + 4 * step - 1] * product[v + 4 * step - 1])
                total[EDGE] += high * (edges[0, row] * absolute + edges[1, row] * ends)
                for f in range(7):
                    total[PROBES + f] += whole * probes[f, row]
