"""The compiled loops: K and Theta of pairs of inputs through all stages, a tile of pairs at a time.

A pair of inputs needs only its own history and what is known of either input alone, so that a tile of pairs (ROWS x
LANES) goes through all stages while it stays in cache; the innermost loops run over lanes and vectorise. Averages of a
smooth sigma are polynomials in the correlation rho (:mod:`rgflow.gram.hermite`), summed by Horner's rule with their
derivative; those of two slopes are angles (Cho and Saul 2009).

What a tile knows of its error is one number each for K and Theta of a row, a bound to first order: it goes through the
same lines, times the largest |<s' s'>| of the row, and gains at every stage what the averages add. Those of two
slopes are homogeneous, <s s> = sqrt(K_aa K_bb) J(rho), so that errors of correlations and of norms go apart.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rgflow.jit import static
from rgflow.memory import zeros

Array = Any

ROWS, LANES = 16, 64
STEP = 4  # terms of the series at a time
# Values stay IEEE: NaN marks a pair whose series is too long, which is found another way.
FAST = ("contract", "reassoc", "nsz", "arcp")
EPSILON = 2.220446049250313e-16
ENOUGH = 2.0**-52  # of the absolute sum: terms that are left out below this
DOUBTFUL = 1e-13  # a series that leaves out more is not believed


@static(*FAST, inlined=True)
def asin_square(z: float) -> float:
    """(asin(x)/x - 1) / x^2 at z = x^2 <= 1/4: a Chebyshev fit, 2.4e-16 off, which is 6e-17 of asin(x)."""
    p = 0.028169218060881414
    p = p * z - 0.010749050339697808
    p = p * z + 0.01603551434914882
    p = p * z + 0.0078029494773533175
    p = p * z + 0.011875494382636922
    p = p * z + 0.013929652902326633
    p = p * z + 0.017355259955786323
    p = p * z + 0.02237204763174451
    p = p * z + 0.03038194736709848
    p = p * z + 0.044642857103423646
    p = p * z + 0.07500000000020764
    return p * z + 0.1666666666666665


@static()
def largest(high: int, words: Array, bits: Array) -> None:
    """max |values| of each row of lanes, NaN ignored, from the bits of the values to those of what is found.

    Sizes of floats are ordered as their bits, and integers have a largest that vectorises.
    """
    for i in range(high):
        most = np.int64(0)
        for j in range(LANES):
            word = words[i, j] & np.int64(0x7FFFFFFFFFFFFFFF)
            word = word if word <= np.int64(0x7FF0000000000000) else np.int64(0)
            most = word if word > most else most
        bits[i] = most


@static()
def smallest(high: int, words: Array, bits: Array) -> None:
    """The smallest of each row of values that are not negative, likewise."""
    for i in range(high):
        least = words[i, 0]
        for j in range(LANES):
            least = words[i, j] if words[i, j] < least else least
        bits[i] = least


@static(*FAST, inlined=True)
def angles(
    high: int,
    k: Array,
    rows: Array,
    columns: Array,
    roots_r: Array,
    roots_c: Array,
    closed: Array,
    ss: Array,
    dd: Array,
    gap: Array,
) -> None:
    """<s s> and <s' s'> of sigma = alpha z + beta |z|: alpha^2 K + beta^2 E|z z'|; ``gap`` is 1 - rho^2.

    rows, columns : 1/sqrt(K_aa). roots : sqrt(K_aa)
    """
    smooth, bent = closed[1], closed[2]
    for i in range(high):
        row, root = rows[i], roots_r[i]
        for j in range(LANES):
            c = k[i, j] * (row * columns[j])
            c = 1.0 if c > 1.0 else c
            c = -1.0 if c < -1.0 else c
            size = abs(c)
            near = size > 0.5
            half = 0.5 * (1.0 - size)
            z = half if near else c * c
            x = math.sqrt(half) if near else size
            a = x + x * z * asin_square(z)
            angle = 1.5707963267948966 - 2.0 * a if near else a
            angle = -angle if c < 0.0 else angle
            left = (1.0 - size) * (1.0 + size)
            ss[i, j] = smooth * k[i, j] + bent * 0.6366197723675814 * (
                math.sqrt(left) * (root * roots_c[j]) + k[i, j] * angle
            )
            dd[i, j] = smooth + bent * 0.6366197723675814 * angle
            gap[i, j] = left


@static(*FAST, inlined=True)
def arcs(
    high: int, k: Array, norms_r: Array, norms_c: Array, owns_r: Array, owns_c: Array, gelu: bool, ss: Array, dd: Array
) -> None:
    """<s s> and <s' s'> of erf and gelu in closed form (Williams 1997; Tsuchida et al. 2021).

    norms : sqrt(2/(1 + 2 K_aa)) of erf, 1/sqrt(1 + K_aa) of gelu. owns : K_aa
    """
    for i in range(high):
        norm, own = norms_r[i], owns_r[i]
        for j in range(LANES):
            c = k[i, j]
            n = norm * norms_c[j]
            y = c * n
            y = 1.0 if y > 1.0 else y
            y = -1.0 if y < -1.0 else y
            size = abs(y)
            near = size > 0.5
            half = 0.5 * (1.0 - size)
            z = half if near else y * y
            x = math.sqrt(half) if near else size
            a = x + x * z * asin_square(z)
            angle = 1.5707963267948966 - 2.0 * a if near else a
            angle = -angle if y < 0.0 else angle
            n = n / math.sqrt((1.0 - size) * (1.0 + size))
            if gelu:
                tilt = norm * norm + norms_c[j] * norms_c[j] - 1.0
                both = own * owns_c[j] + c * c * tilt
                ss[i, j] = 0.25 * c + 0.15915494309189535 * (both * n + c * angle)
                dd[i, j] = 0.25 + 0.15915494309189535 * (angle + c * n * (1.0 + 2.0 * tilt + both * n * n))
            else:
                ss[i, j] = 0.6366197723675814 * angle
                dd[i, j] = 0.6366197723675814 * n


@static(*FAST, inlined=True)
def line(
    high: int,
    fresh: bool,
    constant: Array,
    w: Array,
    k: Array,
    h: Array,
    ss: Array,
    dd: Array,
    out: Array,
    tan: Array,
    tangent: bool,
) -> None:
    """Add to K and Theta of a stage what a line reads of one stage below; ``fresh``: to nothing."""
    w0, w1, w2, w3, w4, w5 = w[0], w[1], w[2], w[3], w[4], w[5]
    for i in range(high):
        if fresh:
            for j in range(LANES):
                out[i, j] = constant[0] + w0 * ss[i, j] + w1 * k[i, j]
            if tangent:
                for j in range(LANES):
                    tan[i, j] = constant[1] + w2 * ss[i, j] + w3 * k[i, j] + (w4 + w5 * dd[i, j]) * h[i, j]
        else:
            for j in range(LANES):
                out[i, j] += w0 * ss[i, j] + w1 * k[i, j]
            if tangent:
                for j in range(LANES):
                    tan[i, j] += w2 * ss[i, j] + w3 * k[i, j] + (w4 + w5 * dd[i, j]) * h[i, j]


@static()
def begin(high: int, wide: int, matrix: Array, i0: int, j0: int, first: Array, k: Array, h: Array) -> None:
    """A tile of K and Theta of the first stage from x.x' in ``matrix``; first : (n_0, C_b, C_W, lambda_b, lambda_W)."""
    n_0, C_b, C_W, lambda_b, lambda_W = first[0], first[1], first[2], first[3], first[4]
    for i in range(high):
        row = matrix[i0 + i, j0 : j0 + wide]
        for j in range(wide):
            overlap = row[j] / n_0
            k[i, j] = overlap * C_W + C_b
            h[i, j] = overlap * lambda_W + lambda_b


