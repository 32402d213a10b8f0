"""Critical points against typed numbers and against averages taken here."""

from fractions import Fraction

import numpy as np
import pytest
import sympy as sp
from plain_averages import BUMP, DENT, FLAT, HARDTANH, LEANING, SIGMA, gauss
from scipy import special
from sources.critical_points import CRITICAL, EIGHT_DIGITS, TAYLOR, first_coefficients

import rgflow as rg
from rgflow import NoClosedForm, NoCriticalPoint
from rgflow.brackets import gaussian_moments
from rgflow.universality import half_stable, kernel_table
from rgflow.universality import points as points_module
from rgflow.universality.laws import power_laws
from rgflow.universality.points import points
from rgflow.universality.vanishing import vanishing_kernel


def kernel_map(name, C_b, C_W):
    """K -> C_b + C_W <sigma sigma>_K."""
    sigma, _ = SIGMA[name]
    return lambda kernel: C_b + C_W * gauss(lambda z: sigma(z) ** 2, kernel)


def amplitude(spec):
    """x_0 of K = x_0 l^{-p_0}, alone."""
    return power_laws(rg.criticality(spec).point, ("K",))["K"].amplitude


# Numbers --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CRITICAL)
def test_points_are_the_book_s(name):
    kind, C_b, C_W, K_star = CRITICAL[name]
    found = rg.criticality(name)
    assert found.universality_class == kind
    assert pytest.approx(C_W, rel=1e-11) == found.C_W  # of twelve digits
    assert found.C_b == pytest.approx(C_b, rel=1e-11)
    assert found.K_star == (None if K_star is None else pytest.approx(K_star, rel=1e-11))
    assert found.point.stable
    assert found.point == found.points[0]


@pytest.mark.parametrize("name", EIGHT_DIGITS)
def test_eight_digits_as_they_are_quoted(name):
    found = rg.criticality(name)
    assert (f"{found.C_b:.8f}", f"{found.C_W:.8f}") == EIGHT_DIGITS[name]


def test_points_that_are_exact():
    """pi/4 and (3 + sqrt 17)/2 as such; SWISH, which has no closed form, to 15 digits."""
    erf, gelu, swish = (rg.criticality(name).point for name in ("erf", "gelu", "swish"))
    assert (erf.symbolic, gelu.symbolic, swish.symbolic) == (True, True, False)
    assert erf.values["C_W"] == sp.pi / 4
    assert sp.simplify(gelu.values["K_star"] - (3 + sp.sqrt(17)) / 2) == 0
    slope = sp.Rational(1, 10)
    leaky = rg.criticality(rg.activation("leaky_relu", slope=0.1)).point
    assert leaky.values["C_W"] == 2 / (1 + slope**2)


@pytest.mark.parametrize("name", [name for name in SIGMA if name != HARDTANH])
def test_susceptibilities_are_one(name):
    """K* = C_b + C_W <ss>, C_W <ss (z^2 - K)>/(2 K^2) = C_W <s's'> = 1, with averages and derivatives written here."""
    sigma, slope = SIGMA[name]
    for point in points(rg.activation(name)):
        kernel = {None: 0.7, 0.0: 1e-9}.get(point.K_star, point.K_star)
        square = gauss(lambda z: sigma(z) ** 2, kernel)
        parallel = gauss(lambda z, K=kernel: sigma(z) ** 2 * (z * z - K), kernel) / (2 * kernel**2)
        perpendicular = gauss(lambda z: slope(z) ** 2, kernel)
        # at K* = 0 what remains is O(K), with coefficients below 16; else rounding, of sums of 600 terms
        close = 16 * kernel if point.K_star == 0 else 1e-13
        assert abs(point.C_W * parallel - 1) < close
        assert abs(point.C_W * perpendicular - 1) < close
        assert abs(point.C_b + point.C_W * square - kernel) < close * max(kernel, 1)


