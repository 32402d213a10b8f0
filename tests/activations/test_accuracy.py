"""Derivatives of every named activation to order 9 against mpmath at 30 digits and against SymPy."""

import mpmath
import numpy as np
import pytest
import sympy

from rgflow.activations import CATALOGUE, activation
from rgflow.activations.taylor import _Taylor, program
from rgflow.errors import AccuracyError, InputError

ORDER = 9
POINTS = [0.0, 1e-8, 1e-3, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 100.0, 1e3]
TINY = 1e-300  # below this the exponential tails leave the normal floats
VARIANTS = [
    *((name, {}) for name in CATALOGUE),
    ("leaky_relu", {"slope": 0.1}),
    ("swish", {"beta": 1.7}),
    ("monomial", {"degree": 5}),
]


def deviation(a, points):
    """Largest |error| / (|d_k| + 0.1 |d_{k+1}|), the second for zeros of d_k, over points and orders, beyond TINY.

    d_{k+1} is as small as d_k in a tail, so tails are held to relative accuracy.
    """
    found = a.derivatives(points, ORDER)
    worst = 0.0
    for column, z in zip(found.T, points, strict=True):
        exact = a.mp_derivatives(z, ORDER + 1)
        for k, value in enumerate(column):
            if abs(exact[k]) > 1e308:
                assert value == (np.inf if exact[k] > 0 else -np.inf)
                continue
            size = abs(exact[k]) + 0.1 * abs(exact[k + 1])
            error = abs(mpmath.mpf(float(value)) - exact[k])
            if error > TINY:
                worst = max(worst, float(error / size) if size else np.inf)
    return worst


@pytest.mark.parametrize(("name", "parameters"), VARIANTS, ids=str)
def test_derivatives_agree_with_mpmath(name, parameters):
    a = activation(name, **parameters)
    far = name == "erf"  # its tail at 30 is below 1e-390, where mpmath takes seconds: looked at directly
    points = [z for z in POINTS if not far or z <= 10.0]
    if a.parity == 0:
        points = [*(-z for z in reversed(points)), *points]
    assert deviation(a, np.array(points)) <= 1e-12
    if far:
        tail = a.derivatives([30.0, 100.0, 1e3], ORDER)
        assert np.all(tail[0] == 1.0)
        assert np.all(np.abs(tail[1:]) < TINY)


@pytest.mark.parametrize("name", [name for name in CATALOGUE if activation(name).parity])
def test_parity_is_exact(name):
    a = activation(name)
    z = np.array(POINTS)
    signs = np.array([a.parity * (-1) ** k for k in range(ORDER + 1)])
    np.testing.assert_array_equal(a.derivatives(-z, ORDER), signs[:, None] * a.derivatives(z, ORDER))


@pytest.mark.parametrize("name", ["tanh", "gelu_tanh", "mish", "softplus", "zgaussian"])
def test_sympy_differentiates_to_the_same(name):
    a = activation(name)
    z = sympy.Symbol("z", real=True)
    expression = a.sympy()
    for k in range(5):
        for point in (-1.5, 0.3, 4.0):
            exact = float(expression.subs(z, sympy.Float(point, 40)).evalf(30))
            scale = float(np.abs(a.derivatives(point, 5)[k : k + 2]).max())
            assert abs(a.derivatives(point, k)[k] - exact) <= 1e-13 * scale
        expression = expression.diff(z)


@pytest.mark.parametrize("text", ["asinh(z)", "atan(z)", "sqrt(1+z^2)", "z/(1+z^2)^0.3", "log1p(z^2)", "1/cosh(z)",
                                  "sinh(z/2)", "expm1(z)", "1/(2+sin(z))", "log(2+cos(z))", "2**z", "erf(tanh(z))",
                                  "z/(1+Abs(z))", "exp(-Abs(z))", "Max(z,0) + Min(exp(z)-1, 0)"])  # fmt: skip
def test_formulas_agree_with_mpmath(text):
    assert deviation(activation(text), np.array([-5.0, -1.0, -0.1, 0.0, 0.01, 0.5, 2.0, 7.0])) <= 1e-12


@pytest.mark.parametrize("text", ["atan(exp(z))", "asinh(exp(z))", "log(2+exp(-z))", "z/sqrt(1+z^2)", "sqrt(1+z^2)"])
def test_tails_of_composed_formulas_are_good_to_the_scale_of_the_derivative(text):
    """Where no companion is small in the tail, accuracy is relative to the largest value of that derivative."""
    a = activation(text)
    points = [-20.0, -5.0, -1.0, 0.0, 0.5, 2.0, 7.0, 20.0]
    exact = np.array([[float(value) for value in a.mp_derivatives(z, ORDER)] for z in points]).T
    scale = np.abs(exact).max(axis=1, keepdims=True)
    assert np.all(np.abs(a.derivatives(points, ORDER) - exact) <= 1e-13 * scale)


def test_a_wrong_recurrence_is_noticed(monkeypatch):
    """Control: without the companion's factor 2 the same comparison fails."""
    right = _Taylor.driven
    monkeypatch.setattr(_Taylor, "driven", lambda self, u, w, k, scale=1.0: right(self, u, w, k, max(scale, -1.0)))
    program.cache_clear()
    try:
        assert deviation(activation("tanh"), np.array([0.5, 1.0])) > 1e-3
    finally:
        program.cache_clear()


def test_unstable_spellings_keep_their_tails():
    """The literal 1 + erf loses all digits at z = -8: the normal form does not."""
    z = -8.0
    literal = activation("z*(1+erf(z/sqrt(2)))/2")
    exact = literal.mp_derivatives(z, 3)
    for k in range(4):
        assert abs(literal.derivatives(z, 3)[k] / float(exact[k]) - 1) < 1e-12


def test_any_order():
    coefficients = activation("1/(1+z^2)").derivatives(0.0, 30)
    np.testing.assert_allclose(coefficients[:7], [1, 0, -2, 0, 24, 0, -720])
    assert coefficients[30] == pytest.approx(-float(sympy.factorial(30)), rel=1e-13)


def test_shapes():
    z = np.linspace(-1, 1, 6).reshape(2, 3)
    for name in ("tanh", "relu", "linear"):
        a = activation(name)
        assert a.derivatives(z, 4).shape == (5, 2, 3)
        assert a(z).shape == (2, 3)
        assert a.derivatives(0.5, 2).shape == (3,)
        assert a.derivatives([], 2).shape == (3, 0)
        assert a.derivatives(1, 0).dtype == np.float64


def test_blocks_do_not_show():
    z = np.linspace(-4, 4, 40_001)
    a = activation("gelu")
    np.testing.assert_array_equal(a.derivatives(z, 2)[:, 30_000:30_010], a.derivatives(z[30_000:30_010], 2))


def test_overflow_inside_is_an_error_and_at_the_end_is_inf():
    with pytest.raises(AccuracyError, match="z = 1000"):
        activation("exp(z)/(2 + exp(z))").derivatives([0.0, 1e3], 1)
    assert activation("exp")(1e3) == np.inf
    assert np.isnan(activation("tanh")(np.nan))


@pytest.mark.parametrize("order", [-1, 1.5, True, "2", None])
def test_orders_are_counted(order):
    with pytest.raises(InputError, match="order"):
        activation("tanh").derivatives(0.0, order)


def test_points_are_numbers():
    with pytest.raises(InputError, match="number"):
        activation("tanh")("one")
