"""Critical lines, exponents and lengths behind LayerNorm and RMSNorm: the paper's tables, iteration, hostile input."""

import math
from functools import cache

import numpy as np
import pytest
import sympy as sp
from plain_averages import SIGMA, nodes
from sources.normalised_layers import DIGITS, OF_GROWTH, PRE, iterate, on_activations, on_pre_activations

import rgflow as rg
from rgflow import critical_line, jacobian_law, partial_jacobian
from rgflow.scaling.normalised_step import evaluated, normalised_step
from rgflow.scaling.regimes import CONSTANT, EXPONENTIAL, POWER, STRETCHED

SKIPS = (0.0, 0.5, 0.9)
K = sp.Symbol("K", positive=True)
C_b, C_W = sp.symbols("C_b C_W", nonnegative=True)


def averages(name):
    """K -> <phi>, <phi^2>, <phi'^2> by plain sums."""
    sigma, slope = SIGMA[name]
    x, weights = nodes()

    @cache
    def at(kernel):
        z = math.sqrt(kernel) * x
        return weights @ sigma(z), weights @ sigma(z) ** 2, weights @ slope(z) ** 2

    return at


def typed(name, layer):
    """The paper's step of a layer; RMSNorm by analogy."""
    numbers = layer.C_W, layer.C_b, layer.skip
    if layer.place == "before":
        return on_pre_activations(averages(name), *numbers)
    return on_activations(averages(name), *numbers, centred=layer.centred)


def jacobians(name, layer, depth):
    """J of layers 1..depth, by the flow."""
    net = rg.Network([rg.Dense(), *[layer] * (depth - 1), rg.Dense()], [3] + [10] * (depth + 1), name)
    return partial_jacobian(net, first_kernel=1.0)["J"].values[:depth]


# The tables -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PRE)
def test_table_of_norms_before(name):
    """<phi^2>_1, <phi'^2>_1, c and the exponent at mu = 1; c is the same for every skip."""
    square, slope, line, growth = PRE[name]
    sigma, step = rg.activation(name), normalised_step(rg.LayerNorm())
    assert float(evaluated(step.read, sigma)) == pytest.approx(square, abs=DIGITS)
    assert float(evaluated(step.slope.subs(K, 1), sigma)) == pytest.approx(slope, abs=DIGITS)
    for kind in (rg.LayerNorm, rg.RMSNorm):  # before sigma z has no mean
        for skip in SKIPS:
            assert float(critical_line(name, kind(skip=skip)).slope) == pytest.approx(line, abs=DIGITS)
        law = jacobian_law(name, kind(skip=1.0, C_W=1.7))
        assert law.regime == POWER
        assert float(law.zeta) == pytest.approx(-growth, abs=OF_GROWTH)
    assert abs(float(critical_line(name).slope) - line * 1.01 - 1e-6) > DIGITS  # the control


