"""Exponents and lengths of partial Jacobians: the paper's table, iteration to great depth, hostile input."""

import math
import runpy
from pathlib import Path

import mpmath
import numpy as np
import pytest
import sympy as sp
from sources.partial_jacobians import DIGITS, VANILLA, erf_averages, iterate, relu_averages, stretched

import rgflow as rg
from rgflow.flow.jacobian import partial_jacobian
from rgflow.scaling.jacobian_law import beside, jacobian_law
from rgflow.scaling.regimes import CONSTANT, EXPONENTIAL, POWER, STRETCHED

l = sp.Symbol("l", positive=True)


def jacobians(layer, sigma, depth=1000, first_kernel=1.0):
    """J of layers 1..depth of a network of one kind of layers."""
    tail = [] if layer.ends else [rg.Dense()]
    first = rg.Dense()
    layers = [first, *[layer] * (depth - 1), *tail]
    net = rg.Network(layers, [3] + [10] * len(layers), sigma)
    return partial_jacobian(net, first_kernel=first_kernel)["J"].values[:depth]


# The table ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", VANILLA)
def test_the_table_of_networks_without_norm(name):
    sigma_w, sigma_b, K_star, zeta = VANILLA[name]
    found = rg.criticality(name)
    assert math.sqrt(found.C_W) == pytest.approx(sigma_w, abs=DIGITS)
    assert math.sqrt(found.C_b) == pytest.approx(sigma_b, abs=DIGITS)
    assert found.K_star is K_star if K_star is None else found.K_star == pytest.approx(K_star, abs=DIGITS)
    assert found.zeta == jacobian_law(name).zeta == zeta
    assert jacobian_law(name).xi_J == math.inf


@pytest.mark.parametrize(("name", "allowed"), [("erf", 0.05), ("tanh", 0.05), ("relu", 1e-12), ("gelu", 1e-6)])
def test_zeta_by_iteration_to_depth_1000(name, allowed):
    """The slope of ln J over layers 50 to 500 as the paper fits it; beyond, it comes closer."""
    point = rg.criticality(name)
    start = point.K_star or 1.0
    J = jacobians(rg.Dense(C_W=point.C_W, C_b=point.C_b), name, first_kernel=start)
    layers = np.arange(1, 1001)
    slopes = [-np.polyfit(np.log(layers[a:b]), np.log(J[a:b]), 1)[0] for a, b in ((49, 500), (499, 1000))]
    zeta = float(point.zeta)
    assert abs(slopes[0] - zeta) < allowed
    assert abs(slopes[1] - zeta) <= abs(slopes[0] - zeta) + 1e-9


def test_zeta_is_that_of_a_residual_layer_too():
    """skip^2 + C_W = 1 for tanh: kernel and factor move at the same, slower pace."""
    law = jacobian_law("tanh", rg.Residual(skip=0.6, C_W=0.64))
    assert (law.regime, law.zeta, str(law)) == (POWER, 1, "J ~ 1/l")
    assert rg.criticality("tanh", rg.Residual(skip=0.6)).zeta == 1
    J = jacobians(rg.Residual(skip=0.6, C_W=0.64), "tanh", 300)
    assert -math.log(J[299] / J[149]) / math.log(2) == pytest.approx(1, abs=0.05)
    assert jacobian_law("relu", rg.Residual(skip=0.9, C_W=2 * (1 - 0.81))).regime == CONSTANT


def gelu_averages(K):
    """<phi^2>, <phi'^2> of gelu, typed; for floats and for mpmath."""
    asin, sqrt, pi = (
        (mpmath.asin, mpmath.sqrt, mpmath.pi) if isinstance(K, mpmath.mpf) else (math.asin, math.sqrt, math.pi)
    )
    c, root = K / (1 + K), sqrt(1 + 2 * K)
    square = K / 4 + (K * asin(c) + 2 * K * c / root) / (2 * pi)
    return square, 0.25 + (asin(c) + c * (3 + 5 * K) / root**3) / (2 * pi)