@static()
def enter(high: int, wide: int, matrix: Array, i0: int, j0: int, k: Array) -> None:
    """A tile of a matrix."""
    for i in range(high):
        row = matrix[i0 + i, j0 : j0 + wide]
        for j in range(wide):
            k[i, j] = row[j]


@static()
def cover(high: int, wide: int, from_diagonal: int, labels_r: Array, labels_c: Array, k: Array) -> None:
    """Zero a tile beside its matrix, where inputs are equal, and up to column i + from_diagonal of row i."""
    for i in range(high):
        label = labels_r[i]
        equal = 0
        for j in range(wide):
            equal += 1 if labels_c[j] == label else 0
        if equal > 0:
            for j in range(wide):
                if labels_c[j] == label:
                    k[i, j] = 0.0
        for j in range(min(i + from_diagonal + 1, wide)):
            k[i, j] = 0.0
        for j in range(wide, LANES):
            k[i, j] = 0.0


@static()
def leave(high: int, wide: int, matrix: Array, i0: int, j0: int, from_diagonal: int, k: Array) -> None:
    """The tile, beyond the diagonal, to its matrix."""
    for i in range(high):
        start = min(max(i + from_diagonal + 1, 0), wide)
        row, values = matrix[i0 + i, j0 + start : j0 + wide], k[i, start:wide]
        for j in range(len(row)):
            row[j] = values[j]