def test_lines_in_closed_form():
    asin = sp.asin(sp.Rational(2, 3))
    exact = {"relu": 0, "linear": 0, "erf": 4 / (sp.pi * sp.sqrt(5)) - 2 * asin / sp.pi, "sin": sp.exp(-2)}
    for name, slope in exact.items():
        assert sp.simplify(critical_line(name).slope - slope) == 0
    for skip in SKIPS:
        assert critical_line("relu", rg.LayerNorm(place="after", skip=skip)).slope == 1 / (sp.pi - 1)
        assert critical_line("relu", rg.RMSNorm(place="after", skip=skip)).slope == 0
    a = sp.Rational(1, 10)
    spread = (1 + a**2) / 2
    leaky = critical_line(rg.activation("leaky_relu", slope=0.1), rg.LayerNorm(place="after")).slope
    assert sp.simplify(leaky - (spread / (spread - (1 - a) ** 2 / (2 * sp.pi)) - 1)) == 0


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("kind", [rg.LayerNorm, rg.RMSNorm])
@pytest.mark.parametrize("name", ["relu", "erf", "gelu", "tanh"])
def test_lines_by_iteration_to_depth_1000(name, kind, place):
    """On the line the factor tends to 1 and J to a constant; beside it, on the two sides, to more and to less."""
    for skip in SKIPS:
        line = critical_line(name, kind(skip=skip, place=place))
        bias, weight = line.at(1.5)
        points = {0: (bias, weight), 1: (bias, weight * 1.05), -1: (bias + 0.05 * weight, weight)}
        for side, (b, w) in points.items():
            layer = kind(skip=skip, place=place, C_b=b, C_W=w)
            found = iterate(typed(name, layer), 1000)
            law = jacobian_law(name, layer)
            assert law.K_star == pytest.approx(found[-1][0], rel=1e-12)
            assert float(law.chi_J) == pytest.approx(found[-1][1], rel=1e-11)
            if side == 0:
                assert (law.regime, law.zeta, law.xi_J) == (CONSTANT, 0, math.inf)
                assert law.K_star == pytest.approx(1.5, rel=1e-12)
            elif side == 1 and bias == 0:
                assert law.regime == CONSTANT  # C_b = 0 is the line itself
            else:
                assert law.regime == EXPONENTIAL
                assert law.xi_J == pytest.approx(1 / abs(math.log(found[-1][1])), rel=1e-8)


def test_lines_that_are_curves():
    """tanh behind whose sigma the norm stands: K* runs along the line, and C_b/C_W is no constant."""
    line = critical_line("tanh", rg.LayerNorm(place="after", skip=0.5))
    assert line.slope is None
    ratios = [np.divide(*line.at(kernel)) for kernel in (0.1, 1.0, 10.0)]
    assert ratios[0] < ratios[1] < ratios[2]
    assert str(line) == "C_b = C_W (<σ'σ'> K_star/<σσ> - 1), C_W = 3 <σσ>/(4 <σ'σ'>), averages at K_star"
    assert line.latex().startswith("C_b = ")


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("relu", rg.LayerNorm(C_W=1.3, C_b=0.1)),
        ("gelu", rg.LayerNorm(skip=0.5, C_W=0.7, C_b=0.4)),
        ("relu", rg.LayerNorm(place="after", C_W=2.0)),
        ("erf", rg.LayerNorm(place="after", skip=0.5, C_W=0.8, C_b=0.3)),
        ("gelu", rg.RMSNorm(place="after", skip=-0.3, C_W=0.8, C_b=0.3)),
    ],
)
def test_factors_by_the_flow(name, layer):
    """The flow's own J: the factor at layer 12, and its way there by the typed step."""
    J, found = jacobians(name, layer, 13), iterate(typed(name, layer), 12)
    np.testing.assert_allclose(J[1:] / J[:-1], [chi for _, chi in found], rtol=1e-11)
    away = layer.skip**24 * 10  # K - K* falls as skip^2l
    assert J[12] / J[11] == pytest.approx(float(jacobian_law(name, layer).chi_J), rel=away + 1e-11)


# skip = 1 -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "fit"), [("erf", 1.217), pytest.param("relu", 0.994, marks=pytest.mark.slow)])
def test_power_laws_by_the_flow(name, fit):
    """The fit over layers 50 to 500 as the paper's protocol has it; the exponent itself lies further out."""
    J, layers = jacobians(name, rg.LayerNorm(skip=1.0), 500), np.arange(1, 501)
    slope = np.polyfit(np.log(layers[49:]), np.log(J[49:]), 1)[0]
    assert slope == pytest.approx(fit, abs=1e-3)
    zeta = float(jacobian_law(name, rg.LayerNorm(skip=1.0)).zeta)
    early, late = (math.log(J[2 * n - 1] / J[n - 1]) / math.log(2) for n in (50, 250))
    assert abs(late + zeta) < abs(early + zeta) < 0.03


