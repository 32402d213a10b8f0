"""Width checks: own updates by hand, fitted exponents beside derived ones; ranks of matrices that are known."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

import rgflow as rg
from rgflow.errors import InputError
from rgflow.nn import build, digits, parametrize, ranks, width_check


def perceptrons(name, layers, rate=0.01):
    """ReLU perceptrons without biases in a scaling family; base width 1 makes its powers those of the width."""

    def factory(width, seed):
        sizes = [64] + [width] * (layers - 1) + [10]
        chain = [nn.Linear(a, b, bias=False) for a, b in pairwise(sizes)]
        model = nn.Sequential(*[each for one in chain for each in (one, nn.ReLU())][:-1]).double()
        done = parametrize(model, name, base_width=1, width=width, learning_rate=rate, C_W=2.0, seed=seed)
        return model, torch.optim.SGD(done.groups)

    return factory


@pytest.fixture(scope="module")
def batch():
    data = digits(dtype=torch.float64)
    return data.X[:64], data.y[:64]


def test_by_hand(batch):
    """One step of one model: sizes, changes and own contributions from its weights."""
    x, y = batch
    ds = width_check(perceptrons("ntk", 3), (x, y), widths=[24, 40], runs=1, seed=8)
    seed = int(np.random.SeedSequence(8).generate_state(1, np.uint32)[0])
    model, optimizer = perceptrons("ntk", 3)(40, seed)
    first = [p.detach().clone() for p in model.parameters()]
    h = [x, *[(x := layer(x)) for layer in model]]
    loss = torch.nn.functional.cross_entropy(h[-1], y)
    loss.backward()
    optimizer.step()
    rms = lambda z: float(z.detach().square().mean().sqrt())  # noqa: E731
    z = batch[0]
    for i, layer in enumerate((0, 2, 4)):
        update = model[layer].weight.detach() - first[i]
        own = rms(h[layer] @ update.T)
        at = ds.sel(width=40).isel(layer=i, run=0)
        assert float(at["size"]) == pytest.approx(rms(h[layer + 1]), rel=1e-12)
        assert float(at["own"][0]) == pytest.approx(own, rel=1e-9)
        assert float(at["own_relative"][0]) == pytest.approx(own / rms(h[layer + 1]), rel=1e-9)
        below = model[:layer](z)
        assert float(at["own_moved"][0]) == pytest.approx(rms(below @ update.T), rel=1e-9)
        assert float(at["change"][0]) == pytest.approx(rms(model[: layer + 1](z) - h[layer + 1]), rel=1e-9)
    assert float(ds["loss"].sel(width=40).squeeze()) == pytest.approx(float(loss.detach()), rel=1e-12)


def worst(ds, name):
    """Largest distance of fitted from derived exponents, less three standard errors."""
    away = np.abs(ds[f"{name}_exponent"] - ds[f"{name}_exponent_derived"])
    return float((away - 3 * ds[f"{name}_exponent_se"]).max())


def test_derived_exponents(batch):
    """Integrable, four weight layers: marginal; own contributions go as derived, within 0.1 beside their spread."""
    ds = width_check(perceptrons("ip", 4), batch, widths=[128, 256, 512], runs=4, family="ip", seed=8)
    assert ds["own_exponent_derived"].values.tolist() == [[-1.0, -0.5, -1.0, -2.0]]
    assert ds["own_relative_exponent_derived"].values.tolist() == [[-1.0, 0.0, 0.0, -0.5]]
    for name in ("size", "own", "own_relative"):
        assert worst(ds, name) < 0.1, name
    # another family is told from it
    other = [float(power) for power in rg.family("mup").exponents(4)["own"]]
    assert np.abs(ds["own_exponent"].values[0] - other).max() > 0.5


@pytest.mark.slow
@pytest.mark.parametrize("layers", [3, 4, 5, 6])
def test_integrable_full(batch, layers):
    """m = 128..2048: own-weight contributions within 0.1 of the derived powers, initial outputs within 0.15."""
    ds = width_check(perceptrons("ip", layers), batch, widths=[128, 256, 512, 1024, 2048], runs=6, family="ip", seed=8)
    assert worst(ds, "own") < 0.1
    output = ds.isel(layer=-1)
    assert abs(float(output["size_exponent"] - output["size_exponent_derived"])) < 0.15 + 3 * float(
        output["size_exponent_se"]
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mup", "ntk", "standard"])
def test_other_families_full(batch, name):
    ds = width_check(perceptrons(name, 4), batch, widths=[128, 256, 512, 1024], runs=6, family=name, seed=8)
    assert worst(ds, "own") < 0.1


def test_convolutions_and_steps():
    """Own updates of a convolution, several steps, one run: errors of slopes come from the fit."""
    x = torch.randn(8, 1, 6, 6, generator=torch.Generator().manual_seed(0))

    def factory(width, seed):
        source = torch.Generator().manual_seed(seed)
        model = nn.Sequential(nn.Conv2d(1, width, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16 * width, 3))
        for p in model.parameters():
            nn.init.normal_(p, std=0.1, generator=source)
        return model, torch.optim.Adam(model.parameters(), lr=1e-3)

    ds = width_check(factory, (x, torch.arange(8) % 3), widths=[4, 8, 16], runs=1, steps=3, seed=0)
    assert ds["own"].shape == (3, 2, 3, 1)
    assert (ds["own"] > 0).all()
    assert np.isfinite(ds["own_exponent_se"]).all()
    # the first layer reads the same input always: what it adds to it now is what it added to it at the start
    np.testing.assert_allclose(ds["own"].isel(layer=0), ds["own_moved"].isel(layer=0), rtol=1e-6)
    np.testing.assert_allclose(ds["change"].isel(layer=0, step=0) > 0, True)


def test_width_refusals(batch):
    good = perceptrons("ntk", 2)
    for call, says in (
        (lambda: width_check(good, batch, widths=[32]), "two different widths"),
        (lambda: width_check(good, batch, widths=[32, 0]), "width"),
        (lambda: width_check(good, batch[0]), "pair"),
        (lambda: width_check(lambda w, s: nn.Linear(2, 2), batch), "model, optimizer"),
        (lambda: width_check(nn.Linear(2, 2), batch), "factory"),
        (lambda: width_check(good, batch, modules=["1"], widths=[24, 40]), "ReLU"),
        (lambda: width_check(good, batch, runs=0), "runs"),
    ):
        with pytest.raises(InputError, match=says):
            call()


def test_family_of_the_optimizer(batch):
    """A name stands for the family of the factory's optimizer; a Family of another optimizer is refused."""

    def factory(kind):
        def made(width, seed):
            model = build(rg.MLP([64, width, 10], "relu", C_W=2.0), seed=seed, dtype=torch.float64)
            return model, kind(model.parameters(), lr=1e-3)

        return made

    def own(kind, of):
        ds = width_check(factory(kind), batch, widths=[8, 16], runs=1, family=of, seed=0)
        return ds["own_exponent_derived"].values

    sgd, adam = own(torch.optim.SGD, "standard"), own(torch.optim.AdamW, "standard")
    known = rg.family("standard", layers=2, optimizer="adam")
    np.testing.assert_array_equal(own(torch.optim.Adam, known), adam)
    assert not np.array_equal(sgd, adam)
    with pytest.raises(InputError, match="optimizer"):
        own(torch.optim.SGD, known)
    with pytest.raises(InputError, match=r"shape \(64, 60\)"):
        width_check(factory(torch.optim.SGD), (batch[0][:, :60], batch[1]), widths=[8, 16], runs=1)
    with pytest.raises(InputError, match="RMSprop"):
        own(torch.optim.RMSprop, "standard")


