"""Critical points with K* > 0: where chi_parallel = chi_perp as functions of the kernel.

C_W then makes both one and C_b holds the kernel, if it comes out not negative. Source: PDLT chapter 5.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np

from rgflow.activations import Activation
from rgflow.brackets import gaussian_moments
from rgflow.brackets.closed import closed_bracket
from rgflow.errors import AccuracyError, NoClosedForm

Found: TypeAlias = tuple[tuple[Any, Any, Any], str, bool]
"""(C_b, C_W, K*) as SymPy numbers, what kernels near K* do, and whether the numbers are exact."""

SMALLEST, LARGEST = 1e-4, 1e6  # kernels among which K* > 0 is looked for, relative to where sigma bends
PER_DECADE = 24
CERTAIN = 100  # a sign is believed if the value is this many times its error
SPARE_DIGITS = 25

CURVATURE = (((0, 0), 2),)  # <d^2[sigma sigma]> = 2 d<sigma sigma>/dK
SLOPES = (((1, 1), 0),)  # <sigma'sigma'>
SQUARE = (((0, 0), 0),)
BEND = (((0, 0), 4),)  # <d^4[sigma sigma]> = 4 d^2<sigma sigma>/dK^2


def positive_kernels(activation: Activation, reasons: list[str]) -> list[Found]:
    """All critical points with K* > 0, that is with chi_parallel = chi_perp there and C_b not negative.

    ``reasons`` is extended by what stands against one.
    """
    if not activation.continuous:
        reasons.append("sigma jumps, so that chi_perp is infinite")
        return []
    grid, gap, known = _scan(activation)
    brackets = [(grid[i], grid[j]) for i, j in pairwise(known) if gap[i] * gap[j] < 0]
    if not grid.size:
        reasons.append("its averages cannot be had in double precision")
    elif not known:
        reasons.append(
            "chi_parallel = chi_perp but for rounding at every K, where K = C_b + C_W <sigma sigma> needs "
            f"{_needed(activation)}"
        )
    elif not brackets:
        side = "above" if gap[known[0]] > 0 else "below"
        reasons.append(f"chi_parallel stays {side} chi_perp for every K between {grid[0]:.0e} and {grid[-1]:.0e}")
    found: list[Found] = []
    for low, high in brackets:
        values, symbolic = _exactly(activation, low, high)
        C_b, C_W, K = (v.evalf(SPARE_DIGITS) for v in values)
        if C_b < 0:
            reasons.append(f"chi_parallel = chi_perp = 1 at K = {float(K):.6g} would need C_b = {float(C_b):.6g} < 0")
            continue
        (bend,), (error,) = gaussian_moments(activation, [[[float(K)]]], [BEND])
        second = float(C_W) * bend[0] / 8  # K' - K = second (K - K*)^2 + ...
        if abs(second) <= CERTAIN * float(C_W) * error[0]:
            how = "marginal: K' - K vanishes to second order"
        else:
            side, other = ("below", "above") if second > 0 else ("above", "below")
            how = f"half-stable: kernels from {side} flow to it, those from {other} away; start at K*"
        found.append((values, how, symbolic))
    return found


def _needed(activation: Activation) -> str:
    """C_b at K = 1 if chi_perp = 1 there."""
    values, _ = gaussian_moments(activation, [[[1.0]]], [SQUARE, SLOPES], kinks="almost_everywhere")
    return f"C_b = {1 - values[0, 0] / values[0, 1]:.6g} (at K = 1)"


def _gap(activation: Activation, kernels: Any) -> tuple[Any, Any]:
    """chi_parallel - chi_perp for C_W = 1, with its error."""
    matrices = np.asarray(kernels, float).reshape(-1, 1, 1)
    values, errors = gaussian_moments(activation, matrices, [CURVATURE, SLOPES], kinks="almost_everywhere")
    return values[:, 0] / 2 - values[:, 1], errors[:, 0] / 2 + errors[:, 1]


def _scan(activation: Activation) -> tuple[Any, Any, list[int]]:
    """The gap on a grid of kernels, as far up as double precision goes, and where its sign is certain."""
    scale = _scale(activation)
    low, high = SMALLEST * min(1.0, scale), LARGEST * max(1.0, scale)
    kernels = np.geomspace(low, high, int(PER_DECADE * np.log10(high / low)) + 1)
    gaps, errors = [], []
    for part in np.array_split(kernels, len(kernels) // PER_DECADE):
        try:
            gap, error = _gap(activation, part)
        except AccuracyError:  # overflow, or too steep for quadrature: and so are all larger ones
            break
        gaps.append(gap)
        errors.append(error)
    gap, error = (np.concatenate([*x, np.empty(0)]) for x in (gaps, errors))
    return kernels[: gap.size], gap, [i for i in range(gap.size) if abs(gap[i]) > CERTAIN * error[i]]


def _scale(activation: Activation) -> float:
    """A kernel at which sigma is seen to bend: the smallest of its kinks and ratios of derivatives at 0, squared."""
    lengths = [abs(kink) for kink in activation.kinks if kink]
    if 0.0 not in activation.kinks:
        _, first, second, third = (abs(float(d)) for d in activation.derivatives(0.0, 3))
        lengths += [first / second] if first and second else []
        lengths += [(first / third) ** 0.5] if first and third else []
    return min(lengths, default=1.0) ** 2


def _exactly(activation: Activation, low: float, high: float) -> tuple[tuple[Any, Any, Any], bool]:
    """(C_b, C_W, K*) with chi_parallel = chi_perp between two kernels: exact if the closed form is algebraic in K."""
    import sympy

    kernel = sympy.Symbol("K", positive=True)
    near = _root(activation, low, high)
    try:
        square, slopes = closed_bracket(activation, (0, 0)), closed_bracket(activation, (1, 1))
        root = _algebraic_root(closed_bracket(activation, (0, 0), 2) / 2 - slopes, kernel, near)
        if root is not None:
            C_W = 1 / slopes.subs(kernel, root)
            return (root - C_W * square.subs(kernel, root), C_W, root), True
    except NoClosedForm:
        pass
    return _by_digits(activation, near), False


def _root(activation: Activation, low: float, high: float) -> float:
    """The zero of the gap, in double precision."""
    from scipy.optimize import brentq

    return float(np.exp(brentq(lambda t: _gap(activation, [np.exp(t)])[0][0], np.log(low), np.log(high), xtol=1e-15)))


def _algebraic_root(gap: Any, kernel: Any, near: float) -> Any:
    """The exact zero near a number, if a polynomial factor of the gap's numerator holds it, of degree one or two."""
    import sympy

    _, factors = sympy.factor_list(sympy.fraction(sympy.together(gap))[0])
    for factor, _ in factors:
        if factor.is_polynomial(kernel) and factor.has(kernel) and sympy.degree(factor, kernel) <= 2:
            for root in sympy.roots(sympy.Poly(factor, kernel)):
                value = root.evalf(SPARE_DIGITS)
                if value.is_real and abs(float(value) / near - 1) < 1e-6:
                    return root
    return None


def _by_digits(activation: Activation, near: float) -> tuple[Any, Any, Any]:
    """(C_b, C_W, K*) to more digits than double precision has, by Newton's step on the reference."""
    import sympy
    from mpmath import mp

    from rgflow.brackets import reference

    def average(moment: Any) -> Any:
        return reference(activation, [[near]], moment, dps=SPARE_DIGITS)

    with mp.workdps(SPARE_DIGITS):
        square, slopes = average(SQUARE), average(SLOPES)
        curvature, bend, tilt = average(CURVATURE), average(BEND), average((((1, 1), 2),))
        step = -(curvature / 2 - slopes) / (bend / 4 - tilt / 2)
        K = near + step
        C_W = 1 / (slopes + step * tilt / 2)
        C_b = K - C_W * (square + step * curvature / 2 + step**2 * bend / 8)
        return tuple(sympy.Float(value, SPARE_DIGITS) for value in (C_b, C_W, K))
