r"""Yang and Schoenholz, "Deep Mean Field Theory: Layerwise Variance and Width Variation as Methods to Control Gradient
Explosion" (ICLR workshop 2018): relu with variances that fall as powers of the depth.

Assumptions: full residual blocks at infinite width, sigma_.^2 = C_. l^{-beta_.} at block l = 1, 2, ..; points are
(beta_w, beta_v, beta_a, beta_b), with all C_. = 1 where nothing else is said.

Forward. V = q/2: p' - p = W l^{-V} p + (C_V C_b/2) l^{-beta_v - beta_b} + C_a l^{-beta_a}, with W = C_V C_W/2, V =
beta_v + beta_w; the sources fall as l^{-U}, U = min(beta_v + beta_b, beta_a). V < 1: p is the product of 1 + W l^{-V},
ln p = W/(1 - V) l^{1 - V} and what the next order of the logarithm adds. V = 1: the product is l^W, and the sources
bring l^{1 - U}; the larger wins, with a logarithm where both are one. V > 1: the product stays, the sources are summed.

Backward. The same product without sources: chi. Of weights chi_w = chi' C_V' <s's'> p and chi_v = chi' V(q): their
ratios are exactly l^{beta_v} (chi^1/chi^l)(p^0/p^{l-1}) and (chi^1/chi^l)(q^1/q^l).

Two inputs. Where p grows for ever, they come together. Beyond V = 1 and U = 1 it stays, and e tends to what the inputs
decide, as the sums that are still to come: l^{max(1 - U, 1 - V)}. The paper's l^{1 - U} is the case U <= V; at U = 2, V
= 3/2 flows show l^{-1/2} (width_and_variance_variation.py).

Engine: rg.variation_phases; rg.variation for the exact ratios.

Sources: the paper's theorems on relu; numbers not seen.
"""

import math
from functools import cache

import numpy as np
import sympy as sp
from rows import check_rows, row

import rgflow as rg
from rgflow.scaling.growth import VariationPhases

l = sp.Symbol("l", positive=True)
C_W, C_V = sp.symbols("C_W C_V", positive=True)
SOURCE = "tests/sources/yang_schoenholz.py: typed rows, in tests/scaling/test_variation_phases.py"
DEEP = "tests/scaling/test_variation_rows.py: flows to the paper's depths"
PRODUCT = "tests/scaling/test_variation_rows.py: the exact product"
F = sp.Rational
FAST = [(F(2, 5), F(1, 5), F(0), F(0)), (F(1, 5), F(1, 5), F(1, 2), F(1)), (F(1, 2), F(1, 4), F(0), F(0))]  # V < 1
EDGE = [(F(7, 10), F(3, 10), F(1, 5), F(3, 10)), (F(1), F(0), F(4, 5), F(1)), (F(1, 2), F(1, 2), F(3, 10), F(2, 5))]
SLOW = [(F(2), F(0), F(3, 5), F(2)), (F(1), F(1, 2), F(7, 10), F(1)), (F(2), F(1, 4), F(1, 2), F(1, 4))]  # V > 1


@cache
def phases(w: object, v: object, a: object, b: object, **sizes: object) -> VariationPhases:
    return rg.variation_phases("relu", beta_W=w, beta_V=v, beta_a=a, beta_b=b, **sizes)


@cache
def symbolic(w: object, v: object, a: object, b: object) -> VariationPhases:
    """With C_W and C_V as symbols."""
    return phases(w, v, a, b, C_W=C_W, C_V=C_V)


def power(point: tuple[object, ...], name: str) -> sp.Expr:
    """The power of l of a law, without its logarithms."""
    growth = phases(*point)[name].growth
    assert not growth.products
    return growth.power


def powers(point: tuple[object, ...], *names: str) -> dict[str, float]:
    return {name: float(power(point, name)) for name in names}


def equal(found: dict[str, float], typed: dict[str, float]) -> dict[str, float]:
    """Exact powers, typed as decimals."""
    assert set(found) == set(typed)
    assert all(abs(found[name] - typed[name]) < 1e-12 for name in typed), (found, typed)
    return found


@cache
def flowed() -> tuple[dict[str, np.ndarray], np.ndarray]:
    """A flow of thirty blocks at (.3, .5, .2, .1), and the layers behind the first block."""
    ds = rg.variation("relu", 30, C_W=1.7, C_V=0.8, beta_W=0.3, beta_V=0.5, beta_a=0.2, beta_b=0.1)
    return {name: ds[name].values for name in ("p", "q", "chi", "chi_W", "chi_V")}, np.arange(1, 31)


@cache
def remainders() -> list[float]:
    """What ln p of V = 2/5 has beyond l^{3/5}/1.2, at 250 and at 1000 blocks."""
    log_p = rg.variation("relu", 1000, beta_W=0.2, beta_V=0.2)["log_p"].values
    return [float(log_p[n] - n**0.6 / 1.2) for n in (250, 1000)]


