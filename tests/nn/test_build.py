"""Models of descriptions: forward and gradients against networks typed again, distributions against rg.sample."""

import copy

import brute_networks
import numpy as np
import pytest
import torch
from torch.func import functional_call, jacrev

import rgflow as rg
from rgflow.network import Layer
from rgflow.network.layer import KINDS as ALL
from rgflow.nn.models.build import build
from rgflow.nn.models.groups import learning_rate_tensor
from rgflow.nn.models.layers import module_of

X = np.array([[0.8, -0.5, 1.1], [0.3, 0.9, -0.4]])
DENSE = rg.Dense(C_W=1.4, C_b=0.1, lambda_b=0.3, lambda_W=1.2)
RATES = {"lambda_W": 1.2, "lambda_b": 0.3}
BRANCH = {"C_V": 0.5, "C_a": 0.1, "C_b": 0.1, "C_W": 1.5, "lambda_a": 0.2, "lambda_V": 0.7, **RATES}
KINDS = {
    "dense": DENSE,
    "linear": rg.Linear(C_W=1.3, C_b=0.2, **RATES),
    "residual": rg.Residual(skip=0.7, C_W=1.2, C_b=0.1, **RATES),
    "orthogonal": rg.Orthogonal(C_W=1.5, **RATES),
    "layer norm": rg.LayerNorm(skip=0.6, epsilon=0.5, C_W=1.2, C_b=0.1, **RATES),
    "layer norm after": rg.LayerNorm(place="after", epsilon=0.5, C_W=1.2, C_b=0.1, **RATES),
    "rms norm": rg.RMSNorm(skip=-0.6, epsilon=0.5, C_W=1.2, C_b=0.1, **RATES),
    "branch": rg.Branch(hidden=5, **BRANCH),
    "projection": rg.Projection(hidden=5, C_P=0.8, lambda_P=0.4, **BRANCH),
    "reduced": rg.Reduced(C_W=1.2, C_b=0.1, **RATES),
    "gated": rg.Gated(gate=-0.7, C_V=1.1, C_W=1.2, C_b=0.1, hidden=3, lambda_V=0.6, **RATES),
}
NAMES = {"inner.weight": "W", "inner.bias": "b", "own.weight": "V", "own.bias": "a", "projection.weight": "P"}


def network(layer, n=4, n_out=2):
    wider = n + 2 if isinstance(layer, rg.Projection) else n
    return rg.Network([DENSE, layer, DENSE], [3, n, wider, n_out], "tanh")


def vector(model, twin):
    """The parameters of a model in the order of the network typed again."""
    theta = np.zeros(twin.size)
    for l, module in enumerate(model.layers):
        named = dict(module.named_parameters())
        for name, parameter in named.items():
            inside = "inner.weight" in named and "own.weight" in named
            short = NAMES[name] if inside else {"weight": "W", "bias": "b"}[name.split(".")[1]]
            theta[twin.places[l][short][0]] = parameter.detach().numpy().reshape(-1)
    return theta


def tangent_kernel(model, x):
    """sum_mu lambda_mu dz_0 dz_0 for the first output neuron, by reverse-mode autograd."""
    rates = learning_rate_tensor(model)
    parameters = {name: p.detach() for name, p in model.named_parameters()}
    J = jacrev(lambda p: functional_call(model, p, (x,))[:, 0])(parameters)
    return sum(rates[name][1] * J[name].reshape(len(x), -1) @ J[name].reshape(len(x), -1).T for name in J)


@pytest.mark.parametrize("kind", KINDS)
def test_outputs_and_tangent_kernel_are_those_of_the_network_typed_again(kind):
    net = network(KINDS[kind])
    model = rg.nn.build(net, seed=3, dtype=torch.float64)
    twin = brute_networks.Network(net, X)
    theta = vector(model, twin)
    x = torch.from_numpy(X)
    for l, z in enumerate(model.preactivations(x), start=1):
        assert z.detach().numpy() == pytest.approx(twin.outputs(theta, l), rel=1e-13, abs=1e-14)
    assert torch.equal(model(x), model.preactivations(x)[-1])
    J = twin.gradients(theta)
    expected = np.einsum("p,pa,pb->ab", twin.rates, J[:, :, 0], J[:, :, 0])
    # Cauchy's formula: relative error below 1e-10 where a norm divides by epsilon (see brute_networks).
    assert tangent_kernel(model, x).numpy() == pytest.approx(expected, rel=1e-9)


