"""Brackets of one input against 30 digits from another route, and against forms typed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rgflow.activations import activation
from rgflow.brackets import gaussian_moments, reference
from rgflow.brackets.smooth import smooth_averages
from rgflow.errors import AccuracyError, InputError

KERNELS = (1e-8, 1e-4, 0.5, 3.0, 40.0, 1e3)
BRACKETS = [
    ((0,), 2),
    ((0, 0), 0),
    ((0, 0), 2),
    ((0, 0), 8),
    ((1, 1), 4),
    ((0, 0, 0, 0), 0),
    ((0, 0, 1, 1), 2),
    ((1, 2), 5),
    ((0, 3), 1),
    ((9,), 0),
    ((0, 1), 0),
]
NAMES = ["tanh", "gelu", "silu", "softplus", "erf", "sigmoid", "sin", "gaussian", "z^3 - z/2", "tanh(3*z - 1)"]


@pytest.mark.parametrize("name", NAMES)
def test_smooth_brackets_equal_the_reference(name: str) -> None:
    """The true error is below the reported one, and both below 1e-11 of the absolute integral."""
    sigma = activation(name)
    moments = [(entry,) for entry in BRACKETS]
    kernels = np.array(KERNELS)[:, None, None]
    values, errors = gaussian_moments(sigma, kernels, moments)
    with np.errstate(all="ignore"):
        absolute = smooth_averages(sigma, kernels, moments, 1e-11)[2]
    for g in range(NAMES.index(name) % 2, len(KERNELS), 2):
        kernel = KERNELS[g]
        for m, moment in enumerate(moments):
            exact = reference(sigma, [[kernel]], moment, dps=20)
            miss = abs(float(exact - values[g, m]))
            noise = 1e-20 * (1 + kernel ** (-0.5 * moment[0][1]))  # of the reference, where the bracket is 0
            assert miss <= errors[g, m] + noise, (name, kernel, moment, values[g, m], errors[g, m])
            assert errors[g, m] <= 1.1e-11 * absolute[g, m]
            assert miss <= 1e-12 * absolute[g, m] + noise


@pytest.mark.parametrize("kernel", [1e-8, 1e-3, 1.0, 30.0])
def test_exponential(kernel: float) -> None:
    """<d^m e^{wz}> = w^m e^{w^2 K/2}."""
    moments = [(((0,) * w, m),) for w in (1, 2, 4) for m in (0, 1, 5)]
    values, errors = gaussian_moments(activation("exp"), [[[kernel]]], moments)
    exact = [len(k) ** m * math.exp(len(k) ** 2 * kernel / 2) for ((k, m),) in moments]
    assert (np.abs(values[0] - exact) <= errors[0]).all()
    assert (errors[0] <= 1e-11 * np.array(exact)).all()


def test_overflow_names_activation_kernel_and_remedy() -> None:
    with pytest.raises(AccuracyError, match=r"exp.*1000.*smaller kernel"):
        gaussian_moments(activation("exp"), [[[1000.0]]], [(((0, 0), 0),)])


def test_odd_brackets_vanish_exactly() -> None:
    values, errors = gaussian_moments(activation("tanh"), [[[0.7]]], [(((0,), 0),), (((0, 1), 0),), (((0, 0), 3),)])
    assert not values.any()
    assert not errors.any()


@pytest.mark.parametrize("name", ["tanh", "softplus", "sin", "exp"])
def test_zero_kernel_is_the_value_at_zero(name: str) -> None:
    sigma = activation(name)
    values, _ = gaussian_moments(sigma, [[[0.0]]], [(((0, 2), 0),), (((0, 0), 2),)])
    s = sigma.derivatives(0.0, 2)
    np.testing.assert_allclose(values[0], [s[0] * s[2], 2 * (s[1] ** 2 + s[0] * s[2])], rtol=1e-14, atol=1e-300)


def test_a_batch_is_its_elements() -> None:
    kernels = np.geomspace(1e-6, 1e3, 23)[:, None, None]
    moments = [(((0, 0), 0),), (((1, 1), 2),)]
    together, errors = gaussian_moments(activation("gelu"), kernels, moments)
    alone = np.concatenate([gaussian_moments(activation("gelu"), [k], moments)[0] for k in kernels])
    assert (np.abs(together - alone) <= 2 * errors).all()


@pytest.mark.parametrize(
    ("kernels", "moments"),
    [
        ([[1.0]], [(((0,), 0),)]),
        ([[[np.nan]]], [(((0,), 0),)]),
        ([[[-1.0]]], [(((0,), 0),)]),
        ([[[1.0, 2.0], [2.0, 1.0]]], [(((0,), 0), ((0,), 0))]),
        ([[[1.0, 0.5], [0.0, 1.0]]], [(((0,), 0), ((0,), 0))]),
        ([[[1.0]]], [(((0,), 0), ((0,), 0))]),
        ([[[1.0]]], [(((-1,), 0),)]),
        ([[[1.0]]], [(((0,), -1),)]),
        ([[[1.0]]], ["nonsense"]),
        (np.zeros((1, 5, 5)), [(((0,), 0),) * 5]),
    ],
)
def test_bad_input(kernels: object, moments: list) -> None:
    with pytest.raises(InputError):
        gaussian_moments(activation("tanh"), kernels, moments)
