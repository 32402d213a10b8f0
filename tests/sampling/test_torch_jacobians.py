"""Partial Jacobians of PyTorch models at initialisation, by Hutchinson's estimator, against theory at next order.

For v uniform on the unit sphere of the outputs E_v |(dz^l/dz^{l0})^T v|^2 = (1/n_l) sum_ij (dz^l_j/dz^{l0}_i)^2: one
backward pass of automatic differentiation for each v. Seeds were fixed before looking.
"""

import math
from itertools import pairwise

import numpy as np
import pytest

import rgflow as rg
from rgflow.flow.jacobian import partial_jacobian

torch = pytest.importorskip("torch")

DEPTH, PROBES, INPUT = 5, 3, 8
SIGMAS = {"tanh": torch.tanh, "relu": torch.relu, "erf": torch.erf, "gelu": torch.nn.functional.gelu}
MODELS = {
    "tanh": (rg.Dense(C_W=1.0), "tanh"),
    "tanh, chaotic": (rg.Dense(C_W=2.0, C_b=0.1), "tanh"),
    "relu": (rg.Dense(C_W=2.0), "relu"),
    "gelu": (rg.Dense(C_W=1.9, C_b=0.2), "gelu"),
    "erf": (rg.Dense(C_W=math.pi / 4), "erf"),
    "residual tanh": (rg.Residual(skip=0.9, C_W=0.19), "tanh"),
    "residual erf": (rg.Residual(skip=1.0, C_W=1.0, C_b=0.1), "erf"),
    "residual relu": (rg.Residual(skip=0.8, C_W=0.72), "relu"),
    "LayerNorm before erf": (rg.LayerNorm(C_W=1.0, C_b=0.1), "erf"),
    "LayerNorm before relu, skip 1": (rg.LayerNorm(skip=1.0, C_W=1.0), "relu"),
    "LayerNorm after gelu, skip 0.5": (rg.LayerNorm(place="after", skip=0.5, C_W=0.6, C_b=0.6), "gelu"),
    "RMSNorm before tanh, skip 0.9": (rg.RMSNorm(skip=0.9, C_W=1.0, C_b=0.1), "tanh"),
}


def passed(layer, sigma, width):
    """What the weights read of z: sigma, with the norm of the layer on its side."""
    act = SIGMAS[sigma]
    if not isinstance(layer, rg.LayerNorm):
        return act
    kind = torch.nn.RMSNorm if isinstance(layer, rg.RMSNorm) else torch.nn.LayerNorm
    norm = kind(width, eps=layer.epsilon, elementwise_affine=False)
    return (lambda z: act(norm(z))) if layer.place == "before" else lambda z: norm(act(z))


class Model(torch.nn.Module):
    """z^1 = W x + b, z^{l+1} = W sigma(z^l) + b + skip z^l, initialised with the variances of a description."""

    def __init__(self, layer, sigma, width):
        super().__init__()
        self.sigma, self.skip = passed(layer, sigma, width), layer.value("skip")
        sizes = [INPUT] + [width] * DEPTH
        self.weights = torch.nn.ModuleList(torch.nn.Linear(n, m, dtype=torch.float64) for n, m in pairwise(sizes))
        for i, linear in enumerate(self.weights):
            torch.nn.init.normal_(linear.weight, std=math.sqrt((layer.C_W if i else 1.0) / linear.in_features))
            torch.nn.init.normal_(linear.bias, std=math.sqrt(layer.C_b if i else 0.0))

    def forward(self, x):
        """All z, from the first layer on."""
        found = [self.weights[0](x)]
        for linear in self.weights[1:]:
            found.append(linear(self.sigma(found[-1])) + self.skip * found[-1])
        return found


def measured(layer, sigma, width, networks, seed, first=1):
    """J of layers first + 1, .. with respect to layer 1: mean and standard error over models."""
    torch.manual_seed(seed)
    x = torch.ones(INPUT, dtype=torch.float64)  # x.x/n_0 = 1
    each = np.empty((networks, DEPTH - first))
    for row in each:
        z = Model(layer, sigma, width)(x)
        for l in range(first, DEPTH):
            v = torch.randn(PROBES, width, dtype=torch.float64)
            v /= v.norm(dim=1, keepdim=True)
            (back,) = torch.autograd.grad(z[l], z[0], v, retain_graph=True, is_grads_batched=True)
            row[l - first] = float((back**2).sum(dim=1).mean())
    return each.mean(axis=0), each.std(axis=0, ddof=1) / math.sqrt(networks)


def theory(layer, sigma, width):
    """J + J_1/n, and what may be left out of it."""
    tail = [] if layer.ends else [rg.Dense()]
    layers = [rg.Dense(C_W=1.0), *[layer] * (DEPTH - 1), *tail]
    net = rg.Network(layers, [INPUT] + [width] * len(layers), sigma)
    total = rg.total(partial_jacobian(net, first_kernel=1.0, order=1))
    return total["J"].values[1:DEPTH], total["J_error"].values[1:DEPTH]


def check(name, width, networks, seed, first=1):
    layer, sigma = MODELS[name]
    # other draws for every model, or all would be off alike
    mean, error = measured(layer, sigma, width, networks, seed + 1000 * list(MODELS).index(name), first)
    expected, _ = theory(layer, sigma, width)
    return (mean - expected[first - 1 :]) / error


@pytest.mark.parametrize("name", MODELS)
def test_models_agree_within_three_standard_errors(name):
    """Of the last layer, one number for every model: of 32 numbers one may well be further away.

    J is skewed, so that the error of much fewer models is not known well enough to be counted three times.
    """
    assert abs(check(name, 48, 240, 20260, DEPTH - 1)[0]) < 3


def test_control_a_model_without_its_skip_disagrees():
    layer, sigma = MODELS["residual tanh"]
    mean, error = measured(rg.Dense(C_W=layer.C_W), sigma, 48, 100, 20260, DEPTH - 1)
    assert abs(mean[0] - theory(layer, sigma, 48)[0][-1]) > 10 * error[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_all_layers_of_more_models_agree_within_three_standard_errors(name):
    assert np.abs(check(name, 128, 1500, 20261)).max() < 3
