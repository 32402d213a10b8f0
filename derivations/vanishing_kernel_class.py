r"""PDLT chapter 5: the class K* = 0: which activations are in it, how the kernel and the susceptibilities approach it.

Assumptions: infinite width, one input, sigma smooth at zero with derivatives s_1, s_2, s_3 there.

The way. With sigma(0) = 0 small kernels are small again, and averages are Taylor series,

    <s s>/s_1^2 = K + a_1 K^2 + a_2 K^3 + ...,    a_1 = s_3/s_1 + (3/4)(s_2/s_1)^2,
    <s's'>/s_1^2 = 1 + b_1 K + ...,               b_1 = s_3/s_1 + (s_2/s_1)^2:

sigma^2 = (s_1 z + s_2 z^2/2 + s_3 z^3/6)^2 has z^4 with s_2^2/4 + s_1 s_3/3, and <z^4> = 3 K^2; sigma'^2 has z^2 with
s_2^2 + s_1 s_3. At C_b = 0, C_W = 1/s_1^2 the kernel keeps what it has to first order: K' = K + a_1 K^2 + a_2 K^3. If
a_1 < 0 it decays, 1/K' = 1/K + a + (a^2 - a_2) K + ..., a = -a_1, so that 1/K = a l + ((a^2 - a_2)/a) ln l + constant;
chi_parallel = 1 + 2 a_1 K = 1 - 2/l and chi_perp = 1 + b_1 K = 1 - p_perp/l, p_perp = b_1/a_1. If a_1 > 0 kernels run
away, as those of gelu about zero do (s_1 = 1/2, s_2 = 2/sqrt(2 pi), s_3 = 0).

Engine: rg.closed_form and its series in K for exp(z) - 1, sin(z) + z^2/4 and a polynomial; rg.criticality and its laws;
for b_1 of activations without closed forms, chi_perp of rg.flow at two small kernels.

Sources: PDLT chapter 5 (equation numbers not seen); the five rows of numbers were computed apart from this package.
"""

from functools import cache
from typing import Any

import numpy as np
import sympy as sp
from compare import coefficient, equal, plain
from rows import check_rows, row

import rgflow as rg

K, l, C_W, C_b = (sp.Symbol(name, positive=True) for name in ("K", "l", "C_W", "C_b"))
z = sp.Symbol("z", real=True)
TAYLOR = "tests/sources/critical_points.py: Taylor coefficients typed by another hand"
DEEP = "benchmarks/power_laws.py: flows of 10^5 layers beside these laws"
# sigma: itself in SymPy, for its derivatives at zero
SMOOTH = {
    "exp(z) - 1": sp.exp(z) - 1,
    "sin(z) + z^2/4": sp.sin(z) + z**2 / 4,
    "2*z + z^2/3 - z^3/5": 2 * z + z**2 / 3 - z**3 / 5,
}


def at_zero(activation: str) -> list[sp.Expr]:
    """s_1, s_2, s_3."""
    return [sp.diff(SMOOTH[activation], z, order).subs(z, 0) for order in (1, 2, 3)]


@cache
def series(activation: str, name: str = "K") -> list[sp.Expr]:
    """Coefficients of 1, K, K^2, K^3 in <s s> (``K``) or <s's'> (``Theta``), from the derived recursion."""
    if name == "K":
        step = plain(rg.closed_form(rg.derive("K"), activation)).subs({C_b: 0, C_W: 1})
    else:
        step = coefficient(name, name, activation).subs(C_W, 1)
    expansion = sp.series(step, K, 0, 4).removeO()
    return [sp.simplify(expansion.coeff(K, power)) for power in range(4)]


@row("pdlt/kernel_map_coefficient_a1", witness=TAYLOR)
def kernel_map_coefficient_a1() -> dict[str, sp.Expr]:
    shown = {}
    for activation in SMOOTH:
        s_1, s_2, s_3 = at_zero(activation)
        typed = s_3 / s_1 + sp.Rational(3, 4) * (s_2 / s_1) ** 2
        typed_first = 1
        zeroth, first, second, _ = series(activation)
        assert zeroth == 0
        equal(first / s_1**2, typed_first, f"K of {activation}")
        equal(second / s_1**2, typed, f"a_1 of {activation}")
        shown[f"a_1, {activation}"] = second / s_1**2
    return shown


@row("pdlt/slope_map_coefficient_b1", witness=TAYLOR)
def slope_map_coefficient_b1() -> dict[str, sp.Expr]:
    shown = {}
    for activation in SMOOTH:
        s_1, s_2, s_3 = at_zero(activation)
        typed = s_3 / s_1 + (s_2 / s_1) ** 2
        typed_zeroth = 1
        zeroth, first, _, _ = series(activation, "Theta")
        equal(zeroth / s_1**2, typed_zeroth, f"<s's'> of {activation}")
        equal(first / s_1**2, typed, f"b_1 of {activation}")
        shown[f"b_1, {activation}"] = first / s_1**2
    return shown


