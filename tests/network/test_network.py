"""Networks of layers of any kind: descriptions, what is refused, JSON, equality."""

import dataclasses
import json
import pickle

import numpy as np
import pytest

import rgflow as rg
from rgflow.network import HYPERPARAMETERS, Layer
from rgflow.network.layer import KINDS

ENDS = {"Dense": rg.Dense(C_W=2.0), "Linear": rg.Linear(), "Orthogonal": rg.Orthogonal()}
INNER = {"Residual": rg.Residual(skip=-0.5), "Branch": rg.Branch(hidden=4), "Reduced": rg.Reduced(C_b=0.2)}


def every_kind():
    return rg.Network(
        [rg.Dense(), *ENDS.values(), *INNER.values(), rg.Projection(C_P=0.5, hidden=3), rg.Linear()],
        [3, 8, 8, 8, 8, 8, 8, 8, 5, 1],
        "tanh",
    )


def test_a_network_describes_itself():
    net = every_kind()
    assert (net.depth, net.fan_in) == (9, net.widths[:-1])
    assert net.hyperparameters[:4] == HYPERPARAMETERS
    assert net.hyperparameter("skip") == (0, 0, 0, 0, -0.5, 0, 0, 0, 0)
    assert net.hyperparameter("C_b")[3] == 0.0  # an orthogonal layer has none
    assert set(KINDS) >= {type(layer).__name__ for layer in net.layers}
    assert repr(net).startswith("Network([Dense(")


def test_equal_networks_are_equal_and_survive_json_and_pickle():
    net = every_kind()
    assert rg.Network.from_json(net.to_json()) == net == pickle.loads(pickle.dumps(net))
    assert hash(rg.Network.from_json(net.to_json())) == hash(net)
    mlp = rg.MLP([3, 4, 1], "gelu", C_W=1.5)
    assert rg.Network.from_json(mlp.to_json()) == mlp
    assert isinstance(rg.Network.from_json(mlp.to_json()), rg.MLP)
    assert rg.Network(mlp.layers, mlp.widths, "gelu") != mlp


def test_a_network_of_dense_layers_flows_as_the_mlp():
    mlp = rg.MLP([3, 16, 16, 1], "tanh", C_W=[1.1, 1.2, 1.3], C_b=0.1)
    net = rg.Network(mlp.layers, mlp.widths, mlp.activation)
    one, other = (rg.flow(x, first_kernel=0.7, tensors=["K", "V", "Theta"]) for x in (mlp, net))
    for name in ("K", "V", "Theta", "K_1", "Theta_1"):
        np.testing.assert_array_equal(one[name], other[name])


@pytest.mark.parametrize("activation", ["gelu", "relu", "tanh"])
def test_a_linear_layer_between_dense_ones(activation):
    """Its law has no brackets: K = C_b + C_W K, V = 2 C_W^2 K^2 + r C_W^2 V."""
    layers = [rg.Dense(), rg.Linear(C_b=0.2, C_W=1.5), rg.Linear(C_W=0.5), rg.Dense()]
    net = rg.Network(layers, [4, 6, 12, 4, 1], activation)
    alone = rg.flow(net, first_kernel=1.3, tensors="K", order=0)
    ds = rg.flow(net, first_kernel=1.3, tensors=["K", "V"])
    K = [1.3, 0.2 + 1.5 * 1.3, 0.5 * (0.2 + 1.5 * 1.3)]
    V = [0.0, 2 * 1.5**2 * K[0] ** 2, 2 * 0.25 * K[1] ** 2 + 2 * 0.25 * 2 * 1.5**2 * K[0] ** 2]
    np.testing.assert_allclose(ds["K"][:3], K, rtol=1e-14)
    np.testing.assert_allclose(ds["V"][:3], V, rtol=1e-14)
    np.testing.assert_array_equal(alone["K"], ds["K"])


