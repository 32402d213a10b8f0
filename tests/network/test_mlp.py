"""Descriptions of networks: what they accept, what they refuse."""

import math
import pickle

import numpy as np
import pytest

from rgflow.errors import InputError, RgflowError, UnknownName
from rgflow.network import HYPERPARAMETERS, MLP, Dense


def test_widths_and_layers():
    net = MLP([5, 7, 3], "tanh", C_W=[1.0, 2.0], C_b=0.5)
    assert (net.depth, net.fan_in) == (2, (5, 7))
    assert net.layers == (Dense(0.5, 1.0), Dense(0.5, 2.0))
    assert net.hyperparameter("C_W") == (1.0, 2.0)


def test_uniform_is_as_wide_at_the_end_unless_told():
    assert MLP.uniform(n_in=3, width=8, depth=4).widths == (3, 8, 8, 8, 8)
    assert MLP.uniform(n_in=3, width=8, depth=1, n_out=2).widths == (3, 2)
    assert MLP.uniform(n_in=np.int32(3), width=np.uint8(8), depth=np.int64(2)).widths == (3, 8, 8)


def test_value_semantics():
    net = MLP([5, np.int64(7), 3], "tanh")
    assert net == MLP([5, 7, 3], "tanh")
    assert hash(net) == hash(MLP([5, 7, 3], "tanh"))
    assert net != MLP([5, 7, 3], "gelu")
    assert pickle.loads(pickle.dumps(net)) == net
    assert "MLP([5, 7, 3], 'tanh')" in repr(net)


@pytest.mark.parametrize("sigma", ["tanh", "leaky_relu", "z*tanh(z) - 1/3"])
def test_json_round_trip(sigma):
    net = MLP([5, 7, 3], sigma, C_b=[0.1, 1 / 3], C_W=1.7, lambda_b=0.2, lambda_W=[0.0, 3.0])
    assert MLP.from_json(net.to_json()) == net


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[1]",
        '{"kind": "MLP"}',
        '{"kind": "CNN", "widths": [1, 2]}',
        MLP([2, 2], "tanh").to_json().replace("tanh", "__import__('os').system('true')"),
        MLP([2, 2], "tanh").to_json().replace('"tanh"', "3"),
    ],
)
def test_foreign_json_is_refused(text):
    with pytest.raises(RgflowError):
        MLP.from_json(text)


@pytest.mark.parametrize(
    "widths", [[], [3], [3, 0], [3, -1, 2], [3, 2.5], [3, True], 7, "ab", [3, None], [3, math.nan]]
)
def test_bad_widths(widths):
    with pytest.raises(InputError, match="width"):
        MLP(widths, "tanh")


@pytest.mark.parametrize("depth", [0, -1, 2.0, "3", True, None])
def test_bad_depth(depth):
    with pytest.raises(InputError, match="depth"):
        MLP.uniform(n_in=3, width=8, depth=depth)


def test_a_depth_beyond_memory_is_refused():
    with pytest.raises(InputError, match="depth is 1000000000"):
        MLP.uniform(n_in=3, width=8, depth=10**9)


def test_hyperparameters_have_one_list():
    assert HYPERPARAMETERS == ("C_b", "C_W", "lambda_b", "lambda_W")
    net = MLP([3, 4], "tanh", C_b=1, C_W=2, lambda_b=3, lambda_W=4)
    assert [net.hyperparameter(name) for name in HYPERPARAMETERS] == [(1.0,), (2.0,), (3.0,), (4.0,)]
    assert MLP([3, 4], "tanh").layers == (Dense(),)
    for name in ("C_w", "widths", "__class__", None):
        with pytest.raises(UnknownName, match="unknown hyperparameter"):
            net.hyperparameter(name)
    with pytest.raises(UnknownName, match=r"did you mean .*'C_W'"):
        net.hyperparameter("C_w")
    with pytest.raises(InputError, match="C_b"):
        Dense("1")


@pytest.mark.parametrize("name", HYPERPARAMETERS)
@pytest.mark.parametrize(
    "value", [-1.0, math.nan, math.inf, 10**400, "1", None, [1.0], [1.0, 2.0, 3.0], [1.0, -2.0], 1j]
)
def test_bad_hyperparameters(name, value):
    with pytest.raises(InputError, match=name):
        MLP([3, 4, 5], "tanh", **{name: value})


@pytest.mark.parametrize("value", [True, np.True_, b"ab", "12", {0: 1.0, 1: 2.0}, {1.0, 2.0}, [1.0, True]])
def test_what_is_no_hyperparameter(value):
    with pytest.raises(InputError, match="C_W is"):
        MLP([3, 4, 5], "tanh", C_W=value)


def test_uniform_knows_its_keywords():
    with pytest.raises(UnknownName, match="unknown hyperparameter 'Cw'; did you mean 'C_W'"):
        MLP.uniform(n_in=3, width=8, depth=2, Cw=3)


def test_unknown_activation_is_suggested():
    with pytest.raises(RgflowError, match="tanh"):
        MLP([3, 4], "tahn")
