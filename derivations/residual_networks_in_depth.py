r"""Yang and Schoenholz, "Mean Field Residual Networks: On the Edge of Chaos" (arXiv:1712.08969): growth with depth, for
variances that are the same in every block.

Assumptions: infinite width; full blocks x' = x + V sigma(W x + b) + a and reduced ones x' = x + sigma(W x + b), odd
sigma; sigma_w^2 = C_W, sigma_v^2 = C_V, sigma_a^2 = C_a, sigma_b^2 = C_b.

The way is told in residual_networks_edge_of_chaos.py: sums over blocks of the averages at large kernels. tanh adds
C_V + C_a to p in every block, and chi grows by C C_V C_W q^{-1/2}; relu multiplies p and chi by B = 1 + C_V C_W/2;
powers of relu solve dp/dl = C_V C_W^alpha c p^alpha, and ln chi adds alpha^2 c' p^{alpha - 1}.

Two remarks. The distance of e from e* is a l^{-delta} + b l^{-1/2} for tanh: delta is below 1/2 for the variances
looked at, so that the first term wins, but so late that flows of any depth show another power. And e* = .4217, printed
for (1, .5), belongs to sigma_v = 1, sigma_a = .5, that is C_a = 1/4.

Engine: rg.variation_phases, with symbols for the variances.

Sources: arXiv:1712.08969, its tables of exponents; numbers not seen.
"""

import math
from functools import cache

import sympy as sp
from rows import check_rows, row

import rgflow as rg
from rgflow.scaling.growth import VariationPhases

C_W, C_V, C_a, C_b = sp.symbols("C_W C_V C_a C_b", positive=True)
SYMBOLS = {"C_W": C_W, "C_V": C_V, "C_a": C_a, "C_b": C_b}
e = sp.Symbol("e", real=True)
DEEP = "tests/scaling/test_variation_rows.py: flows to the papers' depths"
SOURCE = "tests/sources/yang_schoenholz.py: typed rows, in tests/scaling/test_variation_phases.py"
l = sp.Symbol("l", positive=True)


@cache
def phases(name: str, **more: object) -> VariationPhases:
    return rg.variation_phases(name, **(SYMBOLS | more))


@cache
def reduced() -> VariationPhases:
    return rg.variation_phases("tanh", C_W=C_W, C_b=C_b, reduced=True)


def same(found: sp.Expr, typed: sp.Expr) -> None:
    """Two positive expressions."""
    assert sp.simplify(found / typed - 1) == 0, (found, typed)


@row("width_and_variance_variation/tanh_full_p", witness=DEEP)
def tanh_full_p() -> object:
    typed = C_V * l + C_a * l
    same(phases("tanh")["p"].expression, typed)
    return phases("tanh")["p"]


@row("width_and_variance_variation/tanh_full_gradient", witness=DEEP)
def tanh_full_gradient() -> object:
    """From m = 0: the law of a ratio is a ratio of laws."""
    typed = sp.Rational(4, 3) * sp.sqrt(2 / sp.pi) * C_V * sp.sqrt(C_W) / sp.sqrt(C_V + C_a) * sp.sqrt(l)
    assert sp.simplify(sp.log(phases("tanh")["chi"].expression) - typed) == 0
    return {"tanh": phases("tanh")["chi"], "its logarithm": sp.log(phases("tanh")["chi"].expression)}


@row("width_and_variance_variation/tanh_full_e", witness="tests/scaling/test_variation_open_points.py: to 1e12 blocks")
def tanh_full_e() -> sp.Expr:
    """The equation F(e) - e = 0."""
    typed = (C_V * 2 / sp.pi * sp.asin(e) + C_a) / (C_V + C_a) - e
    found = phases("tanh").e.equation
    assert sp.simplify(found - typed) == 0
    return sp.Eq(e, found + e)


@row("width_and_variance_variation/tanh_full_e_rate", witness="tests/scaling/test_variation_open_points.py: to 1e12")
def tanh_full_e_rate() -> dict[str, float]:
    """The power at three C_a, C_V = 1; beside it stands l^{-1/2}, as told above."""
    shown = {}
    for size in (0.25, 0.5, 1.0):
        found = rg.variation_phases("tanh", C_a=size).e
        typed = 1 - 2 / math.pi / ((1 + size) * math.sqrt(1 - float(found.limit) ** 2))
        assert abs(-float(found.approach.power) - typed) < 1e-12
        shown[f"delta at C_a = {size}"] = -float(found.approach.power)
    return shown


@row("width_and_variance_variation/tanh_reduced_p", witness=DEEP)
def tanh_reduced_p() -> object:
    typed = l
    same(reduced()["p"].expression, typed)
    return reduced()["p"]


@row("width_and_variance_variation/tanh_reduced_gradient", witness=DEEP)
def tanh_reduced_gradient() -> object:
    typed = sp.Rational(4, 3) * sp.sqrt(2 / sp.pi) * sp.sqrt(C_W) * sp.sqrt(l)
    assert sp.simplify(sp.log(reduced()["chi"].expression) - typed) == 0
    return {"tanh": reduced()["chi"], "its logarithm": sp.log(reduced()["chi"].expression)}


@row("width_and_variance_variation/tanh_reduced_e", witness=DEEP)
def tanh_reduced_e() -> sp.Expr:
    typed = -1 + 2 / sp.pi
    found = reduced().e
    assert found.limit == 0
    assert sp.simplify(found.approach.power - typed) == 0
    return sp.Eq(sp.Symbol("e"), l**found.approach.power)


