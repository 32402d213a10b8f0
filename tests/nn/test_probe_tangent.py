"""Tangent kernels of models: brute-force gradients, random directions and their variance, spread over networks."""

import numpy as np
import pytest
import torch
from torch import nn

import rgflow as rg
from rgflow.errors import InputError, UnknownName
from rgflow.nn import build, tangent_kernel, tangent_kernel_spread
from rgflow.nn.probes.tangent import Gradients, learning_rates
from rgflow.nn.smoothness.directions import generator

X = torch.randn(3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
NET = rg.MLP([4, 7, 6, 3], "tanh", C_W=1.5, C_b=0.1, lambda_W=0.7, lambda_b=0.3)


def brute(model, x, rates):
    """H_ij;ab from one gradient for each output of each input."""
    parameters = dict(model.named_parameters())
    rows = []
    for one in x:
        y = model(one[None])[0]
        of_outputs = [torch.autograd.grad(y[i], list(parameters.values()), retain_graph=True) for i in range(len(y))]
        weights = [rates[name] ** 0.5 for name in parameters]
        rows.append([torch.cat([w * g.flatten() for w, g in zip(weights, gs, strict=True)]) for gs in of_outputs])
    J = torch.stack([torch.stack(row) for row in rows])  # N, outputs, parameters
    return torch.einsum("aip,bjp->ijab", J, J).numpy()


def test_brute_force():
    model = build(NET, seed=1, dtype=torch.float64)
    rates = {name: 0.3 if name.endswith("bias") else 0.7 / p.shape[1] for name, p in model.named_parameters()}
    H = brute(model, X, rates)
    ds = tangent_kernel(model, X, outputs="all")
    np.testing.assert_allclose(ds["H"], H, rtol=1e-10)
    np.testing.assert_allclose(ds["Theta"], np.einsum("iiab->ab", H) / 3, rtol=1e-10)
    np.testing.assert_allclose(tangent_kernel(model, X)["Theta"], ds["Theta"], rtol=1e-12)
    one = tangent_kernel(model, X[:1])
    assert one["Theta"].dims == ()
    assert float(one["Theta"]) == pytest.approx(float(ds["Theta"][0, 0]), rel=1e-12)


def test_control_rates_count():
    model = build(NET, seed=1, dtype=torch.float64)
    wrong = brute(model, X, dict.fromkeys(dict(model.named_parameters()), 1.0))
    assert np.abs(tangent_kernel(model, X, outputs="all")["H"].values / wrong - 1).max() > 0.1


def test_optimizer_groups():
    """Rates of an optimizer's groups; what is in no group is not trained; frozen ones neither."""
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2)).double()
    optimizer = torch.optim.SGD(
        [{"params": model[0].weight, "lr": 0.5}, {"params": [model[2].bias], "lr": 2.0}], lr=1.0
    )
    rates = {"0.weight": 0.5, "0.bias": 0.0, "2.weight": 0.0, "2.bias": 2.0}
    np.testing.assert_allclose(
        tangent_kernel(model, X, groups=optimizer, outputs="all")["H"], brute(model, X, rates), rtol=1e-10
    )
    plain = tangent_kernel(model, X, outputs="all")["H"]
    np.testing.assert_allclose(plain, brute(model, X, dict.fromkeys(rates, 1.0)), rtol=1e-10)
    model[0].weight.requires_grad_(False)
    frozen = tangent_kernel(model, X, outputs="all")["H"].values
    model[0].weight.requires_grad_(True)
    np.testing.assert_allclose(frozen, brute(model, X, {**dict.fromkeys(rates, 1.0), "0.weight": 0.0}), rtol=1e-10)


def test_frozen_parameters():
    """In an optimizer's groups and in a built model they do not move; the description's theory is of others then."""
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2)).double()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    rates = {"0.weight": 1.0, "0.bias": 1.0, "2.weight": 0.0, "2.bias": 0.0}
    wanted = brute(model, X, rates)
    model[2].requires_grad_(False)
    np.testing.assert_allclose(tangent_kernel(model, X, groups=optimizer, outputs="all")["H"], wanted, rtol=1e-10)
    built = build(NET, seed=1, dtype=torch.float64)
    rates = {name: 0.3 if name.endswith("bias") else 0.7 / p.shape[1] for name, p in built.named_parameters()}
    wanted = brute(built, X, {name: 0.0 if name.startswith("layers.0.") else rate for name, rate in rates.items()})
    built.layers[0].requires_grad_(False)
    ds = tangent_kernel(built, X, outputs="all")
    np.testing.assert_allclose(ds["H"], wanted, rtol=1e-10)
    assert "Theta_theory" not in ds
    assert "frozen" in ds.attrs["theory"]


def test_inputs_that_do_not_fit():
    model = build(NET, seed=1, dtype=torch.float64)
    with pytest.raises(InputError, match=r"shape \(2, 5\)"):
        tangent_kernel(model, torch.ones(2, 5))
    with pytest.raises(InputError, match=r"inputs\[None\]"):
        tangent_kernel(model, X[0])


