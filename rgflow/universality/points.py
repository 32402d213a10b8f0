r"""Critical points: the (C_b, C_W) at which perturbations of an input neither grow nor shrink.

.. math:: K^* = C_b + C_W \langle\sigma\sigma\rangle_{K^*}, \qquad
          \chi_\parallel = \tfrac12 C_W \langle\partial^2[\sigma\sigma]\rangle_{K^*} = 1, \qquad
          \chi_\perp = C_W \langle\sigma'\sigma'\rangle_{K^*} = 1.

Three kinds of solutions exist. Every K is fixed if sigma(a z) = a sigma(z), a > 0 (scale-invariant). K* = 0 is one if
sigma(0) = 0 and sigma'(0) is not zero; it attracts if <sigma sigma> bends downwards. And K* > 0 is one wherever
chi_parallel = chi_perp, that is <d^2[sigma sigma]> = 2 <sigma'sigma'>, if C_b comes out not negative; there K' - K
starts quadratically, so that K is attracted from one side only (half-stable). Source: PDLT chapter 5.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

from rgflow.activations import Activation
from rgflow.brackets import gaussian_moments
from rgflow.brackets.closed import closed_bracket
from rgflow.brackets.series import derivatives_at_zero, kernel_series
from rgflow.errors import AccuracyError, NoClosedForm, NoCriticalPoint

SCALE_INVARIANT, VANISHING, HALF_STABLE = "scale-invariant", "K*=0", "half-stable"

SMALLEST, LARGEST = 1e-4, 1e6  # kernels among which K* > 0 is looked for, relative to where sigma bends
PER_DECADE = 24
MOST_FLAT = 6  # powers of K that may vanish before the average itself is asked
CERTAIN = 100  # a sign is believed if the value is this many times its error
SPARE_DIGITS = 25


@dataclass(frozen=True)
class CriticalPoint:
    """One critical point of an activation.

    Attributes
    ----------
    activation : Activation
    universality_class : "scale-invariant", "K*=0" or "half-stable"
    C_b, C_W : float
    K_star : float or None
        The fixed point; None when every kernel is one.
    stable : bool
        Whether kernels near K_star flow to it or stay (of a half-stable point: from one side).
    stability : str
        The same in words.
    exact : tuple of (name, SymPy number)
        C_b, C_W and K_star as SymPy numbers, exact where ``symbolic``.
    symbolic : bool
        Whether these are exact; else they are good to 15 digits.
    """

    activation: Activation
    universality_class: str
    C_b: float
    C_W: float
    K_star: float | None
    stable: bool
    stability: str
    exact: tuple[tuple[str, Any], ...]
    symbolic: bool

    @property
    def symbols(self) -> dict[str, Any]:
        """C_b, C_W, K_star as SymPy numbers."""
        return dict(self.exact)

    def __str__(self) -> str:
        where = "every K is fixed" if self.K_star is None else f"K* = {self.K_star:.10g}"
        kind = "" if self.stability.startswith(self.universality_class) else f"{self.universality_class}, "
        return f"C_b = {self.C_b:.10g}, C_W = {self.C_W:.10g}, {where}: {kind}{self.stability}"


def points(activation: Activation) -> tuple[CriticalPoint, ...]:
    """All critical points, stable ones first, those with the smaller kernel before the others.

    Raises NoCriticalPoint with the reason if there is none.

    >>> from rgflow.activations import activation
    >>> [(p.C_b, p.C_W, p.universality_class) for p in points(activation("relu"))]
    [(0.0, 2.0, 'scale-invariant')]
    """
    found, reasons = _search(activation)
    if not found:
        raise NoCriticalPoint(f"{activation.name} has no critical point: {'; '.join(reasons)}")
    return found


def recommended(activation: Activation) -> CriticalPoint:
    """The stable critical point with the smallest kernel.

    Raises NoCriticalPoint with the reason if there is none.

    >>> from rgflow.activations import activation
    >>> recommended(activation("gelu")).K_star
    3.5615528128088303
    """
    best = points(activation)[0]
    if not best.stable:
        _, reasons = _search(activation)
        raise NoCriticalPoint(f"{activation.name} has no stable critical point, only {best}; {'; '.join(reasons)}")
    return best


@lru_cache(maxsize=128)
def _search(activation: Activation) -> tuple[tuple[CriticalPoint, ...], tuple[str, ...]]:
    if activation.slopes is not None and any(activation.slopes):
        return (_scale_invariant(activation),), ()
    reasons: list[str] = []
    found = [*_vanishing(activation, reasons), *_positive(activation, reasons)]
    return tuple(sorted(found, key=lambda p: (not p.stable, p.K_star))), tuple(reasons)


def _point(
    activation: Activation, kind: str, values: tuple[Any, Any, Any], stable: bool, stability: str, symbolic: bool
) -> CriticalPoint:
    C_b, C_W, K_star = values
    if not np.isfinite(float(C_W.evalf(SPARE_DIGITS))):
        raise AccuracyError(
            f"C_W = {C_W.evalf(3)} of {activation.name} is beyond double precision; scale the activation"
        )
    exact = tuple((name, v) for name, v in zip(("C_b", "C_W", "K_star"), values, strict=True) if v is not None)
    return CriticalPoint(
        activation,
        kind,
        float(C_b.evalf(SPARE_DIGITS)),
        float(C_W.evalf(SPARE_DIGITS)),
        None if K_star is None else float(K_star.evalf(SPARE_DIGITS)),
        stable,
        stability,
        exact,
        symbolic,
    )


# Every kernel is fixed ------------------------------------------------------------------------------------------------


def _scale_invariant(activation: Activation) -> CriticalPoint:
    import sympy

    kernel = sympy.Symbol("K", positive=True)
    C_W = sympy.cancel(kernel / closed_bracket(activation, (0, 0)))
    values = (sympy.Integer(0), C_W, None)
    return _point(activation, SCALE_INVARIANT, values, True, "marginal: a kernel stays where it is", True)


# K* = 0 ---------------------------------------------------------------------------------------------------------------


def _vanishing(activation: Activation, reasons: list[str]) -> list[CriticalPoint]:
    import sympy

    if not activation.continuous:
        return []  # the reason is given where K* > 0 is looked for
    try:
        value, slope = derivatives_at_zero(activation, 1)
    except NoClosedForm:
        reasons.append("sigma has a kink at 0")
        return []
    if value != 0 or slope == 0:
        reasons.append("sigma(0) is not 0" if value != 0 else "sigma'(0) = 0")
        return []
    values = (sympy.Integer(0), sympy.cancel(1 / slope**2), sympy.Integer(0))
    bend = _bend(activation, slope)
    stable = bend < 0
    how = "stable: small kernels decay to 0" if stable else "unstable: small kernels grow"
    if not stable:
        reasons.append("K* = 0 is unstable")
    return [_point(activation, VANISHING, values, stable, how, not slope.has(sympy.Float))]


def _bend(activation: Activation, slope: Any) -> float:
    """The sign of <sigma sigma>/sigma'(0)^2 - K: of its first power of K; where none shows, of the average itself."""
    for m in range(1, MOST_FLAT + 1):
        digits = [(c / slope).evalf(2 * SPARE_DIGITS) for c in derivatives_at_zero(activation, 2 * m + 2)]
        a = kernel_series(digits, (0, 0), 0, m + 2)[m + 1]
        if abs(a) > 1e-20:
            return float(a)
    kernels = np.geomspace(1e-3, 1.0, 13)
    values, errors = gaussian_moments(activation, kernels[:, None, None], [SQUARE])
    excess = values[:, 0] / float(slope) ** 2 - kernels
    certain = np.flatnonzero(np.abs(excess) > CERTAIN * errors[:, 0] / float(slope) ** 2)
    return float(excess[certain[0]]) if certain.size else 0.0


# K* > 0 ---------------------------------------------------------------------------------------------------------------

CURVATURE = (((0, 0), 2),)  # <d^2[sigma sigma]> = 2 d<sigma sigma>/dK
SLOPES = (((1, 1), 0),)  # <sigma'sigma'>
SQUARE = (((0, 0), 0),)
BEND = (((0, 0), 4),)  # <d^4[sigma sigma]> = 4 d^2<sigma sigma>/dK^2


def _positive(activation: Activation, reasons: list[str]) -> list[CriticalPoint]:
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
    found = []
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
        found.append(_point(activation, HALF_STABLE, values, True, how, symbolic))
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