def test_control_another_skip_is_seen():
    net = network(KINDS["residual"])
    model = rg.nn.build(net, seed=3, dtype=torch.float64)
    other = brute_networks.Network(network(rg.Residual(skip=0.6, C_W=1.2, C_b=0.1, **RATES)), X)
    assert np.abs(model(torch.from_numpy(X)).detach().numpy() - other.outputs(vector(model, other))).max() > 1e-3


def compare(kind, tensors, models, networks):
    """E[z z]/n and E[NTK] of models against sampled networks, the z-score of their difference."""
    net, x = network(KINDS[kind], n=6), torch.from_numpy(X)
    found = {name: [] for name in tensors}
    for sequence in np.random.SeedSequence(20261123).spawn(models):
        model = rg.nn.build(net, seed=sequence, dtype=torch.float64)
        z = model(x).detach()
        values = {"K": lambda m, z=z: z @ z.T / z.shape[1], "Theta": lambda m: tangent_kernel(m, x)}
        for name in tensors:
            found[name].append(values[name](model).numpy())
    sampled = rg.sample(net, X, tensors=tensors, networks=networks, seed=5)
    for name, values in found.items():
        mean, error = np.mean(values, axis=0), np.std(values, axis=0, ddof=1) / np.sqrt(models)
        last = sampled[name].sel(layer=net.depth).values
        error = np.hypot(error, sampled[f"{name}_se"].sel(layer=net.depth).values)
        # 11 kinds x 2 tensors x 3 entries: 4 standard errors are passed by chance in 0.4 % of all runs.
        assert (np.abs(mean - last) / error).max() < 4, name


@pytest.mark.parametrize("kind", KINDS)
def test_distribution_is_that_of_sampled_networks(kind):
    compare(kind, ["K"], 200, 4_000)


def test_mean_tangent_kernel_is_that_of_sampled_networks():
    compare("layer norm", ["Theta"], 60, 4_000)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_distribution_full_size(kind):
    compare(kind, ["K", "Theta"], 2_000, 100_000)


def test_control_another_variance_is_seen(monkeypatch):
    monkeypatch.setitem(KINDS, "other", rg.Dense(C_W=1.4, C_b=0.1))
    right = network(KINDS["other"], n=6)
    wrong = network(rg.Dense(C_W=9.0, C_b=0.1), n=6)
    monkeypatch.setattr(rg.nn, "build", lambda net, **options: build(wrong if net == right else net, **options))
    with pytest.raises(AssertionError, match="K"):
        compare("other", ["K"], 200, 4_000)


def test_orthogonal_weights_are_orthogonal():
    net = rg.Network([DENSE, rg.Orthogonal(C_W=1.5), rg.Orthogonal(C_W=1.5), DENSE], [3, 6, 6, 4, 2], "tanh")
    model = rg.nn.build(net, seed=0, dtype=torch.float64)
    square, wide = model.layers[1].own.weight, model.layers[2].own.weight
    assert (square @ square.T).detach().numpy() == pytest.approx(1.5 * np.eye(6), abs=1e-13)
    assert (wide @ wide.T).detach().numpy() == pytest.approx(1.5 * np.eye(4), abs=1e-13)


# Seeds, dtypes, what is trained ---------------------------------------------------------------------------------------


def test_seeds_say_everything_and_leave_the_global_generator_alone():
    net = network(KINDS["branch"])
    before = torch.get_rng_state()
    one, two = rg.nn.build(net, seed=1), rg.nn.build(net, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(p, q) for p, q in zip(one.parameters(), two.parameters(), strict=True))
    other = rg.nn.build(net, seed=2)
    assert not torch.equal(one.layers[0].own.weight, other.layers[0].own.weight)


