"""The regimes of both papers, derived; every row typed by hand, boundaries, symbols, diagrams and refusals."""

import math

import numpy as np
import pytest
import sympy as sp
from sources.yang_schoenholz import A_TANH, C_TANH, RELU_BOUNDARY, RELU_ROWS, TANH_ROWS

from rgflow.errors import InputError, NoClosedForm, UnknownName
from rgflow.scaling import variation, variation_phases
from rgflow.scaling.growth.growth import Growth
from rgflow.scaling.growth.signs import Decisions, feasible

NAMES = ("beta_W", "beta_V", "beta_a", "beta_b")


def test_tanh_with_constant_variances():
    """Section 3: p = (sigma_v^2 + sigma_a^2) l, chi = exp(A sqrt l), with symbols."""
    found = variation_phases("tanh", C_W="symbolic", C_V="symbolic", C_a="symbolic", C_b="symbolic")
    C_W, C_V, C_a = (sp.Symbol(x, positive=True) for x in ("C_W", "C_V", "C_a"))
    assert sp.simplify(found["p"].coefficient - (C_V + C_a)) == 0
    A = sp.Rational(4, 3) * sp.sqrt(2 / sp.pi) * C_V * sp.sqrt(C_W) / sp.sqrt(C_V + C_a)
    assert sp.simplify(found["chi"].coefficient / A) == 1
    assert (found["chi"].exponent, found["chi"].regime) == (sp.Rational(1, 2), "stretched exponential")
    e = sp.Symbol("e", real=True)
    fixed = (C_V * 2 / sp.pi * sp.asin(e) + C_a) / (C_V + C_a)
    assert sp.simplify(found.e.equation - (fixed - e)) == 0


@pytest.mark.parametrize(("C_a", "limit", "delta"), [(1, 0.7898, 0.481), (0.25, 0.4217, 0.4390)])
def test_tanh_correlation(C_a, limit, delta):
    """e* and delta = 1 - (2/pi) sigma_v^2/((sigma_v^2 + sigma_a^2) sqrt(1 - e*^2)); e* typed to four digits."""
    e = variation_phases("tanh", C_a=C_a).e
    assert float(e.limit) == pytest.approx(limit, abs=5e-5)
    typed = 1 - 2 / math.pi / ((1 + C_a) * math.sqrt(1 - limit**2))
    assert -float(e.approach.power) == pytest.approx(typed, abs=2e-4)
    assert typed == pytest.approx(delta, abs=1e-3)


def test_tanh_reduced():
    found = variation_phases("tanh", reduced=True)
    assert (found["p"].coefficient, found["p"].exponent) == (1, 1)
    assert float(found["chi"].coefficient) == pytest.approx(A_TANH, rel=1e-15)
    assert (found.e.limit, sp.simplify(found.e.approach.power + 1 - 2 / sp.pi)) == (0, 0)


@pytest.mark.parametrize("row", TANH_ROWS)
def test_tanh_rows(row):
    """The page's predictions are typed to four digits."""
    found = variation_phases("tanh", **dict(zip(NAMES, row, strict=False)))
    p, c_p, coefficient, inside = TANH_ROWS[row]
    assert float(found["p"].exponent) == pytest.approx(p)
    assert float(found["p"].coefficient) == pytest.approx(c_p, rel=5e-4)
    assert float(found["chi"].exponent) == pytest.approx(inside)
    assert float(found["chi"].coefficient) == pytest.approx(coefficient, rel=5e-4)


def test_tanh_at_the_edges():
    """W_t = 0 a power law; W_t < 0 constant; U_t = 1 logarithms."""
    edge = variation_phases("tanh", beta_W=0.2, beta_V=0.6, beta_a=0.4)["chi"]
    assert edge.regime == "polynomial"
    assert float(edge.exponent) == pytest.approx(C_TANH / math.sqrt(1 / 0.6), rel=1e-14)
    beyond = variation_phases("tanh", beta_W=0.2, beta_V=0.8, beta_a=0.4)
    assert (beyond["chi"].regime, beyond.e.limit) == ("constant", 1)
    log = variation_phases("tanh", beta_V=1, beta_a=1)
    assert (log["p"].regime, log["p"].coefficient) == ("logarithmic", 2)
    assert (log["chi"].regime, log["chi"].exponent) == ("subpolynomial", sp.Rational(1, 2))
    assert float(log["chi"].coefficient) == pytest.approx(2 * C_TANH / math.sqrt(2), rel=1e-14)
    assert variation_phases("tanh", beta_V=1.2, beta_a=1)["chi"].regime == "constant"
    for betas, limit in (({"beta_V": 0.3}, 1), ({"beta_a": 0.3}, 0)):
        assert variation_phases("tanh", **betas).e.limit == limit