@cache
def gap() -> float:
    """1 - e behind three hundred blocks at (2, 0, 1.8, 2); what is still to come is of order 300^{-.8}."""
    return math.exp(float(rg.variation("relu", 300, beta_W=2, beta_a=1.8, beta_b=2, gamma0=0.3)["log_gap"][-1]))


@row("width_and_variance_variation/relu_vv_p", witness=PRODUCT)
def relu_vv_p() -> dict[str, object]:
    """p and q; and the remainder, which a flow of a thousand blocks bounds."""
    for w, v, a, b in FAST:
        typed = C_V * C_W / 2 / (1 - v - w) * l ** (1 - v - w)
        for name in ("p", "q"):
            inside = sp.log(symbolic(w, v, a, b)[name].expression).expand(force=True)
            leading = sum(term for term in sp.Add.make_args(inside) if not term.has(sp.log))
            assert sp.simplify(leading - typed) == 0
    shown = {point: symbolic(*point)["p"] for point in FAST}
    early, late = remainders()
    assert abs(late - early) < 1000**0.2 - 250**0.2  # O(l^{1 - 2V}), V = .4
    return {f"({w}, {v}, {a}, {b})": [x, sp.log(x.expression)] for (w, v, a, b), x in shown.items()}


@row("width_and_variance_variation/relu_vv_p_boundary", witness=DEEP)
def relu_vv_p_boundary() -> dict[str, object]:
    """W below, above and equal to 1 - U; W = 1/2, or 3/2 with C_V = 3."""
    shown = {}
    for C, a in ((1, F(1, 5)), (1, F(4, 5)), (1, F(1, 2)), (3, F(1, 5))):
        W, U = F(C, 2), a
        typed = l ** max(W, 1 - U) * (sp.log(l) if W == 1 - U else 1)
        found = phases(F(1), F(0), a, F(1), C_V=C)["p"]
        assert sp.simplify(l**found.growth.power * sp.log(l) ** found.growth.logs - typed) == 0
        shown[f"W = {W}, U = {U}"] = found
    return shown


@row("width_and_variance_variation/relu_vv_p_slow", witness=DEEP)
def relu_vv_p_slow() -> dict[str, object]:
    typed = {F(3, 5): l ** F(2, 5), F(1): sp.log(l), F(9, 5): sp.Integer(1)}
    laws = {U: phases(F(2), F(0), U, F(2))["p"] for U in typed}
    for U, law in laws.items():
        assert sp.simplify(l**law.growth.power * sp.log(l) ** law.growth.logs - typed[U]) == 0
    return {f"U = {U}": law for U, law in laws.items()}


@row("width_and_variance_variation/relu_vv_q", witness=SOURCE)
def relu_vv_q() -> dict[str, float]:
    shown = {}
    for point in (*SLOW, EDGE[0], EDGE[2]):
        w, _, _, b = point
        typed = max(power(point, "p") - w, -b)
        assert power(point, "q") == typed
        shown[f"deg q at {point}"] = float(power(point, "q"))
    return shown


@row("width_and_variance_variation/relu_vv_gradient", witness=PRODUCT)
def relu_vv_gradient() -> dict[str, object]:
    """Of V = 3/5, 1 and 2, with C_V = 3/2: W = 3/4."""
    W, V = F(3, 4), F(3, 5)
    typed = {FAST[0]: sp.exp(W / (1 - V) * l ** (1 - V)), EDGE[0]: l**W, SLOW[0]: sp.Integer(1)}
    laws = {point: phases(*point, C_V=F(3, 2))["chi"] for point in typed}
    for point, law in laws.items():
        assert sp.simplify(law.expression / typed[point] - 1) == 0
    return {f"{point}": law for point, law in laws.items()}


@row("width_and_variance_variation/relu_vv_chi_w", witness=PRODUCT)
def relu_vv_chi_w() -> dict[str, float]:
    x, n = flowed()
    typed = n**0.5 * (x["chi"][1] / x["chi"][n]) * (x["p"][0] / x["p"][n - 1])
    found = x["chi_W"][1] / x["chi_W"][n]
    np.testing.assert_allclose(found, typed, rtol=1e-12)
    return {"chi_w^(1)/chi_w^(30)": found[-1]}


@row("width_and_variance_variation/relu_vv_chi_v", witness=PRODUCT)
def relu_vv_chi_v() -> dict[str, float]:
    x, n = flowed()
    typed = (x["chi"][1] / x["chi"][n]) * (x["q"][1] / x["q"][n])
    found = x["chi_V"][1] / x["chi_V"][n]
    np.testing.assert_allclose(found, typed, rtol=1e-12)
    return {"chi_v^(1)/chi_v^(30)": found[-1]}