def test_random_directions():
    """Unbiased, and of the variance that the docstring states, exactly."""
    model = build(NET, seed=1, dtype=torch.float64)
    H = tangent_kernel(model, X, outputs="all")["H"].values
    exact = np.einsum("iiab->ab", H) / 3
    gradients = Gradients(model, X, learning_rates(model))
    draws = generator(8)
    count = 3000
    jets = np.stack([jet.numpy() for jet in gradients.jets(draws, count)])
    rows = np.einsum("mai,mbi->mab", jets, jets) / 3
    own, cross = np.einsum("ijaa,ijbb->ab", H, H), np.einsum("ijab,ijba->ab", H, H)
    variance = (own + cross) / 9
    assert (np.abs(rows.mean(axis=0) - exact) < 3 * np.sqrt(variance / count)).all()
    # the error of a variance: that of the mean of squared deviations
    square = (rows - exact) ** 2
    assert (np.abs(square.mean(axis=0) - variance) < 3 * square.std(axis=0) / np.sqrt(count)).all()
    wrong = own / 9  # without the second pairing: half of it on the diagonal
    z = (square.mean(axis=0) - wrong) / (square.std(axis=0) / np.sqrt(count))
    assert np.diag(z).min() > 5
    ds = tangent_kernel(model, X, projections=400, seed=8)
    assert (np.abs(ds["Theta"] - exact) < 3.5 * ds["Theta_se"]).all()
    assert (np.abs(ds["Theta_se"] / np.sqrt(variance / 400) - 1) < 0.25).all()
    wide = build(rg.MLP([4, 200, 200, 5], "tanh", C_W=1.5), seed=1, dtype=torch.float64)
    big = tangent_kernel(wide, X, projections=300, seed=8)
    assert (np.abs(big["Theta_se_wide"] / big["Theta_se"] - 1) < 0.3).all()


def distance(ds, name):
    return np.abs(ds[name] - ds[f"{name}_theory"]) - ds[f"{name}_theory_error"]


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_spread(activation):
    """Mean and the two fluctuations within 3 standard errors and the size of the next order."""
    net = rg.MLP([4, 24, 24, 4], activation, C_W=1.6)
    ds = tangent_kernel_spread(net, X[:2], networks=120, seed=8)
    for name in ("Theta", "A", "B"):
        assert float((distance(ds, name) / ds[f"{name}_se"]).max()) < 3, name
    assert (ds["B_se"] < 0.2 * ds["B_theory"]).all()  # so that this says something
    assert float(np.abs(ds["Theta_spread"] / ds["Theta_spread_theory"] - 1).max()) < 0.3
    assert ds["A"].dims == ("sample0", "sample1", "sample2", "sample3")


@pytest.mark.slow
@pytest.mark.parametrize("activation", ["tanh", "relu", "gelu"])
def test_spread_full(activation):
    net = rg.MLP([4, 48, 48, 48, 6], activation, C_W=1.6, C_b=0.1)
    ds = tangent_kernel_spread(net, X[:2], networks=1500, seed=8)
    for name in ("Theta", "A", "B"):
        assert float((distance(ds, name) / ds[f"{name}_se"]).max()) < 3, name


def test_letters_by_hand():
    """A and B of kernels that are written down: their definition, one component at a time."""
    from rgflow.nn.probes.tangent_kernel_spread import _letters

    H = np.random.default_rng(0).normal(size=(40, 3, 3, 2, 2))
    H = H + np.einsum("mijab->mjiba", H)
    found = _letters(H, 10)
    pairs = [(i, j) for i in range(3) for j in range(3) if i != j]
    for a, b, c, d in ((0, 1, 0, 1), (0, 0, 1, 1), (1, 0, 0, 0)):
        A = np.mean([np.cov(H[:, i, i, a, b], H[:, j, j, c, d])[0, 1] for i, j in pairs])
        assert found["A"][a, b, c, d] == pytest.approx(10 * A, rel=1e-10)
        B = np.mean([np.mean(H[:, i, j, a, c] * H[:, i, j, b, d]) for i, j in pairs])  # B[1,3,2,4]: 1, 2 and 3, 4 in H
        assert found["B"][a, b, c, d] == pytest.approx(10 * B, rel=1e-10)


def test_refusals():
    model = build(NET, seed=1)
    frozen = nn.Linear(4, 2).requires_grad_(False)
    other = nn.Linear(4, 2)
    for call, says in (
        (lambda: tangent_kernel(frozen, X), "no parameter"),
        (lambda: tangent_kernel(other, X, groups=[{"params": model.parameters(), "lr": 1.0}]), "does not have"),
        (lambda: tangent_kernel(other, X, groups=[{"params": other.parameters()}]), "lr"),
        (lambda: tangent_kernel(other, X, groups=[{"params": other.parameters(), "lr": -1.0}]), "rate"),
        (lambda: tangent_kernel(other, X, groups=[{"params": other.weight, "lr": 1.0}] * 2), "two groups"),
        (lambda: tangent_kernel(model, X * float("inf")), "NaN"),
        (lambda: tangent_kernel(model, X, projections=1), "projections"),
        (lambda: tangent_kernel(nn.Sequential(nn.Linear(4, 2), nn.Dropout()), X), "eval"),
        (lambda: tangent_kernel_spread(model, X), "spread"),
        (lambda: tangent_kernel_spread(NET, torch.ones(9, 4), networks=5), "9 inputs"),
        (lambda: tangent_kernel("model", X), "torch module"),
    ):
        with pytest.raises(InputError, match=says):
            call()
    with pytest.raises(UnknownName):
        tangent_kernel(model, X, outputs="some")