def test_relu_with_constant_variances():
    found = variation_phases("relu", C_W="symbolic", C_V="symbolic", C_a="symbolic", C_b="symbolic")
    C_W, C_V = (sp.Symbol(x, positive=True) for x in ("C_W", "C_V"))
    l = next(s for s in found["p"].expression.free_symbols if s.name == "l")
    B = 1 + C_V * C_W / 2
    for name in ("p", "chi", "chi_b", "chi_a"):
        assert (found[name].regime, sp.simplify(found[name].expression / B**l)) == ("exponential", 1), name
    assert found.regime["chi_W"] == found.regime["chi_V"] == "constant"
    assert sp.simplify(found.e.approach.amplitude - 9 * sp.pi**2 / 2 * (B / (B - 1)) ** 2) == 0
    assert (found.e.limit, found.e.approach.power) == (1, -2)


@pytest.mark.parametrize("row", RELU_ROWS)
def test_relu_rows(row):
    found = variation_phases("relu", **dict(zip(NAMES, row, strict=True)))
    for name, exponent in RELU_ROWS[row].items():
        if name == "p_inside":
            assert float(found["p"].coefficient) == exponent == float(found["chi"].coefficient)
            assert found["p"].exponent == sp.Rational(2, 5)
        else:
            assert float(found[name].exponent) == pytest.approx(exponent)
            assert (found[name].regime == "constant") == (exponent == 0)


@pytest.mark.parametrize("row", RELU_BOUNDARY)
def test_relu_boundaries(row):
    found = variation_phases("relu", **dict(zip(NAMES, row, strict=True)))
    for name, (power, logs) in zip(("p", "chi_V"), RELU_BOUNDARY[row], strict=True):
        assert (float(found[name].growth.power), float(found[name].growth.logs)) == (power, logs)


def test_powers_of_relu():
    """K l^{1/(1-alpha)} and R = alpha^2/((1-alpha)(2 alpha-1)), K of the paper."""
    for alpha in (sp.Rational(2, 3), sp.Rational(3, 4)):
        found = variation_phases(f"relu(z)^({alpha})", C_V=2, C_W=3)
        c = 2 ** (alpha - 1) * sp.gamma(alpha + sp.Rational(1, 2)) / sp.sqrt(sp.pi)
        K = (2 * 3**alpha * c * (1 - alpha)) ** (1 / (1 - alpha))
        assert float(found["p"].coefficient / K) == pytest.approx(1, rel=1e-14)
        assert found["p"].exponent == 1 / (1 - alpha)
        assert sp.simplify(found["chi"].exponent - alpha**2 / ((1 - alpha) * (2 * alpha - 1))) == 0


@pytest.mark.parametrize("alpha", ["3/5", "3/4"])
def test_powers_keep_inputs_apart(alpha):
    """e* below 1, and the power of l with which a small distance from it falls: a flow that starts deep and near e*."""
    found = variation_phases(f"relu(z)^({alpha})")
    limit, delta = float(found.e.limit), -float(found.e.approach.power)
    begin = 10_000  # all variances are the same in every block: starting at p is starting at block l
    p0 = float(found["p"].coefficient) * begin ** float(found["p"].exponent)
    ds = variation(f"relu(z)^({alpha})", begin, C_a=0, C_b=0, p0=p0, gamma0=p0 * (limit - 1e-6))
    distance = limit - ds["e"].values
    assert math.log(distance[0] / distance[-1]) / math.log(2) == pytest.approx(
        delta, rel=2e-3
    )  # 1/l, and delta's digits


