"""Where laws and numbers end: amplitudes that vanish, kernels of zero, jumps, depths and variances beyond reason."""

import math

import numpy as np
import pytest
import sympy as sp

from rgflow.errors import AccuracyError, InputError, KinkError, NoClosedForm
from rgflow.scaling import variation, variation_phases
from rgflow.scaling.growth.depth_law import UP_TO

# int sigma^2 and int sigma'^2, typed: of exp(-z^2/2)..., by hand
GAUSSIAN = math.sqrt(math.pi), math.sqrt(math.pi) / 2
BELLS = {
    "exp(-z^2/2)": GAUSSIAN,
    "z*exp(-z^2)": (math.sqrt(math.pi / 2) / 4, 3 * math.sqrt(math.pi / 2) / 4),
    "1-tanh(z)^2": (4 / 3, 16 / 15),
    "1/(1+z^2)": (math.pi / 2, math.pi / 4),
}


@pytest.mark.parametrize("name", BELLS)
def test_an_activation_that_tends_to_zero(name):
    """<sigma sigma> = I/sqrt(2 pi q): p' - p = I/sqrt(2 pi p), so p^(3/2) = (3/2) I l/sqrt(2 pi)."""
    square, slope = BELLS[name]
    amplitude = (1.5 * square / math.sqrt(2 * math.pi)) ** (2 / 3)
    for fed in ({"C_a": 0}, {"beta_a": 0.9}):
        found = variation_phases(name, **fed)
        assert found["p"].exponent == sp.Rational(2, 3)
        assert float(found["p"].coefficient) == pytest.approx(amplitude, rel=1e-12)
        rate = slope / math.sqrt(2 * math.pi * amplitude) * 1.5  # sum of l^(-1/3)
        assert found["chi"].exponent == sp.Rational(2, 3)
        assert float(found["chi"].coefficient) == pytest.approx(rate, rel=1e-12)
    usual = variation_phases(name)  # control: the biases win
    assert (usual["p"].coefficient, usual["p"].exponent, usual.e.limit) == (1, 1, 1)
    # chi_V = chi/<sigma sigma>, which falls
    assert usual["chi_V"].growth.power - usual["chi"].growth.power == sp.Rational(1, 2)


def test_biases_and_a_bell_feed_alike():
    """beta_a = 1/3: x l^(2/3) with (2/3) x = 1 + x^(-1/2) I/sqrt(2 pi); the general case has this one between two."""
    x = float(variation_phases("gaussian", beta_a=1 / 3)["p"].coefficient)
    assert 2 * x / 3 == pytest.approx(1 + GAUSSIAN[0] / math.sqrt(2 * math.pi * x), rel=1e-13)
    cases = variation_phases("gaussian", C_a="1/2", beta_a="symbolic").cases
    assert any(case.condition == "beta_a = 1/3" for case in cases)
    with pytest.raises(NoClosedForm, match="feed p alike"):
        variation_phases("gaussian", C_a="symbolic", beta_a="1/3")


def test_a_flow_says_the_same():
    """Local exponents between 2^12 and 2^14 blocks: what is left out is of relative order ln(l) l^(-2/3)."""
    ds = variation("gaussian", 2**14, C_a=0)
    log_p = ds["log_p"].values
    assert (log_p[-1] - log_p[2**12]) / math.log(4) == pytest.approx(2 / 3, abs=0.02)
    found = variation_phases("gaussian", C_a=0)["p"]
    predicted = math.log(float(found.coefficient)) + 2 / 3 * math.log(2**14)
    assert log_p[-1] == pytest.approx(predicted, abs=0.01)


def test_absurd_amplitudes_and_jumps():
    with pytest.raises(NoClosedForm, match=r"of 1e-200\*tanh\(z\) has the amplitude 0"):
        variation_phases("1e-200*tanh(z)")
    assert variation_phases("1e-20*tanh(z)").regime["p"] == "polynomial"  # control
    for name in ("sign(z)", "Heaviside(z)"):
        for ask in (variation_phases, lambda x: variation(x, 5)):
            with pytest.raises(KinkError, match="jumps at z = 0") as refused:
                ask(name)
            assert "almost_everywhere" not in str(refused.value)


