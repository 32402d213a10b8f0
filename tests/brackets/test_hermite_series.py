"""Averages from Hermite coefficients, against nested sums and by hand; what they leave out is in their errors."""

from itertools import combinations

import numpy as np
import pytest

import rgflow as rg
from rgflow.brackets import gaussian_moments, hermite_series
from rgflow.brackets.hermite_series import hermite_averages
from rgflow.brackets.together import moments_together

MOMENTS = {
    1: ((((0, 0), 0),), (((0, 1, 1, 2), 0),), (((0, 0), 2),)),
    2: ((((0,), 4), ((0,), 0)), (((0, 0), 0), ((1, 1), 0)), (((0, 1, 2), 0), ((1,), 0))),
    3: ((((0, 1), 0), ((1,), 0), ((2,), 0)), (((0,), 0), ((0,), 0), ((0, 0), 0)), (((0, 0), 1), ((1,), 0), ((0,), 0))),
}
SIGMAS = ["tanh", "gelu", "swish", "sin", "z^3/3 - z", "z^2*exp(-z^2)"]
ROUNDING = 64 * np.finfo(float).eps  # of a sum of some factors' products, as a part of the largest average


def kernel(inputs, rank, seed=0, C_b=0.1, C_W=1.4):
    x = np.random.default_rng(seed).normal(size=(inputs, rank))
    return C_b + C_W * x @ x.T / rank


def subsets(inputs, size):
    return np.array(list(combinations(range(inputs), size)), np.int64)


def live(activation, moments):
    """Without the moments that vanish by parity."""

    def sign(moment):
        return np.prod([activation.parity ** len(orders) * (-1) ** (sum(orders) + k) for orders, k in moment])

    return tuple(moment for moment in moments if activation.parity == 0 or sign(moment) > 0)


def compared(sigma, size, K):
    activation, sets = rg.activation(sigma), subsets(len(K), size)
    moments = live(activation, MOMENTS[size])
    values, errors = hermite_averages(activation, K[None], sets, moments, 1e-11)
    truth, doubt = gaussian_moments(activation, K[sets[:, :, None], sets[:, None, :]], moments)
    return values[0], errors[0], truth, doubt + ROUNDING * np.abs(truth).max()


@pytest.mark.parametrize("sigma", SIGMAS)
@pytest.mark.parametrize("size", [1, 2, 3])
def test_series_are_nested_sums(sigma, size):
    values, errors, truth, doubt = compared(sigma, size, kernel(4, 40))
    assert np.isfinite(errors).all()
    assert (np.abs(values - truth) <= errors + doubt).all()
    assert (errors < 1e-10 * np.abs(truth).max()).all()


@pytest.mark.parametrize("sigma", SIGMAS)
@pytest.mark.parametrize("size", [1, 2, 3])
def test_errors_tell_of_coarse_rules(sigma, size, monkeypatch):
    """Steps of half the fineness: what is wrong is in the error, as long as a rule has seen its function at all."""
    monkeypatch.setattr(hermite_series, "_FINER", {1: (0.6,), 2: (0.6,), 3: (0.6,)})
    activation, sets, K = rg.activation(sigma), subsets(4, size), kernel(4, 9)
    moments = live(activation, MOMENTS[size])
    values, errors = hermite_averages(activation, K[None], sets, moments, 1.0)
    truth, doubt = gaussian_moments(activation, K[sets[:, :, None], sets[:, None, :]], moments)
    seen = np.isfinite(errors[0])
    assert (np.abs(values[0] - truth) <= errors[0] + doubt + ROUNDING * np.abs(truth).max())[seen].all()


@pytest.mark.parametrize("size", [2, 3])
def test_errors_tell_of_short_series(size, monkeypatch):
    monkeypatch.setattr(hermite_series, "_MOST_COLUMNS", 8)
    activation, sets, K = rg.activation("tanh"), subsets(4, size), kernel(4, 4)
    moments = live(activation, MOMENTS[size])
    values, errors = hermite_averages(activation, K[None], sets, moments, 1.0)
    truth, _ = gaussian_moments(activation, K[sets[:, :, None], sets[:, None, :]], moments)
    known = np.isfinite(errors[0])
    wrong = np.abs(values[0] - truth)[known]
    assert known.any()
    assert wrong.max() > 1e-12
    assert (wrong <= errors[0][known] + ROUNDING * np.abs(truth).max()).all()


def test_pairs_by_hand():
    """E[sin z_1 sin z_2] = exp(-(K_11 + K_22)/2) sinh K_12, of any size of K."""
    sigma, plain = rg.activation("sin"), (((0,), 0), ((0,), 0))
    for scale in (1e-12, 1.0, 5.0):
        K = scale * np.array([[1.0, 0.4], [0.4, 0.7]])
        value, error = moments_together(sigma, K[None], subsets(2, 2), [plain])
        truth = np.exp(-0.5 * np.trace(K)) * np.sinh(K[0, 1])
        assert abs(value[0, 0, 0] - truth) <= error[0, 0, 0] + 4e-16 * truth
        assert error[0, 0, 0] < 1e-11 * min(1.0, K[0, 0])


def test_vanishing_and_equal_inputs():
    """Inputs without variance are constants; equal ones are left to grids, through the same door."""
    sigma, plain = rg.activation("gelu"), MOMENTS[3]
    K = np.zeros((3, 3))
    K[:2, :2] = [[1.0, 0.3], [0.3, 0.8]]
    values, errors = moments_together(sigma, K[None], subsets(3, 3), plain)
    truth, doubt = gaussian_moments(sigma, K[None], plain)
    assert (np.abs(values[0] - truth) <= errors[0] + doubt + ROUNDING).all()
    K = np.full((3, 3), 0.9)
    assert np.isnan(hermite_averages(sigma, K[None], subsets(3, 2), (plain[0][:2],), 1e-11)[1]).all()
    values, errors = moments_together(sigma, K[None], subsets(3, 3), plain)
    truth, doubt = gaussian_moments(sigma, K[None], plain)
    assert (np.abs(values[0] - truth) <= errors[0] + doubt + ROUNDING).all()


@pytest.mark.parametrize("size", [2, 3])
def test_control(size, monkeypatch):
    """Without the second coefficient nothing agrees."""
    made = hermite_series._Job._integrated

    def without(self, *arguments):
        values, *rest = made(self, *arguments)
        values[..., 1] = 0.0
        return values, *rest

    monkeypatch.setattr(hermite_series._Job, "_integrated", without)
    values, errors, truth, doubt = compared("gelu", size, kernel(4, 40))
    assert (np.abs(values - truth) > 1e3 * (errors + doubt)).any()
