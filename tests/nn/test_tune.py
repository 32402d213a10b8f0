"""Tuning modules to criticality: what it promises is measured again, by other means; what it cannot do, it says."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.autograd.functional import jacobian

import rgflow as rg
from rgflow.errors import AccuracyError, InputError, UnknownName
from rgflow.nn import build, digits, fit, tune
from rgflow.nn.probes.blocks import chosen
from rgflow.nn.probes.partial_jacobians import partial_jacobians
from rgflow.nn.tuning.loss import Measure
from rgflow.nn.tuning.scaled import scaled

DATA = digits()
X = DATA.X[:48]


def random_units(z, count, source):
    v = torch.randn(count, *z.shape, generator=source, dtype=z.dtype)
    return v / v.norm(dim=-1, keepdim=True)


def perceptron(activation, C_W, layers, width, seed=1, **more):
    net = rg.MLP([64] + [width] * (layers - 1) + [10], activation, C_W=C_W, **more)
    return build(net, seed=seed, dtype=torch.float32)


def near(done, within):
    """|ln J| with directions that were not tuned with, less three standard errors of it."""
    logs, errors = done.table["log_J"].values[1:], done.table["log_J_se"].values[1:]
    return (np.abs(logs) < within + 3 * errors).all()


def test_claim_t2_7():
    """ReLU, twenty layers from C_W = 4: all |ln J| < 0.02, beside the noise of fresh directions at this width."""
    done = tune(perceptron("relu", 4.0, 20, 80), X, seed=8, tolerance=0.02)
    assert near(done, 0.02)
    assert done.table.attrs["loss"] < 0.01 < 1 < done.table.attrs["loss_before"]


@pytest.mark.slow
def test_claim_t2_7_full():
    """At width 500, with the noise itself below it: all |ln J| < 0.02."""
    model = perceptron("relu", 4.0, 20, 500)
    tune(model, DATA.X[:64], seed=8, projections=16)
    ds = partial_jacobians(model, DATA.X[:64], projections=64, seed=9)
    assert (np.abs(np.log(ds["chi_J"].values[:-1])) < 0.02).all()


def test_explicit_matrices_after_tuning():
    """(1/n) |dz/dz'|^2 by torch's own Jacobians, averaged over the inputs, is 1 within the noise of the directions."""
    model = perceptron("tanh", 3.0, 4, 30)
    done = tune(model, X, seed=8, projections=8, tolerance=0.05)
    for l, row in zip((1, 2, 3), done.table["log_J_se"].values[1:], strict=True):
        z = nn.Sequential(*model.layers[:l])(X)
        J = torch.stack([jacobian(model.layers[l], one[None]).squeeze() for one in z])
        exact = float((J**2).sum() / J[0].shape[0] / len(X))
        assert abs(np.log(exact)) < 4 * row  # directions of the tuning, as many as those that were judged by
    assert done.table["scale"].values[0] == 1.0


def test_only_scales_change():
    model = perceptron("tanh", 3.0, 4, 20)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    done = tune(model, X, seed=8, tolerance=0.1)
    for k, layer in enumerate(model.layers):
        for name, p in layer.named_parameters(prefix=f"layers.{k}"):
            scale = 1.0 if p.ndim == 1 else done.table["scale"].values[k]
            np.testing.assert_allclose(p.detach(), before[name] * scale, rtol=1e-6)
    text = str(done)
    assert "layers.3" in text
    assert len(text.splitlines()) == 2 + 4


def test_the_published_step():
    """ReLU: a -> a - (2 eta / a) ln J; from a = 1 the rate (1 - J^(-1/2)) / (2 ln J) is one shot.

    J = sigma_w^2/2 in the paper, so that 1 - J^(-1/2) = 1 - sqrt 2/sigma_w; here each block has its own.
    """
    model = perceptron("relu", 4.0, 5, 40).double()
    blocks = scaled(model, chosen(model), X.double())
    z = blocks.outputs(X.double(), torch.ones(5), torch.ones(5))
    source = torch.Generator().manual_seed(0)
    v = [random_units(one, 2, source) for one in z]
    measure = Measure(blocks, X.double(), v)
    ones = torch.ones(5, dtype=torch.float64)
    logs = measure.logs(ones, ones)[0]
    for rate in (0.1, 0.25):
        a = ones.clone().requires_grad_()
        r = measure.residuals(a, ones, 0.0)
        (gradient,) = torch.autograd.grad(0.5 * (r @ r), a)
        stepped = (a - rate * gradient).detach()[1:]
        np.testing.assert_allclose(stepped, 1 - 2 * rate * logs, rtol=1e-12)
    one_shot = (1 - torch.exp(-logs / 2)) / (2 * logs)
    np.testing.assert_allclose(1 - 2 * one_shot * logs, torch.exp(-logs / 2), rtol=1e-12)
    a = torch.cat([torch.ones(1), 1 - 2 * one_shot * logs])
    np.testing.assert_allclose(measure.logs(a, ones)[0], 0.0, atol=1e-10)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_methods_agree(activation):
    """Block by block, by Gauss-Newton steps, and down the gradient: one minimum, where J = 1."""
    first = perceptron(activation, 2.5, 4, 20)
    found = []
    for method in ("blocks", "newton", "descent"):
        model = copy.deepcopy(first).double()
        done = tune(model, X, method=method, steps=120, rate=0.08, seed=8, tolerance=0.3)
        found.append(done.table["scale"].values)
    np.testing.assert_allclose(found[1], found[0], rtol=1e-4)
    np.testing.assert_allclose(found[2], found[0], rtol=1e-3)


def test_modules_of_ones_own():
    """Norms, convolutions, residual blocks with a skip below 1, half precision."""

    class Block(nn.Module):
        def __init__(self, n):
            super().__init__()
            self.norm, self.inner, self.outer = nn.LayerNorm(n), nn.Linear(n, 2 * n), nn.Linear(2 * n, n)

        def forward(self, x):
            return 0.7 * x + self.outer(torch.relu_(self.inner(self.norm(x))))

    def normed(n):
        return nn.Linear(n, n), nn.LayerNorm(n), nn.ReLU()

    def convolved(n):
        return nn.Tanh(), nn.Conv2d(n, n, 3), nn.Tanh(), nn.Flatten(), nn.Linear(36 * n, 20)

    torch.manual_seed(8)
    models = {
        "norms": nn.Sequential(nn.Linear(64, 50), nn.LayerNorm(50), nn.ReLU(True), *normed(50), nn.Linear(50, 40)),
        "convolutions": nn.Sequential(nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 8, 3, padding=1), *convolved(8)),
        "residual": nn.Sequential(nn.Linear(64, 40), Block(40), Block(40), nn.Linear(40, 30)),
        "half": nn.Sequential(nn.Linear(64, 80), nn.ReLU(), nn.Linear(80, 80), nn.ReLU(), nn.Linear(80, 40)).bfloat16(),
    }  # fmt: skip
    for name, model in models.items():
        done = tune(model, X, seed=8, tolerance=0.1)
        assert near(done, 0.05 if name == "half" else 0.02), name


def test_first_kernel_and_kernel_term():
    model = perceptron("gelu", 3.0, 5, 60, C_b=0.3)
    done = tune(model, X, first_kernel=2.0, kernel=1.0, seed=8)
    assert done.table["K"].values[0] == pytest.approx(2.0, rel=1e-4)
    ratios = np.log(done.table["K"].values[1:] / done.table["K"].values[:-1])
    before = np.log(done.table["K_before"].values[1:] / done.table["K_before"].values[:-1])
    assert np.abs(ratios).max() < 0.2 < np.abs(before).max()
    assert done.table.attrs["method"] == "newton"
    assert done.table.attrs["loss"] < 0.1 * done.table.attrs["loss_before"]


CHANCE = float(np.log(10))


def best(model, rates, steps):
    """The lowest test loss over rates, NaN counting as none."""
    losses = [CHANCE * 10]
    for rate in rates:
        one = copy.deepcopy(model)
        history = fit(
            one, DATA, optimizer=torch.optim.SGD(one.parameters(), lr=rate), steps=steps, batch=64, progress=False
        )
        losses.append(float(history["test_loss"][-1]))
    return np.nanmin(losses)


@pytest.mark.parametrize(("activation", "C_W", "rate", "steps"), [("tanh", 3.0, 0.03, 60), ("relu", 0.5, 0.007, 120)])
def test_fifty_layers_train(activation, C_W, rate, steps):
    """Badly initialised it stays at chance, tuned it learns; by how much depends on last bits, and so on processors."""
    model = perceptron(activation, C_W, 50, 60, seed=2)
    assert best(model, [rate], steps) > CHANCE - 0.1
    tune(model, X, seed=8, tolerance=0.1)
    assert best(model, [rate], steps) < CHANCE - 0.15


@pytest.mark.slow
@pytest.mark.parametrize("C_W", [0.5, 3.0])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_fifty_layers_train_full(activation, C_W, seed):
    """Ten epochs at seven rates: as drawn at chance, but for tanh at C_W = 3, which starts to learn at one of them."""
    rates = np.geomspace(1e-3, 1e-1, 7)
    model = perceptron(activation, C_W, 50, 100, seed=seed)
    before = best(model, rates, 220)
    tune(model, X, seed=8, projections=8)
    after = best(model, rates, 220)
    if (activation, C_W) == ("tanh", 3.0):
        assert after < 0.7 < 1.1 < before
    else:
        assert after < 1.9 < CHANCE - 0.1 < before


# Refusals: the module stays as it was ---------------------------------------------------------------------------------


def _filled(model, value, what):
    getattr(model[0], what).data.fill_(value)
    return model


def _tied(model):
    model[2].weight = model[0].weight
    return model


def three(*between, n=64):
    return nn.Sequential(nn.Linear(64, n), *between, nn.ReLU(), nn.Linear(n, n))


SKIPPING = rg.Network([rg.Dense(), rg.Residual(), rg.Dense()], [64, 20, 20, 5], "relu")
REFUSED = {
    "dead": (lambda: _filled(three(), -100.0, "bias"), "dead"),
    "NaN": (lambda: _filled(three(), float("nan"), "bias"), "NaN"),
    "frozen": (lambda: three().requires_grad_(False), "no weights to scale"),
    "tied": (lambda: _tied(three()), "no weights to scale"),
    "one block": (lambda: nn.Linear(64, 3), "no chain of blocks"),
    "batch norm": (lambda: three(nn.BatchNorm1d(64)), "BatchNorm"),
    "dropout": (lambda: three(nn.Dropout(0.1)), "eval"),
    "skip of 1": (lambda: build(SKIPPING, seed=0), "skip"),
}  # fmt: skip


@pytest.mark.parametrize("name", list(REFUSED))
def test_refusals(name):
    made, says = REFUSED[name]
    torch.manual_seed(8)
    model = made()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(InputError, match=says):
        tune(model, X)
    for key, value in model.state_dict().items():
        assert torch.equal(value.nan_to_num(), before[key].nan_to_num())


def test_a_norm_that_takes_the_scale_away():
    """LayerNorm(W x) does not know the scale of W, if the block below is behind a norm, too."""
    torch.manual_seed(8)
    block = lambda: nn.Sequential(nn.ReLU(), nn.Linear(12, 12, bias=False), nn.LayerNorm(12, eps=0.0))  # noqa: E731
    model = nn.Sequential(nn.Linear(64, 12), block(), block(), nn.Linear(12, 3))
    with pytest.raises(InputError, match="whatever its weights"):
        tune(model.double(), X, modules=["1", "2"])


def test_wrong_settings():
    model = perceptron("relu", 2.0, 3, 20)
    for settings, says in (
        ({"kernel": -1.0}, "kernel"),
        ({"projections": 0}, "projections"),
        ({"first_kernel": 0.0}, "first_kernel"),
        ({"method": "blocks", "kernel": 1.0}, "newton"),
        ({"rate": 0}, "rate"),
        ({"modules": ["layers.0"]}, "name two modules"),
    ):
        with pytest.raises(InputError, match=says):
            tune(model, X, **settings)
    with pytest.raises(UnknownName):
        tune(model, X, method="adam")
    with pytest.raises(InputError, match="finite"):
        tune(model, X * float("nan"))
    with pytest.raises(AccuracyError, match="projections"):
        tune(perceptron("relu", 4.0, 8, 12), X[:1], projections=1, tolerance=1e-6, seed=8)


def test_a_tuned_model_is_no_draw_of_its_description():
    """Neither the model nor a part of it that was tuned keeps a theory that no longer holds."""
    model = perceptron("relu", 1.0, 4, 60)
    kept = copy.deepcopy(model)
    tune(model, X, seed=0, tolerance=1.0)
    ds = partial_jacobians(model, X[:2])
    assert "J_theory" not in ds
    assert "tune" in ds.attrs["theory"]
    assert model.net is None
    assert kept.net is not None
    with pytest.raises(InputError, match="describe the network"):
        rg.nn.expected_jacobian(model, norm2=1.0)
    assert len(rg.nn.groups(model, 0.1)) == len(list(model.parameters()))
    assert rg.nn.ranks(model, X[:4], description=kept.net)["participation_theory"].notnull().all()
    tune(nn.Sequential(*kept.layers), X, seed=0, tolerance=1.0)
    assert kept.net is None


def test_a_parametrized_model_is_no_draw_of_its_description():
    model = perceptron("relu", 1.0, 3, 96)
    done = rg.nn.parametrize(model, "mup", base_width=24, width=96, learning_rate=0.1, C_W=2.0, seed=0)
    tune(model, X, seed=0, tolerance=1.0)
    assert "parametrize" in partial_jacobians(model, X[:2]).attrs["theory"]
    for reads in (lambda: rg.nn.groups(model, 0.1), lambda: rg.nn.tangent_kernel(model, X[:2])):
        with pytest.raises(InputError, match="groups that parametrize returned"):
            reads()
    assert float(rg.nn.tangent_kernel(model, X[:1], groups=done.groups)["Theta"]) > 0