@row("pdlt/k_star_zero_condition", witness="tests/universality/test_points.py: points, from averages taken there")
def k_star_zero_condition() -> dict[str, Any]:
    """Of these, those with sigma(0) = 0, s_1 != 0 and a_1 < 0 are the ones that the engine puts into the class."""
    tried = {
        "tanh": sp.tanh(z), "3*sin(z)": 3 * sp.sin(z), "erf": sp.erf(z), "sinh(z)": sp.sinh(z), "cos(z)": sp.cos(z),
        "z^3": z**3, "exp(z) - 1": sp.exp(z) - 1, "sin(z) + z^2/4": sp.sin(z) + z**2 / 4,
    }  # fmt: skip

    def typed(value: Any, s_1: Any, a_1: Any) -> bool:
        return bool(value == 0 and s_1 != 0 and a_1 < 0)

    shown = {}
    for activation, sigma in tried.items():
        value, s_1, s_2, s_3 = (sp.diff(sigma, z, order).subs(z, 0) for order in range(4))
        a_1 = s_3 / s_1 + sp.Rational(3, 4) * (s_2 / s_1) ** 2 if s_1 else sp.nan
        point = stable_at_zero(activation)
        assert (point is not None) == typed(value, s_1, a_1), activation
        if point is not None:
            typed_tuning = {"C_b": 0, "C_W": 1 / s_1**2}
            for name, number in typed_tuning.items():
                equal(point.values[name], number, f"{name} of {activation}")
            shown[activation] = point.values["C_W"]
    return shown


def stable_at_zero(activation: str) -> Any:
    """The critical point K* = 0 to which small kernels decay, or None."""
    try:
        points = rg.criticality(activation).points
    except rg.NoCriticalPoint:
        return None
    found = [p for p in points if p.universality_class == "K*=0" and p.stable]
    return found[0] if found else None


# Depth ----------------------------------------------------------------------------------------------------------------

BENT = ("sin", "erf", "sin(z) + z^2/4")  # the last is not odd


@cache
def kernel(activation: str) -> tuple[sp.Expr, sp.Expr]:
    """The law of K and its relative correction."""
    found = rg.solve("K", activation)
    return plain(found.expression), plain(found.correction)


def curves(activation: str) -> tuple[sp.Expr, sp.Expr, sp.Expr]:
    """a_1, a_2, b_1 from the series of the derived recursions."""
    (_, s, *more), (_, slope, *_) = series(activation), series(activation, "Theta")
    return more[0] / s, more[1] / s, slope / s


@row("pdlt/k_star_zero_kernel", witness=DEEP)
def k_star_zero_kernel() -> dict[str, sp.Expr]:
    shown = {}
    for activation in BENT:
        a_1, _, _ = curves(activation)
        typed = 1 / (-a_1 * l)
        typed_p_0 = 1
        equal(kernel(activation)[0], typed, f"K of {activation}")
        assert rg.criticality(activation).p_0 == typed_p_0, activation
        shown[f"K, {activation}"] = kernel(activation)[0]
    return shown


def approach(susceptibility: sp.Expr, activation: str) -> sp.Expr:
    """A susceptibility at critical C_W, in the leading law of K, to the order 1/l."""
    critical = susceptibility.subs(C_W, rg.criticality(activation).point.values["C_W"])
    to_first = sp.series(critical, K, 0, 2).removeO()
    return sp.expand(sp.simplify(to_first).subs(K, kernel(activation)[0]))


@row("pdlt/k_star_zero_chi_parallel", witness=DEEP)
def k_star_zero_chi_parallel() -> dict[str, Any]:
    typed = 1 - 2 / l
    typed_exponent = 2
    for activation in BENT:
        found = approach(coefficient("K_1", "K_1", activation), activation)
        equal(found, typed, f"chi_parallel of {activation}")
        assert rg.criticality(activation).p_parallel == typed_exponent, activation
    return {"chi_parallel": found}


@row("pdlt/k_star_zero_chi_perpendicular", witness=DEEP)
def k_star_zero_chi_perpendicular() -> dict[str, Any]:
    shown = {}
    for activation in BENT:
        a_1, _, b_1 = curves(activation)
        typed_exponent = b_1 / a_1
        typed = 1 - b_1 / a_1 / l
        found = approach(coefficient("Theta", "Theta", activation), activation)
        equal(found, typed, f"chi_perp of {activation}")
        equal(rg.criticality(activation).p_perpendicular, typed_exponent, f"p_perp of {activation}")
        shown[f"chi_perp, {activation}"] = found
    typed_odd = 1
    assert rg.criticality("sin").p_perpendicular == rg.criticality("erf").p_perpendicular == typed_odd
    return shown