def test_power_laws_by_the_typed_step():
    """The same fits, and the sign: J grows, and zeta is negative."""
    for name, fit in (("erf", 1.217), ("relu", 0.994)):
        chi = [x for _, x in iterate(typed(name, rg.LayerNorm(skip=1.0)), 500)]
        layers, logs = np.arange(1, 501), np.cumsum([0.0, *np.log(chi[:-1])])
        assert np.polyfit(np.log(layers[49:]), logs[49:], 1)[0] == pytest.approx(fit, abs=1e-3)
        assert jacobian_law(name, rg.LayerNorm(skip=1.0)).zeta < 0


@pytest.mark.slow
@pytest.mark.parametrize("name", PRE)
def test_norms_before_by_the_flow_to_depth_1000(name):
    layer = rg.LayerNorm(skip=1.0, C_W=1.4, C_b=0.1)
    J, found = jacobians(name, layer, 1001), iterate(typed(name, layer), 1000)
    np.testing.assert_allclose(np.log(J[1:] / J[:-1]), np.log([chi for _, chi in found]), atol=1e-11)


@pytest.mark.parametrize("kind", [rg.LayerNorm, rg.RMSNorm])
@pytest.mark.parametrize("name", ["relu", "erf", "gelu", "tanh", "swish"])
@pytest.mark.parametrize("place", ["before", "after"])
def test_exponents_by_iteration(name, kind, place):
    """skip = 1: l (chi - 1) tends to -zeta as 1/l or 1/sqrt(l), sqrt(l) (chi - 1) to half the rate."""
    layer = kind(skip=-1.0, place=place, C_W=0.8, C_b=0.3)
    law = jacobian_law(name, layer)
    bounded = place == "after" and name in ("erf", "tanh")
    assert law.regime == (STRETCHED if bounded else POWER)
    assert critical_line(name, layer).everywhere
    power = 0.5 if bounded else 0.0
    limit = float(law.rate / 2 if bounded else -law.zeta)
    chi = {n: iterate(typed(name, layer), n)[-1][1] for n in (1000, 4000)}
    missing = [abs(n ** (1 - power) * (chi[n] - 1) / limit - 1) for n in chi]
    assert missing[1] < 0.6 * missing[0] < 0.06


def test_exponents_in_closed_form():
    layer = rg.LayerNorm(skip=1.0, C_W=0.8, C_b=0.3)
    assert jacobian_law("relu", layer).zeta == sp.Rational(-8, 14)
    after = jacobian_law("relu", layer.changed(place="after"))
    assert sp.simplify(after.zeta + sp.Rational(8, 11) * sp.pi / (sp.pi - 1)) == 0
    assert jacobian_law("relu", rg.RMSNorm(skip=1.0, place="after", C_W=0.8, C_b=0.3)).zeta == sp.Rational(-8, 11)
    erf = jacobian_law("erf", rg.LayerNorm(skip=1.0, place="after", C_W=1.0))
    assert str(erf) == "J ~ exp(4 sqrt(l)/pi)"  # as without a norm: <erf^2> tends to 1


def test_everywhere_critical():
    """Claim: |chi - 1| < .05 for all sigma_w, sigma_b at layer 48 and beyond; behind bounded sigma it is not so."""
    grid = [(w, b) for w in (0.01, 0.5, 1.0, 2.0, 4.0) for b in (0.0, 0.2, 1.0, 2.0)]

    def worst(name, place):
        layers = (rg.LayerNorm(skip=1.0, place=place, C_W=w, C_b=b) for w, b in grid)
        # the first layer is dense: sigma_w = 1 there
        return max(abs(iterate(typed(name, layer), 48, K=1.0 + layer.C_b)[-1][1] - 1) for layer in layers)

    assert max(worst(name, "before") for name in PRE) < 0.05
    assert max(worst(name, "after") for name in ("relu", "gelu")) < 0.05
    assert worst("erf", "after") > 0.05
    assert abs(iterate(typed("relu", rg.LayerNorm(skip=0.9, C_W=1.0, C_b=1.0)), 48)[-1][1] - 1) > 0.05


# Which place is more stable -------------------------------------------------------------------------------------------


