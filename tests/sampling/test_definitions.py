"""The table of index structures on sampled output neurons: each cumulant equals what sample() calls its letter."""

import brute_networks
import numpy as np
import pytest
from explicit_networks import Network

from rgflow.network import MLP, Dense
from rgflow.network import Network as MixedNetwork
from rgflow.network.layer import KINDS
from rgflow.sampling import sample

WIDTHS, X = (2, 4, 3, 2), np.array([[0.9, -0.6]])
HYPER = {"C_b": 0.1, "C_W": 1.8, "lambda_b": 0.5, "lambda_W": 0.8}
NETWORKS = 30_000
NAMES = ("K", "Theta", "V", "A", "B", "D", "F", "P", "Q")
# Standard errors apart that 9 comparisons of the right number pass but once in 2000.
APART = 4.2


def outputs_and_derivatives(seed):
    """z (m, 2), NTK (m, 2, 2) and dNTK D^2 z_i[v_k, v_l] (m, 2, 2, 2) of whole networks, from their parameters only.

    First derivatives by complex steps, second ones by differences of complex steps (error ~ h^2 = 1e-8).
    """
    network = Network(WIDTHS, *([value] * 3 for value in HYPER.values()), X)
    rng = np.random.default_rng(seed)
    theta = rng.standard_normal((NETWORKS, network.size)) * np.sqrt(network.variances)
    z = network.outputs(theta)[:, 0]
    step, h = 1e-30, 1e-4
    J = np.stack(
        [network.outputs(theta + 1j * step * e)[:, 0].imag / step for e in np.eye(network.size)], axis=-1
    )  # (m, 2, size)
    v = network.rates * J
    H = np.einsum("mip,mkp->mik", v, J)
    dH = np.empty((NETWORKS, 2, 2, 2))
    for k in range(2):
        for l in range(2):
            ends = [network.outputs(theta + sign * h * v[:, k] + 1j * step * v[:, l])[:, 0].imag for sign in (1, -1)]
            dH[:, :, k, l] = (ends[0] - ends[1]) / (2 * h * step)
    return z, H, dH


@pytest.fixture(scope="module")
def brute_force():
    """name -> per-network numbers whose mean is the tensor, with neurons i != k; both choices of (i, k) averaged."""
    z, H, dH = outputs_and_derivatives(11)
    n = WIDTHS[-2]
    found = {}
    for i, k in ((0, 1), (1, 0)):
        centred = {
            "zz": (z[:, i] ** 2 - np.mean(z[:, i] ** 2), z[:, k] ** 2 - np.mean(z[:, k] ** 2)),
            "H": (H[:, i, i] - H[:, i, i].mean(), H[:, k, k] - H[:, k, k].mean()),
        }
        values = {
            "K": z[:, i] ** 2,
            "Theta": H[:, i, i],
            "V": n * centred["zz"][0] * centred["zz"][1],
            "D": n * centred["zz"][0] * centred["H"][1],
            "A": n * centred["H"][0] * centred["H"][1],
            "F": n * z[:, i] * z[:, k] * H[:, i, k],
            "B": n * H[:, i, k] ** 2,
            "P": n * dH[:, i, k, k] * z[:, i],
            "Q": n * dH[:, i, i, k] * z[:, k],
        }
        for name, value in values.items():
            found[name] = found.get(name, 0.0) + value / 2
    return found


@pytest.fixture(scope="module")
def sampled():
    return sample(MLP(WIDTHS, "tanh", **HYPER), X, tensors=NAMES, networks=20_000, seed=12, route="weights")


@pytest.mark.parametrize("name", NAMES)
def test_cumulant_of_output_neurons(name, brute_force, sampled):
    value = brute_force[name]
    mean, error = value.mean(), value.std() / np.sqrt(NETWORKS)
    # Centring by the sample mean costs 1/NETWORKS, far below the errors.
    distance = float(sampled[name][-1]) - mean
    assert abs(distance) < APART * np.hypot(error, float(sampled[f"{name}_se"][-1]))


def test_a_wrong_pairing_is_noticed(brute_force, sampled):
    """Control: equal neurons (i = k) would add the other pairings, D + 2F for D and A + 2B for A."""
    for name, other in (("A", "B"), ("D", "F"), ("P", "Q")):
        wrong = float(sampled[name][-1]) + (2 if name != "P" else 1) * float(sampled[other][-1])
        value = brute_force[name]
        error = value.std() / np.sqrt(NETWORKS)
        assert abs(wrong - value.mean()) > 2 * APART * np.hypot(error, float(sampled[f"{name}_se"][-1]))


# Layers whose neurons depend on each other given the layer below, measured where they stand: (i, k) over all pairs.
BESIDE = {"skip": 0.8, "C_b": 0.1, "C_W": 1.2, "lambda_b": 0.5, "lambda_W": 0.8}
KINDS_OF_LAYERS = {
    "residual": KINDS["Residual"](**BESIDE),
    "orthogonal": KINDS["Orthogonal"](C_W=1.8, lambda_b=0.5, lambda_W=0.8),
    "layer norm": KINDS["LayerNorm"](**BESIDE, epsilon=0.3),
}
FIRST = {"C_b": 0.1, "C_W": 1.8, "lambda_b": 0.5, "lambda_W": 0.8}


@pytest.mark.parametrize("kind", KINDS_OF_LAYERS)
def test_cumulants_of_dependent_neurons(kind):
    layer, n, count = KINDS_OF_LAYERS[kind], 3, 12_000
    net = MixedNetwork([Dense(**FIRST), layer, layer, Dense()], [2, n, n, n, 1], "tanh")
    brute = brute_networks.Network(net, X)
    rng = np.random.default_rng(13)
    theta = rng.standard_normal((count, brute.size)) * np.sqrt(brute.variances)
    if kind == "orthogonal":
        for l in (1, 2):
            Q, R = np.linalg.qr(rng.standard_normal((count, n, n)))
            Q *= np.sign(np.diagonal(R, axis1=1, axis2=2))[:, None]
            theta[:, brute.places[l]["W"][0]] = np.sqrt(layer.C_W) * Q.reshape(count, -1)
            theta[:, brute.places[l]["b"][0]] = 0.0
    z = brute.outputs(theta, 3)[:, 0]
    size = brute.places[3]["W"][0].start
    basis = 1e-30j * np.eye(brute.size)[:size]
    J = np.stack([brute.outputs(theta + e, 3)[:, 0].imag / 1e-30 for e in basis], axis=-1)
    H = np.einsum("mip,p,mkp->mik", J, brute.rates[:size], J)
    centred = {"z": z**2 - np.mean(z**2), "H": np.einsum("mii->mi", H) - np.mean(np.einsum("mii->mi", H))}

    def over_pairs(u, v):
        return (u.sum(axis=1) * v.sum(axis=1) - np.sum(u * v, axis=1)) / (n - 1)  # n <u_i v_k>

    different = ~np.eye(n, dtype=bool)
    found = {
        "K": np.mean(z**2, axis=1),
        "V": over_pairs(centred["z"], centred["z"]),
        "D": over_pairs(centred["z"], centred["H"]),
        "A": over_pairs(centred["H"], centred["H"]),
        "F": n * np.mean((z[:, :, None] * z[:, None] * H)[:, different], axis=1),
        "B": n * np.mean((H**2)[:, different], axis=1),
    }
    ds = sample(net, X, tensors=list(found), networks=20_000, seed=14).sel(layer=3)
    for name, value in found.items():
        error = np.hypot(value.std() / np.sqrt(count), float(ds[f"{name}_se"]))
        assert abs(float(ds[name]) - value.mean()) < APART * error, name
