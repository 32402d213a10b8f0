"""Inputs and kernels of the first layer: one validation for flows and samples."""

import re
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

import rgflow as rg
from rgflow.network.inputs import given

EPS = np.finfo(float).eps
NET = rg.MLP([3, 8, 8], "tanh", C_b=0.1, C_W=1.5)
RELU = rg.MLP([3, 8, 8], "relu", C_W=2.0)
X = np.array([[1.0, -0.4, 0.3], [0.2, 0.9, -1.1]])


def test_overlaps():
    found = given(NET, X)
    np.testing.assert_allclose(found.overlap, X @ X.T / 3, rtol=1e-15)
    assert (found.place.tolist(), found.single) == ([0, 1], False)
    by_kernel = given(NET, first_kernel=0.1 + 1.5 * X @ X.T / 3)
    np.testing.assert_allclose(by_kernel.overlap, found.overlap, rtol=0, atol=4 * EPS)
    assert given(NET, X[0]).single
    assert given(NET, first_kernel=1.0).single
    assert not given(NET, X[[0, 0]]).single


def test_equal_inputs_are_merged_in_order():
    found = given(NET, np.stack([X[1], X[0], X[1], 0 * X[0], -0.0 * X[0]]))
    assert found.place.tolist() == [0, 1, 0, 2, 2]
    np.testing.assert_allclose(found.overlap[0, 0], X[1] @ X[1] / 3, rtol=1e-15)
    assert given(NET, first_kernel=np.ones((3, 3))).place.tolist() == [0, 0, 0]


def test_inputs_equal_to_rounding_are_merged():
    found = given(NET, [[0.3, 1, 0], [1, 0, 0], [0.1 + 0.2, 1, 0], [0.3, 1, 0.1 + 0.2 - 0.3]])
    assert found.place.tolist() == [0, 1, 0, 0]
    net = rg.MLP([2, 8, 8], "relu", C_W=2.0)
    near, equal = (rg.flow(net, [[0.3, 1.0], [x, 1.0]]) for x in (0.1 + 0.2, 0.3))
    np.testing.assert_array_equal(near["V"], equal["V"])
    for scale in (1e-170, 1e150):  # overlaps that underflow tell nothing; the entries do
        x = np.array([[0.3, 1, 0], [0.1 + 0.2, 1, 0], [0.3, 1, 1e-12]]) * scale
        assert given(NET, x).place.tolist() == [0, 0, 1]


@pytest.mark.parametrize("apart", [20 * EPS, 1e-12, 1e-9, 1e-3])
def test_similar_inputs_are_not_merged(apart):
    """Control: their overlaps agree to rounding long before the inputs do."""
    x = np.array([[0.3, 1.0, -0.4], [0.3, 1.0, -0.4 + apart]])
    assert given(NET, x).place.tolist() == [0, 1]


def test_expanding():
    found = given(NET, X[[1, 0, 1]])
    values = np.random.default_rng(0).normal(size=(2, 2, 2))
    np.testing.assert_array_equal(found.expand(values, 2), values[:, found.place][:, :, found.place])
    # tensors of one different input come without arguments or with arguments of size one
    same = given(NET, X[[0, 0]])
    for one in (np.array([3.0, 4.0]), np.array([3.0, 4.0]).reshape(2, 1, 1)):
        np.testing.assert_array_equal(same.expand(one, 2), [np.full((2, 2), 3.0), np.full((2, 2), 4.0)])
    assert given(NET, X[0]).expand(np.ones((2, 1, 1)), 2).shape == (2,)


@pytest.mark.parametrize("seed", range(20))
def test_kernels_of_dependent_inputs_are_accepted(seed):
    """Eigenvalues that vanish come out negative by rounding; the slack covers that and not much more."""
    rng = np.random.default_rng(seed)
    n_0, N = int(rng.choice([3, 784])), int(rng.choice([4, 20]))
    x = rng.normal(size=(N, 2)) @ rng.normal(size=(2, n_0)) + rng.choice([0.0, 5.0])  # of rank 3 at most
    net = rg.MLP([n_0, 8], "tanh", C_b=float(rng.choice([0.0, 0.3])), C_W=float(rng.choice([1e-3, 1.7, 1e3])))
    dense, overlap = net.layers[0], x @ x.T / n_0
    kernel = dense.C_b + dense.C_W * overlap
    assert len(given(net, first_kernel=kernel).place) == N
    null = np.linalg.eigh(overlap)[1][:, 0]
    with pytest.raises(rg.InputError, match="semidefinite"):
        given(net, first_kernel=kernel - 50 * N * EPS * kernel.max() * np.outer(null, null))


