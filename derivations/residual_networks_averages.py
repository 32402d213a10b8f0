r"""Yang and Schoenholz, residual networks in mean field (arXiv:1712.08969 and 2018): the averages V(q) = <ss>, V'(q) =
<s's'> and W(q, c) = <s_1 s_2> that drive them.

Assumptions: Gaussian neurons of variance q, two of them with correlation c; V' is the paper's V of the derivative.

relu. Half-line moments: V = q/2, V' = 1/2, and the arc-cosine kernel W = (q/2) J_1(c). Powers relu(z)^alpha: V = c q^
alpha, c_alpha = E[g^{2 alpha}; g > 0] = 2^{alpha - 1} Gamma(alpha + 1/2)/sqrt pi; by Gamma(x + 1) = x Gamma(x) their
ratio c_{alpha - 1}/c_alpha is 1/(2 alpha - 1), for which alpha^2 c_{alpha - 1} q^{alpha - 1} is V'.

tanh at large q. A Gaussian of width sqrt q is flat where tanh^2 - 1 = -sech^2 lives: V = 1 - (2/sqrt(2 pi q)) (1 -
pi^2/(24 q) + ..), from int sech^2 = 2 and int z^2 sech^2 = pi^2/6; V' = (4/3)/sqrt(2 pi q) (1 - x/q + ..), from int
sech^4 = 4/3 and int z^2 sech^4 = pi^2/9 - 2/3, x = (pi^2/9 - 2/3)(3/8) = .161. W sees two signs: (2/pi) asin c, up to
what V lacks, sqrt(2/(pi q)).

Engine: rg.closed_form for relu and its whole powers, rg.variation of one block for the others.

Sources: arXiv:1712.08969, its lemmas on averages; numbers not seen.
"""

import math
from functools import cache

import sympy as sp
from rows import check_rows, row

import rgflow as rg

C_W = sp.Symbol("C_W", nonnegative=True)
q, c = sp.symbols("q c", positive=True)
QUADRATURE = "tests/brackets/test_bracket_one_input.py: quadrature at 30 digits"
TABLES = "tests/scaling/test_variation_tables.py: averages by plain quadrature"
LARGE = 1e6  # q of tanh


def square(name: str) -> sp.Expr:
    """<ss> at kernel q, in closed form."""
    found = sp.diff(rg.closed_form(rg.derive("K"), name), C_W)
    return found.xreplace({x: q for x in found.free_symbols})


@cache
def power(alpha: sp.Rational) -> tuple[float, float, float]:
    """q, V and V' of relu(z)^alpha, from one block of a flow: p' = p + C_V V + C_a, chi = chi' (1 + C_V C_W V')."""
    ds = rg.variation(f"relu(z)^({alpha})", 1, C_W=1.5, C_V=0.7, C_a=0.0, C_b=0.4, p0=1.2)
    p, chi = ds["p"].values, ds["chi"].values
    return float(ds["q"][1]), (p[1] - p[0]) / 0.7, (chi[0] / chi[1] - 1) / (0.7 * 1.5)


@cache
def tanh(correlation: float = 0.3) -> tuple[float, float, float]:
    """V, V' and W at q = LARGE, by one block with p = 1 below and no biases."""
    ds = rg.variation("tanh", 1, C_W=LARGE, C_a=0.0, C_b=0.0, p0=1.0, gamma0=correlation)
    p, gamma, chi = (ds[name].values for name in ("p", "gamma", "chi"))
    return p[1] - p[0], (chi[0] / chi[1] - 1) / LARGE, gamma[1] - gamma[0]


@row("width_and_variance_variation/relu_V", witness=QUADRATURE)
def relu_V() -> sp.Expr:
    typed = q / 2
    assert sp.simplify(square("relu") - typed) == 0
    return square("relu")


