r"""Where the correlation e of two inputs goes with depth, and how it gets there.

.. math:: e' p' = e p + C_V \langle\sigma_1\sigma_2\rangle + C_a

Where sigma saturates, <sigma_1 sigma_2> tends to m^2 + h^2 w(c), w the correlation of two signs, and e to a solution of
F(e) = e, F the average of w and 1 with the weights of what feeds p. Where sigma is two lines that meet at zero a kink
drives inputs together, as D(1 - delta)/(q <sigma'sigma'>) = delta - a delta^{3/2}.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from rgflow.activations import Activation
from rgflow.scaling.growth.balance import Balance
from rgflow.scaling.growth.growth import Growth, Signs, summed, total
from rgflow.scaling.growth.tails import kink_loss, step_correlation, step_loss
from rgflow.scaling.homogeneous import Homogeneous
from rgflow.scaling.tables import power_apart


@dataclass(frozen=True)
class Expressivity:
    """The limit of e, a number, or None where the inputs decide; and |e - limit| as a Growth, None if not derived.

    equation : F(e) - e, of which the limit is a zero, in Symbol("e"); None without one.
    """

    limit: Any
    approach: Growth | None
    equation: Any = None


def expressivity(found: Balance, sigma: Activation | Homogeneous, signs: Signs) -> Expressivity | None:
    """None where it is not derived: kernels that tend to a constant, powers of sigma that are fed from outside."""
    if isinstance(sigma, Homogeneous):
        return _lines(found, kink_loss(sigma), signs) if sigma.degree == 1 else _power(found, sigma, signs)
    if found.tail is not None and found.tail.lines is not None:
        return _lines(found, kink_loss(found.tail.lines), signs)
    if found.tail is not None and found.tail.limits is None and found.q.direction(signs) < 0 and found.tail.degree == 1:
        return _lines(found, 0, signs)  # small kernels see a straight line
    if found.tail is not None and found.tail.degree < 0:
        everything = total([g for _, g in found.sources], signs) if found.sources else None
        others = [g for share, g in found.sources if share.orders]
        if everything is not None and all(g.compare(everything, signs) < 0 for g in others):
            return Expressivity(_one(), None)  # inputs are fed alike
        return None
    if found.tail is None or found.tail.limits is None or found.p.products:
        return None
    return _saturating(found, signs)


def _one() -> Any:
    import sympy as sp

    return sp.Integer(1)


def _saturating(found: Balance, signs: Signs) -> Expressivity:
    import sympy as sp

    assert found.tail is not None
    assert found.tail.limits is not None
    middle, half = found.tail.limits
    e, c = sp.Symbol("e", real=True), sp.Symbol("c", real=True)
    w = step_correlation().subs(c, e)
    winners = [(s, g) for s, g in found.sources if g.compare(total([g for _, g in found.sources], signs), signs) == 0]
    fed = sum(g.amplitude for _, g in winners)
    fixed = sum(
        g.amplitude / found.tail.square * (middle**2 + half**2 * w) if s.orders else g.amplitude for s, g in winners
    )
    F = sp.simplify(fixed / fed)
    if not F.has(e):  # inputs are fed alike: they come together
        return Expressivity(sp.Integer(1), _together(found, half, signs))
    rate = found.p.power  # p ~ l^rate: d e / d ln l = rate (F - e)
    if F.subs(e, 0) == 0:
        limit: Any = sp.Integer(0)
    elif (F - e).free_symbols != {e}:
        return Expressivity(None, None, F - e)
    else:
        limit = _root(F - e, e)
    delta = 1 - sp.diff(F, e).subs(e, limit)
    delta = delta.n(15) if limit.is_Float else sp.simplify(delta)
    if signs.sign(rate) == 0:
        return Expressivity(limit, Growth(None, 0, -found.p.logs * delta), F - e)
    return Expressivity(limit, Growth(None, -rate * delta), F - e)


def _power(found: Balance, sigma: Homogeneous, signs: Signs) -> Expressivity | None:
    """A power of its own: 1 - e tends to where D(1 - e)/V is 1 - e itself; near e = 1 it is larger, since alpha < 1."""
    import sympy as sp

    everything = total([g for _, g in found.sources], signs)
    outside = [g for share, g in found.sources if not share.orders and g.compare(everything, signs) == 0]
    if outside or not found.from_stream or found.p.direction(signs) <= 0:
        return None

    def apart(gap: float) -> float:
        half = math.asin(math.sqrt(gap / 2))
        return float(power_apart(sigma, np.array([math.tan(half)]))[0]) / float(sigma.square())

    low, high = 1e-9, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if apart(middle) > middle else (low, middle)
    h = 1e-4 * low
    delta = sp.Float(1 - (apart(low + h) - apart(low - h)) / (2 * h), 6)
    rate = found.p.power
    if signs.sign(rate) == 0:
        return Expressivity(sp.Float(1 - low, 12), Growth(None, 0, -found.p.logs * delta))
    return Expressivity(sp.Float(1 - low, 12), Growth(None, -rate * delta))


def _root(function: Any, e: Any) -> Any:
    """The zero below 1, where F has an infinite slope: bisection to 25 digits."""
    import sympy as sp
    from mpmath import mp, mpf

    with mp.workdps(30):
        f = sp.lambdify(e, function, "mpmath")
        low, high = mpf(0), 1 - mpf(10) ** -12
        for _ in range(90):
            middle = (low + high) / 2
            low, high = (middle, high) if f(middle) > 0 else (low, middle)
        return sp.Float(str(low), 25)


def _together(found: Balance, half: Any, signs: Signs) -> Growth | None:
    """1 - e = s/p where only C_a feeds p: s' - s = C_V h^2 (1 - w(1 - s/p)), or s stays."""
    import sympy as sp

    others = [g for share, g in found.sources if share.orders]
    if not others:
        return Growth(None) / found.p
    assert found.tail is not None
    front = others[0] * Growth(half**2 / found.tail.square * step_loss())
    step = front / found.p ** sp.Rational(1, 2)
    root = summed(Growth(None if step.amplitude is None else step.amplitude / 2, step.power, step.logs), signs)
    s = root**2 if root.direction(signs) > 0 else Growth(None)
    return s / found.p


