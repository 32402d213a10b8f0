"""Sampled partial Jacobians: exact moments of ReLU networks, Jacobians by brute force, theory, hostile input.

Seeds were fixed before looking; with some forty numbers at a time a distance of four standard errors is one in 400.
"""

import brute_networks
import numpy as np
import pytest
from oracles.relu_jacobians import moments

import rgflow as rg
from rgflow.flow.jacobian import partial_jacobian
from rgflow.network.layer import KINDS
from rgflow.plots import plot_flow
from rgflow.sampling.jacobian import sample_jacobian

FAR = 4.0
TWO = [[1.0, 0.4], [0.4, 0.7]]
X = np.array([[0.7, -1.1], [0.4, 0.9]])
STEP = 1e-30  # of a complex step: its error is STEP^2, and nothing is subtracted


def distance(found, expected):
    """In standard errors; the layer that is moved has none and is exact."""
    np.testing.assert_allclose(found["J"][0], 1.0)
    np.testing.assert_allclose(found["V_J"][0], 0.0)
    return max(float(np.abs((found[name] - expected[name]) / found[f"{name}_se"])[1:].max()) for name in expected)


@pytest.mark.parametrize(("widths", "start"), [((3, 5, 2, 4), 1), ((6, 4, 4, 4), 2)])
def test_relu_networks_have_their_exact_moments(widths, start):
    """Mean and variance at widths so small that all orders in 1/n count."""
    net = rg.MLP([2, *widths], "relu", C_W=1.8)
    found = sample_jacobian(net, first_kernel=1.0, start=start, networks=8000, seed=5)
    exact = moments(widths[start - 1 :], 1.8)
    fan_in = np.array(net.fan_in[start - 1 :])
    expected = {"J": np.array([float(m) for m, _ in exact]), "V_J": fan_in * np.array([float(v) for _, v in exact])}
    assert distance(found, expected) < FAR
    forgets = {"V_J": expected["V_J"] * (1 + 0.5 / np.array([1, *widths[start:]]))}
    assert distance(found, forgets) > FAR  # the control


def kinds():
    """Each kind twice between dense layers; random orthogonal matrices are not drawn by brute force."""
    options = {"hidden": 5, "C_a": 0.2, "epsilon": 1.0, "skip": 0.8, "gate": -0.6, "C_b": 0.2, "C_W": 1.3}
    for name, kind in sorted(KINDS.items()):
        if name == "Orthogonal":
            continue
        known = {key: value for key, value in options.items() if hasattr(kind(), key)}
        places = ["before", "after"] if hasattr(kind(), "place") else [None]
        for place in places:
            yield pytest.param(kind(**known, **({"place": place} if place else {})), id=f"{name} {place or ''}".strip())


def brute_force(net, start, networks, seed):
    """J of every layer from explicit Jacobian matrices of networks drawn here, (networks, layers, N, N)."""
    brute = brute_networks.Network(net, X)
    theta = np.random.default_rng(seed).standard_normal((networks, brute.size)) * np.sqrt(brute.variances)
    z = brute.outputs(theta, start)
    n = z.shape[-1]
    # one copy of the network for each neuron that is moved, an axis before the inputs
    moved = z[:, None] + 1j * STEP * np.eye(n)[:, None]
    found = [np.ones((networks, len(X), len(X)))]
    for l in range(start, net.depth):
        parts = {name: p[:, None] for name, p in brute.parts(theta, l).items()}
        moved = brute_networks.forward(net.layers[l], moved, parts, np.tanh, first=False)
        jacobian = moved.imag / STEP
        found.append(np.einsum("miaj,mibj->mab", jacobian, jacobian) / jacobian.shape[-1])
    return np.stack(found, axis=1)


@pytest.mark.parametrize("layer", list(kinds()))
def test_explicit_jacobians_of_every_kind(layer):
    net = rg.Network([rg.Dense(C_b=0.1), layer, layer, rg.Linear()], [2, 6, 6, 6, 3], "tanh")
    drawn = brute_force(net, 1, 1500, 11)
    mean, error = drawn.mean(axis=0), drawn.std(axis=0, ddof=1) / np.sqrt(len(drawn))
    found = sample_jacobian(net, X, networks=1500, seed=12)
    apart = np.abs(found["J"].values - mean)[1:] / np.hypot(error, found["J_se"].values)[1:]
    assert apart.max() < FAR
    # variances, of the last layer but one at most: those of the last have tails that so few networks do not show
    fan_in = np.array(net.fan_in)
    parts = np.array([fan_in * part[..., 0, 0].var(axis=0, ddof=1) for part in np.array_split(drawn, 20)])
    spread, doubt = parts.mean(axis=0), parts.std(axis=0, ddof=1) / np.sqrt(len(parts))
    sampled, error = (found[name].values[1:3, 0, 0, 0, 0] for name in ("V_J", "V_J_se"))
    assert (np.abs(sampled - spread[1:3]) / np.hypot(doubt[1:3], error)).max() < FAR