@row("width_and_variance_variation/relu_V_slope", witness=QUADRATURE)
def relu_V_slope() -> sp.Expr:
    typed = sp.Rational(1, 2)
    found = sp.diff(rg.closed_form(rg.derive("J"), "relu"), C_W, sp.Symbol("J", real=True))
    assert found == typed
    return found


@row("width_and_variance_variation/relu_W", witness="tests/brackets/test_closed_two.py: quadrature of two inputs")
def relu_W() -> sp.Expr:
    found = sp.diff(rg.closed_form(rg.derive("K", samples="many"), "relu"), C_W)
    found = found.subs({s: q if s.name in ("K11", "K22") else c * q for s in found.free_symbols})
    typed = q / 2 * sp.sqrt(1 - c**2) / sp.pi + q / 2 * (sp.pi - sp.acos(c)) * c / sp.pi
    for value in (0.1, 0.5, 0.99):
        assert abs(((found - typed) / q).subs({c: value, q: 2.0})) < 1e-14
    return sp.simplify(found)


@row("width_and_variance_variation/alpha_relu_V", witness=TABLES)
def alpha_relu_V() -> dict[str, object]:
    """Powers below 1 by flows, whole powers in closed form."""

    def typed(alpha, q):
        return 2 ** (alpha - 1) * sp.gamma(alpha + sp.Rational(1, 2)) / sp.sqrt(sp.pi) * q**alpha

    for alpha in (sp.Rational(2, 3), sp.Rational(3, 4)):
        at, found, _ = power(alpha)
        assert abs(found / float(typed(alpha, at)) - 1) < 1e-12
    whole = {alpha: square(f"relu(z)^{alpha}") for alpha in (2, 3)}
    assert all(sp.simplify(found - typed(alpha, q)) == 0 for alpha, found in whole.items())
    return {f"alpha = {alpha}": found for alpha, found in whole.items()}


@row("width_and_variance_variation/alpha_relu_ratio", witness=TABLES)
def alpha_relu_ratio() -> dict[str, float]:
    """c_alpha = V/q^alpha and c_{alpha - 1} = V'/(alpha^2 q^{alpha - 1})."""
    shown = {}
    for alpha in (sp.Rational(2, 3), sp.Rational(3, 4), sp.Rational(1)):
        at, value, slope = power(alpha)
        found = slope * at / (float(alpha) ** 2 * value)
        typed = 1 / (2 * alpha - 1)
        assert abs(found / float(typed) - 1) < 1e-12
        shown[f"alpha = {alpha}"] = found
    return shown


@row("width_and_variance_variation/tanh_V", witness=TABLES)
def tanh_V() -> dict[str, float]:
    typed = 1 - math.sqrt(2 / math.pi) * LARGE**-0.5
    found, *_ = tanh()
    assert abs(found - typed) < math.sqrt(2 / math.pi) * math.pi**2 / 24 * LARGE**-1.5 + 1e-12
    return {"V at q = 10^6": found}


@row("width_and_variance_variation/tanh_V_slope", witness=TABLES)
def tanh_V_slope() -> dict[str, float]:
    typed = 2 / 3 * math.sqrt(2 / math.pi)
    typed_number = 0.53192
    _, slope, _ = tanh()
    assert abs(slope * LARGE**0.5 / typed - 1) < 0.17 / LARGE + 1e-10
    assert abs(slope * LARGE**0.5 - typed_number) < 5e-6
    return {"C, from q = 10^6": slope * LARGE**0.5}


@row("width_and_variance_variation/tanh_W", witness=TABLES)
def tanh_W() -> dict[str, float]:
    shown = {}
    for correlation in (0.3, 0.8):
        *_, found = tanh(correlation)
        typed = 2 / math.pi * math.asin(correlation)
        assert abs(found - typed) < math.sqrt(2 / (math.pi * LARGE))
        shown[f"W at c = {correlation}, q = 10^6"] = found
    return shown


if __name__ == "__main__":
    check_rows(globals())
