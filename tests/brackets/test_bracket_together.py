"""Averages over many inputs on shared grids, against nested sums, Wick's theorem and a plain sum, with controls."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

import rgflow as rg
from rgflow.brackets import conditional, gaussian_moments, outer_pairs
from rgflow.brackets.conditional import Group, conditional_averages
from rgflow.brackets.sensitivity import sensitivity
from rgflow.brackets.together import moments_together

PLAIN = tuple(((0,), 0) for _ in range(4))
MOMENTS = {
    2: [(((0,), 4), ((0,), 0)), (((0, 0), 0), ((1, 1), 0)), (((0,), 2), ((0,), 2)), (((0, 1, 2), 0), ((1,), 0))],
    3: [(((0, 1), 0), ((1,), 0), ((2,), 0)), (((0,), 0), ((0,), 0), ((0, 0), 0)), (((2,), 0), ((1, 1), 0), ((0,), 0))],
    4: [PLAIN, (((0,), 0), ((1,), 0), ((1,), 0), ((2,), 0)), (((3,), 0), ((1,), 0), ((1,), 0), ((1,), 0))],
}


def kernel(inputs, rank, seed=0, C_b=0.1, C_W=1.4):
    x = np.random.default_rng(seed).normal(size=(inputs, rank))
    return C_b + C_W * x @ x.T / rank


def subsets(inputs, size):
    return np.array(list(combinations(range(inputs), size)), np.int64)


def isserlis(K, indices):
    """E[z_i z_j ..] by pairing the first factor with each other one."""
    if len(indices) % 2:
        return 0.0
    if not indices:
        return 1.0
    first, rest = indices[0], indices[1:]
    return sum(K[first, other] * isserlis(K, rest[:i] + rest[i + 1 :]) for i, other in enumerate(rest))


@pytest.mark.parametrize(("sigma", "rank"), [("tanh", 6), ("gelu", 6), ("swish", 3), ("sin", 2), ("erf", 1)])
@pytest.mark.parametrize("size", [2, 3, 4])
def test_shared_grids_are_nested_sums(sigma, rank, size):
    """Random and singular covariances; the second route shares neither grid, table nor series."""
    activation, K, sets = rg.activation(sigma), kernel(5, rank), subsets(5, size)
    values, errors = moments_together(activation, K[None], sets, MOMENTS[size])
    some = [0, len(sets) // 2]
    parts = K[sets[some][:, :, None], sets[some][:, None, :]]
    truth, doubt = gaussian_moments(activation, parts, MOMENTS[size])
    assert (np.abs(values[0, some] - truth) <= errors[0, some] + doubt).all()
    assert (errors[0] < 1e-8 * np.abs(values[0]).max()).all()


def test_nearly_equal_inputs_keep_their_digits():
    x = np.random.default_rng(1).normal(size=(4, 5))
    x[1] = x[0] + 1e-5
    x[3] = x[2] * (1 - 1e-7)
    K = x @ x.T / 5
    activation = rg.activation("tanh")
    values, errors = moments_together(activation, K[None], subsets(4, 4), MOMENTS[4])
    truth, doubt = gaussian_moments(activation, K[None], MOMENTS[4])
    assert (np.abs(values[0] - truth) <= errors[0] + doubt).all()
    assert errors.max() < 1e-9


def test_polynomials_are_wicks_theorem():
    """sigma = z^3 / 3 - z: all averages are sums over pairings."""
    K = kernel(4, 4, seed=2)
    values, errors = moments_together(rg.activation("z^3/3 - z"), K[None], subsets(4, 4), [PLAIN])
    truth = 0.0
    for powers in np.ndindex(2, 2, 2, 2):
        factors = tuple(i for i, cubic in enumerate(powers) for _ in range(3 if cubic else 1))
        truth += np.prod([1 / 3 if cubic else -1.0 for cubic in powers]) * isserlis(K, factors)
    assert abs(values[0, 0, 0] - truth) <= errors[0, 0, 0] + 1e-13 * abs(truth)
    assert errors[0, 0, 0] < 1e-9 * abs(truth)


def test_a_plain_sum_in_four_dimensions():
    K = kernel(4, 6, seed=3)
    t = np.linspace(-7.2, 7.2, 49)
    w = np.exp(-0.5 * t * t)
    w /= w.sum()
    L = np.linalg.cholesky(K)
    f = np.tanh
    total = 0.0
    for a, weight in zip(t, w, strict=True):
        b, c, d = t[:, None, None], t[None, :, None], t[None, None, :]
        first = f(L[0, 0] * a)
        second = f(L[1, 0] * a + L[1, 1] * b)
        third = f(L[2, 0] * a + L[2, 1] * b + L[2, 2] * c)
        fourth = f(L[3, 0] * a + L[3, 1] * b + L[3, 2] * c + L[3, 3] * d) @ w
        total += weight * first * (w @ ((second * third)[..., 0] * fourth) @ w)
    values, errors = moments_together(rg.activation("tanh"), K[None], subsets(4, 4), [PLAIN])
    # the step of 0.3 leaves exp(-2 pi 1.57 / (0.3 s)) of poles at distance 1.57 / s, s the largest root of K
    step = np.exp(-2 * np.pi * 1.57 / (0.3 * np.sqrt(K.max())) + 0.5 * (1.57 / np.sqrt(K.max())) ** 2)
    assert abs(values[0, 0, 0] - total) <= errors[0, 0, 0] + 10 * step


def test_groups_and_threads_change_nothing():
    activation = rg.activation("gelu")
    kernels = np.stack([kernel(5, 5, seed) for seed in range(3)])
    together, _ = moments_together(activation, kernels, subsets(5, 4), [PLAIN])
    threaded, _ = moments_together(activation, kernels, subsets(5, 4), [PLAIN], threads=2)
    assert np.array_equal(together, threaded)
    for K, found in zip(kernels, together, strict=True):
        alone, errors = moments_together(activation, K[None], subsets(5, 4), [PLAIN])
        assert (np.abs(alone[0] - found) <= 2 * errors[0]).all()


def test_errors_of_the_covariance_are_carried():
    """The bound holds for displacements in any direction, and is not idle."""
    activation, K, sets = rg.activation("tanh"), kernel(4, 6, seed=4), subsets(4, 4)
    doubts = 1e-5 * np.ones_like(K)
    bound = sensitivity(activation, K[None], doubts[None], sets, MOMENTS[4])
    plain, _ = moments_together(activation, K[None], sets, MOMENTS[4])
    rng = np.random.default_rng(0)
    for _ in range(4):
        signs = np.sign(rng.normal(size=K.shape))
        moved = K + doubts * np.triu(signs) + (doubts * np.triu(signs, 1)).T
        change = np.abs(moments_together(activation, moved[None], sets, MOMENTS[4])[0] - plain)
        assert (change <= 1.001 * bound).all()
        assert (change > 1e-3 * bound).any()


@pytest.mark.parametrize("broken", ["term", "index"])
def test_controls(broken, monkeypatch):
    """A dropped Hermite coefficient, or the wrong input inside, is far outside the error."""
    activation, K, sets = rg.activation("gelu"), kernel(4, 6, seed=5), subsets(4, 4)
    truth, doubt = gaussian_moments(activation, K[None], [PLAIN])
    right = conditional_averages(activation, K[None], Group(sets, (PLAIN,)), 1e-11)
    assert abs(right[0][0, 0, 0] - truth[0, 0]) <= right[1][0, 0, 0] + doubt[0, 0]
    if broken == "term":
        made = conditional.smoothed

        def without(*arguments):
            found = made(*arguments)
            cells = found.cells.copy()
            cells[:, :, 1] = 0.0
            return replace(found, cells=cells)

        monkeypatch.setattr(conditional, "smoothed", without)
    else:
        monkeypatch.setattr(outer_pairs, "OUTER_4", tuple((p, q, r, r) for p, q, r, _ in outer_pairs.OUTER_4))
    wrong = conditional_averages(activation, K[None], Group(sets, (PLAIN,)), 1e-11)
    assert abs(wrong[0][0, 0, 0] - truth[0, 0]) > 1e4 * (wrong[1][0, 0, 0] + doubt[0, 0])


def test_what_cannot_be_done_here_is_still_done():
    """Kinks and exponential growth: the nested sums, through the same door."""
    K = kernel(3, 4)[None] / 8
    for sigma in ("relu", "exp(z)"):
        values, errors = moments_together(rg.activation(sigma), K, subsets(3, 3), [PLAIN[:3]])
        truth, doubt = gaussian_moments(rg.activation(sigma), K, [PLAIN[:3]])
        assert np.array_equal(values[0], truth)
        assert np.array_equal(errors[0], doubt)
