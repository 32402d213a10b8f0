"""Taylor coefficients of activations and averages as series in the kernel, against mpmath and exact moments."""

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
import sympy as sp
from mpmath import mp
from plain_averages import BUMP, LEANING, SIGMA, gauss

from rgflow import NoClosedForm, activation
from rgflow.activations.formula import FUNCTIONS
from rgflow.brackets import series
from rgflow.brackets.series import derivatives_at_zero, kernel_series

WITNESSES = {  # text: the same function written in mpmath
    "exp(z)*(1+z)": lambda z: mpmath.exp(z) * (1 + z),
    "expm1(z-z^2)": lambda z: mpmath.expm1(z - z**2),
    "log(2+z+z^2)": lambda z: mpmath.log(2 + z + z**2),
    "log1p(z^2+z/3)": lambda z: mpmath.log(1 + z**2 + z / 3),
    "sqrt(1+z^2+z/2)": lambda z: mpmath.sqrt(1 + z**2 + z / 2),
    "(2+z+z^2)^(-3)": lambda z: (2 + z + z**2) ** -3,
    "(1+z^2)^(3/2)": lambda z: (1 + z**2) ** mpmath.mpf(1.5),
    "z/(1+z^2)": lambda z: z / (1 + z**2),
    "tanh(z)": mpmath.tanh,
    "tanh(z+1/2)": lambda z: mpmath.tanh(z + mpmath.mpf(1) / 2),
    "tanh(tanh(z))": lambda z: mpmath.tanh(mpmath.tanh(z)),
    "sigmoid(z)": lambda z: 1 / (1 + mpmath.exp(-z)),
    "sigmoid(2*z-1)": lambda z: 1 / (1 + mpmath.exp(1 - 2 * z)),
    "softplus(z)": lambda z: mpmath.log(1 + mpmath.exp(z)),
    "softplus(z+z^3)": lambda z: mpmath.log(1 + mpmath.exp(z + z**3)),
    "1/cosh(z)": mpmath.sech,
    "1/cosh(z-1/3)": lambda z: mpmath.sech(z - mpmath.mpf(1) / 3),
    "erf(z)": mpmath.erf,
    "erf(z+1/4)": lambda z: mpmath.erf(z + mpmath.mpf(1) / 4),
    "erfc(z^2)": lambda z: mpmath.erfc(z**2),
    "sin(3*z+1)": lambda z: mpmath.sin(3 * z + 1),
    "cos(z)*sin(z)": lambda z: mpmath.cos(z) * mpmath.sin(z),
    "sinh(z)": mpmath.sinh,
    "cosh(z/2+1)": lambda z: mpmath.cosh(z / 2 + 1),
    "atan(z)": mpmath.atan,
    "atan(z-2)": lambda z: mpmath.atan(z - 2),
    "asinh(z)": mpmath.asinh,
    "asinh(z+1)": lambda z: mpmath.asinh(z + 1),
    "z*tanh(softplus(z))": lambda z: z * mpmath.tanh(mpmath.log(1 + mpmath.exp(z))),
    "z*(1+erf(z/sqrt(2)))/2": lambda z: z * mpmath.ncdf(z),
    "pi*z^2+z": lambda z: mpmath.pi * z**2 + z,
    "z^7 - z^5/3": lambda z: z**7 - z**5 / 3,
    "Max(z-1,0)+sin(z)": mpmath.sin,  # the piece around zero
    "Abs(z+2)*z": lambda z: (z + 2) * z,
}

HEAVY = {"sigmoid(2*z-1)": 3, "1/cosh(z-1/3)": 7}  # exact numbers that grow quickly with the order


@pytest.mark.parametrize("text", WITNESSES)
def test_derivatives_at_zero(text):
    """To order 12, by mpmath's differences at 80 digits."""
    order = HEAVY.get(text, 12)
    found = derivatives_at_zero(activation(text), order)
    assert len(found) == order + 1
    with mp.workdps(80):
        expected = mpmath.taylor(WITNESSES[text], 0, order)
        for k, value in enumerate(found):
            exact = mpmath.mpf(str(sp.N(value, 60))) if value != 0 else mpmath.mpf(0)
            assert abs(exact / mpmath.factorial(k) - expected[k]) < mpmath.mpf(10) ** -30, k


def test_exact_numbers():
    assert derivatives_at_zero(activation("tanh"), 9) == (0, 1, 0, -2, 0, 16, 0, -272, 0, 7936)
    assert derivatives_at_zero(activation("sin"), 5) == (0, 1, 0, -1, 0, 1)
    root = sp.sqrt(sp.pi)
    assert derivatives_at_zero(activation("erf"), 5) == (0, 2 / root, 0, -4 / root, 0, 24 / root)
    assert derivatives_at_zero(activation("swish"), 3) == (0, sp.Rational(1, 2), sp.Rational(1, 2), 0)
    assert derivatives_at_zero(activation("z^3"), 4) == (0, 0, 0, 6, 0)