def test_kernels_that_shrink_or_stay():
    """tanh beyond the papers: q -> 0 is linear; q -> a constant is solved for, and both agree with the flow."""
    small = variation_phases("tanh", beta_W=2, beta_b=2, beta_a=0.5)
    assert (small["q"].exponent, small["chi"].regime) == (sp.Rational(-3, 2), "constant")
    flat = variation_phases("tanh", beta_W=1)
    ds = variation("tanh", 20_000, beta_W=1)
    assert float(flat["q"].coefficient) == pytest.approx(float(ds["q"][-1]), rel=2e-3)  # then ln l/l
    slope = float(ds["log_chi"][10_000] - ds["log_chi"][-1]) / math.log(2)
    assert float(flat["chi"].exponent) == pytest.approx(slope, rel=2e-3)


def test_nothing_is_added():
    assert variation_phases("tanh", C_V=0, C_a=0)["p"].regime == "constant"


def test_linear_tails():
    """gelu sees relu's averages at large kernels, also where inputs have nearly come together."""
    assert variation_phases("gelu").e == variation_phases("relu").e
    assert (
        variation_phases("gelu", beta_V=0.5)["chi"].expression == variation_phases("relu", beta_V=0.5)["chi"].expression
    )


# Symbols --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def zigzag():
    x, y = sp.symbols("x y", nonnegative=True)
    return variation_phases("relu", beta_W=x, beta_b=x, beta_V=0, beta_a=y)


def sign_of(number):
    return int(np.sign(round(float(number), 9)))


def test_every_case_is_what_numbers_give(zigzag):
    """At a point of each region, and on the lines between."""
    for x, y in (
        (0, 0.5),
        (0.5, 0.2),
        (0.5, 1.5),
        (1, 0.2),
        (1, 0.5),
        (1, 1.5),
        (1.5, 0.3),
        (1.5, 1),
        (1.5, 1.2),
        (2, 2),
    ):
        one = variation_phases("relu", beta_W=x, beta_b=x, beta_a=y)
        assert zigzag.at(x=x, y=y).regime == one.regime
        values = {s: {"x": x, "y": y}[s.name] for s in zigzag.symbols}
        where = [c for c in zigzag.cases if all(sign_of(e.subs(values)) == sign for e, sign in c.conditions)]
        assert len(where) == 1, (x, y)
        for name, law in where[0].laws.items():
            assert float(law.exponent.subs(values)) == pytest.approx(float(one[name].exponent)), (x, y, name)


def test_conditions_are_short(zigzag):
    texts = {case.condition for case in zigzag.cases}
    assert "x = 1; y < 1/2" in texts
    assert len(texts) == len(zigzag.cases)
    assert "where" in str(zigzag)
    assert r"\begin{aligned}" in zigzag.latex()


def test_diagram(zigzag):
    ds = zigzag.diagram("chi_V", x=np.linspace(0, 2, 9), y=np.linspace(0, 2, 9))
    names = ds["regime_p"].attrs["flag_meanings"].split()
    word = lambda q, x, y: names[int(ds[f"regime_{q}"].sel(x=x, y=y))]  # noqa: E731
    along = [word("p", x, 0.5) for x in (0.0, 0.5, 1.0, 2.0)]
    assert along == ["exponential", "stretched_exponential", "polynomial", "polynomial"]
    assert [word("p", 2.0, y) for y in (0.5, 1.0, 2.0)] == ["polynomial", "logarithmic", "constant"]
    assert word("chi_V", 0.0, 0.0) == "constant"
    np.testing.assert_allclose(ds["exponent_chi_V"].sel(y=2.0), ds["x"], atol=1e-12)
    assert float(ds["e"].sel(x=0.5, y=0.5)) == 1
    assert np.isnan(ds["e"].sel(x=2.0, y=2.0))


def test_signs():
    x, y = sp.symbols("x y", nonnegative=True)
    assert feasible([(x + y - 1, 1), (x - 1, -1)], frozenset((x, y)))
    assert not feasible([(x + y, -1)], frozenset((x, y)))
    assert not feasible([(x - 1, 1), (x + y - 1, 0)], frozenset((x, y)))
    decided = Decisions((), frozenset((x,)))
    assert (decided.sign(sp.Integer(-2)), decided.sign(x + 1)) == (-1, 1)


