"""Critical points, exponents and tuned networks where layers are not dense: against flows, typed formulas, refusals."""

import math
from dataclasses import replace

import numpy as np
import pytest
import sympy as sp
from sources.critical_points import CRITICAL

import rgflow as rg
from rgflow.universality import memory
from rgflow.universality.kernel_step import kernel_step
from rgflow.universality.laws import GROWING, power_laws
from rgflow.universality.onset import onset
from rgflow.universality.points import points

SKIPS = (0.5, -0.8, 0.95)
STABLE = ("tanh", "erf", "relu", "leaky_relu", "gelu", "swish")
INPUT = np.array([1.0, 0.5, -0.3])


def network(layer, depth, activation, first=None, **rates):
    """A dense first layer, layers of one kind, a dense one."""
    listed = [first or rg.Dense(), *[layer] * (depth - 1), rg.Dense()]
    own = {name: values for name, values in rates.items() if name in ("lambda_b", "lambda_W")}
    for name, values in own.items():
        listed = [replace(one, **{name: value}) for one, value in zip(listed, values, strict=True)]
    return rg.Network(listed, [4] * (depth + 1) + [1], activation)


# Points ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("skip", SKIPS)
@pytest.mark.parametrize("name", STABLE)
def test_a_skip_leaves_the_rest_to_sigma(name, skip):
    """C_b and C_W of the dense layer, computed elsewhere, times 1 - skip^2, at the same K*."""
    found = rg.criticality(name, rg.Residual(skip=skip))
    dense = rg.criticality(name)
    left = 1 - skip**2
    assert found.universality_class == dense.universality_class
    if name in CRITICAL:
        _, C_b, C_W, K_star = CRITICAL[name]
        assert (found.C_b, found.C_W) == pytest.approx((C_b * left, C_W * left), rel=1e-10)
        assert found.K_star == (K_star if K_star is None else pytest.approx(K_star, rel=1e-10, abs=0))
    assert (found.chi_parallel, found.chi_perpendicular) == pytest.approx((1, 1), rel=1e-11)
    assert float(found.point.values["C_W"]) == pytest.approx(found.C_W, rel=1e-15)
    assert (found.p_0, found.p_perpendicular, found.p_parallel) == (dense.p_0, dense.p_perpendicular, dense.p_parallel)


@pytest.mark.parametrize("layer", [rg.Residual(skip=0.8), rg.Residual(skip=-0.3), rg.Orthogonal()])
@pytest.mark.parametrize("name", ["gelu", "relu"])
def test_kernel_and_its_perturbations_stay_in_a_flow(name, layer):
    """K stays; two kernels keep their distance to first order; Theta that only the first layer learns stays."""
    if name == "gelu" and isinstance(layer, rg.Orthogonal):
        return
    found = rg.criticality(name, layer)
    own = {name: getattr(found, name) for name in ("C_b", "C_W") if name in layer.hyperparameters()}
    start, depth, d = found.K_star or 1.3, 6, 1e-4
    learns = {"lambda_b": [1.0] + [0.0] * depth, "lambda_W": [0.0] * (depth + 1)}
    net = network(replace(layer, **own), depth, name, **learns)
    kernels = {}
    for shift in (-d, 0.0, d):
        ds = rg.flow(net, first_kernel=start + shift, tensors=["K", "Theta"], order=0)
        kernels[shift] = ds["K"].values[:depth]
    np.testing.assert_allclose(kernels[0.0], start, rtol=1e-11)
    np.testing.assert_allclose((kernels[d] - kernels[-d]) / (2 * d), 1.0, rtol=1e-7)
    ds = rg.flow(net, first_kernel=start, tensors=["Theta"], order=0)
    np.testing.assert_allclose(ds["Theta"].values[:depth], 1.0, rtol=1e-10)


def test_dense_is_the_default_and_a_skip_of_zero_is_dense():
    for name in ("tanh", "gelu"):
        for layer in (rg.Dense(), rg.Dense(C_W=7.0), rg.Residual(skip=0.0)):
            found = rg.criticality(name, layer)
            dense = rg.criticality(name)
            assert (found.C_b, found.C_W, found.K_star) == (dense.C_b, dense.C_W, dense.K_star)
            assert found.vertex_growth == pytest.approx(dense.vertex_growth, rel=1e-14)
            assert found.point.symbolic == dense.point.symbolic
    assert rg.criticality("tanh", rg.Dense()) == rg.criticality("tanh")
    assert rg.criticality("tanh", rg.Residual(skip=0.5)) != rg.criticality("tanh", rg.Residual(skip=0.6))
    assert "residual layer, skip = 0.5" in repr(rg.criticality("tanh", rg.Residual(skip=0.5)))