@pytest.mark.parametrize(
    ("layers", "widths", "message"),
    [
        ([rg.Dense()], [3], "at least n_0 and n_1"),
        ([rg.Dense()], [3, 4, 1], "1 layers with 3 widths"),
        ([rg.Dense(), "relu"], [3, 4, 1], "layer 2 is 'relu'"),
        (rg.Dense(), [3, 4], "sequence of layers"),
        ([rg.Residual(), rg.Dense()], [3, 3, 1], "the first layer is Residual.*Dense, Linear, Orthogonal"),
        ([rg.Dense(), rg.Branch()], [3, 3, 3], "the last layer is Branch"),
        ([rg.Dense(), rg.Residual(), rg.Dense()], [3, 4, 5, 1], "keeps the width, between widths 4 and 5"),
        ([rg.Dense(), rg.Reduced(), rg.Dense()], [3, 4, 5, 1], "keeps the width"),
        ([rg.Dense], [3, 4], "layer 1 is <class"),
    ],
)
def test_what_is_no_network_is_refused(layers, widths, message):
    with pytest.raises(rg.InputError, match=message):
        rg.Network(layers, widths, "tanh")


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_hyperparameters_are_checked(kind):
    made = KINDS[kind]
    signed = {f.name for f in dataclasses.fields(made) if f.metadata.get("check") is not None}
    for name in made.hyperparameters():
        for value in (float("nan"), float("inf"), "1", True, None, 1j):
            with pytest.raises(rg.InputError, match=f"{name} is"):
                made(**{name: value})
        if name not in signed:
            with pytest.raises(rg.InputError, match=f"{name} is -1.0"):
                made(**{name: -1})
    if "hidden" in made.__dataclass_fields__:
        for value in (0, 1.5, -3, "4"):
            with pytest.raises(rg.InputError, match="hidden"):
                made(hidden=value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "Tree"}, "does not describe a Network"),
        ({"layers": 3}, "must be a list"),
        ({"layers": [{"C_b": 1.0}]}, "it has no kind"),
        ({"layers": [{"kind": "Conv", "C_b": 1.0}]}, "Conv"),
        ({"layers": [{"kind": "Dense", "C_x": 1.0}]}, "hyperparameter of Dense layers"),
        ({"layers": [{"kind": "Dense", "C_b": -1.0}]}, "not negative"),
        ({"extra": 1}, "holds"),
        ({"activation": 3}, "holds"),
        ({"activation": "__import__('os')"}, "__import__"),
    ],
)
def test_json_that_is_no_network_is_refused(change, message):
    described = json.loads(rg.Network([rg.Dense()], [3, 1], "tanh").to_json())
    with pytest.raises(rg.RgflowError, match=message):
        rg.Network.from_json(json.dumps(described | change))
    for text in ("", "[]", "3", "{}", None, "[" * 100_000):
        with pytest.raises(rg.InputError):
            rg.Network.from_json(text)


def test_hyperparameters_that_a_kind_has_not_are_named():
    with pytest.raises(rg.UnknownName, match="hyperparameter of Orthogonal layers"):
        rg.Orthogonal(C_b=1.0)
    with pytest.raises(rg.UnknownName, match="skipp"):
        rg.Residual(skipp=1.0)
    with pytest.raises(rg.InputError, match="at most 2"):
        rg.Network([rg.Dense()], [3, 10**400], "tanh")


def test_two_kinds_of_one_name_are_refused():
    with pytest.raises(TypeError, match="two kinds of layer are called Dense"):
        type("Dense", (Layer,), {"__module__": "elsewhere"})


def test_saved_flows_know_their_network(tmp_path):
    net = rg.Network([rg.Dense(), rg.Residual(skip=0.5), rg.Dense()], [3, 8, 8, 1], "tanh")
    rg.save(rg.flow(net, first_kernel=1.0), tmp_path / "flow.nc")
    found = rg.load(tmp_path / "flow.nc")
    assert rg.Network.from_json(found.attrs["network"]) == net
    assert found["skip"].values.tolist() == [0.0, 0.5, 0.0]