def _lines(found: Balance, loss: Any, signs: Signs) -> Expressivity | None:
    """Two lines that meet at zero: the kink, and what feeds both inputs alike."""
    import sympy as sp

    if found.p.products:
        (T, kappa, _), _count = found.p.products[0]
        if loss == 0:
            return Expressivity(None, None)
        # p grows by 1 + T from layer to layer for kappa = 0: the rate relative to p'
        front = T / (1 + T) if signs.sign(kappa) == 0 else T
        inside = summed(Growth(front * loss / 2, -kappa), signs)  # 1/sqrt(1 - e)
        return Expressivity(sp.Integer(1), inside**-2)
    if found.p.direction(signs) == 0:
        # what is still to come changes e, as the sums over the layers that follow
        left = [Growth(None, g.power + 1, g.logs) for share, g in found.sources if not share.orders]
        if loss != 0 and found.step is not None:
            left.append(Growth(None, found.step.power + 1, found.step.logs))
        return Expressivity(None, total(left, signs) if left else None)
    if found.p.compare(found.chi, signs) > 0:  # fed from outside: both inputs get the same, s grows as chi
        ratio = found.chi / found.p
        return Expressivity(sp.Integer(1), Growth(None, ratio.power, ratio.logs))
    if loss == 0:
        return Expressivity(None, None)
    # p ~ l^R, of its own: 1/sqrt(1 - e) = (a R/2) ln l
    inside = summed(Growth(found.chi.power * loss / 2, -1), signs)
    return Expressivity(sp.Integer(1), inside**-2)
