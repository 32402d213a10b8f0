"""Orthogonal layers at leading order: linear networks keep norms, tanh levels off, ReLU grows; first layers."""

import importlib
import itertools

import numpy as np
import pytest

import rgflow as rg
from rgflow.layers.kinds.orthogonal import Haar


def haar(depth, activation="linear", first=None, widths=None, **values):
    layers = [first or rg.Dense(C_W=values.get("C_W", 1.0)), *[rg.Orthogonal(**values)] * depth]
    return rg.Network(layers, widths or [8] * (depth + 2), activation)


@pytest.mark.parametrize("widths", [[8] * 5, [8, 32, 24, 16, 4]])
def test_linear_networks_keep_what_the_first_layer_gave(widths):
    """Equal widths or narrowing ones: no fluctuation is added after a Gaussian first layer."""
    ds = rg.flow(haar(3, widths=widths), first_kernel=1.7)
    np.testing.assert_allclose(ds["V"], 0, atol=1e-14)
    np.testing.assert_allclose(ds["K_1"], 0, atol=1e-14)


def test_widening_adds_fluctuation():
    """n_l/max(n_l, n_{l+1}) = 1/2: half of 2 K^2 remains."""
    ds = rg.flow(haar(1, widths=[8, 16, 32]), first_kernel=1.0)
    assert float(ds["V"][1]) == pytest.approx(2 - 2 * 0.5, rel=1e-13)


def test_a_haar_first_layer_starts_below_zero():
    """V[1,2,3,4] = -C_W^2 (g_13 g_24 + g_14 g_23) n_0 / max(n_0, n_1) for two inputs; then -2 K^2 n_{l-1}/n_l."""
    x = np.array([[1.0, 0.5, 0.0, 0.2], [0.1, -0.7, 0.3, 0.9]])
    net = rg.Network([rg.Orthogonal(C_W=1.3), rg.Orthogonal(C_W=1.0)], [4, 6, 8], "linear")
    ds = rg.flow(net, x, tensors="V")
    g = x @ x.T / 4
    expected = np.einsum("ac,bd->abcd", g, g) + np.einsum("ad,bc->abcd", g, g)
    np.testing.assert_allclose(ds["V"][0], -(1.3**2) * expected * 4 / 6, rtol=1e-13)
    widths = [6, 8, 8, 12, 24]
    one = rg.flow(rg.Network([rg.Orthogonal()] * 4, widths, "linear"), first_kernel=2.0)
    ratios = [below / here for below, here in itertools.pairwise(widths)]
    np.testing.assert_allclose(one["V"], [-2 * 2.0**2 * ratio for ratio in ratios], rtol=1e-13)


def test_inputs_that_cannot_exist_are_refused():
    net = rg.Network([rg.Orthogonal(), rg.Dense()], [1, 4, 2], "tanh")
    with pytest.raises(rg.InputError, match=r"2 independent inputs.*n_0 = 1"):
        rg.flow(net, first_kernel=np.eye(2))
    assert rg.flow(net, first_kernel=np.ones((2, 2)))["K"].shape == (2, 2, 2)


def test_tanh_levels_off_where_dense_layers_grow():
    """K* = 0: V/K^2 -> -2, |z|^2 ceases to fluctuate; the dense one grows as 2 l/3 (arXiv:2310.07765)."""
    found, dense = (
        rg.flow(net, first_kernel=1.0, tensors=["K", "V"])
        for net in (haar(1024, "tanh"), rg.MLP.uniform(8, 8, 1026, activation="tanh"))
    )
    at = [16, 64, 256, 1024]
    ratio = (found["V"] / found["K"] ** 2).values[at]
    assert abs(ratio[1] - ratio[0]) < 0.1
    assert np.all(np.diff(ratio) < 0)
    np.testing.assert_allclose((ratio + 2) * at, 2.29, atol=0.55)  # -2 + O(1/l)
    grown = (dense["V"] / dense["K"] ** 2).values[at]
    assert np.all(np.diff(grown) > 20)
    assert grown[-1] / 1024 == pytest.approx(2 / 3, rel=0.02)


def test_relu_keeps_growing():
    """Every layer adds <s^4> - <s s>^2 - 2 <s s>^2 = 5 - 2 in units of K^2 at C_W = 2: V = 3 K^2 (l - 1)."""
    ds = rg.flow(haar(20, "relu", C_W=2.0), first_kernel=1.0)
    np.testing.assert_allclose(ds["V"], 3.0 * np.arange(21), rtol=1e-12)


def test_orthogonal_layers_among_residual_ones_take_the_same_numbers():
    """Through the lines of stages as through the compiled recursions: a residual layer without skip is dense."""
    names = ["K", "Theta", "V", "A", "B", "D", "F", "P", "Q"]
    values = {"C_W": 1.1, "C_b": 0.2, "lambda_W": 0.4}
    haar_layer = rg.Orthogonal(C_W=1.2, lambda_b=0.3)
    one, other = (
        rg.flow(
            rg.Network([haar_layer, haar_layer, middle, haar_layer, rg.Dense()], [8, 12, 9, 9, 10, 6], "tanh"),
            first_kernel=0.9,
            tensors=names,
        )
        for middle in (rg.Dense(**values), rg.Residual(skip=0.0, **values))
    )
    for name in [*names, "K_1", "Theta_1"]:
        error = 3 * (one["numerical_error"] + other["numerical_error"]).sel(coefficient=name)
        assert (abs(one[name] - other[name]) <= error).all(), name


def test_control_without_the_fourth_cumulant(monkeypatch):
    module = importlib.import_module("rgflow.derive.derive")
    monkeypatch.setattr(Haar, "intrinsic", lambda self, first, second: ())
    module._derive.cache_clear()
    try:
        ds = rg.flow(haar(3), first_kernel=1.0)
        assert float(ds["V"][3]) == pytest.approx(6.0)  # as dense
    finally:
        monkeypatch.undo()
        module._derive.cache_clear()