@pytest.mark.parametrize("name", CRITICAL)
def test_stated_susceptibilities(name):
    found = rg.criticality(name)
    assert found.chi_parallel == pytest.approx(1, abs=1e-13)
    assert found.chi_perpendicular == pytest.approx(1, abs=1e-13)


def test_susceptibilities_are_those_of_the_recursions():
    """chi_parallel = dK'/dK, with d<f>/dK = <d^2 f>/2, and chi_perp, the factor of Theta: from the derived terms."""
    moving = [term for term in rg.derive("K").terms if term.brackets]
    own = [term for term in rg.derive("Theta").terms if term.tensors]
    assert [len(moving), len(own)] == [1, 1]
    assert [(t.coefficient, dict(t.symbols)) for t in (*moving, *own)] == [(1, {"C_W": 1})] * 2
    (square,), (slopes,) = moving[0].brackets, own[0].brackets
    assert [value.tensor.name for value in own[0].tensors] == ["Theta"]
    typed = {
        "SQUARE": (square.orders, square.pending),
        "CURVATURE": (square.orders, square.pending + 2),
        "BEND": (square.orders, square.pending + 4),
        "SLOPES": (slopes.orders, slopes.pending),
    }
    for name, bracket in typed.items():
        assert getattr(half_stable, name) == (bracket,), name
    assert tuple((typed[name],) for name in ("SQUARE", "CURVATURE", "SLOPES")) == kernel_table._BRACKETS
    sigma, kernels = rg.activation("gelu"), np.array([0.3, 2.0])
    values, _ = kernel_table.averages(sigma, kernels)
    slope_values, _ = gaussian_moments(sigma, kernels[:, None, None], [(typed["SLOPES"],)])
    powers = [((square.orders, 2 * n),) for n in range(5)]
    halves = 0.5 ** np.arange(5)  # one for each derivative by K
    derivatives = gaussian_moments(sigma, kernels[:, None, None], powers)[0] * halves
    np.testing.assert_allclose(values.T, np.hstack([derivatives[:, :2], slope_values]), rtol=1e-12)
    # what is halved is the derivative: a central difference is off by h^2/6 of the third one, and by errors over h
    h = 1e-4
    up, of_up = gaussian_moments(sigma, (kernels + h)[:, None, None], powers)
    down, of_down = gaussian_moments(sigma, (kernels - h)[:, None, None], powers)
    steps, errors = (up - down) * halves / (2 * h), (of_up + of_down) * halves / (2 * h)
    for n in (0, 1):
        allowed = 1.01 * h**2 / 6 * np.abs(derivatives[:, n + 3]) + errors[:, n]
        assert np.all(np.abs(steps[:, n] - derivatives[:, n + 1]) <= allowed)


def test_points_print_in_a_line():
    found = rg.criticality("gelu")
    for one in (found, found.point):
        assert "gelu" in repr(one)
        assert "\n" not in repr(one)
        assert len(repr(one)) < 250


@pytest.mark.parametrize("name", TAYLOR)
def test_taylor_coefficients(name):
    """The table of a_1, a_2, b_1, p_perp; the point and the exponents that follow."""
    typed = {key: sp.sympify(text) for key, text in TAYLOR[name].items()}
    flow = vanishing_kernel(rg.activation(name))
    squares = [flow.number(c) for c in flow.series((0, 0), 0, 4)]
    slopes = [flow.number(c) for c in flow.series((1, 1), 0, 2)]
    assert squares == [0, 1, typed["a_1"], typed["a_2"]]
    assert slopes == [1, typed["b_1"]]
    found = rg.criticality(name)
    assert found.point.values["C_W"] == typed["C_W"]
    assert (found.p_0, found.p_perpendicular) == (1, typed["p_perpendicular"])
    assert found.p_parallel == 2
    assert amplitude(name) == -1 / typed["a_1"]