@row("width_and_variance_variation/relu_full_p", witness=DEEP)
def relu_full_p() -> object:
    typed_B = 1 + C_V * C_W / 2
    same(phases("relu")["p"].expression, typed_B**l)
    return phases("relu")["p"]


@row("width_and_variance_variation/relu_full_gradient", witness=DEEP)
def relu_full_gradient() -> object:
    """Exactly, in a flow too: B^(l - m) between any two layers."""
    typed_B = 1 + C_V * C_W / 2
    same(phases("relu")["chi"].expression, typed_B**l)
    chi = rg.variation("relu", 9, C_W=1.3, C_V=0.8)["chi"].values
    assert abs(chi[2] / chi[7] / float(typed_B.subs({C_W: 1.3, C_V: 0.8})) ** 5 - 1) < 1e-12
    return phases("relu")["chi"]


@row("width_and_variance_variation/relu_full_weight_gradients", witness=SOURCE)
def relu_full_weight_gradients() -> tuple[object, ...]:
    typed = {"chi_W": "constant", "chi_V": "constant"}
    assert {name: phases("relu").regime[name] for name in typed} == typed
    return phases("relu")["chi_W"], phases("relu")["chi_V"]


@row("width_and_variance_variation/relu_full_e", witness=DEEP)
def relu_full_e() -> sp.Expr:
    B = 1 + C_V * C_W / 2
    typed = sp.Rational(9, 2) * sp.pi**2 * (B / (B - 1)) ** 2 * l**-2
    found = phases("relu").e
    assert found.limit == 1
    same(found.approach.amplitude * l**found.approach.power, typed)
    return sp.Eq(1 - e, found.approach.amplitude * l**found.approach.power)


@row("width_and_variance_variation/alpha_relu_full_p", witness=DEEP)
def alpha_relu_full_p() -> dict[str, object]:
    for alpha in (sp.Rational(2, 3), sp.Rational(3, 4)):
        c = 2 ** (alpha - 1) * sp.gamma(alpha + sp.Rational(1, 2)) / sp.sqrt(sp.pi)
        typed = (C_V * C_W**alpha * c * (1 - alpha)) ** (1 / (1 - alpha)) * l ** (1 / (1 - alpha))
        found = phases(f"relu(z)^({alpha})")["p"].expression
        assert found.has(l)
        assert all(abs((found / typed).subs({C_V: 1.7, C_W: 0.6, l: x}).n() - 1) < 1e-12 for x in (2, 50))
    return {f"alpha = {alpha}": phases(f"relu(z)^({alpha})")["p"] for alpha in ("2/3", "3/4")}


@row("width_and_variance_variation/alpha_relu_full_gradient", witness=DEEP)
def alpha_relu_full_gradient() -> dict[str, object]:
    for alpha in (sp.Rational(2, 3), sp.Rational(3, 4)):
        typed_R = alpha**2 / ((1 - alpha) * (2 * alpha - 1))
        found = phases(f"relu(z)^({alpha})")["chi"]
        assert found.regime == "polynomial"
        assert sp.simplify(found.exponent - typed_R) == 0
    return {f"alpha = {alpha}": phases(f"relu(z)^({alpha})")["chi"] for alpha in ("2/3", "3/4")}


@row("width_and_variance_variation/A_values", witness=DEEP)
def A_values() -> dict[str, float]:
    typed = 0.75225, 1.0327
    other = {C_V: sp.Rational(13, 10) ** 2, C_W: sp.Rational(8, 10) ** 2, C_a: sp.Rational(1, 4)}
    found = [float(phases("tanh")["chi"].coefficient.subs(at)) for at in ({C_V: 1, C_W: 1, C_a: 1}, other)]
    assert abs(found[0] - typed[0]) < 5e-6
    assert abs(found[1] - typed[1]) < 5e-5
    return {"sigma = 1": found[0], "(1.3, .8, .5, .2)": found[1]}


@row("width_and_variance_variation/A_value_reduced", witness=DEEP)
def A_value_reduced() -> dict[str, float]:
    typed = 1.0638
    found = float(reduced()["chi"].coefficient.subs(C_W, 1))
    assert abs(found - typed) < 5e-5
    return {"sigma_w = 1": found}


@row("width_and_variance_variation/relu_angle_value", witness=DEEP)
def relu_angle_value() -> dict[str, float]:
    typed = 399.72
    found = float(phases("relu").e.approach.amplitude.subs({C_V: 1, C_W: 1}))
    assert abs(found - typed) < 5e-3
    return {"B = 3/2": found}


@row("width_and_variance_variation/reduced_e_slope_value", witness=DEEP)
def reduced_e_slope_value() -> dict[str, float]:
    typed = -0.363
    found = float(reduced().e.approach.power)
    assert abs(found - typed) < 5e-4
    return {"power of l": found}


@row(
    "width_and_variance_variation/e_star_values", witness="tests/scaling/test_variation_open_points.py: to 1e12 blocks"
)
def e_star_values() -> dict[str, float]:
    typed = {1.0: (0.7898, 0.48), 0.25: (0.4217, 0.44)}
    shown = {}
    for size, (limit, delta) in typed.items():
        found = rg.variation_phases("tanh", C_a=size).e
        assert abs(float(found.limit) - limit) < 5e-5
        assert abs(-float(found.approach.power) - delta) < 5e-3
        shown |= {f"e* at C_a = {size}": float(found.limit), f"delta at C_a = {size}": -float(found.approach.power)}
    return shown


if __name__ == "__main__":
    check_rows(globals())