def test_a_step_of_brute_force_by_hand():
    """The witness itself: one dense tanh layer, z' = W tanh(z), dz'/dz = W (1 - tanh^2)."""
    net = rg.Network([rg.Dense(), rg.Dense()], [2, 4, 3], "tanh")
    brute = brute_networks.Network(net, X)
    theta = np.random.default_rng(1).standard_normal((5, brute.size)) * np.sqrt(brute.variances)
    z, W = brute.outputs(theta, 1), brute.parts(theta, 1)["W"]
    jacobian = W[:, None] * (1 - np.tanh(z) ** 2)[:, :, None]
    expected = np.einsum("maji,mbji->mab", jacobian, jacobian) / 3
    np.testing.assert_allclose(brute_force(net, 1, 5, 1)[:, 1], expected, rtol=1e-13)


def residual(n):
    return rg.Network([rg.Dense(), *[rg.Residual(skip=0.7, C_W=0.8)] * 2, rg.Dense()], [3] + [n] * 4, "tanh")


def orthogonal(n):
    return rg.Network([rg.Orthogonal(), *[rg.Orthogonal(C_W=1.2)] * 3], [30] + [n] * 4, "tanh")


def blocks(n):
    return rg.Network([rg.Linear(), rg.Branch(), rg.Projection(), rg.Linear()], [3] + [n] * 4, "gelu")


def normalised(n):
    layers = [rg.Dense(), rg.LayerNorm(skip=0.7, C_b=0.1), rg.RMSNorm(place="after", C_W=0.6, C_b=0.6), rg.Dense()]
    return rg.Network(layers, [3] + [n] * 4, "gelu")


@pytest.mark.parametrize(
    ("net", "start", "shown"),
    [
        (rg.MLP([3] + [24] * 4, "tanh", C_W=1.3, C_b=0.1), 1, TWO),
        (residual(24), 2, 1.0),
        (orthogonal(24), 1, 1.0),
        (blocks(24), 1, 1.0),
        (normalised(48), 1, 1.0),
    ],
)
def test_theory_at_next_order(net, start, shown):
    """J + J_1/n; what is left out is as large as the flow says, or smaller."""
    found = sample_jacobian(net, first_kernel=shown, start=start, networks=1000, seed=3)
    total = rg.total(partial_jacobian(net, first_kernel=shown, start=start, order=1))
    allowed = 3.5 * found["J_se"] + total["J_error"] / 4
    assert bool((abs(found["J"] - total["J"]) <= allowed + 1e-15).all())


CONFIGURATIONS = {
    "relu": (rg.Dense(C_W=2.0, C_b=0.1), "relu"),
    "erf": (rg.Dense(C_W=1.5, C_b=0.05), "erf"),
    "gelu": (rg.Dense(C_W=2.0, C_b=0.2), "gelu"),
    "erf, residual": (rg.Residual(skip=0.9, C_W=1.0, C_b=0.1), "erf"),
    "relu, residual": (rg.Residual(skip=0.9, C_W=0.4), "relu"),
    "tanh, residual": (rg.Residual(skip=1.0, C_W=1.0, C_b=0.1), "tanh"),
    "LayerNorm before erf": (rg.LayerNorm(C_W=1.5, C_b=0.3), "erf"),
    "LayerNorm before relu, skip 0.9": (rg.LayerNorm(skip=0.9, C_W=1.0, C_b=0.1), "relu"),
    "LayerNorm before gelu, skip 1": (rg.LayerNorm(skip=1.0, C_W=1.0, C_b=0.1), "gelu"),
    "LayerNorm after relu": (rg.LayerNorm(place="after", C_W=1.0, C_b=0.5), "relu"),
    "LayerNorm after tanh, skip 0.5": (rg.LayerNorm(place="after", skip=0.5, C_W=1.0, C_b=0.5), "tanh"),
}