def test_relu_before_and_after():
    """sigma_b = 0: xi before is infinite, after 1/ln(pi/(pi - 1)) = 2.61 for every sigma_w."""
    for weight in (0.3, 1.0, 7.0):
        assert jacobian_law("relu", rg.LayerNorm(C_W=weight)).xi_J == math.inf
        after = jacobian_law("relu", rg.LayerNorm(C_W=weight, place="after")).xi_J
        assert after == pytest.approx(1 / math.log(math.pi / (math.pi - 1)), rel=1e-14)
        assert after == pytest.approx(2.61, abs=0.005)
    chi = critical_line("relu").chi_J
    assert sp.simplify(sp.limit(-C_b / sp.log(chi), C_b, 0) - C_W / 2) == 0  # xi = C_W/(2 C_b)
    half = critical_line("relu", rg.LayerNorm(skip=0.5)).chi_J
    assert sp.simplify(sp.limit(-C_b / sp.log(half), C_b, 0) / (C_W / 2) - sp.Rational(4, 3)) == 0
    near = jacobian_law("relu", rg.LayerNorm(C_W=1.0, C_b=1e-4)).xi_J
    assert near == pytest.approx(1 / math.log1p(2e-4), rel=1e-10)


@pytest.mark.parametrize("name", ["relu", "erf", "gelu", "tanh", "swish", "sigmoid", "exp(-z^2)", "softplus"])
def test_no_bias_behind_layer_norm_after_is_chaotic(name):
    """K <s's'> >= <ss> - <s>^2 (Poincare): xi is finite for every sigma that is not linear; RMSNorm need not be so."""
    for weight in (0.1, 1.0, 5.0):
        assert jacobian_law(name, rg.LayerNorm(place="after", C_W=weight)).chi_J > 1
    assert jacobian_law("linear", rg.LayerNorm(place="after")).regime == CONSTANT
    assert jacobian_law("softplus", rg.RMSNorm(place="after")).chi_J < 1


# Other ends, text, errors ---------------------------------------------------------------------------------------------


def test_where_sigma_plays_no_part():
    for place in ("before", "after"):
        assert jacobian_law("tanh", rg.LayerNorm(place=place, C_W=0.0, C_b=0.2, skip=1.0)).regime == CONSTANT
        assert jacobian_law("tanh", rg.LayerNorm(place=place, C_W=0.0, skip=0.5)).chi_J == sp.Rational(1, 4)
        assert jacobian_law("tanh", rg.LayerNorm(place=place, C_W=0.0)).xi_J == 0
        grows = jacobian_law("tanh", rg.LayerNorm(place=place, skip=1.1))
        assert (grows.chi_J, grows.K_star) == (sp.Rational(121, 100), math.inf)
        step = typed("tanh", rg.LayerNorm(place=place, skip=1.1))
        assert iterate(step, 100)[-1][1] == pytest.approx(1.21, rel=1e-3)
    assert jacobian_law("tanh", rg.LayerNorm(C_W=0.0, skip=0.5, epsilon=1e-5)).chi_J == sp.Rational(1, 4)


def test_sigma_that_falls_to_zero_behind_a_norm_grows_exponentially():
    """<s's'>/<ss> of exp(-z^2) tends to 1: slopes fall as what the norm divides by."""
    layer = rg.RMSNorm(skip=1.0, place="after", C_W=0.5)
    assert jacobian_law("exp(-z^2)", layer).chi_J == sp.Rational(3, 2)
    with pytest.raises(rg.NoCriticalPoint, match="nowhere"):
        critical_line("exp(-z^2)", layer)


def test_text():
    assert str(critical_line("relu", rg.LayerNorm(place="after"))) == "C_b = C_W/(-1 + pi)"
    assert critical_line("relu").latex() == "C_b = 0"
    line = critical_line("tanh", rg.RMSNorm(skip=1.0))
    assert str(line) == "every C_b and C_W > 0 is critical"
    assert "chi_J" in line.latex()
    assert str(critical_line("tanh")) == "C_b = 0.07010841205 C_W"
    assert str(jacobian_law("relu", rg.LayerNorm(skip=1.0))) == "J ~ l"