# Ranks ----------------------------------------------------------------------------------------------------------------


def test_ranks_that_are_known():
    """Linear maps of rank 1, 2 and of orthonormal rows, read off their outputs."""
    eye = torch.eye(6, dtype=torch.float64)
    model = nn.Sequential(nn.Linear(6, 6, False), nn.Linear(6, 6, False), nn.Linear(6, 4, False)).double()
    with torch.no_grad():
        model[0].weight.copy_(eye)
        model[1].weight.copy_(torch.diag(torch.tensor([3.0, 1.0, 0, 0, 0, 0])))
        model[2].weight.copy_(torch.outer(torch.arange(4.0), torch.ones(6)))
    ds = ranks(model, eye)
    assert ds["rank"].values.tolist() == [6, 2, 1]
    p = np.array([0.75, 0.25])
    np.testing.assert_allclose(ds["effective_rank"], [6, np.exp(-(p * np.log(p)).sum()), 1], rtol=1e-10)
    np.testing.assert_allclose(ds["participation"], [6, 10**2 / 82, 1], rtol=1e-10)
    assert ranks(model, eye, tolerance=0.5)["rank"].values.tolist() == [6, 1, 1]
    assert np.isnan(ds["rank_se"]).all()
    dead = ranks(nn.Sequential(nn.Linear(6, 3, False), nn.Linear(3, 2, False)).double().apply(_zero), eye)
    assert dead["effective_rank"].values.tolist() == [0, 0]
    with pytest.raises(InputError, match="tolerance"):
        ranks(model, eye, tolerance=-1)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_ranks_in_low_precision(dtype):
    """Two directions among 200 inputs are two in every dtype, where max(N, n) eps is above 1."""
    source = torch.Generator().manual_seed(0)
    x = torch.randn(200, 2, generator=source) @ torch.randn(2, 30, generator=source)
    model = nn.Sequential(nn.Linear(30, 30, False), nn.Linear(30, 40, False)).apply(_orthogonal).to(dtype)
    assert ranks(model, x)["rank"].values.tolist() == [2, 2]
    for wrong in (0, 1, 2.0):
        with pytest.raises(InputError, match="tolerance"):
            ranks(model, x, tolerance=wrong)


def _orthogonal(module):
    for p in module.parameters(recurse=False):
        nn.init.orthogonal_(p, generator=torch.Generator().manual_seed(1))


def _zero(module):
    for p in module.parameters(recurse=False):
        p.data.zero_()


def test_ranks_of_wide_layers():
    """The participation of the leading kernel is what wide layers show; a narrow one shows less."""
    x = torch.randn(12, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    wide = ranks(rg.MLP([8, 800, 800], "tanh", C_W=1.5), x, networks=2, seed=0)
    assert (np.abs(wide["participation"] / wide["participation_theory"] - 1) < 0.05).all()
    narrow = ranks(build(rg.MLP([8, 10, 10], "tanh", C_W=1.5), seed=0), x)
    assert (narrow["participation"] < 0.8 * narrow["participation_theory"]).all()