@pytest.mark.parametrize("name", CRITICAL)
def test_exponents_of_the_other_classes(name):
    found = rg.criticality(name)
    if found.universality_class != "K*=0":
        assert (found.p_0, found.p_perpendicular, found.p_parallel) == (0, 0, 0)


# Stability ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["tanh", "sin", "erf", "gelu", "swish", BUMP, DENT, FLAT, LEANING, "erf(z)+z/10"])
def test_stability_is_what_iteration_does(name):
    """Every point: kernels near it, iterated with averages taken here, go where the words say."""
    for point in points(rg.activation(name)):
        step = kernel_map(name, point.C_b, point.C_W)
        if point.K_star == 0:
            before = after = 0.02
            for _ in range(50):
                after = step(after)
            assert (after < before) == point.stable
            assert ("unstable" in point.stability) == (not point.stable)
            continue
        assert point.stable
        moved = {}
        for side, sign in (("below", -1), ("above", 1)):
            start = kernel = point.K_star * (1 + sign * 0.002)
            for _ in range(50):
                kernel = step(kernel)
            moved[side] = abs(kernel - point.K_star) < abs(start - point.K_star)
        (attracted,) = (side for side, towards in moved.items() if towards)  # exactly one
        assert point.stability.startswith(f"half-stable: kernels from {attracted} flow to it")


def test_points_that_are_not_recommended_are_listed():
    """GELU and SWISH at C_W = 4 and the bump at C_W = 1: K* = 0 is critical, and small kernels leave it."""
    for name, C_W in (("gelu", 4.0), ("swish", 4.0), (BUMP, 1.0)):
        found = rg.criticality(name)
        assert found.universality_class == "half-stable"
        (origin,) = (p for p in found.points if p.K_star == 0)
        assert (origin.C_b, origin.C_W, origin.stable) == (0.0, C_W, False)
        assert "unstable" in str(found)


def test_a_bump_and_a_dent_are_told_apart():
    assert rg.criticality(DENT).K_star == 0
    assert rg.criticality(BUMP).K_star == pytest.approx(0.2995057487, rel=1e-9)


def test_only_the_unstable_point_is_found():
    with pytest.raises(NoCriticalPoint, match=r"no stable critical point, only C_b = 0, C_W = 1, K\* = 0.*unstable"):
        rg.criticality("sinh(z)")
    (only,) = points(rg.activation("sinh(z)"))
    step = kernel_map("sinh(z)", only.C_b, only.C_W)
    assert not only.stable
    assert step(0.05) > 0.05


# None -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("sigmoid", r"sigma\(0\) is not 0"),
        ("softplus", r"sigma\(0\) is not 0"),
        ("exp", r"sigma\(0\) is not 0; chi_parallel stays above"),
        ("cos", r"sigma\(0\) is not 0; chi_parallel stays below"),
        ("z^2", r"sigma'\(0\) = 0"),
        ("z^3", r"sigma'\(0\) = 0"),
        ("Heaviside(z)", "sigma jumps"),
        ("sign(z)", "sigma jumps"),
    ],
)
def test_no_critical_point(name, reason):
    with pytest.raises(NoCriticalPoint, match=reason) as caught:
        rg.criticality(name)
    assert str(caught.value).startswith(rg.activation(name).name)


@pytest.mark.parametrize("name", ["sigmoid", "softplus"])
def test_the_reason_holds(name):
    """Nowhere between 1e-3 and 1e4 is chi_parallel = chi_perp: the two averages, taken here, keep their order."""
    sigma = {"sigmoid": special.expit, "softplus": lambda z: np.logaddexp(0, z)}[name]
    slope = {"sigmoid": lambda z: special.expit(z) * special.expit(-z), "softplus": special.expit}[name]
    x = np.linspace(-12, 12, 48001)
    weights = np.exp(-(x**2) / 2)
    weights /= weights.sum()
    signs = set()
    for kernel in np.geomspace(1e-3, 1e4, 29):
        z = np.sqrt(kernel) * x
        gap = weights @ (sigma(z) ** 2 * (x**2 - 1)) / (2 * kernel) - weights @ slope(z) ** 2
        signs.add(np.sign(gap))
    assert len(signs) == 1