@pytest.mark.parametrize("order", range(20))
def test_the_order_asked_for(order):
    long = derivatives_at_zero(activation("atan(z)"), 20)
    assert derivatives_at_zero(activation("atan(z)"), order) == long[: order + 1]


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "Abs(z)", "Heaviside(z)", "z + Abs(z)^3"])
def test_a_kink_at_zero_has_no_series(name):
    with pytest.raises(NoClosedForm, match="kink at 0"):
        derivatives_at_zero(activation(name), 3)


# In the kernel --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("orders", [(0, 0), (1, 1), (0, 2), (0, 1, 1, 2), (0, 0, 0, 0), (1, 1, 2, 2), (1, 1, 1, 3), ()])
@pytest.mark.parametrize("pending", [0, 1, 2, 4])
def test_polynomials_are_exact(orders, pending):
    """sigma = 1/2 + z - z^2/3 + z^3/5: derivatives and moments (2j - 1)!! K^j, taken here with fractions."""
    sigma = [Fraction(1, 2), Fraction(1), Fraction(-1, 3), Fraction(1, 5)]
    product = [Fraction(1)]
    for k in orders:
        factor = [c * math.perm(n, k) for n, c in enumerate(sigma)][k:] or [Fraction(0)]
        product = [
            sum((product[i] * factor[n - i] for i in range(len(product)) if 0 <= n - i < len(factor)), Fraction(0))
            for n in range(len(product) + len(factor) - 1)
        ]
    product = [c * math.perm(n, pending) for n, c in enumerate(product)][pending:]
    expected = [product[2 * j] * math.prod(range(1, 2 * j, 2)) if 2 * j < len(product) else 0 for j in range(6)]
    derivatives = derivatives_at_zero(activation("1/2 + z - z^2/3 + z^3/5"), 24)
    assert kernel_series(derivatives, orders, pending, 6) == expected


@pytest.mark.parametrize("name", ["tanh", "sin", "erf", "gelu", "swish", BUMP, LEANING, "erf(z)+z/10"])
def test_small_kernels(name):
    """<s s>, <s' s'>, <s^4> at K = 0.01 and 0.02, from averages taken here."""
    sigma, slope = SIGMA[name]
    derivatives = [sp.N(x, 40) for x in derivatives_at_zero(activation(name), 24)]
    for orders, f in (
        ((0, 0), lambda z: sigma(z) ** 2),
        ((1, 1), lambda z: slope(z) ** 2),
        ((0, 0, 0, 0), lambda z: sigma(z) ** 4),
    ):
        coefficients = [float(x) for x in kernel_series(derivatives, orders, 0, 9)]
        for K in (0.01, 0.02):
            terms = np.array(coefficients) * K ** np.arange(9)
            # six terms; what is left out are the three that follow, and as much again for all others
            assert abs(gauss(f, K) - np.sum(terms[:6])) < 2 * np.sum(np.abs(terms[6:])) + 1e-16


def test_other_numbers_than_sympy_s():
    """Fractions and floats go in as they are."""
    exact = kernel_series([Fraction(n) for n in (0, 1, 0, -2, 0, 16, 0)], (0, 0), 0, 3)
    assert exact == [0, 1, -2]
    assert all(isinstance(x, Fraction) for x in exact)
    assert kernel_series([0.0, 1.0, 0.0, -2.0, 0.0, 16.0, 0.0], (0, 0), 0, 3) == [0.0, 1.0, -2.0]


def test_a_kink_elsewhere_misses_what_is_exponentially_small():
    """Hard tanh: the series is K, the average less by the tails beyond 1, exp(-1/(2 K))."""
    derivatives = derivatives_at_zero(activation("Max(-1, Min(1, z))"), 12)
    assert kernel_series(derivatives, (0, 0), 0, 4) == [0, 1, 0, 0]
    sigma, _ = SIGMA["Max(-1, Min(1, z))"]
    for K in (0.02, 0.03):
        missing = K - gauss(lambda z: sigma(z) ** 2, K)
        assert abs(missing) < math.exp(-1 / (2 * K)) + 1e-5 * K


# Control --------------------------------------------------------------------------------------------------------------


def test_a_wrong_coefficient_is_noticed(monkeypatch):
    """Control: one derivative is one part in a thousand off."""
    real = derivatives_at_zero

    def damaged(sigma, order):
        return [x * (sp.Rational(1001, 1000) if k == 3 else 1) for k, x in enumerate(real(sigma, order))]

    monkeypatch.setitem(globals(), "derivatives_at_zero", damaged)
    with pytest.raises(AssertionError):
        test_small_kernels("tanh")
    with pytest.raises(AssertionError):
        test_derivatives_at_zero("tanh(z)")


def test_a_function_without_a_rule_is_named(monkeypatch):
    monkeypatch.delitem(series._RULES, "atan")
    with pytest.raises(NoClosedForm, match="atan has no rule"):
        derivatives_at_zero(activation("z*atan(z/7)"), 3)


def test_every_function_has_a_rule():
    kinked = {"Abs", "Max", "Min", "Heaviside", "sign", "relu"}
    assert set(FUNCTIONS) - kinked <= set(series._RULES)
