"""Fixed points against formulas typed by hand, iterated layer by layer with nothing of ours in between."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.polynomial.legendre import leggauss

import rgflow as rg
from rgflow.universality import fixed_points as module
from rgflow.universality import kernel_table
from rgflow.universality.fixed_points import correlation_lengths, fixed_points

pi, sqrt = np.pi, np.sqrt
EPS, TINY = np.finfo(float).eps, np.finfo(float).tiny

# g, g', <s's'> of K; erf from arXiv:2111.12143, table of the vanilla network; the others are Gaussian integrals.
FORMULAS = {
    "erf": (
        lambda K: 2 / pi * np.arcsin(2 * K / (1 + 2 * K)),
        lambda K: 4 / pi / ((1 + 2 * K) * sqrt(1 + 4 * K)),
        lambda K: 4 / pi / sqrt(1 + 4 * K),
    ),
    "sin": (lambda K: -np.expm1(-2 * K) / 2, lambda K: np.exp(-2 * K), lambda K: (1 + np.exp(-2 * K)) / 2),
    "cos": (lambda K: (1 + np.exp(-2 * K)) / 2, lambda K: -np.exp(-2 * K), lambda K: -np.expm1(-2 * K) / 2),
    "gaussian": (lambda K: (1 + 2 * K) ** -0.5, lambda K: -((1 + 2 * K) ** -1.5), lambda K: K / (1 + 2 * K) ** 1.5),
    "zgaussian": (
        lambda K: K / (1 + 2 * K) ** 1.5,
        lambda K: (1 - K) / (1 + 2 * K) ** 2.5,
        lambda K: (1 - 2 * K / (1 + 2 * K) + 3 * (K / (1 + 2 * K)) ** 2) / sqrt(1 + 2 * K),
    ),
    "z**2*exp(-z**2)": (
        lambda K: 3 * K**2 / (1 + 4 * K) ** 2.5,
        lambda K: 6 * K * (1 - K) / (1 + 4 * K) ** 3.5,
        # (s')^2 = (2z - 2z^3)^2 exp(-2z^2), moments of variance v = K/(1+4K)
        lambda K: 4 * (v := K / (1 + 4 * K)) * (1 - 6 * v + 15 * v**2) / sqrt(1 + 4 * K),
    ),
    "gelu": (
        lambda K: K / 4 + K / (2 * pi) * (np.arcsin(K / (1 + K)) + 2 * K / ((1 + K) * sqrt(1 + 2 * K))),
        None,
        None,
    ),
}


def iterated(g, b, w, K, layers=4000):
    """The kernel after so many layers, and how much the last hundred of them moved it."""
    for layer in range(layers):
        if layer == layers - 100:
            before = K
        K = b + w * g(K)
    return K, np.abs(K - before)


def compare(name, b, w, first):
    """Where the iteration has settled, it has settled at our fixed point, with the typed susceptibilities there.

    All within the errors that are stated. The iteration itself is off by what a hundred layers still move it, over
    1 - chi^100, and by the rounding of one layer over 1 - chi.
    """
    g, slope, perp = FORMULAS[name]
    found = fixed_points(name, C_b=b, C_W=w, first_kernel=first)
    K, moved = iterated(g, b, w, np.broadcast_to(first, b.shape).copy())
    settled = moved <= 1e-14 * K
    assert settled.mean() > 0.9
    K, w, star, error = K[settled], w[settled], found.K_star[settled], found.error[settled]
    parallel, perpendicular = found.chi_parallel[settled], found.chi_perpendicular[settled]
    chi = np.abs(parallel)
    apart = error + TINY + moved[settled] / (1 - chi**100) + 4 * EPS * K / (1 - chi)
    assert (np.abs(star - K) <= apart).all()
    if slope is not None:
        inside = K > 0
        quadrature = np.zeros((3, K.size))
        quadrature[:, inside] = kernel_table.averages(rg.activation(name), K[inside])[1]
        for ours, typed, known in ((parallel, slope, quadrature[1]), (perpendicular, perp, quadrature[2])):
            moves = np.abs(typed(K + apart) - typed(np.maximum(K - apart, 0)))
            assert (np.abs(ours - w * typed(K)) <= w * (known + moves) + 16 * EPS * w).all()  # typed in 16 operations
    assert (found.chi_parallel >= -0.5).all()  # no cycles: see the head of the module
    return found


@pytest.mark.parametrize("name", [name for name in FORMULAS if name != "gelu"])
def test_iteration_of_typed_formulas(name):
    """Also where g falls and the iteration overshoots, and where 0 and another fixed point both attract."""
    rng = np.random.default_rng(3)
    size = 500
    b = rng.choice([0.0, 0.01, 0.3, 2.0], size) * rng.random(size)
    w = 10.0 ** rng.uniform(-2, 2, size)
    compare(name, b, w, 10.0 ** rng.uniform(-3, 2, size))


def test_gelu_where_it_does_not_run_away():
    rng = np.random.default_rng(4)
    b, w = rng.uniform(0, 0.5, 200), rng.uniform(0, 1.9, 200)
    compare("gelu", b, w, rng.uniform(0, 10, 200))


def test_tanh_by_a_plain_sum():
    """An average written as a Gauss-Legendre sum over |z| < 12 sqrt(K)."""
    x, weight = leggauss(500)
    t, weight = 12 * x, 12 * weight * np.exp(-((12 * x) ** 2) / 2) / sqrt(2 * pi)

    def average(f, K):
        return f(sqrt(K)[:, None] * t) @ weight

    b, w = np.array([0.0, 0.05, 0.05, 0.3, 1.0]), np.array([1.5, 1.2, 3.0, 0.7, 10.0])
    found = fixed_points("tanh", C_b=b, C_W=w)
    K, _ = iterated(lambda K: average(lambda z: np.tanh(z) ** 2, K), b, w, np.ones(5), 100)
    np.testing.assert_allclose(found.K_star, K, rtol=1e-10)
    np.testing.assert_allclose(found.chi_perpendicular, w * average(lambda z: np.cosh(z) ** -4, K), rtol=1e-10)
    second = average(lambda z: np.cosh(z) ** -4 - 2 * np.tanh(z) ** 2 * np.cosh(z) ** -2, K)
    np.testing.assert_allclose(found.chi_parallel, w * second, rtol=1e-10, atol=1e-13)


def test_control_a_lost_half_is_seen(monkeypatch):
    """Negative control: with the derivative of g twice too large, the comparison fails."""
    kernel_table.averages_table.cache_clear()
    honest = module.averages

    def wrong(act, K):
        values, errors = honest(act, K)
        return values * np.array([1.0, 2.0, 1.0])[:, None], errors

    with monkeypatch.context() as patched:
        for room in (module, kernel_table):
            patched.setattr(room, "averages", wrong)
        with pytest.raises(AssertionError):
            compare("erf", np.full(3, 0.1), np.array([0.5, 1.0, 2.0]), np.ones(3))
    kernel_table.averages_table.cache_clear()
    compare("erf", np.full(3, 0.1), np.array([0.5, 1.0, 2.0]), np.ones(3))


# Lines through 0, 0 and infinity --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "A"), [("relu", 0.5), ("linear", 1.0), ("Max(z,0)+Min(z,0)/4", 17 / 32)])
def test_scale_invariant_activations(name, A):
    """chi = C_W A_2 at every K; K* = C_b/(1 - C_W A_2), or the first kernel, or infinity."""
    w = np.array([0.0, 0.3, 0.9, 1.0, 1.0, 1.0, 1.2, 1.2]) / A
    b = np.array([0.1, 0.0, 0.7, 0.0, 0.0, 0.1, 0.0, 0.1])
    first = np.array([1.0, 1.0, 1.0, 0.3, 0.0, 1.0, 1.0, 0.0])
    found = fixed_points(name, C_b=b, C_W=w, first_kernel=first)
    np.testing.assert_allclose(found.K_star, [0.1, 0, 7.0, 0.3, 0, np.inf, np.inf, np.inf], rtol=1e-14)
    np.testing.assert_allclose(found.chi_perpendicular, w * A, rtol=1e-15)
    np.testing.assert_array_equal(found.chi_parallel, found.chi_perpendicular)
    assert found.phase.tolist() == [-1, -1, -1, 0, 0, 0, 1, 1]
    assert np.isinf(found.xi_perpendicular[3:6]).all()
    np.testing.assert_allclose(found.xi_parallel[1:3], -1 / np.log([0.3, 0.9]), rtol=1e-14)
    assert found.xi_perpendicular[0] == 0


def test_zero_is_an_answer():
    found = fixed_points("tanh", C_b=0.0, C_W=[0.0, 0.5, 1.0, 1.0, 1.5], first_kernel=[1.0, 1.0, 1.0, 1e-20, 0.0])
    assert found.K_star.tolist() == [0] * 5
    assert found.error.tolist() == [0] * 5
    np.testing.assert_allclose(found.chi_parallel, [0, 0.5, 1, 1, 1.5])
    np.testing.assert_array_equal(found.chi_perpendicular, found.chi_parallel)
    assert found.phase.tolist() == [-1, -1, 0, 0, 1]
    # g of sinh bends up: the same C_W = 1 runs away
    assert fixed_points("sinh(z)", C_b=0.0, C_W=1.0).K_star == np.inf
    # a kink at 0: both sides count; slopes 1 and 1 here, and the kernel falls more slowly than 1/l
    elu = fixed_points("Max(z,0)+exp(Min(z,0))-1", C_b=0.0, C_W=[0.9, 1.0])
    assert elu.K_star.tolist() == [0, 0]
    assert elu.phase.tolist() == [-1, 0]


def test_below_the_table():
    """K = C_b/(1 - C_W), sqrt(C_b/2) at C_W = 1, (C_W - 1)/2 at C_b = 0, from g = K - 2K^2 of tanh."""
    found = fixed_points("tanh", C_b=[1e-30, 1e-26, 0.0], C_W=[0.5, 1.0, 1 + 2**-43])
    np.testing.assert_allclose(found.K_star, [2e-30, sqrt(0.5e-26), 2.0**-44], rtol=1e-11)


def test_a_formula_that_cancels_near_zero():
    """sqrt(1 + z^2) - 1 = z^2/2 + ... loses its digits there; g = 3K^2/4 + ... does not need them."""
    found = fixed_points("sqrt(1+z**2)-1", C_b=[0.0, 1e-9, 0.1], C_W=1.0, first_kernel=[1.0, 0.0, 1.0])
    np.testing.assert_allclose(found.K_star[:2], [0, 1e-9], rtol=1e-8)
    x, weight = leggauss(500)
    t, weight = 12 * x, 12 * weight * np.exp(-((12 * x) ** 2) / 2) / sqrt(2 * pi)
    g = ((sqrt(1 + found.K_star[2] * t**2) - 1) ** 2) @ weight
    np.testing.assert_allclose(0.1 + g, found.K_star[2], rtol=1e-12)


def test_infinity_is_an_answer():
    gelu = fixed_points("gelu", C_b=0.0, C_W=3.0)
    assert (gelu.K_star, gelu.chi_parallel, gelu.chi_perpendicular, gelu.phase) == (np.inf, 1.5, 1.5, 1)
    assert fixed_points("softplus", C_b=0.0, C_W=2.0).phase == 0
    exp = fixed_points("exp", C_b=0.1, C_W=1.0)
    assert exp.K_star == exp.chi_perpendicular == np.inf
    assert exp.xi_perpendicular == 0
    wavy = fixed_points("z+sin(z)", C_b=1.0, C_W=1.2)  # <(1 + cos z)^2> -> 3/2, g/K -> 1
    np.testing.assert_allclose([wavy.chi_parallel, wavy.chi_perpendicular], [1.2, 1.8], rtol=1e-3)
    # at C_W A_2 < 1 it is far, not infinite
    assert 1e3 < fixed_points("gelu", C_b=1.0, C_W=1.999).K_star < 1e4


# Several fixed points -------------------------------------------------------------------------------------------------


def test_the_separatrix_of_a_monomial():
    """g = 3K^2: 3 C_W K^2 - K + C_b = 0, the lower root attracts, the upper one parts 0 from infinity."""
    assert fixed_points("z**2", C_b=0.0, C_W=1 / 3, first_kernel=[0.999, 1.0, 1.001]).K_star.tolist() == [0, 1, np.inf]
    w = 10.0 ** np.random.default_rng(0).uniform(-3, 3, 100)
    for gap in (1e-2, 1e-4, 1e-6):  # roots (1 -+ sqrt(gap))/(6 C_W): closer than the nodes of the table
        b = (1 - gap) / (12 * w)
        low, high = ((1 + sign * sqrt(gap)) / (6 * w) for sign in (-1, 1))
        for first in (0 * w, 0.3 * low, (low + high) / 2, high - (high - low) / 10):
            np.testing.assert_allclose(
                fixed_points("z**2", C_b=b, C_W=w, first_kernel=first).K_star, low, rtol=1e-13 / sqrt(gap)
            )
        assert np.isinf(fixed_points("z**2", C_b=b, C_W=w, first_kernel=high * (1 + gap)).K_star).all()
        assert np.isinf(fixed_points("z**2", C_b=(1 + gap) / (12 * w), C_W=w, first_kernel=0.1 * low).K_star).all()


def test_pairs_of_roots_on_the_way_down():
    """g = 3K^2/(1+4K)^{5/2}: for C_W just above that where 0 stays alone, the upper root of a near pair attracts."""
    g = FORMULAS["z**2*exp(-z**2)"][0]
    top = 1 / 6  # of g/K, where d(g/K)/dK = 0: 1 + 4K = 10K
    w = top / g(top) * (1 + np.array([-1e-6, 1e-6]))
    found = fixed_points("z**2*exp(-z**2)", C_b=0.0, C_W=w, first_kernel=1.0)
    assert found.K_star[0] == 0
    assert 1e-4 < found.K_star[1] / top - 1 < 1e-2
    np.testing.assert_allclose(w[1] * g(found.K_star[1]), found.K_star[1], rtol=1e-14)
    assert (fixed_points("z**2*exp(-z**2)", C_b=0.0, C_W=w, first_kernel=0.1).K_star == 0).all()


def test_gelu_stops_before_its_critical_point():
    """The half-stable point attracts from above; a flow from 1 finds the root in front of it."""
    b, w = 0.172922390756, 1.98305825744
    below, above = fixed_points("gelu", C_b=b, C_W=w, first_kernel=[1.0, 4.0]).K_star
    g = FORMULAS["gelu"][0]
    for K in (below, above):
        np.testing.assert_allclose(b + w * g(K), K, rtol=4e-15)
    assert 3.0 < below < 3.1
    assert abs(above - (3 + sqrt(17)) / 2) < 1e-3
    start = (3 + sqrt(17)) / 2
    assert abs(fixed_points("gelu", C_b=b, C_W=w, first_kernel=start).K_star - start) < 1e-3


# Lengths --------------------------------------------------------------------------------------------------------------


def test_lengths_near_the_critical_point_of_tanh():
    """With C_W = 1 + d, C_b = 0, g = K - 2K^2 + 17/3 K^3, <s's'> = 1 - 2K + 7K^2: K* = d/2 + 5/24 d^2, and so on."""
    for d in (1e-2, 1e-3, 1e-4):
        ordered, chaotic = (correlation_lengths("tanh", C_b=0.0, C_W=1 + sign * d) for sign in (-1, 1))
        assert (ordered.phase, chaotic.phase) == ("ordered", "chaotic")
        np.testing.assert_allclose([ordered.xi_perpendicular, ordered.xi_parallel], -1 / np.log1p(-d), rtol=1e-10)
        np.testing.assert_allclose(chaotic.K_star, d / 2 + 5 / 24 * d**2, rtol=d**2)
        assert abs(chaotic.xi_parallel * d - 1) < d
        assert abs(chaotic.xi_perpendicular * d**2 / 3 - 1) < 4 * d  # odd sigma: the first order cancels


def test_lengths_of_flowed_inputs():
    """Two nearby inputs: K_11 - K_12 shrinks by chi_perpendicular, K - K* by chi_parallel, a layer."""
    b, w = 0.1, 1.3
    found = correlation_lengths("tanh", C_b=b, C_W=w)
    K = found.K_star
    net = rg.MLP.uniform(n_in=8, width=8, depth=6, activation="tanh", C_b=b, C_W=w)
    flowed = rg.flow(net, first_kernel=K * np.array([[1, 1 - 1e-6], [1 - 1e-6, 1]]), tensors=["K"], order=0)["K"].values
    apart = flowed[:, 0, 0] - flowed[:, 0, 1]
    np.testing.assert_allclose(-1 / np.diff(np.log(apart)), found.xi_perpendicular, rtol=1e-5)
    alone = rg.flow(net, first_kernel=K * (1 + 1e-5), tensors=["K"], order=0)["K"].values - K
    np.testing.assert_allclose(-1 / np.diff(np.log(alone)), found.xi_parallel, rtol=1e-4)


# Hostile inputs -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bad",
    [np.nan, np.inf, -1e-300, "1", None, True, 1j, [], [[1.0], [1.0, 2.0]], np.ma.masked_array([1.0], [True])],
    ids=repr,
)
def test_refuses_what_is_no_variance(bad):
    for name in ("C_b", "C_W", "first_kernel"):
        given = {"C_b": 0.1, "C_W": 1.0, "first_kernel": 1.0} | {name: bad}
        with pytest.raises(rg.InputError, match=name):
            fixed_points("tanh", **given)


def test_refuses_what_has_no_answer():
    with pytest.raises(rg.InputError, match="broadcast"):
        fixed_points("tanh", C_b=[0.0, 0.1], C_W=[1.0, 1.0, 1.0])
    with pytest.raises(rg.InputError, match="phase_diagram"):
        correlation_lengths("tanh", C_b=[0.1], C_W=1.0)
    with pytest.raises(rg.UnknownName):
        fixed_points("tanhh", C_b=0.1, C_W=1.0)
    with pytest.raises(rg.KinkError):
        fixed_points("Heaviside(z)", C_b=0.1, C_W=1.0)
    with pytest.raises(rg.AccuracyError, match="first_kernel"):
        fixed_points("exp", C_b=0.1, C_W=1.0, first_kernel=1e3)
    for name, b, w in (("tanh", 0.1, 1e13), ("cos", 1e7, 1.0), ("gelu", 1e13, 1.0), ("z+sin(z)", 1e6, 0.9)):
        with pytest.raises(rg.AccuracyError, match="beyond"):  # finite, not infinite
            fixed_points(name, C_b=b, C_W=w)
