"""``tune``: a network at its critical point."""

import sys

import numpy as np
import pytest
from sources.critical_points import CRITICAL

import rgflow as rg
from rgflow import MLP, InputError, NoCriticalPoint
from rgflow.universality.points import points

tune_module = sys.modules["rgflow.universality.tune"]  # its name in the package is the function
INPUTS = np.array([[1.0, 0.5, -0.3], [0.2, -1.0, 0.7]])


def before(name, **columns):
    return MLP([3, 8, 8, 8, 2], name, C_b=0.3, C_W=0.9, lambda_b=0.4, lambda_W=[0.1, 0.2, 0.3, 0.4], **columns)


@pytest.mark.parametrize("name", CRITICAL)
def test_every_layer_is_critical(name):
    net = before(name)
    tuned = rg.tune(net)
    _, C_b, C_W, _ = CRITICAL[name]
    assert tuned.hyperparameter("C_b") == pytest.approx((C_b,) * 4, rel=1e-11)
    assert tuned.hyperparameter("C_W") == pytest.approx((C_W,) * 4, rel=1e-11)
    assert (tuned.widths, tuned.activation) == (net.widths, net.activation)
    assert tuned.hyperparameter("lambda_b") == net.hyperparameter("lambda_b")
    assert tuned.hyperparameter("lambda_W") == net.hyperparameter("lambda_W")
    assert net == before(name)  # untouched
    assert rg.tune(tuned) == tuned


@pytest.mark.parametrize("name", ["gelu", "swish"])
def test_inputs_start_at_the_fixed_point(name):
    """The first layer's C_W brings one input to K*, and the kernel stays; of several inputs, their mean."""
    K_star = CRITICAL[name][3]
    tuned = rg.tune(before(name), INPUTS[0])
    kernels = rg.flow(tuned, INPUTS[0], tensors=["K"], order=0)["K"].values
    np.testing.assert_allclose(kernels, K_star, rtol=1e-11)
    size = INPUTS[0] @ INPUTS[0] / 3
    assert tuned.hyperparameter("C_W")[0] == pytest.approx((K_star - CRITICAL[name][1]) / size, rel=1e-11)
    assert tuned.hyperparameter("C_W")[1:] == rg.tune(before(name)).hyperparameter("C_W")[1:]
    both = rg.tune(before(name), INPUTS)
    first = rg.flow(both, INPUTS, tensors=["K"], order=0)["K"].values[0]
    assert np.trace(first) / 2 == pytest.approx(K_star, rel=1e-11)
    assert first[0, 0] != pytest.approx(first[1, 1], rel=1e-3)


def test_an_input_that_is_shown_twice_counts_twice():
    """The mean is over inputs as they are given."""
    tuned = rg.tune(before("gelu"), INPUTS[[0, 0, 1]])
    a, b = (float(x @ x) / 3 for x in INPUTS)
    expected = (CRITICAL["gelu"][3] - CRITICAL["gelu"][1]) / ((2 * a + b) / 3)
    assert tuned.hyperparameter("C_W")[0] == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize("name", ["tanh", "relu"])
def test_other_classes_do_not_need_inputs(name):
    assert rg.tune(before(name), INPUTS) == rg.tune(before(name))


def test_with_learning_rates():
    tuned = rg.tune(before("tanh"), learning_rates=True)
    expected = rg.learning_rates("tanh", 4)
    assert tuned.hyperparameter("lambda_b") == expected["lambda_b"]
    assert tuned.hyperparameter("lambda_W") == expected["lambda_W"]
    assert tuned.hyperparameter("C_W") == (1.0,) * 4


def test_an_own_activation():
    tuned = rg.tune(before("z - z^3*exp(-z^2)/2"))
    assert tuned.hyperparameter("C_b") == (0.0,) * 4
    assert tuned.hyperparameter("C_W") == (1.0,) * 4


@pytest.mark.parametrize("wrong", [None, "tanh", [3, 8, 2], rg.activation("tanh")])
def test_only_networks(wrong):
    with pytest.raises(InputError, match="not a network"):
        rg.tune(wrong)


@pytest.mark.parametrize(
    "wrong",
    [np.zeros(3), np.zeros((2, 3)), np.ones(2), np.ones((2, 2)), [np.nan, 1.0, 1.0], [np.inf, 1.0, 1.0], "x", [[]]],
)
def test_hostile_inputs(wrong):
    with pytest.raises(InputError):
        rg.tune(before("gelu"), wrong)


@pytest.mark.parametrize("name", ["tanh", "relu"])
def test_hostile_inputs_where_they_are_not_needed(name):
    """An array that does not fit the network is a mistake also where the numbers are not used."""
    with pytest.raises(InputError):
        rg.tune(before(name), np.ones(7))


def test_wrong_points_are_noticed(monkeypatch):
    """Control: C_b = 0, C_W = 4 are critical for GELU too, at K* = 0; and a first layer that is not brought to K*."""
    real, right = tune_module.recommended, rg.tune
    monkeypatch.setattr(tune_module, "recommended", lambda sigma: points(sigma)[-1])
    with pytest.raises(AssertionError):
        test_every_layer_is_critical("gelu")
    monkeypatch.setattr(tune_module, "recommended", real)
    test_inputs_start_at_the_fixed_point("gelu")
    monkeypatch.setattr(rg, "tune", lambda net, inputs=None: right(net))
    with pytest.raises(AssertionError):
        test_inputs_start_at_the_fixed_point("gelu")


def test_no_point_no_tuning():
    with pytest.raises(NoCriticalPoint, match="sigmoid"):
        rg.tune(before("sigmoid"))