def test_beside_a_half_stable_point_zeta_is_another():
    """gelu from above: 2 chi_J'/F'' = -65 by its typed averages, and l (1 - chi_J) on its slow way there."""
    point = rg.criticality("gelu").point
    zeta = jacobian_law("gelu", first_kernel=5.0).zeta
    assert zeta == beside(point)
    with mpmath.workdps(40):
        K = (3 + mpmath.sqrt(17)) / 2
        assert float(K) == point.K_star
        slope, bend = (mpmath.diff(lambda K, i=i: gelu_averages(K)[i], K, n) for i, n in ((1, 1), (0, 2)))
        assert float(zeta) == pytest.approx(float(2 * slope / bend), rel=1e-12)
    found = iterate(gelu_averages, 100_001, point.C_W, point.C_b, K=5.0)
    ends = [n * (1 - found[n - 1][1]) for n in (1_000, 10_000, 100_000)]
    assert float(zeta) < ends[2] < ends[1] < ends[0]
    assert ends[2] == pytest.approx(float(zeta), rel=0.25)
    with pytest.raises(rg.InputError, match="above"):
        jacobian_law("gelu", first_kernel=1.0)


# Away from criticality ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sigma", "layer"),
    [
        ("tanh", rg.Dense(C_W=1.5, C_b=0.1)),
        ("tanh", rg.Dense(C_W=3.0, C_b=0.05)),
        ("erf", rg.Residual(skip=0.5, C_W=1.5, C_b=0.1)),
        ("relu", rg.Dense(C_W=1.5, C_b=0.3)),
        ("relu", rg.Residual(skip=0.8, C_W=0.3)),
        ("gelu", rg.Dense(C_W=1.0, C_b=0.2)),
        ("relu", rg.Residual(skip=1.0, C_W=0.5, C_b=0.1)),
        ("gelu", rg.Residual(skip=-1.0, C_W=0.5)),
        ("tanh", rg.Residual(skip=1.1, C_W=0.5)),
        ("tanh", rg.Linear(C_W=0.7)),
    ],
)
def test_correlation_lengths_by_iteration(sigma, layer):
    """The factor after 100 layers, and xi its logarithm."""
    law = jacobian_law(sigma, layer)
    assert law.regime == EXPONENTIAL
    J = jacobians(layer, sigma, 100)
    assert math.log(J[99] / J[98]) == pytest.approx(math.log(law.chi_J), rel=1e-3, abs=1e-9)
    assert law.xi_J == pytest.approx(1 / abs(math.log(float(law.chi_J))), rel=1e-12)


def test_lengths_diverge_at_criticality():
    """xi ~ 1/|sigma_w - sigma_w*|: for relu exactly 1/ln(C_W/2)."""
    lengths = [jacobian_law("relu", rg.Dense(C_W=2 + x)).xi_J * x for x in (0.1, 0.01, 0.001)]
    np.testing.assert_allclose(lengths, [x / math.log(1 + x / 2) for x in (0.1, 0.01, 0.001)], rtol=1e-9)
    assert jacobian_law("relu", rg.Dense(C_W=2.0)).xi_J == math.inf
    assert jacobian_law("tanh", rg.Dense(C_W=0.0, C_b=1.0)).xi_J == 0


# Kernels that grow ----------------------------------------------------------------------------------------------------


def test_stretched_exponential_of_erf_is_the_paper_s():
    C_W, C_b = sp.Rational(13, 10), sp.Rational(1, 5)
    law = jacobian_law("erf", rg.Residual(skip=1.0, C_W=1.3, C_b=0.2))
    assert law.regime == STRETCHED
    assert sp.simplify(law.length - sp.pi**2 * (C_W + C_b) / (16 * C_W**2)) == 0
    assert float(law.rate) ** 2 == pytest.approx(stretched(1.3, 0.2), rel=1e-14)


def test_slope_at_great_depth():
    """Claim: d ln J/d sqrt(l) at l = 2e4 within 1 % of 4 sigma_w^2/(pi sqrt(sigma_w^2 + sigma_b^2))."""
    for C_W, C_b in ((1.0, 0.5), (2.0, 0.0)):
        logs = np.cumsum(np.log([chi for _, chi in iterate(erf_averages, 20_001, C_W, C_b, mu=1.0)]))
        slope = (logs[19_999] - logs[19_799]) / (math.sqrt(20_000) - math.sqrt(19_800))
        law = jacobian_law("erf", rg.Residual(skip=1.0, C_W=C_W, C_b=C_b))
        assert slope == pytest.approx(float(law.rate), rel=0.01)
        early = (logs[4_999] - logs[4_899]) / (math.sqrt(5_000) - math.sqrt(4_900))
        assert abs(slope / float(law.rate) - 1) < abs(early / float(law.rate) - 1)
    assert slope != pytest.approx(float(law.rate) * 1.02, rel=0.01)  # the control