@row("pdlt/k_star_zero_subleading", witness=DEEP)
def k_star_zero_subleading() -> dict[str, sp.Expr]:
    """1/K to the order 1; the engine's constant c_K is what the layers near the input determine."""
    shown = {}
    for activation in BENT:
        a_1, a_2, _ = curves(activation)
        a = -a_1
        typed = a * l + (a**2 - a_2) / a * sp.log(l)
        leading, correction = kernel(activation)
        found = sp.expand((1 - correction) / leading)
        constant = sp.expand(found).coeff(sp.Symbol("c_K", positive=True), 1)
        left_over = found - constant * sp.Symbol("c_K", positive=True)
        equal(left_over, typed, f"1/K of {activation}")
        shown[f"1/K, {activation}"] = found
    return shown


# Numbers --------------------------------------------------------------------------------------------------------------


def compared(activation: str, typed: dict[str, Any]) -> dict[str, Any]:
    """C_W, a_1, a_2 and p_perp as they are; b_1, measured, to what is left when its K^1 is taken out."""
    found: dict[str, Any] = {"C_W": rg.criticality(activation).point.values["C_W"]}
    leading, correction = kernel(activation)
    a = 1 / (leading * l)
    log = sp.expand(correction * l).coeff(sp.log(l), 1)
    found |= {"a_1": -a, "a_2": a**2 + a**2 * log, "p_perp": rg.criticality(activation).p_perpendicular}
    for name, value in found.items():
        equal(value, typed[name], f"{name} of {activation}")
    found["b_1"] = slope(activation)
    assert abs(found["b_1"] / float(typed["b_1"]) - 1) < 1e-5, (activation, found["b_1"])
    return found


def slope(activation: str, K: float = 1e-4) -> float:
    """(chi_perp - 1)/K -> b_1, from flows that learn in layer 1 alone; Richardson's step leaves b_3 K^2 ~ 1e-6."""

    def chi(kernel: float) -> float:
        weight = rg.criticality(activation).C_W
        net = rg.MLP([1, 1, 1], activation, C_W=weight, lambda_b=[1.0, 0.0], lambda_W=0.0)
        return float(np.ediff1d(rg.flow(net, first_kernel=kernel, tensors="Theta", order=0)["Theta"])[0]) / kernel

    return 2 * chi(K) - chi(2 * K)


@row("pdlt/k_star_zero_tanh", witness=TAYLOR)
def tanh() -> dict[str, Any]:
    typed = {"C_W": 1, "a_1": -2, "a_2": sp.Rational(17, 3), "b_1": -2, "p_perp": 1}
    return compared("tanh", typed)


@row("pdlt/k_star_zero_sin", witness=TAYLOR)
def sin() -> dict[str, Any]:
    typed = {"C_W": 1, "a_1": -1, "a_2": sp.Rational(2, 3), "b_1": -1, "p_perp": 1}
    return compared("sin", typed)


@row("pdlt/k_star_zero_erf", witness=TAYLOR)
def erf() -> dict[str, Any]:
    typed = {"C_W": sp.pi / 4, "a_1": -2, "a_2": sp.Rational(14, 3), "b_1": -2, "p_perp": 1}
    return compared("erf", typed)


@row("pdlt/k_star_zero_arctan", witness=TAYLOR)
def arctan() -> dict[str, Any]:
    typed = {"C_W": 1, "a_1": -2, "a_2": sp.Rational(23, 3), "b_1": -2, "p_perp": 1}
    return compared("atan(z)", typed)


@row("pdlt/k_star_zero_arcsinh", witness=TAYLOR)
def arcsinh() -> dict[str, Any]:
    typed = {"C_W": 1, "a_1": -1, "a_2": sp.Rational(8, 3), "b_1": -1, "p_perp": 1}
    return compared("asinh(z)", typed)


@row("pdlt/gelu_not_k_star_zero", witness="tests/brackets/test_bracket_series.py: series beside quadratures")
def gelu_not_k_star_zero() -> dict[str, Any]:
    typed = {"C_W": 4, "a_1": 6 / sp.pi}
    typed_class = "outside"
    _, first, second, _ = series("gelu")
    found = {"C_W": 1 / first, "a_1": second / first}
    for name, value in typed.items():
        equal(found[name], value, f"{name} of gelu about zero")
    (point,) = (p for p in rg.criticality("gelu").points if p.K_star == 0)
    equal(point.values["C_W"], typed["C_W"], "C_W of gelu about zero")
    assert typed_class == ("inside" if point.stable else "outside")
    return found | {"small kernels": point.stability}


if __name__ == "__main__":
    check_rows(globals())
