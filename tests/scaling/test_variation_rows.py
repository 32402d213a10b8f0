"""Flows against the growth that was derived and typed: small depths by differences, the papers' depths when slow.

Exponents and coefficients come from the layers between L/2 and L, so that what happens near the input is left out.
"""

import math

import numpy as np
import pytest
from sources.yang_schoenholz import A_TANH, RELU_ROWS, TANH_ROWS

from rgflow.scaling import variation, variation_phases

DEEP = 400_000


def late(values, L, power=None):
    """Growth of a logarithm from L/2 to L, per ln l, or per l^power."""
    change = float(values[L] - values[L // 2])
    return change / math.log(2) if power is None else change / (L**power - (L // 2) ** power)


def test_tanh_at_two_thousand():
    """A: the next term of ln chi is of order ln l, so that its slope in sqrt l differs by 1/sqrt L: 2 %."""
    ds = variation("tanh", 2000)
    assert late(-ds["log_chi"].values, 2000, 0.5) == pytest.approx(A_TANH / math.sqrt(2), rel=1 / math.sqrt(2000))


def test_relu_grows_exactly():
    """B = 3/2 from layer to layer, of p and of the gradient; p with biases once they are forgotten."""
    ds = variation("relu", 400, gamma0=0.0)
    assert late(ds["log_p"].values, 400, 1) == pytest.approx(math.log(1.5), rel=1e-13)
    assert late(-ds["log_chi"].values, 400, 1) == pytest.approx(math.log(1.5), rel=1e-13)


def test_relu_varied_is_an_exact_product():
    """chi^(0)/chi^(L) = prod (1 + l^{-3/5}/2), with no asymptotics."""
    ds = variation("relu", 500, beta_W=0.4, beta_V=0.2)
    product = np.log1p(0.5 * np.arange(1.0, 501) ** -0.6).sum()
    assert float(ds["log_chi"][0]) == pytest.approx(product, rel=1e-13)


def test_control_another_exponent_is_seen():
    """The flow of beta_V = 0.3 is not that of 0.2."""
    ds = variation("relu", 2000, beta_W=0.4, beta_V=0.3)
    assert late(-ds["log_chi"].values, 2000, 0.4) != pytest.approx(1.25, rel=0.05)


# The papers' depths ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "A"),
    [
        ({}, A_TANH / math.sqrt(2)),
        ({"C_V": 1.69, "C_W": 0.64, "C_a": 0.25, "C_b": 0.04}, A_TANH * 1.69 * 0.8 / math.sqrt(1.94)),
        ({"reduced": True}, A_TANH),
    ],
)
def test_tanh_coefficient(arguments, A):
    ds = variation("tanh", 20_000, **arguments)
    assert late(-ds["log_chi"].values, 20_000, 0.5) == pytest.approx(A, rel=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("row", TANH_ROWS)
def test_tanh_rows_deep(row):
    p, c_p, coefficient, inside = TANH_ROWS[row]
    ds = variation("tanh", DEEP, **dict(zip(("beta_W", "beta_V", "beta_a"), row, strict=True)))
    assert late(ds["log_p"].values, DEEP) == pytest.approx(p, rel=0.03)
    assert float(ds["p"][-1]) / DEEP**p == pytest.approx(c_p, rel=0.05)
    assert late(-ds["log_chi"].values, DEEP, inside) == pytest.approx(coefficient, rel=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("row", RELU_ROWS)
def test_relu_rows_deep(row):
    betas = dict(zip(("beta_W", "beta_V", "beta_a", "beta_b"), row, strict=True))
    ds, found = variation("relu", DEEP, **betas, gamma0=0.3), variation_phases("relu", **betas)
    for name, exponent in RELU_ROWS[row].items():
        sign = 1 if name.startswith("p") else -1
        values = sign * ds["log_" + name.removesuffix("_inside")].values
        if name == "p_inside":
            assert late(values, DEEP, 0.4) == pytest.approx(exponent, rel=0.03)
        else:
            assert late(values, DEEP) == pytest.approx(exponent, rel=0.03, abs=0.01)
    if row == (2, 0, 1.8, 2):
        assert found.e.limit is None
        assert math.exp(float(ds["log_gap"][-1])) == pytest.approx(0.236, abs=5e-4)
    else:
        assert found.e.limit == 1


@pytest.mark.slow
def test_relu_angle():
    ds = variation("relu", 100_000, gamma0=0.0)
    assert math.exp(float(ds["log_gap"][-1])) * 1e10 == pytest.approx(9 * math.pi**2 / 2 * 9, rel=0.01)


@pytest.mark.slow
def test_reduced_angle():
    """e falls as l^{-(1 - 2/pi)}; the page saw -.356 at smaller depth."""
    ds = variation("tanh", DEEP, reduced=True, gamma0=0.5)
    assert late(np.log(ds["e"].values), DEEP) == pytest.approx(-(1 - 2 / math.pi), rel=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("alpha", ["2/3", "3/4"])
def test_powers_of_relu_deep(alpha):
    ds, found = variation(f"relu(z)^({alpha})", DEEP), variation_phases(f"relu(z)^({alpha})")
    assert late(ds["log_p"].values, DEEP) == pytest.approx(float(found["p"].exponent), rel=1e-3)
    p = math.exp(float(ds["log_p"][-1]) - float(found["p"].exponent) * math.log(DEEP))
    assert p == pytest.approx(float(found["p"].coefficient), rel=1e-3)
    assert late(-ds["log_chi"].values, DEEP) == pytest.approx(float(found["chi"].exponent), rel=1e-3)
