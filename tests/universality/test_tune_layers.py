"""Networks of several kinds of layers at criticality: every layer by its kind, rates that share Theta equally."""

from dataclasses import replace

import numpy as np
import pytest
from sources.critical_points import CRITICAL

import rgflow as rg

INPUT = np.array([1.0, 0.5, -0.3])


def mixed(activation):
    listed = [rg.Dense(C_b=0.2), *[rg.Residual(skip=0.9, C_W=3.0)] * 2, rg.Linear(C_W=0.2), rg.Residual(skip=0.0)]
    return rg.Network([*listed, rg.Dense(lambda_W=0.3)], [3, 8, 8, 8, 8, 8, 2], activation)


def test_every_layer_of_a_network_is_tuned_by_its_kind():
    tuned = rg.tune(mixed("gelu"), INPUT)
    kernels = rg.flow(tuned, INPUT, tensors=["K"], order=0)["K"].values
    np.testing.assert_allclose(kernels, CRITICAL["gelu"][3], rtol=1e-11)
    assert type(tuned) is rg.Network
    assert [type(layer) for layer in tuned.layers] == [type(layer) for layer in mixed("gelu").layers]
    assert tuned.layers[1].skip == 0.9
    assert tuned.layers[1] == tuned.layers[2]
    assert (tuned.layers[3].C_b, tuned.layers[3].C_W) == (0.0, 1.0)
    assert tuned.layers[4].C_W == tuned.layers[5].C_W
    assert tuned.layers[5].lambda_W == 0.3
    assert rg.tune(tuned, INPUT) == tuned
    assert isinstance(rg.tune(rg.MLP([3, 8, 1], "relu")), rg.MLP)


def test_a_layer_that_cannot_be_critical_is_named():
    def net(layer, activation="gelu"):
        return rg.Network([rg.Dense(), layer, rg.Dense()], [3, 8, 8, 1], activation)

    for layer in (rg.Orthogonal(), rg.Branch(), rg.Residual(skip=1.0)):
        with pytest.raises(rg.NoCriticalPoint, match="layer 2"):
            rg.tune(net(layer))
    with pytest.raises(rg.InputError, match="layer 2 is Linear"):
        rg.learning_rates(net(rg.Linear()))
    with pytest.raises(rg.NoCriticalPoint, match="layer 2"):
        rg.learning_rates(net(rg.Branch()))
    assert rg.tune(net(rg.Orthogonal(), "tanh")).layers[1] == rg.Orthogonal(C_W=1.0)


@pytest.mark.parametrize("name", ["tanh", "relu"])
def test_learning_rates_share_theta_equally_across_residual_layers(name):
    """Each layer's biases alone, in a flow of Theta; a dense network's rates do not do it."""
    depth, skip = 160, 0.7
    listed = [rg.Dense(), *[rg.Residual(skip=skip)] * (depth - 2), rg.Dense()]
    net = rg.tune(rg.Network(listed, [4] * depth + [1], name), learning_rates=True)
    only = [replace(layer, lambda_b=float(i == 0), lambda_W=0.0) for i, layer in enumerate(net.layers)]
    flow = rg.flow(rg.Network(only, net.widths, name), first_kernel=1.0, tensors=["Theta"], order=0)
    product = flow["Theta"].values
    late = slice(60, depth)

    def spread(rates):
        shares = (np.array(rates) * product[-1] / product)[late]
        return shares.max() / shares.min()

    assert spread(net.hyperparameter("lambda_b")) < 1.1
    if name == "tanh":
        assert spread([1.0] * depth) > 1.5  # control
    total = rg.flow(net, first_kernel=1.0, tensors=["Theta"], order=0)["Theta"].values[-1]
    assert 0.5 < total < 5
    dense = rg.MLP.uniform(n_in=2, width=4, depth=5, activation=name)
    assert rg.learning_rates(rg.Network(dense.layers, dense.widths, name)) == rg.learning_rates(dense)
