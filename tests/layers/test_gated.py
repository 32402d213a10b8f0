"""The branch behind a gate: gate^2 in every average, exact networks, its limits, and a control."""

from fractions import Fraction as F

import numpy as np
import pytest
from oracles.residual_networks import coefficients

import rgflow as rg
from rgflow.derive import response
from rgflow.layers.affine import Affine
from rgflow.layers.kinds.gated import Gate

LETTERS = ["K", "Theta", "V", "A", "B", "D", "F", "P", "Q"]
VALUES = {"C_b": 0.1, "C_W": 1.3, "lambda_b": 0.4, "lambda_W": 0.6}


def flowed(block, sigma="tanh", tensors=LETTERS, blocks=3, **more):
    net = rg.Network([rg.Linear(), *[block] * blocks, rg.Linear()], [5, *[16] * (blocks + 1), 1], sigma)
    return rg.flow(net, first_kernel=0.8, tensors=tensors, **more)


def test_lines():
    assert str(rg.derive("K", layer=rg.Gated())).splitlines() == [
        "K_h' = C_b + C_W K",
        "K' = K + gate^2 C_V <σσ>_h",
    ]
    assert r"\mathrm{gate}^2\,\lambda_V" in rg.derive("Theta", layer=rg.Gated()).latex()
    assert "gate^2 lambda_V <σσ>_h" in str(rg.derive("Theta", layer=rg.Gated()))


@pytest.mark.parametrize("gate", [1.0, -0.5])
def test_it_is_a_branch_with_smaller_weights(gate):
    gated = rg.Gated(gate=gate, C_V=0.7, lambda_V=0.9, **VALUES)
    branch = rg.Branch(C_V=gate**2 * 0.7, lambda_V=gate**2 * 0.9, lambda_a=0.0, **VALUES)
    one, other = flowed(gated), flowed(branch)
    for name in (*LETTERS, "K_1", "Theta_1"):
        np.testing.assert_allclose(one[name], other[name], rtol=1e-12, atol=1e-14)


def test_a_closed_gate_is_the_identity():
    ds = flowed(rg.Gated(gate=0.0, **VALUES), tensors=["K", "V"])
    np.testing.assert_array_equal(ds["K"], 0.8)
    np.testing.assert_array_equal(ds["V"][:-1], 0.0)


def test_finite_networks():
    """Exact rational moments with sigma = z/2 + z^2/4; V gate has the variance gate^2 C_V."""
    gate, sigma = F(3, 5), (F(0), F(1, 2), F(1, 4))
    layer = {"C_a": F(0), "C_V": F(1, 2) * gate**2, "C_b": F(1, 10), "C_W": F(3, 2), "multiple": F(1)}
    block = rg.Gated(gate=0.6, C_V=0.5, C_b=0.1, C_W=1.5)
    ds = flowed(block, "z/2 + z**2/4", ["K", "V"])
    for depth in (1, 2):
        for name, value in coefficients(sigma, F(4, 5), [layer] * depth).items():
            assert float(ds[name][depth]) == pytest.approx(float(value), rel=1e-13), name


def test_gates_of_one_over_the_root_of_the_depth_keep_the_kernel():
    """L blocks add K <s s>/K each with gate^2 = 1/L: relu, C_W = 2, K -> e K."""
    for blocks in (50, 200):
        ds = flowed(rg.Gated(gate=blocks**-0.5, C_W=2.0), "relu", ["K"], blocks, order=0)
        assert float(ds["K"][blocks]) / 0.8 == pytest.approx((1 + 1 / blocks) ** blocks, rel=1e-12)


def test_control_an_open_gate_is_seen(monkeypatch):
    """Without gate^2 in the law exact networks disagree."""
    monkeypatch.setattr(Gate, "integrand", Affine.integrand)
    caches = (response.mean, response.response, response.shift)
    for cached in caches:
        cached.cache_clear()
    try:
        with pytest.raises(AssertionError):
            test_finite_networks()
    finally:
        monkeypatch.undo()
        for cached in caches:
            cached.cache_clear()