def test_other_hyperparameters_of_the_layer_do_not_count():
    first, second = (rg.criticality("gelu", rg.Residual(skip=0.5, C_W=x, lambda_b=x)) for x in (0.1, 5.0))
    assert (first.C_b, first.C_W) == (second.C_b, second.C_W)


def test_a_linear_layer_needs_no_activation():
    """K' = C_b + C_W K: even for sigma without a critical point of its own."""
    found = rg.criticality("sigmoid", rg.Linear())
    assert (found.C_b, found.C_W, found.K_star, found.vertex_growth) == (0.0, 1.0, None, 2)
    assert found.laws["V"].at(11, k=1.0) == 22.0  # leading power of 2 k^2 (l - 1)


# Refusals -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "name", "reason"),
    [
        (rg.Residual(skip=1.0), "tanh", "grows in every layer unless C_b = C_W = 0"),
        (rg.Residual(skip=-1.0), "relu", "grows in every layer"),
        (rg.Residual(skip=1.5), "gelu", "skip\\^2 = 2.25 > 1 alone"),
        (rg.Residual(skip=0.5), "sigmoid", "residual layer, skip = 0.5 has no critical point: sigma\\(0\\) is not 0"),
        (rg.Orthogonal(), "gelu", "would need C_b = 0.172922, and an orthogonal layer has none"),
        (rg.Branch(), "tanh", "layers are not solved: their kernel passes several weight"),
        (rg.Gated(), "tanh", "layers are not solved: their kernel passes several weight"),
        (rg.Projection(), "tanh", "layers are not solved: their kernel passes several weight"),
        (rg.Reduced(), "tanh", "layers are not solved: their kernel passes several weight"),
    ],
)
def test_no_critical_point(layer, name, reason):
    with pytest.raises(rg.NoCriticalPoint, match=reason):
        rg.criticality(name, layer)


@pytest.mark.parametrize("wrong", ["residual", 0.5, rg.Residual, rg.MLP([2, 1], "tanh")])
def test_hostile_layers(wrong):
    with pytest.raises(rg.InputError, match="not a layer"):
        rg.criticality("tanh", wrong)


def test_what_a_layer_does_to_the_kernel_is_read_off_its_recursion():
    assert kernel_step(rg.Residual()).kept == (("skip", 2),)
    assert kernel_step(rg.Orthogonal()).added is None
    assert kernel_step(rg.Linear()).weight is None
    assert kernel_step(rg.Residual(skip=0.3)).carried == sp.Rational(9, 100)
    assert not kernel_step(rg.Residual(skip=0.0)).remembers


def test_correlation_lengths_are_for_dense_layers():
    with pytest.raises(rg.InputError, match="dense"):
        rg.criticality("tanh", rg.Residual(skip=0.5)).correlation_lengths(C_b=0.1, C_W=1.0)


# Power laws -----------------------------------------------------------------------------------------------------------


def g(c):
    """<z|z| z'|z'|> of unit variances at correlation c, by hand."""
    return 2 / math.pi * ((1 + 2 * c * c) * math.asin(c) + 3 * c * math.sqrt(1 - c * c))


def growth(skip, odd=1.0, reach=4000):
    """nu of two slopes, by hand; odd = Abar/A_2."""
    total = sum(g(skip ** abs(d)) for d in range(-reach, reach + 1))
    return 2 * (1 - skip**4) + (1 - skip**2) ** 2 * odd**2 * total


def published(skip, rho):
    return (1 - skip**2) * ((1 - skip**2) * (3 * rho - 1) + 4 * skip**2)


