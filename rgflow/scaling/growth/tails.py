r"""Tables at large and at small kernels, exactly, from the activation.

Large q. For lines that meet at zero and for powers, <sigma sigma>_q = c q^alpha exactly. For sigma with limits
sigma(+-infinity) = m +- h a Gaussian of width sqrt(q) sees a step, and what differs from it near zero with density
1/sqrt(2 pi q):

.. math:: \langle\sigma\sigma\rangle_q = m^2 + h^2
    + \frac{1}{\sqrt{2\pi q}} \int [\sigma^2 - \sigma(\pm\infty)^2] dz + ...,

.. math:: \langle\sigma'\sigma'\rangle_q = \frac{1}{\sqrt{2\pi q}} \int \sigma'^2 dz + ...

of which the correction leads where both limits are zero. For sigma that tends to lines of slopes a_- and a_+: A_2 q and
A_2, A_2 = (a_-^2 + a_+^2)/2. Small q: Taylor.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np

from rgflow.activations import Activation
from rgflow.brackets.closed import closed_bracket_two
from rgflow.errors import AccuracyError, NoClosedForm
from rgflow.scaling.homogeneous import Homogeneous, refuse_jumps

LEAST = 1e-150  # amplitudes occur squared


@dataclass(frozen=True)
class Tail:
    """<sigma sigma> = square q^degree (+ correction q^{-1/2}), <sigma'sigma'> = slope q^{-fall}; SymPy numbers.

    limits : (m, h) of sigma that saturates at m - h and m + h, else None.
    lines : the two lines through zero that sigma tends to, as a power of degree 1, else None.
    """

    square: Any
    degree: Any
    slope: Any
    fall: Any
    correction: Any = 0
    limits: tuple[Any, Any] | None = None
    lines: Homogeneous | None = None


@lru_cache(maxsize=64)
def far(sigma: Activation | Homogeneous) -> Tail:
    """Tables at large kernels.

    Raises NoClosedForm for sigma that neither is a power nor tends to lines or to constants, and KinkError for jumps.
    """
    import sympy as sp

    if isinstance(sigma, Homogeneous):
        degree = sp.Rational(sigma.degree)
        return Tail(sigma.square(), degree, sigma.slope(), 1 - degree)
    refuse_jumps(sigma)
    slopes, ends = _far_values(sigma)
    if any(slopes):
        square = sum(_number(x) ** 2 for x in slopes) / 2
        left, right = (Fraction(repr(float(x))) for x in slopes)
        return Tail(square, sp.Integer(1), square, sp.Integer(0), lines=Homogeneous(Fraction(1), -left, right))
    low, high = (_number(x) for x in ends)
    middle, half = (high + low) / 2, (high - low) / 2
    slope = _integral(sigma, low, high, "slope") / sp.sqrt(2 * sp.pi)
    correction = _integral(sigma, low, high, "square") / sp.sqrt(2 * sp.pi)
    _refuse_absurd(sigma, "<sigma'sigma'> at large kernels", slope)
    if low == high == 0:
        _refuse_absurd(sigma, "<sigma sigma> at large kernels", correction)
        return Tail(sp.simplify(correction), -sp.Rational(1, 2), sp.simplify(slope), sp.Rational(1, 2))
    _refuse_absurd(sigma, "<sigma sigma> at large kernels", middle**2 + half**2)
    return Tail(
        sp.simplify(middle**2 + half**2),
        sp.Integer(0),
        sp.simplify(slope),
        sp.Rational(1, 2),
        sp.simplify(correction),
        (middle, half),
    )


@lru_cache(maxsize=64)
def near(sigma: Activation | Homogeneous) -> Tail:
    """Tables at small kernels; a power is one everywhere. Raises NoClosedForm at a kink at zero."""
    import sympy as sp

    if isinstance(sigma, Homogeneous):
        return far(sigma)
    if 0.0 in sigma.kinks:
        raise NoClosedForm(f"{sigma.name} has a kink at 0 and is no power there: small kernels are not followed")
    value, slope = (_number(float(x)) for x in sigma.derivatives(np.zeros(1), 1)[:, 0])
    if slope == 0:
        raise NoClosedForm(f"{sigma.name} is flat at 0: small kernels are not followed")
    _refuse_absurd(sigma, "<sigma'sigma'> at small kernels", slope**2)
    if value != 0:
        _refuse_absurd(sigma, "<sigma sigma> at small kernels", value**2)
        return Tail(value**2, sp.Integer(0), slope**2, sp.Integer(0))
    return Tail(slope**2, sp.Integer(1), slope**2, sp.Integer(0))


def _far_values(act: Activation) -> tuple[tuple[float, float], tuple[float, float]]:
    """Slopes and values far to the left and to the right."""
    z = np.array([1e30, 1e60, 1e90])
    try:
        seen = np.array([act.derivatives(side * z, 1) for side in (-1.0, 1.0)])
    except AccuracyError:
        seen = np.full((2, 2, 3), np.nan)
    slopes, values = np.where(np.abs(seen[:, 1]) < 1e-14, 0.0, seen[:, 1]), seen[:, 0]
    steady = np.isfinite(seen).all() and np.ptp(slopes, axis=1).max() < 1e-14
    if steady and not slopes.any():
        fading = np.abs(values[:, -1]) < np.abs(values[:, 0]) / 2  # as 1/z does
        values = np.where(fading[:, None], 0.0, values)
        steady = (np.ptp(values, axis=1) <= 1e-14 * np.abs(values).max(axis=1)).all()
    if not steady:
        raise NoClosedForm(
            f"{act.name} tends neither to lines nor to constants: its kernels grow faster than exponentially, or not "
            "like a power; rgflow.variation follows them as far as they are numbers"
        )
    return (float(slopes[0, -1]), float(slopes[1, -1])), (float(values[0, -1]), float(values[1, -1]))


def _refuse_absurd(act: Activation, what: str, amplitude: Any) -> None:
    """NoClosedForm for an amplitude that is zero, not a number, or out of the range of double precision."""
    size = float(amplitude)
    if not LEAST < size < 1 / LEAST:
        raise NoClosedForm(
            f"{what} of {act.name} has the amplitude {amplitude if amplitude == 0 else f'{size:.3g}'}, outside of "
            f"{LEAST:g} to {1 / LEAST:g}: no law in the depth can be read off it; rescale the activation"
        )


def _number(value: float) -> Any:
    """A value of a formula as the number that it is: rational, or a multiple of a root of pi."""
    import sympy as sp

    for unit in (sp.Integer(1), sp.pi, 1 / sp.sqrt(sp.pi), 1 / sp.sqrt(2 * sp.pi)):
        ratio = Fraction(value / float(unit)).limit_denominator(10_000)
        if abs(float(ratio) * float(unit) - value) <= 1e-15 * abs(value):
            return sp.Rational(ratio.numerator, ratio.denominator) * unit
    return sp.Float(value, 15)


def _integral(act: Activation, low: Any, high: Any, what: str) -> Any:
    """int sigma'^2 dz, or int [sigma^2 - sigma(+-infinity)^2] dz, by t = sigma(z) where sigma' is a polynomial in t."""
    import sympy as sp

    z, t = sp.Symbol("z", real=True), sp.Symbol("t", real=True)
    if not act.kinks:
        sigma = act.sympy().subs(sp.Symbol("z", real=True), z)
        if sigma.func == sp.tanh and sigma.args[0].diff(z).is_number:
            rate = sp.diff(sigma, z).subs(sigma, t)  # sigma' = (1 - t^2) times a number
            inside = rate if what == "slope" else sp.cancel((t**2 - high**2) / rate)
            return sp.integrate(inside, (t, low, high))
        if what == "slope" and sigma.func == sp.erf:
            return sp.integrate(sp.diff(sigma, z) ** 2, (z, -sp.oo, sp.oo))
    return sp.Float(_quadrature(act, low, high, what), 15)


def _quadrature(act: Activation, low: Any, high: Any, what: str) -> float:
    edges = sorted({0.0, *act.kinks, *(s * 2.0**k for s in (-1, 1) for k in range(-3, 40))})
    nodes, weights = np.polynomial.legendre.leggauss(24)
    left, right = np.array(edges[:-1])[:, None], np.array(edges[1:])[:, None]
    x = (left + right) / 2 + (right - left) / 2 * nodes
    sigma, slope = act.derivatives(x, 1)
    limit = np.where(x > 0, float(high), float(low))
    inside = slope**2 if what == "slope" else sigma**2 - limit**2
    parts = ((right - left) / 2 * weights * inside).sum(axis=1)
    if abs(parts[0]) + abs(parts[-1]) > 1e-12 * np.abs(parts).sum():
        raise NoClosedForm(f"{act.name} reaches its limits too slowly for an integral: powers of sqrt(q) do not do")
    return float(parts.sum())


@lru_cache(maxsize=1)
def step_correlation() -> Any:
    """<sign sign> of two inputs of correlation c, in Symbol("c")."""
    import sympy as sp

    from rgflow.activations import activation

    c = sp.Symbol("c", real=True)
    found = closed_bracket_two(activation("sign(z)"), ((0,), 0), ((0,), 0))
    at = {symbol: {"K11": sp.Integer(1), "K22": sp.Integer(1), "K12": c}[symbol.name] for symbol in found.free_symbols}
    return sp.simplify(found.subs(at))


@lru_cache(maxsize=1)
def step_loss() -> Any:
    """a in w(1 - delta) = 1 - a sqrt(delta) + ..., w the correlation of two signs."""
    import sympy as sp

    theta = sp.Symbol("theta", positive=True)
    found = _by_angle(step_correlation().subs(sp.Symbol("c", real=True), sp.cos(theta)), theta)
    return -sp.series(found, theta, 0, 2).removeO().coeff(theta, 1) * sp.sqrt(2)  # delta = theta^2/2


def _by_angle(expression: Any, theta: Any) -> Any:
    """A function of the correlation cos(theta) of two inputs near theta = 0."""
    import sympy as sp

    plain = expression.subs(sp.asin(sp.cos(theta)), sp.pi / 2 - theta).subs(sp.acos(sp.cos(theta)), theta)
    return plain.subs(sp.sqrt(1 - sp.cos(theta) ** 2), sp.sin(theta))


@lru_cache(maxsize=64)
def kink_loss(power: Homogeneous) -> Any:
    """a in D(1 - delta)/q = <sigma'sigma'> (delta - a delta^{3/2} + ...), for lines that meet at zero.

    A kink makes nearby inputs part less than they would on a smooth curve.
    """
    import sympy as sp

    from rgflow.activations import activation

    theta = sp.Symbol("theta", positive=True)
    found = closed_bracket_two(activation("relu"), ((0,), 0), ((0,), 0))
    put = {"K11": sp.Integer(1), "K22": sp.Integer(1), "K12": sp.cos(theta)}
    joint = _by_angle(found.subs({symbol: put[symbol.name] for symbol in found.free_symbols}), theta)
    cubic = -sp.series(joint, theta, 0, 4).removeO().coeff(theta, 3)  # D = theta^2/4 + cubic theta^3
    # (a_+ - a_-)^2 of the kink, relative to relu's; delta = theta^2/2
    kink = sp.Rational(power.right + power.left) ** 2
    return sp.simplify(-cubic * 2 * sp.sqrt(2) * kink / power.slope())