@static()
def mirror(matrix: Array, columns: int, rows: Array) -> None:
    """What stands beyond the diagonal in some rows, to its other side, in one sweep through memory."""
    for j in range(rows[0] + 1, columns):
        row = matrix[j]
        for i in range(rows[0], min(rows[1], j)):
            row[i] = matrix[i, j]


@static(*FAST, inlined=True)
def series(
    rho: Array, a: Array, B: Array, start: int, number: int, j0: int, twice: bool, x: Array, v: Array, d: Array
) -> None:
    """P and its derivative at x = rho or (``twice``) rho^2, ``number`` terms, by Horner's rule."""
    for j in range(LANES):
        y = rho[j]
        x[j] = y * y if twice else y
        v[j] = 0.0
        d[j] = 0.0
    for m in range(number - STEP, -1, -STEP):
        a0 = a[m]
        a1 = a[m + 1]
        a2 = a[m + 2]
        a3 = a[m + 3]
        b0 = B[start + m, j0 : j0 + LANES]
        b1 = B[start + m + 1, j0 : j0 + LANES]
        b2 = B[start + m + 2, j0 : j0 + LANES]
        b3 = B[start + m + 3, j0 : j0 + LANES]
        for j in range(LANES):
            y = x[j]
            p = v[j]
            q = d[j]
            q = q * y + p
            p = p * y + a3 * b3[j]
            q = q * y + p
            p = p * y + a2 * b2[j]
            q = q * y + p
            p = p * y + a1 * b1[j]
            q = q * y + p
            p = p * y + a0 * b0[j]
            v[j] = p
            d[j] = q


@static()
def smooth_errors(size: Array, top: float, u: float, bad: Array) -> None:
    """Errors of <s s> and <s' s'> of a smooth sigma: from K_ab, from K_aa and K_bb, and ``u`` of their own."""
    bad[2] = top * bad[0] + size[4] * size[2] * size[5] + u * (size[2] ** 2 + size[0] * size[3] ** 2)
    bad[3] = size[4] ** 2 * bad[0] + size[7] * size[3] * size[5] + u * (size[3] ** 2 + size[0] * size[4] ** 2)
    bad[4] = top


def room(reach: int, starts: NDArray[np.int64]) -> tuple[Any, ...]:
    """Where the loops work, made here: to compile what makes and views arrays would take a second of every new user.

    Returns, of as many stages as are read, K, Theta, <s s>, <s' s'> and its bits by rows of lanes, and of each row the
    errors of these four and the largest |<s' s'>|; correlations and their bits; coefficients of rows; three rows of
    lanes; four numbers of each row, their bits, and lengths of series.
    """
    slots = reach + 1
    # one by one: whole pages apart, they would be in each other's way in the cache
    k, h, ss, dd = (zeros(slots, ROWS, LANES) for _ in range(4))
    rho, by_row = zeros(ROWS, LANES), zeros(4, ROWS)
    longest = max(STEP, int(np.diff(starts).max(initial=0)))
    doubt, coefficients, numbers = zeros(slots, ROWS, 5), zeros(ROWS, longest), np.zeros(ROWS, np.int64)
    tiles = k, h, ss, dd, dd.view(np.int64), doubt, rho, rho.view(np.int64), coefficients
    return *tiles, *zeros(3, LANES), *by_row, by_row.view(np.int64), numbers