def test_a_vanishing_input_stays_at_zero():
    kernel = 0.1 * (1 - EPS)
    assert given(NET, first_kernel=kernel).overlap == 0.0
    with pytest.raises(rg.InputError, match="C_b"):
        given(NET, first_kernel=0.1 * (1 - 100 * EPS))


@pytest.mark.parametrize("values", [[1, 2, 3], np.float32([1, 2, 3]), [Fraction(1), 2, 3], [True, 2, 3]])
def test_numbers_of_other_types(values):
    assert given(NET, values).overlap.shape == (1, 1)
    assert given(NET, [10**30, 0, 0]).overlap[0, 0] == pytest.approx(1e60 / 3)


BOTH = (rg.flow, lambda *inputs, **options: rg.sample(*inputs, **options, networks=100, seed=1))


def message(call, *inputs, **options):
    with pytest.raises(rg.InputError) as caught:
        call(*inputs, **options)
    return str(caught.value)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"inputs": [1e200, 1e200, 1e200]}, "overflows; rescale"),
        ({"inputs": [[1e200, 0, 0], [-1e200, 1e200, 0]]}, "overflows; rescale"),
        ({"inputs": [[1e153, 0, 0]], "C_W": 1e10}, "K of layer 1 overflows"),
        ({"inputs": [[1e153, 0, 0]], "lambda_W": 1e10}, "Theta of layer 1 overflows"),
        ({"first_kernel": 1e300, "C_W": 1e-10}, "overflows"),
        ({"first_kernel": [[1e308, -1e308], [1e308, 1e308]]}, "not symmetric"),
        ({"first_kernel": 1.0, "C_W": 0.0}, "C_W = 0"),
        ({"first_kernel": 0.2, "C_b": 0.5}, "C_b = 0.5"),
        ({"first_kernel": [[1.0, 2.0], [2.0, 1.0]]}, "not positive semidefinite"),
        ({"inputs": [["1", "2", "3"]]}, "not an array of real numbers"),
        ({"inputs": b"123"}, "not an array of real numbers"),
        ({"inputs": [None, 1, 2]}, "not an array of real numbers"),
        ({"inputs": np.array([Decimal(1), 1, 2])}, r"its type is object; convert it with \.astype\(float\)"),
        ({"inputs": np.ma.masked_array([1.0, 2.0, 3.0], [0, 1, 0])}, "masked"),
        ({"inputs": [np.ma.masked_array([1.0, 2.0, 3.0], [0, 1, 0])]}, "masked"),
        ({"first_kernel": True}, "not an array of real numbers"),
        ({"first_kernel": np.ones((2, 2), bool)}, "not an array of real numbers"),
        ({"first_kernel": np.array([[1, True], [1, 1]], object)}, "not an array of real numbers"),
        ({"inputs": [10**400, 1, 2]}, "not an array of real numbers"),
        ({"inputs": np.zeros((0, 3))}, "empty"),
        ({}, "exactly one"),
    ],
)
def test_flow_and_sample_refuse_alike(options, match):
    options = dict(options)
    hyper = {name: options.pop(name) for name in list(options) if name in ("C_b", "C_W", "lambda_W")}
    net = rg.MLP([3, 8, 8], "tanh", **hyper)
    said = [message(call, net, **options) for call in BOTH]
    assert re.search(match, said[0])
    assert said[0] == said[1]


def test_a_masked_array_without_masked_entries_is_an_array():
    assert given(NET, np.ma.masked_array(X)).place.tolist() == [0, 1]


def test_flow_and_sample_treat_equal_inputs_alike():
    """P of a kinked activation is defined for one input, given once or twice."""
    for call in BOTH:
        one, two = call(RELU, X[0], tensors="P"), call(RELU, X[[0, 0]], tensors="P")
        assert two["P"].shape == (2, 2, 2, 2, 2)
        assert np.all(two["P"] == one["P"])
        with pytest.raises(rg.KinkError):
            call(RELU, X, tensors="P")
