r"""PDLT (arXiv:2106.10165): solutions in depth at criticality for one input, typed by hand.

The scale-invariant class is solved exactly at every depth, the class K* = 0 asymptotically. Both are derived from the
recursions of :mod:`sources.pdlt_one` in the book's conventions (its chapters 5, 9, 11 treat these classes; equation
numbers not seen). All hidden widths are equal.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

Value = Any


def scale_invariant(layer: int, A_2: Value, A_4: Value, K: Value, lambda_b: Value, lambda_W: Value) -> dict[str, Value]:
    """All tensors at ``layer`` of a critical network with sigma(z) = a_+ z, a_- z: C_b = 0, C_W = 1/A_2.

    A_2 = (a_+^2 + a_-^2)/2, A_4 = (a_+^4 + a_-^4)/2; lambda_b, lambda_W are the same in every layer, and the first
    layer has Theta = lambda_b + lambda_W A_2 K. Written second derivatives are zero (sigma'' of the kink is dropped).

    >>> values = scale_invariant(4, Fraction(1), Fraction(1), Fraction(1), Fraction(1, 2), Fraction(7, 10))
    >>> all(values[name] == number for name, number in TEST_VALUES["linear"].items())
    True
    """
    l = layer
    rho = A_4 / A_2**2
    kappa = lambda_W * A_2 * K
    c = lambda_b + kappa
    zero = 0 * c
    mixed = (rho - 1) * c**2 * (2 * l - 1) + 2 * (rho - 1) * c * kappa * (l + 1)
    return {
        "K": K,
        "Theta": c * l,
        "V": (3 * rho - 1) * K**2 * (l - 1),
        "K_1": zero,
        "Theta_1": zero,
        "F": rho * K * c * l * (l - 1) / 2,
        "B": rho * c**2 * l * (l - 1) * (2 * l - 1) / 6,
        "D": K * l * (l - 1) * ((rho - 1) * c + (3 * rho - 1) * kappa) / 2,
        "A": l * (l - 1) * (mixed + kappa**2 * ((6 * rho - 2) * l - (3 * rho - 1))) / 6,
        "P": zero,
        "R": zero,
        "U": zero,
        "Q": rho * c * kappa * l * (l**2 - 1) / 6,
        "S": rho * c**2 * kappa * l**2 * (l**2 - 1) / (12 * K),
        "T": rho * c * kappa**2 * l**2 * (l**2 - 1) / (12 * K),
    }


def _decimals(**numbers: str) -> dict[str, Fraction]:
    return {name: Fraction(text) for name, text in numbers.items()}


TEST_LAYER = 4
TEST_LAMBDA_B = Fraction(1, 2)
TEST_LAMBDA_W = Fraction(7, 10)
TEST_VALUES = {
    "linear": _decimals(Theta="4.8", V="6", F="7.2", B="20.16", D="8.4", A="13.72", Q="8.4", S="20.16", T="11.76"),
    "relu": _decimals(Theta="4.8", V="60", F="28.8", B="40.32", D="56.4", A="71.26", Q="16.8", S="20.16", T="11.76"),
}
"""Numbers to compare with, exact decimals: K = x^2/A_2 with x^2 = 1, so K = 1 (linear) and 2 (ReLU)."""


def vanishing_fixed_point(a_1: float, lambda_b: float, lambda_W: float) -> dict[str, Callable[[float, float], float]]:
    """Leading behaviour at depth of odd sigma with sigma'(0) = 1, C_b = 0, C_W = 1, K* = 0.

    a_1 = sigma'''(0) (-2 for tanh, -1 for sin); learning rates lambda_b / l and lambda_W at layer l. Every entry is a
    function of the layer l and of the constant Theta = lambda_b + lambda_W/a, a = -a_1; pass that constant as Theta.
    """
    a = -a_1
    return {
        "K": lambda l, Theta: 1 / (a * l),
        "Theta": lambda l, Theta: lambda_b + lambda_W / a,
        "V": lambda l, Theta: 2 / 3 * l / (a * l) ** 2,
        "B": lambda l, Theta: Theta**2 * l / 3,
        "F": lambda l, Theta: Theta / (4 * a),
        "D": lambda l, Theta: -2 / 9 * lambda_b / a,
        "A": lambda l, Theta: 4 / 27 * lambda_b**2 * l,
        "P": lambda l, Theta: -(Theta**2) * l / 12,
        "Q": lambda l, Theta: -Theta * lambda_b * l / 16,
        "R": lambda l, Theta: -(Theta**2) * l**2 / 48 * (lambda_W + 3 * a * Theta),
        "S": lambda l, Theta: lambda_W * Theta**2 * l**2 / 12,
        "T": lambda l, Theta: a / 32 * lambda_b**2 * Theta * l**2,
        "U": lambda l, Theta: a * Theta**3 / 2,
    }