def _through(by_angles: bool, by_arcs: bool) -> Any:
    """The loops of one way to average: what the others need is not compiled."""

    @static(*FAST)
    def flow_pairs(
        closed: Array,
        first: Array,
        K_before: Array,
        T_before: Array,
        K: Array,
        T: Array,
        corner: Array,
        mirrored: bool,
        errors: Array,
        beyond: Array,
        rows: Array,
        triangular: bool,
        labels_r: Array,
        labels_c: Array,
        inverse_r: Array,
        inverse_c: Array,
        mean_r: Array,
        mean_c: Array,
        B_r: Array,
        B_c: Array,
        starts: Array,
        tails: Array,
        shape: Array,
        sizes: Array,
        constants: Array,
        coefficients: Array,
        averaged: Array,
        space: Array,
    ) -> None:
        """K and Theta of the pairs (rows, all columns) from one stage to a later one.

        Parameters
        ----------
        closed : empty for a series; (0, alpha^2, beta^2) of two slopes; (1,) of erf; (2,) of gelu
        first : empty, or, where K_before holds x.x', (n_0, C_b, C_W, lambda_b, lambda_W) of the first layer
        K_before, T_before, K, T : whole matrices, the former may be the latter; T are (0, 0) where Theta is not wanted;
            the block of n rows and m columns begins at ``corner``
        mirrored : of a square block, the other half is written too
        errors : (2, n, chunks of lanes), of K (of two slopes: of rho) and of Theta, in place
        beyond : (n,), set where a row holds pairs whose series are too long, which are left as NaN
        rows : (first, last + 1)
        triangular : columns are rows: only pairs beyond the diagonal
        labels_r, labels_c : (n,), (m,); pairs of equal labels are equal inputs, known alone
        inverse, mean : (S, inputs): 1/sqrt(K_aa), and <s_a> or, of two slopes, sqrt(K_aa); K_aa and the norms of
            ``arcs``; columns padded to whole chunks
        B_r, B_c : (terms, inputs), scaled Hermite coefficients; those of stage t begin at starts[t]
        tails : (terms + S,), of stage t from starts[t] + t on: what is left after so many terms, of <s' s'>
        shape : (step, odd, b): powers rho^(step m + odd), and the constant part of <s' s'>
        sizes : (S, 8): see ``rgflow.gram.single.Alone.sizes``
        constants, coefficients, averaged : of these stages (``rgflow.gram.lines``); the first stage is known
        space : of :func:`room`
        """
        stages, reach = coefficients.shape[:2]
        slots = reach + 1
        tangent = T.size > 0
        k, h, ss, dd, dd_bits, doubt, rho, rho_bits, a, x, v, d, tops, gaps, far, lefts, found, numbers = space
        columns = len(labels_c)
        up, left_of = corner[0], corner[1]
        for i0 in range(rows[0], rows[1], ROWS):
            high = min(ROWS, rows[1] - i0)
            for chunk in range(i0 // LANES if triangular else 0, (columns + LANES - 1) // LANES):
                j0 = chunk * LANES
                wide = min(LANES, columns - j0)
                here_r, here_c = labels_r[i0 : i0 + high], labels_c[j0 : j0 + wide]
                diagonal = i0 - j0 if triangular else -ROWS - 1
                if first.size > 0:
                    begin(high, wide, K_before, up + i0, left_of + j0, first, k[0], h[0])
                else:
                    enter(high, wide, K_before, up + i0, left_of + j0, k[0])
                    if tangent:
                        enter(high, wide, T_before, up + i0, left_of + j0, h[0])
                cover(high, wide, diagonal, here_r, here_c, k[0])
                cover(high, wide, diagonal, here_r, here_c, h[0])
                for i in range(high):
                    doubt[0, i, 0] = errors[0, i0 + i, chunk]
                    doubt[0, i, 1] = errors[1, i0 + i, chunk]
                for t in range(stages):
                    here = t % slots
                    size = sizes[t]
                    if t > 0:
                        for b in range(min(reach, t)):
                            at = (t - 1 - b) % slots
                            line(
                                high,
                                b == 0,
                                constants[t],
                                coefficients[t, b],
                                k[at],
                                h[at],
                                ss[at],
                                dd[at],
                                k[here],
                                h[here],
                                tangent,
                            )
                        for i in range(high):
                            error, wrong = 4 * EPSILON * size[0], 4 * EPSILON * size[1]
                            if by_angles:
                                error = 12 * EPSILON + size[4]
                            for b in range(min(reach, t)):
                                at = (t - 1 - b) % slots
                                w, below = coefficients[t, b], sizes[t - 1 - b]
                                of_k, of_t = doubt[at, i, 0], doubt[at, i, 1]
                                of_ss, of_dd = doubt[at, i, 2], doubt[at, i, 3]
                                if by_angles:  # of correlations; a smaller kernel weighs less
                                    error += size[7] * (abs(w[0]) * of_ss + abs(w[1]) * of_k)
                                    of_ss = below[0] * (of_ss + (closed[1] + closed[2]) * below[5])
                                    of_k = below[0] * (of_k + below[5])
                                else:
                                    error += abs(w[0]) * of_ss + abs(w[1]) * of_k
                                wrong += abs(w[2]) * of_ss + abs(w[3]) * of_k + abs(w[4]) * of_t
                                wrong += abs(w[5]) * (doubt[at, i, 4] * of_t + below[1] * of_dd)
                            doubt[here, i, 0] = error
                            doubt[here, i, 1] = wrong
                    if not averaged[t] or t == stages - 1:
                        continue
                    inverse, mean = inverse_r[t, i0 : i0 + high], mean_r[t, i0 : i0 + high]
                    inverses, means = inverse_c[t, j0 : j0 + LANES], mean_c[t, j0 : j0 + LANES]
                    if by_angles:
                        angles(high, k[here], inverse, inverses, mean, means, closed, ss[here], dd[here], rho)
                        largest(high, dd_bits[here], found[0])
                        smallest(high, rho_bits, found[1])
                        for i in range(high):
                            e = doubt[here, i]
                            # of <s s> = sqrt(K_aa K_bb) J(rho), relative to that root: what rho does
                            e[2] = tops[i] * e[0] + (closed[1] + closed[2]) * size[6]
                            turn = e[0] + 4 * EPSILON
                            e[3] = closed[2] * 0.6366197723675814 * turn / math.sqrt(max(gaps[i], turn))
                            e[3] += size[6] * (closed[1] + closed[2])
                            e[4] = tops[i]
                        continue
                    if by_arcs:
                        arcs(high, k[here], mean, means, inverse, inverses, closed[0] == 2.0, ss[here], dd[here])
                        largest(high, dd_bits[here], found[0])
                        for i in range(high):
                            smooth_errors(size, tops[i], size[6], doubt[here, i])
                        continue
                    start = starts[t]
                    count = starts[t + 1] - start
                    step, odd, b = shape
                    needed = 0
                    for i in range(high):
                        for j in range(LANES):
                            rho[i, j] = k[here, i, j] * (inverse[i] * inverses[j])
                    largest(high, rho_bits, found[2])
                    for i in range(high):
                        kk, correlation = k[here, i], rho[i]
                        near = min(far[i], 1.0)
                        power = near if step == 1.0 else near * near
                        less = power**STEP
                        number = 0
                        left = near if odd == 1.0 else 1.0
                        while number < count and left * tails[start + t + number] > ENOUGH:
                            number += STEP
                            left *= less
                        left *= tails[start + t + number]
                        if left > DOUBTFUL:
                            left = 0.0
                            for j in range(LANES):
                                one = abs(correlation[j])
                                one = (one if odd == 1.0 else 1.0) * one ** (step * count) * tails[start + t + count]
                                if one > DOUBTFUL:
                                    kk[j] = np.nan
                                    correlation[j] = np.nan
                                    beyond[i0 + i] = 1
                                else:
                                    left = max(left, one)
                        numbers[i], lefts[i] = number, left
                        needed = max(needed, number)
                    for m in range(needed):
                        for i in range(high):
                            a[i, m] = B_r[start + m, i0 + i]
                    for i in range(high):
                        kk, correlation, left = k[here, i], rho[i], lefts[i]
                        series(correlation, a[i], B_c, start, numbers[i], j0, step == 2.0, x, v, d)
                        own = mean[i]
                        s, e = ss[here, i], dd[here, i]
                        if odd == 1.0:
                            for j in range(LANES):
                                s[j] = own * means[j] + kk[j] * (b + correlation[j] * v[j])
                                e[j] = b + 2.0 * correlation[j] * (v[j] + x[j] * d[j])
                        else:
                            for j in range(LANES):
                                s[j] = own * means[j] + kk[j] * (b + v[j])
                                e[j] = b + v[j] + step * x[j] * d[j]
                    largest(high, dd_bits[here], found[0])
                    for i in range(high):
                        smooth_errors(size, tops[i], size[6] + lefts[i], doubt[here, i])
                last = (stages - 1) % slots
                leave(high, wide, K, up + i0, left_of + j0, diagonal, k[last])
                if tangent:
                    leave(high, wide, T, up + i0, left_of + j0, diagonal, h[last])
                for i in range(high):
                    errors[0, i0 + i, chunk] = doubt[last, i, 0]
                    errors[1, i0 + i, chunk] = doubt[last, i, 1]
        if mirrored:
            mirror(K[up:, left_of:], columns, rows)
            if tangent:
                mirror(T[up:, left_of:], columns, rows)

    return flow_pairs


pairs_by_series, pairs_by_angles, pairs_by_arcs = _through(False, False), _through(True, False), _through(False, True)