# Users' own -----------------------------------------------------------------------------------------------------------


def test_own_formulas_and_expressions():
    """z - z^3 exp(-z^2)/2 has sigma_3 = -3, erf(z) + z/10 has sigma_1 = 2/sqrt(pi) + 1/10, sigma_3 = -4/sqrt(pi)."""
    a, b = first_coefficients(1, 0, -3)
    dent = rg.criticality(DENT)
    assert (dent.C_b, dent.C_W, dent.p_perpendicular, amplitude(DENT)) == (0, 1, 1, sp.Rational(1, 3))
    assert (a, b) == (-3, -3)
    root = sp.sqrt(sp.pi)
    slope, third = 2 / root + sp.Rational(1, 10), -4 / root
    z = sp.Symbol("z")
    for spec in ("erf(z) + z/10", sp.erf(z) + z / 10):
        bent = rg.criticality(spec)
        assert sp.simplify(bent.point.values["C_W"] - 1 / slope**2) == 0
        assert sp.simplify(amplitude(spec) + slope / third) == 0


def test_perpendicular_exponent_of_a_leaning_activation():
    """sigma_2 = 1/2, sigma_3 = -2: a_1 = -29/16, b_1 = -28/16."""
    a, b = first_coefficients(1, 0.5, -2)
    found = rg.criticality(LEANING)
    assert found.p_perpendicular == sp.Rational(28, 29)
    assert float(found.p_perpendicular) == pytest.approx(b / a, rel=1e-15)
    assert amplitude(LEANING) == sp.Rational(16, 29)


def test_a_flatter_activation():
    """z - z^5 exp(-z^2): <ss> = K - 30 K^3 + ..., <s's'> = 1 - 30 K^2 + ..., so K^{-2} grows by 60 in each layer."""
    found = rg.criticality(FLAT)
    assert vanishing_kernel(rg.activation(FLAT)).flatness[0] == 2
    assert found.p_0 == Fraction(1, 2)
    assert float(found.p_perpendicular) == 0.5
    assert found.p_parallel == Fraction(3, 2)  # <d^2[ss]>/2 = 1 - 90 K^2
    assert float(amplitude(FLAT)) == pytest.approx(60**-0.5, rel=1e-14)


def test_a_point_without_a_power_law():
    """Hard tanh: <ss> - K is exponentially small in 1/K, so that the kernel decays more slowly than any power."""
    found = rg.criticality(HARDTANH)
    assert (found.C_b, found.C_W, found.K_star, found.universality_class) == (0, 1, 0, "K*=0")
    assert found.point.stable
    step = kernel_map(HARDTANH, 0, 1)
    assert step(0.3) < 0.3
    with pytest.raises(NoClosedForm, match="power of the depth"):
        _ = found.laws
    with pytest.raises(NoClosedForm, match="power of the depth"):
        _ = found.p_0


def test_points_do_not_depend_on_how_an_activation_is_written():
    own = rg.criticality("z/2 + z*erf(z/sqrt(2))/2")
    assert own.K_star == pytest.approx(CRITICAL["gelu"][3], rel=1e-11)
    assert rg.criticality("z/(1+exp(-z))").K_star == pytest.approx(CRITICAL["swish"][3], rel=1e-11)


def test_scale_of_sigma_goes_into_C_W():
    """s -> 3 s at C_W/9; and s(2 z) has its K* at a quarter, its C_b too."""
    own, scaled = rg.criticality("swish"), rg.criticality("3*z*sigmoid(z)")
    assert pytest.approx(own.C_W / 9, rel=1e-12) == scaled.C_W
    assert scaled.K_star == pytest.approx(own.K_star, rel=1e-10)
    steep = rg.criticality("2*z*sigmoid(2*z)")
    assert steep.K_star == pytest.approx(own.K_star / 4, rel=1e-10)
    assert steep.C_b == pytest.approx(own.C_b / 4, rel=1e-10)
    assert pytest.approx(own.C_W / 4, rel=1e-12) == steep.C_W