@pytest.mark.parametrize(("name", "depth"), [("relu(z-1)", 400), ("z-tanh(z)", 300)])
def test_a_tail_that_is_not_known_spoils_nothing(name, depth):
    """Kernels end beyond the table; the rate per layer is that of relu's kind, A_2 = 1/2 and 1."""
    log_chi = variation(name, depth)["log_chi"].values
    assert np.isfinite(log_chi).all()
    late = log_chi[-40] - log_chi[-1]
    assert late == pytest.approx(39 * math.log(1.5 if name.startswith("relu") else 2), rel=1e-9)


@pytest.mark.parametrize("name", ["tanh", "relu", "sigmoid", "relu(z-1)"])
def test_nothing_reaches_the_activation(name):
    """C_W = C_b = 0: q = 0, <sigma sigma> = sigma(0)^2, chi = 1."""
    ds = variation(name, 10, C_W=0, C_b=0, gamma0=0.3)
    own = 0.25 if name == "sigmoid" else 0.0
    assert ds["p"].values == pytest.approx(1 + np.arange(11) * (1 + own), rel=1e-13)
    assert ds["gamma"].values == pytest.approx(0.3 + np.arange(11) * (1 + own), rel=1e-13)
    assert (ds["chi"].values == 1).all()
    assert (ds["q"].values[1:] == 0).all()
    assert (ds["c"].values[1:] == 1).all()
    rate = {"tanh": 1.0, "relu": 0.5, "sigmoid": 1 / 16, "relu(z-1)": 0.0}[name]  # sigma'(0)^2 K_0
    assert ds["chi_W"].values[1:] == pytest.approx(rate * ds["p"].values[:-1], rel=1e-13)


def test_logarithms_are_numbers():
    with pytest.raises(AccuracyError, match=r"layer 1 chi_W of relu\(z\)\^\(3/4\) is inf"):
        variation("relu(z)^(3/4)", 10, C_W=0, C_b=0)
    with pytest.raises(AccuracyError, match=r"at layer 3: <s s> of exp"):
        variation("exp(z)", 8)


def test_depths_and_powers():
    with pytest.raises(InputError, match="GiB"):
        variation("tanh", 10**9)
    for ask in (lambda **x: variation("tanh", 4, **x), lambda **x: variation_phases("tanh", **x)):
        with pytest.raises(InputError, match="must not be negative"):
            ask(beta_W=-1000)
        for wrong in ({"beta_W": "1/0"}, {"C_W": "x"}):
            with pytest.raises(InputError, match=r"give (a )?number"):
                ask(**wrong)
    half = variation("tanh", 4, beta_W="1/2", C_V="1/4")
    assert half.drop_vars("numerical_error").equals(
        variation("tanh", 4, beta_W=0.5, C_V=0.25).drop_vars("numerical_error")
    )
    assert variation_phases("tanh", beta_W="1/2", C_V="1/4")["p"].coefficient == sp.Rational(5, 4)
    third = variation_phases("tanh", beta_W=1 / 3)
    assert third.betas["beta_W"] == sp.Rational(1, 3)
    odd = str(variation_phases("tanh", C_a=math.sqrt(2))["p"])
    assert odd == "p ~ 2.414213562 l"


def test_words_where_the_amplitude_is_not_known():
    found = variation_phases("relu")
    assert found["p"].latex() == r"p \propto \left(\frac{3}{2}\right)^{\ell}"
    assert str(found["p"]) == f"p ~ (3/2)^l{UP_TO}"
    known = variation_phases("tanh")["p"]  # control
    assert (known.latex(), str(known)) == (r"p \simeq 2 \ell", "p ~ 2 l")