def test_every_dtype_has_the_same_numbers():
    net = network(KINDS["layer norm"])
    double = rg.nn.build(net, seed=1, dtype=torch.float64)
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        model = rg.nn.build(net, seed=1, dtype=dtype)
        assert {p.dtype for p in model.parameters()} == {dtype}
        assert torch.equal(model.layers[1].own.weight, double.layers[1].own.weight.to(dtype))
        assert model(torch.from_numpy(X).to(dtype)).dtype == dtype
    assert rg.nn.build(net, seed=1).layers[0].own.weight.dtype == torch.get_default_dtype()
    on_meta = rg.nn.build(net, seed=1, device="meta")
    assert on_meta(torch.ones(2, 3, device="meta")).shape == (2, 2)


def test_a_model_can_be_copied():
    model = rg.nn.build(network(KINDS["gated"]), seed=1)
    assert torch.equal(copy.deepcopy(model)(torch.ones(3)), model(torch.ones(3)))


def test_what_has_rate_zero_is_not_trained():
    net = rg.Network([rg.Linear(lambda_b=0), rg.Projection(), rg.Dense(C_b=0.1, lambda_b=0)], [3, 4, 6, 2], "relu")
    model = rg.nn.build(net, seed=0)
    assert model.layers[0].own.bias is None
    assert not model.layers[1].projection.weight.requires_grad
    assert model.layers[2].own.bias.abs().sum() > 0
    assert not model.layers[2].own.bias.requires_grad
    named = {group["name"]: group["lr"] for group in rg.nn.groups(model, 0.5)}
    assert named == {
        "layers.0.own.weight": 0.5 / 3,
        "layers.1.inner.weight": 0.5 / 4,
        "layers.1.inner.bias": 0.5,
        "layers.1.own.weight": 0.5 / 6,
        "layers.1.own.bias": 0.5,
        "layers.2.own.weight": 0.5 / 6,
    }


def test_a_step_with_these_groups_moves_outputs_by_the_tangent_kernel():
    """dz = -eta Theta dL/dz + O(eta^2): the same step with half the rate leaves a quarter of the remainder."""
    net, x = network(KINDS["dense"], n_out=1), torch.from_numpy(X)
    remainders = []
    for eta in (1e-3, 5e-4):
        model = rg.nn.build(net, seed=4, dtype=torch.float64)
        before, theta = model(x).detach(), tangent_kernel(model, x)
        optimizer = torch.optim.SGD(rg.nn.groups(model, eta))
        (model(x) ** 2 / 2).sum().backward()
        optimizer.step()
        remainders.append((model(x).detach() - before + eta * theta @ before).norm().item())
    assert remainders[0] / remainders[1] == pytest.approx(4, rel=0.05)


# Refusals -------------------------------------------------------------------------------------------------------------


def test_what_is_refused():
    net = network(DENSE)
    for wrong in (None, "tanh", [3, 4], torch.nn.Linear(2, 2)):
        with pytest.raises(rg.InputError, match="not a network"):
            rg.nn.build(wrong)
    for dtype in (torch.int64, torch.complex64, "float32"):
        with pytest.raises(rg.InputError, match="dtype"):
            rg.nn.build(net, dtype=dtype)
    with pytest.raises(rg.InputError, match="seed"):
        rg.nn.build(net, seed=-1)
    model = rg.nn.build(net, seed=0)
    for rate in (0, -1.0, float("nan"), float("inf"), "0.1", True):
        with pytest.raises(rg.InputError, match="learning_rate"):
            rg.nn.groups(model, rate)
    with pytest.raises(rg.InputError, match=r"0\.weight"):
        rg.nn.groups(torch.nn.Sequential(torch.nn.Linear(2, 2)), 0.1)
    with pytest.raises(rg.InputError, match="not a torch module"):
        rg.nn.groups(net, 0.1)
    frozen = rg.nn.build(rg.MLP([3, 2], "tanh", lambda_b=0, lambda_W=0), seed=0)
    with pytest.raises(rg.InputError, match="no parameter"):
        rg.nn.groups(frozen, 0.1)


def test_every_kind_of_layer_is_built():
    unknown = module_of.dispatch(object)
    assert [name for name, kind in ALL.items() if module_of.dispatch(kind) is unknown] == []


def test_a_kind_that_no_file_builds_is_refused():
    with pytest.raises(rg.InputError, match="rgflow/nn/models/kinds"):
        module_of(Layer(), None)