@row("width_and_variance_variation/relu_vv_weight_exponents_fast", witness=DEEP)
def relu_vv_weight_exponents_fast() -> dict[str, object]:
    for point in FAST:
        w, v, *_ = point
        typed_w = l**v
        typed_v = l**w
        assert sp.simplify(phases(*point)["chi_W"].expression - typed_w) == 0
        assert sp.simplify(phases(*point)["chi_V"].expression - typed_v) == 0
    return {f"{point}": [phases(*point)[name] for name in ("chi_W", "chi_V")] for point in FAST}


@row("width_and_variance_variation/relu_vv_weight_exponents_slow", witness=DEEP)
def relu_vv_weight_exponents_slow() -> dict[str, object]:
    for point in SLOW:
        w, v, _, b = point
        p = power(point, "p")
        typed = v - p, -max(p - w, -b)
        assert (power(point, "chi_W"), power(point, "chi_V")) == typed
    return {f"{point}": [phases(*point)[name] for name in ("chi_W", "chi_V")] for point in SLOW}


@row("width_and_variance_variation/relu_vv_e", witness=SOURCE)
def relu_vv_e() -> dict[str, float]:
    """1 where V <= 1 or U <= 1; else what the inputs decide, below 1, with l^{1 - U} for U <= V as here."""
    for point in (*FAST, *EDGE, *SLOW, (F(1, 2), F(0), F(2), F(2))):
        typed = 1
        assert phases(*point).e.limit == typed
    shown = {}
    for U in (F(6, 5), F(9, 5)):
        found = phases(F(2), F(0), U, F(2)).e
        typed_power = 1 - U
        assert found.limit is None
        assert found.approach.power == typed_power
        shown[f"power of |e - e*| at V = 2, U = {U}"] = float(found.approach.power)
    return shown


@row("width_and_variance_variation/relu_vv_value_1", witness=DEEP)
def relu_vv_value_1() -> dict[str, float]:
    point = (0.4, 0.2, 0, 0)
    typed = {"inside": 1.25, "chi_W": 0.2, "chi_V": 0.4}
    return equal({"inside": float(phases(*point)["chi"].coefficient), **powers(point, "chi_W", "chi_V")}, typed)


@row("width_and_variance_variation/relu_vv_value_2", witness=DEEP)
def relu_vv_value_2() -> dict[str, float]:
    typed = {"p": 0.8, "chi": 0.5, "chi_W": 0, "chi_V": 0.4}
    return equal(powers((0.7, 0.3, 0.2, 0.3), *typed), typed)


@row("width_and_variance_variation/relu_vv_value_3", witness=DEEP)
def relu_vv_value_3() -> dict[str, float]:
    typed = {"p": 1, "chi_W": -0.5, "chi_V": 0.5}
    return equal(powers((1, 0, 0, 0), *typed), typed)


@row("width_and_variance_variation/relu_vv_value_4", witness=DEEP)
def relu_vv_value_4() -> dict[str, float]:
    typed = {"p": 0.4, "chi_V": 1.6}
    return equal(powers((2, 0, 0.6, 2), *typed), typed)


@row("width_and_variance_variation/relu_vv_value_5", witness=DEEP)
def relu_vv_value_5() -> dict[str, float]:
    """e tends to what the inputs decide: below 1 for the pair that is followed."""
    typed = {"p": 0, "chi": 0, "chi_W": 0, "chi_V": 2}
    point = (2, 0, 1.8, 2)
    assert [phases(*point).regime[name] for name in ("p", "chi", "chi_W")] == ["constant"] * 3
    assert phases(*point).e.limit is None
    assert gap() > 0.2
    return {**equal(powers(point, *typed), typed), "1 - e at l = 300": gap()}


@row("width_and_variance_variation/relu_vv_value_6", witness=DEEP)
def relu_vv_value_6() -> dict[str, float]:
    typed = {"p": 0.7, "chi_W": 0.30, "chi_V": 0.30}
    return equal(powers((0.5, 0.5, 0.3, 0.4), *typed), typed)


@row("width_and_variance_variation/relu_vv_value_7", witness=SOURCE)
def relu_vv_value_7() -> dict[str, object]:
    """Up to logarithms, which flows see for long."""
    typed = {"p": 0.5, "chi_V": 1}
    point = (1, 0, 0.5, 0.5)
    equal(powers(point, *typed), typed)
    return {name: phases(*point)[name] for name in typed}


@row("width_and_variance_variation/relu_vv_value_8", witness=SOURCE)
def relu_vv_value_8() -> dict[str, object]:
    """Up to logarithms, which flows see for long."""
    typed = {"p": 0, "chi_V": 2}
    point = (2, 0, 1, 2)
    equal(powers(point, *typed), typed)
    return {name: phases(*point)[name] for name in typed}


if __name__ == "__main__":
    check_rows(globals())
