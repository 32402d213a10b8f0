"""Flows whose brackets are closed forms: exact zeros, errors that hold, one pass, and what the Dataset says."""

from fractions import Fraction

import numpy as np
import pytest
from exact_flow import flow_one
from oracles.exact_brackets import PolynomialBrackets, ScaleInvariantBrackets

import rgflow as rg
from rgflow.flow import one_input

LETTERS = ["K", "Theta", *"VABDFPQRSTU"]


@pytest.mark.parametrize("sigma", ["relu", "leaky_relu", "linear", "abs(z)"])
@pytest.mark.parametrize("C_W", [1.0, 1.7])
def test_scale_invariant_zeros_are_exact(sigma, C_W):
    net = rg.MLP.uniform(n_in=9, width=50, depth=6, activation=sigma, C_W=C_W, C_b=0.0, lambda_b=0.5, lambda_W=0.7)
    ds = rg.flow(net, first_kernel=1.3, tensors=LETTERS, kinks="almost_everywhere")
    for name in ("P", "R", "U", "K_1", "Theta_1"):
        np.testing.assert_array_equal(ds[name], 0.0)
        np.testing.assert_array_equal(ds["numerical_error"].sel(coefficient=name), 0.0)
    assert (ds["V"][1:] > 0).all()
    assert ds.attrs["brackets"] == "closed form"


@pytest.mark.parametrize(
    ("sigma", "brackets"),
    [
        ("relu", lambda K: ScaleInvariantBrackets((1, 0), K)),
        ("leaky_relu", lambda K: ScaleInvariantBrackets((1, Fraction(1, 100)), K)),
        ("z^2", lambda K: PolynomialBrackets.single((0, 0, 1), K)),
        ("z^3 - z/2", lambda K: PolynomialBrackets.single((0, Fraction(-1, 2), 0, 1), K)),
    ],
)
def test_errors_cover_the_exact_flow(sigma, brackets):
    """Every letter, K_1 and Theta_1 in rational arithmetic, C_b > 0, unequal widths; the claims are tight, too."""
    steep = sigma[0] == "z"
    C_b, C_W = (0.125, 0.25) if steep else (0.125, 1.5)
    net = rg.MLP([10, 20, 60, 40, 40][: 4 if steep else 5], sigma, C_W=C_W, C_b=C_b, lambda_b=0.5, lambda_W=0.75)
    ds = rg.flow(net, first_kernel=0.625, tensors=LETTERS, kinks="almost_everywhere")
    hyper = [{"C_W": Fraction(C_W), "C_b": Fraction(C_b), "lambda_b": Fraction(1, 2), "lambda_W": Fraction(3, 4)}] * 4
    overlap = (Fraction(5, 8) - Fraction(C_b)) / Fraction(C_W)
    begin = {"K": Fraction(5, 8), "Theta": Fraction(1, 2) + Fraction(3, 4) * overlap}
    names = list(map(str, ds["coefficient"].values))
    states = flow_one(rg.closure(names), brackets, begin, hyper, (1, 3, 2, 2)[: net.depth - 1])
    for layer, state in enumerate(states):
        for name in names:
            off = abs(Fraction(float(ds[name][layer])) - state[name])
            claimed = float(ds["numerical_error"].sel(coefficient=name)[layer])
            assert off <= Fraction(claimed), (name, layer)
            if sigma != "z^3 - z/2":
                assert claimed <= 1e-12 * max(abs(float(s[name])) for s in states), (name, layer)


@pytest.mark.parametrize(
    ("sigma", "says"), [("relu", "closed form"), ("sin", "closed form"), ("gelu", "both"), ("tanh", "quadrature")]
)
def test_closed_forms_need_one_pass(monkeypatch, sigma, says):
    taken = []
    real = one_input.flow_with
    monkeypatch.setattr(one_input, "flow_with", lambda *arguments: taken.append(arguments) or real(*arguments))
    ds = rg.flow(rg.MLP.uniform(n_in=3, width=30, depth=4, activation=sigma, C_W=1.5), first_kernel=40.0, tensors="V")
    assert ds.attrs["brackets"] == says
    assert (len(taken) == 1) == (says == "closed form")


def test_several_inputs_say_quadrature():
    net = rg.MLP.uniform(n_in=3, width=30, depth=2, activation="relu")
    assert rg.flow(net, first_kernel=[[1.0, 0.3], [0.3, 1.0]], tensors="K", order=0).attrs["brackets"] == "quadrature"


def test_fast_oscillations_in_closed_form():
    """K = 1000 of sin(10 z), which quadrature refuses."""
    net = rg.MLP.uniform(n_in=3, width=30, depth=4, activation="sin(10*z)")
    found = rg.flow(net, first_kernel=1000.0, tensors=["K"], order=0)["K"].values
    np.testing.assert_allclose(found[1:], 0.5, rtol=1e-14)


def test_a_vanishing_kernel_at_a_kink_is_refused():
    net = rg.MLP.uniform(n_in=3, width=30, depth=4, activation="relu", C_b=0.0)
    with pytest.raises(rg.AccuracyError, match="kink"):
        rg.flow(net, first_kernel=0.0, tensors="V")