@pytest.mark.parametrize("skip", [0.5, 0.8, 0.95, -0.7, 0.99])
def test_growth_of_two_slopes(skip):
    """With all memory; what is published is that of linear layers, and far from relu's."""
    layer = rg.Residual(skip=skip)
    odd = (1 - 0.01**2) / (1 + 0.01**2)
    for name, part in (("relu", 1.0), ("leaky_relu", odd), ("linear", 0.0), ("Abs(z)", 0.0)):
        assert float(rg.criticality(name, layer).vertex_growth) == pytest.approx(growth(skip, part), rel=1e-11), name
    assert rg.criticality("linear", layer).vertex_growth == pytest.approx(published(skip, 1), rel=1e-14)
    assert abs(published(skip, 2) / growth(skip) - 1) > 0.25  # control


@pytest.mark.parametrize(("name", "skip"), [("relu", 0.5), ("gelu", -0.4)])
def test_vertex_at_a_fixed_kernel_is_that_of_a_flow(name, skip):
    """The line K^2 (nu (l - 1) + start), reached as fast as skip^l falls."""
    layer = rg.Residual(skip=skip)
    found = rg.criticality(name, layer)
    depth = 16
    net = network(replace(layer, C_b=found.C_b, C_W=found.C_W), depth, name)
    K = found.K_star or 1.0
    values = rg.flow(net, first_kernel=K, tensors=["V"])["V"].values[:depth]
    line = [found.laws["V"].at(l, k=1.0) * (1 + found.laws["V"].correction_at(l)) for l in (depth - 1, depth)]
    forgotten = 100 * depth * abs(skip) ** (depth - 2)
    np.testing.assert_allclose(values[-2:], line, rtol=forgotten + 1e-8)
    assert values[-1] - values[-2] == pytest.approx(float(found.vertex_growth) * K**2, rel=forgotten + 1e-8)


def test_what_is_not_known_with_memory_is_refused_by_name():
    found = rg.criticality("relu", rg.Residual(skip=0.8))
    assert set(found.laws) == {"K", "Theta", "V"} == set(found.exponents)
    with pytest.raises(rg.NoClosedForm, match=r"B of relu in a residual layer, skip = 0.8 is not solved"):
        found.laws["B"]
    with pytest.raises(KeyError):
        found.laws["nonsense"]
    point = rg.criticality("tanh", rg.Residual(skip=0.8)).point
    assert set(power_laws(point, ("V", "U")).refused) == {"U"}
    with pytest.raises(rg.NoClosedForm, match="remember more than"):
        rg.criticality("relu", rg.Residual(skip=0.9999)).vertex_growth  # noqa: B018


@pytest.fixture(scope="module")
def memories():
    """tanh with skip 0.8: flows with memory and without, at two depths, equal shares."""
    found = {}
    for depth in (24, 48):
        rates = 1 / np.arange(1.0, depth + 2)
        net = network(rg.Residual(skip=0.8, C_W=0.36), depth, "tanh", lambda_b=rates, lambda_W=np.ones(depth + 1))
        names = [*GROWING, "U"]
        full, book = (rg.flow(net, first_kernel=0.5, tensors=names, closure=c) for c in ("full", "book"))
        found[depth] = {name: float(full[name][depth - 1] / book[name][depth - 1]) - 1 for name in names}
    return found


@pytest.mark.parametrize("name", GROWING)
def test_where_the_kernel_vanishes_memory_is_a_small_part(memories, name):
    """Smaller than the stated correction, 1/l: a depth twice as large leaves less than half of it (of odd sigma)."""
    assert abs(memories[48][name]) < 0.5 * abs(memories[24][name])


def test_control_u_depends_on_memory(memories):
    assert memories[48]["U"] > memories[24]["U"] > 1


@pytest.mark.parametrize("skip", [0.5])
def test_power_laws_of_a_vanishing_kernel(skip):
    """nu = 2 (1 - skip^4)/3, K = 1/(a (1 - skip^2) l); and what a flow without memory does far from the input."""
    found = rg.criticality("tanh", rg.Residual(skip=skip))
    exact = sp.Rational(str(skip))
    assert found.vertex_growth == sp.Rational(2, 3) * (1 - exact**4)
    laws = power_laws(found.point, ("K", "V", "K_1"))
    assert laws["K"].amplitude == 1 / (2 * (1 - exact**2))
    depth = 3000
    net = network(rg.Residual(skip=skip, C_W=1 - skip**2), depth, "tanh")
    ds = rg.flow(net, first_kernel=1.0, tensors=["K", "V", "K_1"], closure="book")
    for name in ("K", "V", "K_1"):
        ratio = float(ds[name][depth - 1]) / laws[name].at(depth)
        assert ratio == pytest.approx(1, abs=0.02), name
    assert onset(found.point, laws, 0.1, 1.0)["V"] > onset(found.point, laws, 0.2, 1.0)["V"] > 2