@pytest.mark.parametrize("beta", [1e-3, 1e3])
def test_steep_and_slow_activations(beta):
    """z sigmoid(beta z): SWISH's kernel over beta^2, however small or large."""
    found = rg.criticality(rg.activation("swish", beta=beta))
    _, C_b, C_W, K_star = CRITICAL["swish"]
    assert found.K_star == pytest.approx(K_star / beta**2, rel=1e-9)
    assert found.C_b == pytest.approx(C_b / beta**2, rel=1e-9)
    assert pytest.approx(C_W, rel=1e-9) == found.C_W


def test_a_line_beside_the_origin():
    """z + 1: chi_parallel = chi_perp for every K, and C_b = -1 would be needed; no reason that says otherwise."""
    with pytest.raises(NoCriticalPoint) as caught:
        rg.criticality("z + 1")
    assert "stays below" not in str(caught.value)


# Controls -------------------------------------------------------------------------------------------------------------


def test_a_wrong_average_moves_the_point(monkeypatch):
    """Control: with <s's'> one part in 1e6 too large the susceptibilities found here are not one."""
    real = half_stable._by_digits

    def damaged(activation, near):
        C_b, C_W, K = real(activation, near)
        return C_b, C_W * (1 - sp.Float("1e-6", 25)), K

    points_module._search.cache_clear()
    monkeypatch.setattr(half_stable, "_by_digits", damaged)
    try:
        with pytest.raises(AssertionError):
            test_susceptibilities_are_one("swish")
        with pytest.raises(AssertionError):
            test_points_are_the_book_s("swish")
    finally:
        points_module._search.cache_clear()


def test_a_wrong_sign_of_the_bend_is_noticed(monkeypatch):
    """Control: K* = 0 called stable where it is not."""
    real = points_module._bend
    points_module._search.cache_clear()
    monkeypatch.setattr(points_module, "_bend", lambda *arguments: -real(*arguments))
    try:
        for check in (lambda: test_stability_is_what_iteration_does("tanh"), test_a_bump_and_a_dent_are_told_apart):
            with pytest.raises((AssertionError, NoCriticalPoint)):
                check()
    finally:
        points_module._search.cache_clear()


# A kink at zero -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("formula", "C_W", "amplitude"),
    [
        ("z/(1 + Abs(z))", 1.0, np.pi / 8),
        ("Max(z, 0) + Min(exp(z) - 1, 0)", 1.0, 2 * np.pi),
        ("Max(tanh(z), 0)", 2.0, None),
    ],
)
def test_a_kink_at_zero_has_a_critical_point_without_power_laws(formula, C_W, amplitude):
    """softsign, ELU: <ss>/A_2 = K - c K^(3/2) + ..., so that K = 4/(c l)^2; c by hand, of |z|^3 and of half a z^3."""
    point = rg.criticality(formula).point
    assert (point.C_b, point.C_W, point.K_star, point.stable) == (0.0, C_W, 0.0, True)
    with pytest.raises(rg.NoClosedForm, match="kink at 0"):
        rg.criticality(formula).laws  # noqa: B018
    if amplitude is not None:
        depth = 4000
        net = rg.MLP.uniform(n_in=1, width=1, depth=depth, activation=formula, C_W=C_W)
        kernel = float(rg.flow(net, first_kernel=1.0, tensors="K", order=0)["K"][-1])
        assert kernel * depth**2 == pytest.approx(amplitude, rel=0.01)


def test_the_kinked_fixed_point_at_zero_comes_before_the_half_stable_one():
    found = rg.criticality("z - z*Abs(z)/10")
    assert found.K_star == 0
    assert [p.universality_class for p in found.points] == ["K*=0", "half-stable"]