def test_other_layers_have_points():
    for layer in (rg.Dense(), rg.Residual(skip=0.5), rg.Branch()):
        with pytest.raises(rg.NoCriticalPoint, match="criticality gives"):
            critical_line("relu", layer)
    for kind in (rg.LayerNorm, rg.RMSNorm):
        for place in ("before", "after"):
            layer = kind(place=place)
            with pytest.raises(rg.NoCriticalPoint, match="critical_line"):
                rg.criticality("relu", layer)
            with pytest.raises(rg.NoCriticalPoint, match="critical_line"):
                rg.tune(rg.Network([rg.Dense(), layer, rg.Dense()], [3, 8, 8, 1], "relu"))
            with pytest.raises(rg.NoCriticalPoint, match="critical_line"):
                rg.aspect_ratio("relu", n_out=1, layer=layer)
            with pytest.raises((rg.NoCriticalPoint, rg.NoClosedForm)):
                rg.solve("K", "relu", layer=layer)


def test_hostile_requests():
    with pytest.raises(rg.NoCriticalPoint, match="epsilon=0"):
        critical_line("relu", rg.LayerNorm(epsilon=1e-5))
    with pytest.raises(rg.NoCriticalPoint, match="epsilon=0"):
        jacobian_law("relu", rg.LayerNorm(epsilon=1e-5))
    with pytest.raises(rg.NoCriticalPoint, match="beyond 1"):
        critical_line("relu", rg.LayerNorm(skip=-1.5))
    with pytest.raises(rg.NoCriticalPoint, match="negative"):
        critical_line("sigmoid")
    with pytest.raises(rg.NoCriticalPoint, match="negative"):
        critical_line("sigmoid", rg.RMSNorm(place="after")).at(1.0)
    with pytest.raises(rg.NoCriticalPoint, match="no fixed point"):
        critical_line("relu", rg.LayerNorm(skip=1.0)).at(1.0)
    for wrong in (0, -1.0, math.nan, math.inf, "1", True, None):
        with pytest.raises(rg.InputError, match="K_star"):
            critical_line("tanh", rg.LayerNorm(place="after")).at(wrong)
    relu = critical_line("relu", rg.LayerNorm())
    assert relu.at(np.int64(2)) == relu.at(np.float32(2)) == relu.at(2)
    for skip in (0.0, 1.0):
        with pytest.raises(rg.KinkError):
            jacobian_law("sign(z)", rg.LayerNorm(skip=skip))
    with pytest.raises(rg.KinkError):
        critical_line("sign(z)")
    with pytest.raises(rg.NoClosedForm, match="one constant"):
        jacobian_law("1 + exp(-z^2)", rg.LayerNorm(skip=1.0, place="after"))
    with pytest.raises(rg.NoClosedForm):
        jacobian_law("sin", rg.LayerNorm(skip=1.0, place="after"))
    with pytest.raises(rg.InputError):
        critical_line("relu", "layer norm")
    with pytest.raises(rg.UnknownName):
        critical_line("reluu")


@pytest.mark.slow
@pytest.mark.parametrize("name", PRE)
@pytest.mark.parametrize(("kind", "place"), [(rg.LayerNorm, "before"), (rg.LayerNorm, "after"), (rg.RMSNorm, "after")])
@pytest.mark.parametrize("skip", [*SKIPS, 1.0])
def test_norms_by_the_flow_to_depth_1000(name, kind, place, skip):
    layer = kind(skip=skip, place=place, C_W=0.8, C_b=0.3)
    J, found = jacobians(name, layer, 1001), iterate(typed(name, layer), 1000)
    # where J itself vanishes its ratios have no digits
    seen = J[1:] > 1e-250
    ratios = np.log(J[1:][seen] / J[:-1][seen])
    np.testing.assert_allclose(ratios, np.log([chi for _, chi in found])[seen], atol=1e-11)
    if skip < 1:
        assert ratios[-1] == pytest.approx(math.log(jacobian_law(name, layer).chi_J), abs=1e-11)
