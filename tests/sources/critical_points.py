"""PDLT (arXiv:2106.10165), chapter 5: critical points and Taylor coefficients of the class K* = 0, typed by hand.

tanh, sin, erf, the ReLU family, SWISH and GELU are the book's; the digits of the last two were recomputed from
<sigma sigma''> = 0, C_W = 1/<sigma'^2>, C_b = K - C_W <sigma^2>. Equation numbers not seen.
"""

from __future__ import annotations

import math

CRITICAL = {
    "tanh": ("K*=0", 0.0, 1.0, 0.0),
    "sin": ("K*=0", 0.0, 1.0, 0.0),
    "erf": ("K*=0", 0.0, 0.7853981633974483, 0.0),
    "relu": ("scale-invariant", 0.0, 2.0, None),
    "leaky_relu": ("scale-invariant", 0.0, 2 / (1 + 0.01**2), None),
    "linear": ("scale-invariant", 0.0, 1.0, None),
    "gelu": ("half-stable", 0.172922390756, 1.98305825744, (3 + math.sqrt(17)) / 2),
    "swish": ("half-stable", 0.555143170722, 1.98800467827, 14.3201736180),
}
"""Class, C_b, C_W and K* (None where every kernel is fixed); the slope of leaky_relu is 0.01."""

EIGHT_DIGITS = {"gelu": ("0.17292239", "1.98305826"), "swish": ("0.55514317", "1.98800468")}
"""(C_b, C_W) as they are quoted."""

# <sigma sigma>/sigma_1^2 = K + a_1 K^2 + a_2 K^3 + ..., <sigma'sigma'>/sigma_1^2 = 1 + b_1 K + ..., as fractions
TAYLOR = {
    "tanh": {"C_W": "1", "a_1": "-2", "a_2": "17/3", "b_1": "-2", "p_perpendicular": "1"},
    "sin": {"C_W": "1", "a_1": "-1", "a_2": "2/3", "b_1": "-1", "p_perpendicular": "1"},
    "erf": {"C_W": "pi/4", "a_1": "-2", "a_2": "14/3", "b_1": "-2", "p_perpendicular": "1"},
    "atan(z)": {"C_W": "1", "a_1": "-2", "a_2": "23/3", "b_1": "-2", "p_perpendicular": "1"},
    "asinh(z)": {"C_W": "1", "a_1": "-1", "a_2": "8/3", "b_1": "-1", "p_perpendicular": "1"},
}


def first_coefficients(sigma_1: float, sigma_2: float, sigma_3: float) -> tuple[float, float]:
    """(a_1, b_1) from the derivatives of sigma at zero."""
    return sigma_3 / sigma_1 + 0.75 * (sigma_2 / sigma_1) ** 2, sigma_3 / sigma_1 + (sigma_2 / sigma_1) ** 2
