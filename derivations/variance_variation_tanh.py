r"""Yang and Schoenholz, "Deep Mean Field Theory: Layerwise Variance and Width Variation as Methods to Control Gradient
Explosion" (ICLR workshop 2018): tanh with variances that fall as powers of the depth.

Assumptions: full residual blocks at infinite width, sigma_.^2 = C_. l^{-beta_.} at block l = 1, 2, ..

Forward. U = min(beta_v, beta_a). While q grows, V tends to 1, and p adds C_V l^{-beta_v} + C_a l^{-beta_a}: p = c_p
l^{1 - U} for U < 1, with the amplitudes of those that fall as l^{-U}; ln l for U = 1, and then q = C_W p l^{-beta_w}
grows for beta_w = 0 alone; for U > 1 p stays, and q cannot grow.

Backward. ln chi adds C C_V C_W l^{-beta_v - beta_w} q^{-1/2}, C = (2/3) sqrt(2/pi), that is C C_V sqrt(C_W/c_p)
l^{W/2 - 1}, W = 1 - beta_w + U - 2 beta_v: a stretched exponential for W > 0, a power for W = 0, bounded for W < 0. At
U = 1 and beta_w = 0 q ~ ln l: the terms are l^{-beta_v} (ln l)^{-1/2}, whose sum is (ln l)^{1/2} for beta_v = 1 and
bounded beyond.

Two inputs. What feeds p decides e: C_a feeds both alike, e -> 1; V sees two signs, whose correlation (2/pi) asin e has
0 as its fixed point; both together the constant-variance equation.

Numbers are those of C_. = 1. Where a boundary is near the laws are reached as slowly as l^{-1/5}: at (.2, .6, .4) flows
of a million blocks show .39 instead of .412 (width_and_variance_variation.py).

Engine: rg.variation_phases.

Sources: the paper's theorems on tanh; numbers not seen.
"""

from functools import cache

import sympy as sp
from rows import check_rows, row

import rgflow as rg
from rgflow.scaling.growth import VariationPhases

C_W, C_V, C_a = sp.symbols("C_W C_V C_a", positive=True)
l = sp.Symbol("l", positive=True)
e = sp.Symbol("e", real=True)
C = sp.Rational(2, 3) * sp.sqrt(2 / sp.pi)
SOURCE = "tests/sources/yang_schoenholz.py: typed rows, in tests/scaling/test_variation_phases.py"
DEEP = "tests/scaling/test_variation_rows.py: flows to the paper's depths"
# (beta_w, beta_v, beta_a) with U < 1: the two sources of p fall alike, or one of them slower
BETAS = [(0, 0, 0), ("1/5", "1/5", "1/5"), ("3/10", "3/10", "1/2"), ("1/10", "2/5", "1/5")]
POINTS = [tuple(map(sp.Rational, point)) for point in BETAS]


@cache
def phases(w: object, v: object, a: object) -> VariationPhases:
    return rg.variation_phases("tanh", C_W=C_W, C_V=C_V, C_a=C_a, beta_W=w, beta_V=v, beta_a=a)


def amplitude(v: sp.Rational, a: sp.Rational) -> sp.Expr:
    """c_p."""
    U = min(v, a)
    return (C_V * int(v == U) + C_a * int(a == U)) / (1 - U)


def numbers(w: float, v: float, a: float) -> dict[str, float]:
    """c_p, the power of p and what is inside of chi, with all C = 1."""
    found = rg.variation_phases("tanh", beta_W=w, beta_V=v, beta_a=a)
    inside = found["chi"].exponent if found["chi"].coefficient is None else found["chi"].coefficient
    return {"c_p": float(found["p"].coefficient), "power": float(found["p"].exponent), "inside": float(inside)}


def near(found: dict[str, float], typed: dict[str, float], digits: int) -> dict[str, float]:
    """Rounded as they are printed: to so many digits behind the point, or a unit of the last one."""
    for name, number in typed.items():
        assert abs(found[name] - number) < 10.0**-digits, (name, found[name])
    return found


@row("width_and_variance_variation/tanh_vv_p", witness=DEEP)
def tanh_vv_p() -> dict[str, object]:
    for w, v, a in POINTS:
        U = min(v, a)
        typed = (C_V * int(v == U) + C_a * int(a == U)) / (1 - U) * l ** (1 - U)
        assert sp.simplify(phases(w, v, a)["p"].expression / typed - 1) == 0
    return {f"({w}, {v}, {a})": phases(w, v, a)["p"] for w, v, a in POINTS}


@row("width_and_variance_variation/tanh_vv_p_boundary", witness=SOURCE)
def tanh_vv_p_boundary() -> dict[str, object]:
    """U = 1, beta_w = 0: one power of ln l; with beta_w > 0 q does not grow, and the law is another."""
    typed = "logarithmic", 1
    found = phases(0, 1, 1)["p"]
    assert (found.regime, found.exponent) == typed
    assert phases(0, 1, 1).regime["q"] == "logarithmic"
    beyond = rg.variation_phases("tanh", beta_W=0.1, beta_V=1, beta_a=1)
    assert beyond.regime["q"] == "constant"  # C_b alone is left
    return {"U = 1": found}


