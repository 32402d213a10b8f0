"""Kinks, pieces, parity, growth and what else is known about an activation."""

import math
from fractions import Fraction

import numpy as np
import pytest

from rgflow.activations import CATALOGUE, activation
from rgflow.activations.formula import text
from rgflow.errors import InputError

KINKED = {
    "relu": ((0.0,), ["0", "z"]),
    "leaky_relu(slope=0.5)": ((0.0,), ["z/2", "z"]),
    "Abs(z)^3": ((0.0,), ["-z**3", "z**3"]),
    "Max(-1, Min(1, z))": ((-1.0, 1.0), ["-1", "z", "1"]),
    "Max(z, 0) + Min(exp(z)-1, 0)": ((0.0,), ["expm1(z)", "z"]),
    "Heaviside(z - 1/3)*z": ((1 / 3,), ["0", "z"]),
    "Max(z, z^2 - 2)": ((-1.0, 2.0), ["-2 + z**2", "z", "-2 + z**2"]),
    "Abs(Abs(z) - 1)": ((-1.0, 0.0, 1.0), ["-1 - z", "1 + z", "1 - z", "-1 + z"]),
    "relu(relu(z) - 1)": ((1.0,), ["0", "-1 + z"]),
    "Abs(z^2 - 2)": ((-math.sqrt(2), math.sqrt(2)), ["-2 + z**2", "2 - z**2", "-2 + z**2"]),
    "Max(tanh(z), 1/2)": ((math.atanh(0.5),), ["1/2", "tanh(z)"]),
    "Max(z - 2000, 0)": ((2000.0,), ["0", "-2000 + z"]),
    "sign(z)*z^2": ((0.0,), ["-z**2", "z**2"]),
    "Abs(z^2)": ((), ["z**2"]),
    "Abs(z)*sign(z)": ((), ["z"]),
    "sign(exp(z))*z": ((), ["z"]),
}


@pytest.mark.parametrize(("spec", "kinks", "pieces"), [(k, *v) for k, v in KINKED.items()])
def test_kinks_and_pieces(spec, kinks, pieces):
    a = activation(spec)
    assert a.kinks == pytest.approx(kinks, rel=1e-15, abs=0)
    assert [text(piece) for piece in a.pieces] == pieces
    assert a.smooth == (not kinks)


def test_values_of_kinked_formulas_are_those_of_the_text():
    z = np.linspace(-5, 5, 1001) + 1e-4
    np.testing.assert_allclose(activation("Max(z, z^2-2)")(z), np.maximum(z, z**2 - 2), rtol=1e-15, atol=1e-15)
    np.testing.assert_allclose(activation("Abs(Abs(z)-1)")(z), np.abs(np.abs(z) - 1), rtol=1e-15, atol=1e-15)
    hard = activation("Min(Max(z, -2), 2)*z")
    np.testing.assert_allclose(hard(z), np.clip(z, -2, 2) * z, rtol=1e-15)


def test_at_a_kink_the_right_branch_counts():
    a = activation("relu")
    np.testing.assert_array_equal(a.derivatives([-1.0, 0.0, 1.0], 2), [[0, 0, 1], [0, 1, 1], [0, 0, 0]])
    np.testing.assert_array_equal(a.piece_derivatives(0, [0.0, 5.0], 1), np.zeros((2, 2)))
    np.testing.assert_array_equal(a.piece_derivatives(1, [0.0, -5.0], 1), [[0, -5], [1, 1]])
    with pytest.raises(InputError, match=r"pieces 0\.\.1"):
        a.piece_derivatives(2, 0.0, 1)


def test_continuity():
    assert activation("relu").continuous
    assert activation("tanh").continuous
    assert activation("Max(tanh(z), 1/2)").continuous
    jump = activation("Heaviside(z - 1)*z^2")
    assert not jump.continuous
    assert jump.value_at_kinks == (1.0,)


@pytest.mark.parametrize(("spec", "parity"), [("tanh", -1), ("cos", 1), ("gelu", 0), ("z*tanh(z)", 1), ("exp", 0),
                                              ("sigmoid(z) - 1/2", -1), ("Max(-1, Min(1, z))", -1), ("Abs(z)", 1),
                                              ("relu", 0), ("z/(1+Abs(z))", -1), ("sin(z+1)", 0), ("z^4 + 1", 1),
                                              ("(z + sin(z))^2", 1), ("monomial(degree=3)", -1)])  # fmt: skip
def test_parity(spec, parity):
    a = activation(spec)
    assert a.parity == parity
    z = np.linspace(0.05, 6, 50)
    if parity:
        np.testing.assert_array_equal(a(-z), parity * a(z))


GROWTH = {
    "tanh": 0, "mish": 0, "gaussian": 0, "softplus": 0, "z^100": 0, "exp(z - z^2)": 0, "exp(sin(z))": 0,
    "exp(z)/cosh(z)": 0, "asinh(exp(z))": 0, "exp": 1, "exp(-3*z)": 3, "cosh(2*z)*z^3": 2, "exp(sqrt(1+z^2)/4)": 0.25,
    "2**z": math.log(2), "exp(Abs(z))": 1, "exp(z*sin(z))": 1, "sinh(z)*sigmoid(-z)": 1,
}  # fmt: skip


@pytest.mark.parametrize(("spec", "growth"), GROWTH.items())
def test_growth(spec, growth):
    a = activation(spec)
    assert a.growth == pytest.approx(growth, abs=2e-9)
    z = np.linspace(-300, 300, 4001)
    with np.errstate(over="ignore"):
        bound = 10 * (1 + np.abs(z)) ** 100 * np.exp(a.growth * np.abs(z))
    assert np.all(np.abs(a(z)) <= bound)


def test_oscillation():
    assert [name for name in CATALOGUE if activation(name).oscillating] == ["sin", "cos"]


def test_polynomials():
    assert activation("(z - 1/2)^2").polynomial == (Fraction(1, 4), -1, 1)
    assert activation("monomial", degree=4).polynomial == (0, 0, 0, 0, 1)
    assert activation("relu").polynomial is None
    assert activation("relu").piece_polynomials == ((), (0, 1))
    assert activation("tanh").polynomial is None