def factor_of_layer_12(name, width, networks):
    """chi_J of layer 12 and its sampled value: mean, standard error."""
    layer, sigma = CONFIGURATIONS[name]
    net = rg.Network([rg.Dense(), *[layer] * 12, rg.Dense()], [30] + [width] * 14, sigma)
    factor = float(partial_jacobian(net, first_kernel=1.0)["chi_J"].sel(layer=12))
    cut = rg.Network([*net.layers[:12], layer, rg.Dense()], net.widths[:15], sigma)
    found = sample_jacobian(cut, first_kernel=1.0, start=12, networks=networks, seed=42)
    return factor, float(found["J"].sel(layer=13)), float(found["J_se"].sel(layer=13))


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_factors_of_wide_networks(name):
    """Claim of the paper: theory of leading order at layer 12 of networks of width 400."""
    factor, mean, error = factor_of_layer_12(name, 400, 100)
    assert abs(mean - factor) < 3 * error


@pytest.mark.parametrize("name", ["erf", "LayerNorm before relu, skip 0.9"])
def test_a_factor_of_narrower_networks(name):
    """The small version: of width 100 the next order is below the standard error."""
    factor, mean, error = factor_of_layer_12(name, 100, 100)
    assert abs(mean - factor) < 3 * error


def test_control_another_layer_disagrees():
    """The control: Jacobians with respect to the layer below."""
    net = rg.MLP([3] + [24] * 4, "tanh", C_W=1.3, C_b=0.1)
    found = sample_jacobian(net, first_kernel=1.0, start=2, networks=1000, seed=3)
    other = partial_jacobian(net, first_kernel=1.0, start=1)["J"].sel(layer=[3, 4])
    assert float(np.abs((found["J"][1:] - other) / found["J_se"][1:]).min()) > 10


def test_fluctuations_approach_theirs_as_one_over_n():
    """n times what is left of V_J is a constant: joint fit over two widths, and the fit with V_J doubled fails."""
    left = {}
    for n, networks in ((12, 6000), (48, 1500)):
        net = residual(n)
        found = sample_jacobian(net, first_kernel=1.0, networks=networks, seed=n)
        theory = partial_jacobian(net, first_kernel=1.0, order=1)["V_J"].values
        left[n] = (found["V_J"].values, found["V_J_se"].values, theory)

    def apart(factor):
        (v, e, t), (w, f, _) = left[12], left[48]
        return np.abs((v - factor * t) * 12 - (w - factor * t) * 48)[1:] / np.hypot(12 * e, 48 * f)[1:]

    assert apart(1.0).max() < FAR
    assert apart(2.0).max() > FAR


def test_the_same_seed_is_the_same_number():
    net = residual(8)
    one, two, other = (sample_jacobian(net, first_kernel=TWO, networks=200, seed=seed) for seed in (7, 7, 8))
    assert one.equals(two)
    assert not one["J"].equals(other["J"])
    assert one.attrs["kind"] == "totals"
    np.testing.assert_array_equal(one["J"], one["J"].transpose("layer", "sample1", "sample0"))
    equal = sample_jacobian(net, [[1.0, 0.2, 0.3]] * 2, networks=100, seed=1)
    np.testing.assert_array_equal(equal["J"][:, 0, 1], equal["J"][:, 0, 0])


def test_hostile_requests():
    net = rg.MLP([3, 10, 10, 1], "tanh")
    for wrong in (
        {"start": 0},
        {"start": 4},
        {"start": 2.5},
        {"networks": 99},
        {"networks": 10**20},
        {"first_kernel": -1.0},
        {"kinks": "?"},
        {"seed": "x"},
    ):
        with pytest.raises(rg.InputError):
            sample_jacobian(net, **{"first_kernel": 1.0, "networks": 100, **wrong})
    with pytest.raises(rg.InputError, match="MLP"):
        sample_jacobian("net", first_kernel=1.0)
    with pytest.raises(rg.KinkError):
        sample_jacobian(rg.MLP([3, 10, 1], "sign(z)"), first_kernel=1.0)
    with pytest.raises(rg.AccuracyError, match="layer"):
        sample_jacobian(rg.MLP([2, 3, 3, 3], "relu", C_W=1e155), first_kernel=1.0, networks=100, seed=1)
    few = rg.Network([rg.Dense(), rg.LayerNorm(), rg.Dense()], [3, 5, 5, 1], "tanh")
    with pytest.raises(rg.InputError, match=r"^V_J of layer 2, .* at least 10 neurons$"):
        sample_jacobian(few, first_kernel=1.0, networks=100, seed=1)


def test_a_picture_of_both():
    """J and V_J from the layer that is moved to the last, theory and networks."""
    net = rg.MLP([3, 10, 10, 10, 10], "tanh")
    ds = partial_jacobian(net, first_kernel=1.0, start=2, order=1)
    axes = plot_flow(ds, sample_jacobian(net, first_kernel=1.0, start=2, networks=100, seed=1))
    assert axes.shape == (2, 2)
    assert axes[0, 0].get_xlim()[1] >= 4