@row("width_and_variance_variation/tanh_vv_p_impossible", witness=SOURCE)
def tanh_vv_p_impossible() -> dict[str, object]:
    """U > 1: p and q stay bounded, whatever beta_w is."""
    typed = {"p": "constant", "q": "constant"}
    for v, a in ((1.1, 1.2), (2, 1.5)):
        found = rg.variation_phases("tanh", beta_V=v, beta_a=a)
        assert {name: found.regime[name] for name in typed} == typed
    return {"(0, 2, 3/2)": found["p"]}


@row("width_and_variance_variation/tanh_vv_gradient", witness=DEEP)
def tanh_vv_gradient() -> dict[str, object]:
    shown = {}
    for w, v, a in POINTS:
        W = 1 - w + min(v, a) - 2 * v
        typed = 2 / W * C * C_V * sp.sqrt(C_W) / sp.sqrt(amplitude(v, a)) * l ** (W / 2)
        assert W > 0
        found = phases(w, v, a)["chi"]
        inside = sp.log(found.expression)
        assert sp.simplify(inside / typed - 1) == 0
        shown |= {f"({w}, {v}, {a})": found, f"({w}, {v}, {a}), its logarithm": inside}
    return shown


@row(
    "width_and_variance_variation/tanh_vv_gradient_power",
    witness="tests/scaling/test_variation_open_points.py: to 1e12",
)
def tanh_vv_gradient_power() -> dict[str, object]:
    shown = {}
    for point in (("1/5", "3/5", "2/5"), ("0", "3/4", "1/2"), ("1/10", "3/5", "3/10")):
        w, v, a = map(sp.Rational, point)
        typed = C * C_V * sp.sqrt(C_W) / sp.sqrt(amplitude(v, a))
        found = phases(w, v, a)["chi"]
        assert found.regime == "polynomial"
        assert sp.simplify(found.exponent / typed - 1) == 0
        shown |= {f"({w}, {v}, {a})": found, f"({w}, {v}, {a}), its power": found.exponent}
    return shown


@row("width_and_variance_variation/tanh_vv_gradient_bounded", witness=SOURCE)
def tanh_vv_gradient_bounded() -> dict[str, object]:
    for w, v, a in ((0.2, 0.8, 0.4), (0.3, 0.7, 0.5)):
        typed = "constant"
        assert rg.variation_phases("tanh", beta_W=w, beta_V=v, beta_a=a).regime["chi"] == typed
    return {"(.2, .8, .4)": rg.variation_phases("tanh", beta_W=0.2, beta_V=0.8, beta_a=0.4)["chi"]}


@row("width_and_variance_variation/tanh_vv_gradient_log", witness=SOURCE)
def tanh_vv_gradient_log() -> dict[str, object]:
    """U = 1 and beta_w = 0: exp(Theta(sqrt(ln l))) at V_t = 1, bounded beyond."""
    typed = {1: ("subpolynomial", sp.Rational(1, 2)), sp.Rational(6, 5): ("constant", 0)}
    for v, law in typed.items():
        found = phases(0, v, 1)["chi"]
        assert found.regime == law[0]
        assert found.exponent == law[1]
    return {"V_t = 1": phases(0, 1, 1)["chi"]}


@row("width_and_variance_variation/tanh_vv_e", witness=SOURCE)
def tanh_vv_e() -> dict[str, object]:
    typed = {(sp.Rational(3, 10), 0): 1, (0, sp.Rational(3, 10)): 0}
    for (v, a), limit in typed.items():
        assert phases(0, v, a).e.limit == limit
    typed_equation = (C_V * 2 / sp.pi * sp.asin(e) + C_a) / (C_V + C_a) - e
    together = phases(*POINTS[1]).e.equation
    assert sp.simplify(together - typed_equation) == 0
    return {"beta_v = beta_a": sp.Eq(e, together + e)}


@row("width_and_variance_variation/tanh_vv_value_none", witness=DEEP)
def tanh_vv_value_none() -> dict[str, float]:
    typed = {"c_p": 2, "inside": 0.7523}
    return near(numbers(0, 0, 0), typed, digits=4)


@row("width_and_variance_variation/tanh_vv_value_two", witness=DEEP)
def tanh_vv_value_two() -> dict[str, float]:
    typed = {"c_p": 2.5, "power": 0.8, "inside": 1.121}
    return near(numbers(0.2, 0.2, 0.2), typed, digits=3)


@row("width_and_variance_variation/tanh_vv_value_three", witness=DEEP)
def tanh_vv_value_three() -> dict[str, float]:
    typed = {"c_p": 1.429, "power": 0.7, "inside": 2.225}
    return near(numbers(0.3, 0.3, 0.5), typed, digits=3)


@row("width_and_variance_variation/tanh_vv_value_five", witness=DEEP)
def tanh_vv_value_five() -> dict[str, float]:
    typed = {"c_p": 2, "power": 0.5, "inside": 1.505}
    return near(numbers(0, 0.5, 0.8), typed, digits=3)


@row(
    "width_and_variance_variation/tanh_vv_value_boundary",
    witness="tests/scaling/test_variation_open_points.py: to 1e12",
)
def tanh_vv_value_boundary() -> dict[str, float]:
    """W_t = 0: ``inside`` is the power of chi."""
    typed = {"c_p": 1.667, "inside": 0.412}
    return near(numbers(0.2, 0.6, 0.4), typed, digits=3)


if __name__ == "__main__":
    check_rows(globals())