def test_corrections_that_memory_changes_are_not_stated():
    """sigma is not odd: memory is of order K, as the correction is."""
    found = rg.criticality("z - z^2/5 - z^3/3*exp(-z^2)", rg.Residual(skip=0.5))
    laws = power_laws(found.point, ("K", "V"))
    law = laws["V"]
    assert law.correction is None
    assert "neurons remember" in str(law)
    with pytest.raises(rg.NoClosedForm, match="not known"):
        law.correction_at(10)
    assert set(onset(found.point, laws, 0.1, 1.0)) == {"K"}
    assert laws["K"].correction is not None


@pytest.mark.parametrize(("name", "rate"), [("relu", 3), ("linear", 0), ("tanh", 0)])
def test_orthogonal_fluctuations(name, rate):
    """Without those of the weights' norms: relu from 5 to 3; of tanh V/K^2 levels off at -2, by hand below.

    <s^4> - 3 <s^2>^2 = -8 K^3 for s = z - z^3/3, K = 1/(2 l): V' = (1 - 4/l) V - 1/l^3, V = -1/(2 l^2).
    """
    found = rg.criticality(name, rg.Orthogonal())
    assert found.vertex_growth == rate
    depth = 3000
    net = network(rg.Orthogonal(C_W=found.C_W), depth, name)
    ds = rg.flow(net, first_kernel=1.0, tensors=["K", "V"])
    ratio = ds["V"].values[:depth] / ds["K"].values[:depth] ** 2
    if name == "tanh":
        laws = power_laws(found.point, ("K", "V"))
        assert laws["V"].amplitude / laws["K"].amplitude ** 2 == -2
        assert ratio[-1] == pytest.approx(-2, abs=0.02)
        assert abs(ratio[-1] + 2) < abs(ratio[depth // 4] + 2)
    else:
        np.testing.assert_allclose(ratio, rate * np.arange(depth), rtol=1e-11, atol=1e-11)


# Controls -------------------------------------------------------------------------------------------------------------


def test_control_forgetting_is_noticed(monkeypatch):
    """Noise that only layers at no distance share gives another growth."""
    real = memory.noise_covariance

    def forgetful(f, g, kernel, correlation, one, two):
        return real(f, g, kernel, correlation, one, two) * (np.abs(correlation) == 1)

    memory.growth.cache_clear()
    monkeypatch.setattr(memory, "noise_covariance", forgetful)
    try:
        with pytest.raises(AssertionError):
            test_growth_of_two_slopes(0.5)
    finally:
        memory.growth.cache_clear()


def test_control_an_unscaled_weight_is_not_critical(monkeypatch):
    from rgflow.universality import points as points_module

    monkeypatch.setattr(points_module, "_left_over", lambda point, layer, left: replace(point, layer=layer))
    with pytest.raises(AssertionError):
        test_a_skip_leaves_the_rest_to_sigma("relu", 0.5)
    with pytest.raises(AssertionError):
        test_kernel_and_its_perturbations_stay_in_a_flow("relu", rg.Residual(skip=0.8))


# Lists ----------------------------------------------------------------------------------------------------------------


def test_points_of_a_layer_are_listed():
    assert [p.universality_class for p in points(rg.activation("gelu"), rg.Residual(skip=0.5))] == [
        "half-stable",
        "K*=0",
    ]


def test_a_constant_of_its_own_is_no_onset():
    """B of tanh in an orthogonal layer: its homogeneous solution stands in its correction."""
    found = rg.criticality("tanh", rg.Orthogonal())
    laws = power_laws(found.point, ("K", "Theta", "V", "B"))
    assert not laws["B"].determined_by(("c_K", "c_Theta", "lambda_b", "lambda_W", "k"))
    assert laws["V"].determined_by(("c_K",))
    assert set(onset(found.point, laws, 0.1, 1.0)) == {"K", "Theta", "V"}