@pytest.mark.parametrize("sigma", ["tanh", "sigmoid(z)", "exp(-z^2)"])
def test_other_bounded_activations(sigma):
    """ln J against its power of the depth; sigma that falls to zero on both sides has l^(2/3)."""
    layer = rg.Residual(skip=1.0, C_W=1.0, C_b=0.0)
    law = jacobian_law(sigma, layer)
    assert law.power == (sp.Rational(2, 3) if sigma.startswith("exp") else sp.Rational(1, 2))
    logs = np.log(jacobians(layer, sigma, 200))
    power = float(law.power)
    slopes = [(logs[b - 1] - logs[a - 1]) / (b**power - a**power) for a, b in ((40, 50), (160, 200))]
    missing = [abs(slope / float(law.rate) - 1) for slope in slopes]
    assert missing[1] < 0.15
    assert missing[1] < 0.75 * missing[0]  # as l^-1/2 or l^-1/3 ln l


def test_relu_and_gelu_grow_exponentially():
    for sigma in ("relu", "gelu"):
        law = jacobian_law(sigma, rg.Residual(skip=1.0, C_W=0.8, C_b=0.3))
        assert (law.regime, law.chi_J, law.K_star) == (EXPONENTIAL, sp.Rational(7, 5), math.inf)
    factors = [chi for _, chi in iterate(relu_averages, 10, 0.8, 0.3, mu=1.0)]
    assert factors == pytest.approx([1.4] * 10, rel=1e-14)


def test_where_nothing_grows():
    assert jacobian_law("tanh", rg.Residual(skip=1.0, C_W=0.0, C_b=0.2)).regime == CONSTANT
    assert jacobian_law("tanh", rg.Linear(C_W=1.0)).regime == CONSTANT


# Text and errors ------------------------------------------------------------------------------------------------------


def test_text():
    law = jacobian_law("erf", rg.Residual(skip=1.0, C_W=1.0))
    assert str(law) == "J ~ exp(4 sqrt(l)/pi)"
    assert law.latex() == r"\mathcal{J}^{\ell_0,\ell} \propto e^{\frac{4 \sqrt{\ell}}{\pi}}"
    assert sp.simplify(law.expression - sp.exp(4 * sp.sqrt(l) / sp.pi)) == 0
    assert str(jacobian_law("relu", rg.Dense(C_W=1.0))) == "J ~ 0.5^l"


def test_hostile_requests():
    with pytest.raises(rg.NoClosedForm):
        jacobian_law("sin", rg.Residual(skip=1.0))
    with pytest.raises(rg.NoCriticalPoint, match="weight"):
        jacobian_law("tanh", rg.Branch())
    for wrong in (-1.0, math.nan, "1", True):
        with pytest.raises(rg.InputError):
            jacobian_law("tanh", first_kernel=wrong)
    with pytest.raises(rg.InputError):
        jacobian_law("tanh", "dense")
    with pytest.raises(rg.UnknownName):
        jacobian_law("tanhh")


def test_control_slips_in_the_derivation_are_noticed(monkeypatch):
    """Another line, another factor, another exponent typed into derivations/partial_jacobians.py fail there."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "derivations")
    script = runpy.run_path(str(Path(__file__).parents[2] / "derivations" / "partial_jacobians.py"))
    for table, key, wrong in (
        ("LINES", rg.Residual(), script["LINES"][rg.Dense()]),
        ("SLOPE", "erf", 2 * script["SLOPE"]["erf"]),
    ):
        right, script[table][key] = script[table][key], wrong
        with pytest.raises(AssertionError):
            script["recursions"]()
        script[table][key] = right
    script["TABLE"]["relu"] = (2.0, 0.0, None, 1)
    with pytest.raises(AssertionError):
        script["table"]()
