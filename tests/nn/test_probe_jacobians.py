"""Measured partial Jacobians: explicit matrices to 1e-10, theory within standard errors, refusals."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.autograd.functional import jacobian

import rgflow as rg
from rgflow.errors import InputError, UnknownName
from rgflow.nn import activation_kernels, build, partial_jacobians
from rgflow.nn.probes.partial_jacobians import directions
from rgflow.nn.smoothness.directions import generator

X = torch.randn(3, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def drawn(*layers):
    """A Sequential with parameters from a generator of its own."""
    model = nn.Sequential(*layers).double()
    source = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape, generator=source, dtype=p.dtype) / max(p.shape[-1], 1) ** 0.5 + (p.ndim == 1))
    return model


def explicit(model, first, last, x):
    """(1/n) |dz_last/dz_first|^2 of Sequential places, averaged over inputs, by torch's own Jacobians."""
    found = []
    for one in x:
        z = model[: first + 1](one[None])
        above = model[first + 1 : last + 1]
        J = jacobian(lambda z, above=above: above(z.clone()), z)
        found.append(float((J**2).sum() / model[: last + 1](one[None]).numel()))
    return np.mean(found)


CLOSING = nn.Flatten(), nn.Linear(9, 2)
MODELS = {
    "dense": (drawn(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 4), nn.GELU(), nn.Linear(4, 3)), (0, 2, 4)),
    "in place": (drawn(nn.Linear(5, 6), nn.ReLU(True), nn.Linear(6, 4), nn.ReLU(True), nn.Linear(4, 3)), (0, 2, 4)),
    "norms": (
        drawn(nn.Linear(5, 6), nn.LayerNorm(6), nn.Tanh(), nn.Linear(6, 6), nn.LayerNorm(6), nn.Linear(6, 2)),
        (0, 3, 5),
    ),
    "convolutions": (
        drawn(nn.Unflatten(1, (1, 5)), nn.Conv1d(1, 2, 3, padding=1), nn.Tanh(), nn.Conv1d(2, 3, 3), *CLOSING),
        (1, 3, 5),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_explicit_matrices(name):
    model, places = MODELS[name]
    ds = partial_jacobians(model, X, exact=True)
    assert ds["module"].values.tolist() == [str(place) for place in places]
    for row, place in enumerate(places[1:], start=1):
        assert float(ds["J"][row]) == pytest.approx(explicit(model, places[0], place, X), rel=1e-10)
        assert float(ds["chi_J"][row - 1]) == pytest.approx(explicit(model, places[row - 1], place, X), rel=1e-10)
    assert (ds["J_se"] == 0).all()
    assert np.isnan(ds["chi_J"][-1])


def test_finite_differences():
    """A witness without autograd: central differences, wrong by O(h^2) and by rounding over h."""
    model, _ = MODELS["dense"]
    h, total = 1e-5, 0.0
    for x in X:
        z = model[0](x[None]).detach()
        for i in range(z.shape[1]):
            step = torch.zeros_like(z)
            step[0, i] = h
            total += float(((model[1:](z + step) - model[1:](z - step)).detach() / (2 * h)).square().sum())
    found = partial_jacobians(model, X, exact=True)["J"][-1]
    assert float(found) == pytest.approx(total / 3 / len(X), rel=1e-8)


def test_any_start():
    model, _ = MODELS["dense"]
    ds = partial_jacobians(model, X, start="1", exact=True)  # behind the activation
    assert ds["module"].values.tolist() == ["1", "2", "4"]
    assert float(ds["J"][2]) == pytest.approx(explicit(model, 1, 4, X), rel=1e-10)
    late = partial_jacobians(model, X, start=model[2], exact=True)
    assert float(late["J"][1]) == pytest.approx(explicit(model, 2, 4, X), rel=1e-10)
    of_input = partial_jacobians(model, X, start="input", exact=True)
    by_hand = np.mean([float((jacobian(model, x[None]) ** 2).sum()) / 3 for x in X])
    assert of_input["layer"].values.tolist() == [0, 1, 2, 3]
    assert float(of_input["J"][-1]) == pytest.approx(by_hand, rel=1e-10)


def test_projections():
    """Unbiased, with the standard error that they state; frozen parameters and the global generator do not matter."""
    model, _ = MODELS["dense"]
    exact = partial_jacobians(model, X, exact=True)["J"].values
    before = torch.random.get_rng_state()
    model.requires_grad_(False)
    runs = [partial_jacobians(model, X, projections=20, seed=seed) for seed in range(40)]
    model.requires_grad_(True)
    assert torch.equal(before, torch.random.get_rng_state())
    z = np.array([(ds["J"].values - exact)[1:] / ds["J_se"].values[1:] for ds in runs])
    assert (np.abs(z.mean(axis=0)) < 3 / np.sqrt(40)).all()
    # a variance of 40 normal numbers is known to sqrt(2/39)
    assert (np.abs(z.var(axis=0, ddof=1) - 1) < 4 * np.sqrt(2 / 39)).all()


def test_control_directions_are_unit_vectors():
    """Without the norm of v, J would be n_l times what it is."""
    model, _ = MODELS["dense"]
    z = model(X)
    for v in directions(z, 5, generator(0)):
        np.testing.assert_allclose(v.norm(dim=1), 1.0, rtol=1e-12)
    exact = partial_jacobians(model, X, exact=True)["J"].values[-1]
    ds = partial_jacobians(model, X, projections=400, seed=0)
    assert abs(float(ds["J"][-1]) * 3 - exact) > 20 * 3 * float(ds["J_se"][-1])


def test_half_precision():
    model, _ = MODELS["dense"]
    exact = partial_jacobians(model, X, exact=True)["J"].values
    for kind, digits in ((torch.float32, 1e-5), (torch.bfloat16, 0.1)):
        other = nn.Sequential(
            *[nn.Linear(m.in_features, m.out_features) if isinstance(m, nn.Linear) else m for m in model]
        )
        other.load_state_dict(model.state_dict())
        np.testing.assert_allclose(partial_jacobians(other.to(kind), X, exact=True)["J"], exact, rtol=digits)


# Theory ---------------------------------------------------------------------------------------------------------------


def network(layer, activation, count, width):
    return rg.Network([rg.Dense(), *[layer] * count, rg.Dense()], [8] + [width] * (count + 2), activation)


KINDS = {
    "dense": rg.Dense(C_W=1.5, C_b=0.1),
    "norm before": rg.LayerNorm(C_W=1.2, C_b=0.1),
    "norm after": rg.LayerNorm(C_W=1.2, place="after"),
    "residual": rg.Residual(skip=0.8, C_W=0.8),
    "residual, norm before": rg.LayerNorm(skip=0.9, C_W=1.2),
    "residual, norm after": rg.LayerNorm(skip=0.5, C_W=1.2, place="after"),
}
INPUT = np.array([[0.9, -1.1, 0.4, 1.2, -0.7, 0.3, -1.5, 0.8]])


def beyond(ds, skip=1):
    """Distance from theory in standard errors of the mean over networks, less the order that the theory leaves out."""
    away = (np.abs(ds["J"] - ds["J_theory"]) - ds["J_theory_error"]).values[skip:]
    return away / ds["J_se"].values[skip:]


@pytest.mark.parametrize("name", ["dense", "norm before", "norm after", "residual", "residual, norm before"])
def test_theory(name):
    """Seeds fixed before anyone looked; J + J_1/n, and what it leaves out is O(1/n^2)."""
    ds = partial_jacobians(network(KINDS[name], "tanh", 2, 48), INPUT, networks=64, projections=4, seed=8)
    assert ds.attrs["theory"] == "order 1 in 1/n"
    assert (beyond(ds) < 3).all()
    assert (ds["J_se"][1:] / ds["J"][1:] < 0.08).all()


@pytest.mark.slow
@pytest.mark.parametrize("activation", ["tanh", "gelu", "relu"])
@pytest.mark.parametrize("name", KINDS)
def test_theory_full(name, activation):
    ds = partial_jacobians(network(KINDS[name], activation, 6, 64), INPUT, networks=400, seed=8)
    assert (beyond(ds) < 3).all()


@pytest.mark.slow
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_spread_full(activation):
    """Variance over networks against V_J/n, within its estimated next order and four errors of a variance.

    64 projections of each network add to it what they say themselves, less than the error of 300 networks.
    """
    net = network(KINDS["dense"], activation, 2, 64)
    ds = partial_jacobians(net, INPUT, networks=300, projections=64, seed=8)
    told = rg.total(rg.partial_jacobian(net, INPUT, order=1))
    n = told["fan_in"].values[1:]
    variance = 300 * ds["J_se"].values[1:] ** 2
    allowed = told["V_J_error"].values[1:] / n + 4 * np.sqrt(2 / 299) * variance
    assert (np.abs(variance - told["V_J"].values[1:] / n) < allowed).all()
    np.testing.assert_allclose(ds["J_spread_theory"][1:], np.sqrt(told["V_J"].values[1:] / n), rtol=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize("layer", [KINDS["dense"], rg.LayerNorm(), rg.LayerNorm(skip=0.9), rg.LayerNorm(skip=1.0),
                                   rg.LayerNorm(place="after"), rg.LayerNorm(skip=0.5, place="after")])  # fmt: skip
def test_claim_t2_1(layer):
    """Theory against exact Jacobians of width 400 at layer 12, ten networks, 3 standard errors."""
    ds = partial_jacobians(network(layer, "relu", 11, 400), INPUT, networks=10, projections=60, seed=8)
    assert float(beyond(ds)[10]) < 3


def test_control_theory_of_another_network():
    """Without the factor C_W, without the norm, without the skip: far away from what is measured."""
    net = network(KINDS["residual, norm before"], "tanh", 2, 48)
    models = [build(net, seed=seed, dtype=torch.float64) for seed in range(80, 120)]
    for wrong in (rg.LayerNorm(skip=0.9, C_W=1.0), rg.Residual(skip=0.9, C_W=1.2), rg.LayerNorm(C_W=1.2)):
        ds = partial_jacobians(models, INPUT, projections=4, seed=8, description=network(wrong, "tanh", 2, 48))
        assert beyond(ds).max() > 3


def test_a_description_beside_a_module_of_ones_own():
    """Sequential layers drawn by hand: the theory stands beside them if they are described."""

    def factory(seed):
        source = torch.Generator().manual_seed(seed)
        model = nn.Sequential(
            nn.Linear(8, 32, False), nn.Tanh(), nn.Linear(32, 32, False), nn.Tanh(), nn.Linear(32, 32, False)
        )
        for p in model.parameters():
            nn.init.normal_(p, std=(1.5 / p.shape[1]) ** 0.5, generator=source)
        return model

    ds = partial_jacobians(factory, INPUT, networks=40, seed=8, description=rg.MLP([8, 32, 32, 32], "tanh", C_W=1.5))
    assert (beyond(ds) < 3).all()
    assert "J_theory" not in partial_jacobians(factory, INPUT, networks=2, seed=8)


def test_log_averages_are_biased():
    """ln of the mean lies above the mean of ln J by half the relative variance of J: of networks and of projections."""
    ds = partial_jacobians(rg.MLP([8] + [32] * 4, "relu", C_W=2.0), INPUT, networks=80, seed=8)
    gap = np.log(ds["J"].values) - ds["log_J"].values
    half = 0.5 * 80 * (ds["J_se"] / ds["J"]).values ** 2
    assert (gap[2:] > 0.02).all()
    # third cumulants of ln J are of the next order
    np.testing.assert_allclose(gap[1:], half[1:], rtol=0.25)


def test_kernels():
    x = np.vstack([INPUT, INPUT[:, ::-1]])
    ds = activation_kernels(network(KINDS["dense"], "tanh", 2, 32), x, networks=200, seed=8)
    away = (np.abs(ds["K"] - ds["K_theory"]) - ds["K_theory_error"]) / ds["K_se"]
    assert float(away.max()) < 3
    ratio = ds["K_of_network"].std("network", ddof=1) / ds["K_spread_theory"]
    assert float(np.abs(ratio - 1).max()) < 4 / np.sqrt(400) + 0.1  # noise, and the next order
    model = build(network(KINDS["dense"], "tanh", 2, 32), seed=3, dtype=torch.float64)
    one = activation_kernels(model, x)
    z = model.preactivations(torch.as_tensor(x))[-1]
    np.testing.assert_allclose(one["K"][-1], (z @ z.T / 32).detach(), rtol=1e-12)
    assert np.isnan(one["K_se"]).all()
    assert activation_kernels(model, x[:1])["K"].dims == ("layer",)


# Refusals -------------------------------------------------------------------------------------------------------------


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(5, 5), nn.Linear(5, 5)

    def forward(self, x):
        return self.b(self.a(self.a(x)))


def test_refusals():
    model = drawn(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 3))
    broken = drawn(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 3))
    broken[0].weight.data[0, 0] = float("nan")
    for call, says in (
        (lambda: partial_jacobians(model, X * float("nan")), "NaN"),
        (lambda: partial_jacobians(model, X[:0]), "at least one"),
        (lambda: partial_jacobians(model, "text"), "array of numbers"),
        (lambda: partial_jacobians(model, X.to(torch.complex64)), "complex"),
        (lambda: partial_jacobians(broken, X), "'0' returns NaN"),
        (lambda: partial_jacobians(Twice(), X), "more than once"),
        (lambda: partial_jacobians(nn.Linear(5, 3), X), "no chain of blocks"),
        (lambda: partial_jacobians(nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)), X), "BatchNorm"),
        (lambda: partial_jacobians(nn.Sequential(nn.Linear(5, 4), nn.Dropout(0.5), nn.Linear(4, 2)), X), "eval"),
        (lambda: partial_jacobians(model, X, modules=[]), "empty"),
        (lambda: partial_jacobians(model, X, modules="0"), "list of names"),
        (lambda: partial_jacobians(model, X, modules=["0", "0"]), "twice"),
        (lambda: partial_jacobians(model, X, modules=[nn.Linear(5, 6)]), "no module of the model"),
        (lambda: partial_jacobians(model, X, projections=0), "projections"),
        (lambda: partial_jacobians(model, X, networks=3), "networks"),
        (lambda: partial_jacobians([], X), "models"),
        (lambda: partial_jacobians(lambda seed: seed, X), "factory"),
        (lambda: partial_jacobians(model, X, description="tanh"), "description"),
        (lambda: partial_jacobians(model, X, description=rg.MLP([4, 6, 3], "relu")), "n_0"),
    ):
        with pytest.raises(InputError, match=says):
            call()
    with pytest.raises(UnknownName, match="module"):
        partial_jacobians(model, X, modules=["0", "9"])


def test_theory_that_is_not_offered_is_said():
    """At order 1 orthogonal layers are not known: the answer is of order 0, or none, and says so."""
    net = rg.Network([rg.Dense(), rg.Orthogonal(C_W=1.0), rg.Dense()], [8, 16, 16, 4], "tanh")
    ds = partial_jacobians(build(net, seed=0), INPUT)
    assert "J_theory" in ds
    assert ds.attrs["theory"].startswith(("order 0", "order 1"))
    none = partial_jacobians(build(net, seed=0), INPUT, start="input")
    assert "J_theory" not in none
    assert none.attrs["theory"].startswith("none")


def test_the_cause_of_inputs_that_do_not_fit():
    """One input without a batch, another number of features, integers: what was given is named."""
    model = drawn(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3))
    for wrong, named in ((X[0], r"inputs\[None\]"), (X[:, :4], r"shape \(3, 4\)"), (X.long(), "int64")):
        with pytest.raises(InputError, match=named):
            partial_jacobians(model, wrong)
