"""Four ways in which partial Jacobians depend on depth, from how the factor chi_J of a layer tends to its limit."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from rgflow.scaling.growth.printing import depth_symbol

CONSTANT, POWER, STRETCHED, EXPONENTIAL = "constant", "power", "stretched exponential", "exponential"
DIGITS = 15


class Regime(NamedTuple):
    """The fields of a ``JacobianLaw`` behind the activation and the layer."""

    regime: str
    expression: Any
    chi_J: Any
    zeta: Any = None
    rate: Any = None
    power: Any = None
    K_star: float | None = None


def power(zeta: Any, K_star: float | None) -> Regime:
    """J ~ l^-zeta, or a constant."""
    import sympy as sp

    zeta = shortened(zeta + sp.Integer(0))
    return Regime(POWER if zeta != 0 else CONSTANT, depth_symbol() ** -zeta, sp.Integer(1), zeta, K_star=K_star)


def exponential(chi: Any, K_star: float) -> Regime:
    """J ~ chi^l."""
    import sympy as sp

    chi = shortened(chi + sp.Integer(0))
    return Regime(EXPONENTIAL, chi ** depth_symbol(), chi, K_star=K_star)


def approaching(rate: Any, fall: Any) -> Regime:
    """chi_J - 1 = rate l^-fall, fall > 0, while the kernel grows for ever."""
    import sympy as sp

    rate, left = sp.simplify(rate), 1 - fall
    if left == 0:
        return power(-rate, math.inf)
    if left < 0:
        return power(0, math.inf)
    rate = shortened(sp.simplify(rate / left))
    return Regime(STRETCHED, sp.exp(rate * depth_symbol() ** left), sp.Integer(1), None, rate, left, math.inf)


def without_sigma(added: Any, kept: Any) -> Regime:
    """K' = added + kept K and J' = kept J: linear layers, or C_W = 0."""
    if kept == 1:
        return power(0, math.inf if added else None)
    return exponential(kept, float(added / (1 - kept)) if kept < 1 else math.inf)


def shortened(number: Any) -> Any:
    """Fifteen digits of what is not exact."""
    from sympy import Float

    if number.is_number:
        return number.n(DIGITS) if number.has(Float) else number
    return number.xreplace({x: x.n(DIGITS) for x in number.atoms(Float)})