def test_a_constant_that_is_not_reached_is_refused():
    """C_a = C_b = 0, beta_W = 1: q = <tanh^2>_q pulls q to 0 as slowly as 1/n, and p is l/(2 ln l)."""
    with pytest.raises(NoClosedForm, match="still moves"):
        variation_phases("tanh", C_a=0, C_b=0, beta_W=1)
    found = variation_phases("tanh", C_a=0, C_b=0.5, beta_W=1)  # control: here q tends to a constant
    p = variation("tanh", 20_000, C_a=0, C_b=0.5, beta_W=1)["p"].values
    assert (found["q"].regime, found["p"].regime) == ("constant", "polynomial")
    assert p[-1] / 20_000 == pytest.approx(float(found["p"].coefficient), rel=0.01)


def test_a_ratio_of_products_cancels():
    """exp(.. l^x) of p and of the gradient are one product: the ratio is exact."""
    product = Growth(None, products=(((sp.Rational(1, 2), sp.Rational(3, 5), 0), 1),))
    assert (product / product).products == ()


def test_refusals(zigzag):
    wrongs = (({"beta_W": -0.1}, "negative"), ({"C_W": -1}, "C_W"), ({"beta_W": "a"}, "number"))
    for wrong, said in wrongs:
        with pytest.raises(InputError, match=said):
            variation_phases("tanh", **wrong)
    with pytest.raises(InputError, match="linear"):
        variation_phases("tanh", beta_W=sp.Symbol("x", nonnegative=True) ** 2)
    with pytest.raises(InputError, match="not odd"):
        variation_phases("relu", reduced=True)
    with pytest.raises(NoClosedForm, match="lines nor"):
        variation_phases("z^2")
    with pytest.raises(InputError, match="cases"):
        zigzag.regime  # noqa: B018
    with pytest.raises(InputError, match="two symbols"):
        zigzag.diagram("chi", x=[0, 1])
    with pytest.raises(InputError, match="increasing"):
        zigzag.diagram("chi", x=[1, 0], y=[0, 1])
    with pytest.raises(UnknownName):
        zigzag.diagram("psi", x=[0, 1], y=[0, 1])
    with pytest.raises(UnknownName):
        zigzag.at(z=1)
    with pytest.raises(InputError, match="no value for y"):
        zigzag.at(x=1)
    with pytest.raises(UnknownName):
        variation_phases("relu")["psi"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tanh", "relu"])
def test_all_four_powers_as_symbols(name):
    """At 60 points of a coarse grid, where many lie on lines between regimes: one case each, that of numbers."""
    found = variation_phases(name, **dict.fromkeys(NAMES, "symbolic"))
    source = np.random.default_rng(4)
    for row in source.integers(0, 9, (60, 4)):
        values = {s: sp.Rational(int(k), 4) for s, k in zip(found.symbols, row, strict=True)}
        where = [c for c in found.cases if all(sign_of(e.subs(values)) == sign for e, sign in c.conditions)]
        assert len(where) == 1, values
        numbers = {str(s): value for s, value in values.items()}
        try:
            one = variation_phases(name, **numbers)
        except NoClosedForm:  # with symbols the average at the limit of q stays a symbol; as a number it is none
            assert "V_q" in {str(s) for s in where[0].laws["q"].growth.amplitude.free_symbols}
            continue
        for quantity, law in where[0].laws.items():
            for mine, theirs in (
                (law.growth.power, one[quantity].growth.power),
                (law.growth.logs, one[quantity].growth.logs),
            ):
                mine = (mine + sp.Integer(0)).subs(values)
                if mine.is_number and not (theirs + sp.Integer(0)).has(sp.Float):  # else an average at a limit of q
                    assert float(mine) == pytest.approx(float(theirs), abs=1e-12), (values, quantity)
            assert len(law.growth.products) == len(one[quantity].growth.products), (values, quantity)
