"""PyTorch models at initialisation: the sampled networks are theirs, digit by digit, and the flow is their mean."""

import numpy as np
import pytest
from torch_transformer import measured

from rgflow.network.transformer import BLOCKS, Transformer
from rgflow.sampling.attention import drawn
from rgflow.sampling.transformer import sample_transformer
from rgflow.transformer import transformer_flow

pytest.importorskip("torch")

X = np.random.default_rng(1).normal(size=(4, 12))
WORDS = np.array([2, 0, 2, 5])
VARIANCES = {"C_Q": 1.5, "C_V": 0.8, "C_U": 1.3, "C_W": 1.1, "C_X": 0.9, "C_PE": 0.2, "C_bhead": 0.3}
RATES = {"Q": 1.4, "K": 0.6, "V": 1.2, "U": 0.7, "W": 1.3, "X": 0.5, "PE": 0.4}
GIVEN = VARIANCES | {f"Lambda_{group}": rate for group, rate in RATES.items()}


def weights_of(net, generator):
    """Weights as ``sample_transformer`` draws them."""
    names = [("stem", "patch" if net.stem == "patch" else "WE"), ("stem", "PE")]
    names += [(place, group) for place, kind in enumerate(net.blocks) for group in BLOCKS[kind]]
    names += [] if net.tied else [("head", "head"), ("head", "bhead")]
    return {name: drawn(net, name[1], [generator])[0] for name in names}


def models(net, shown, outputs, networks, seed, neurons=1):
    """K and Theta by group of PyTorch models, (networks, ...) each."""
    found = [
        measured(net, weights_of(net, np.random.default_rng(child)), shown[None], outputs, neurons)
        for child in np.random.SeedSequence(seed).spawn(networks)
    ]
    return tuple(np.array(values) for values in zip(*found, strict=True))


@pytest.mark.parametrize("mask", ["full", "causal"])
@pytest.mark.parametrize("stem", ["patch", "words"])
def test_sampled_networks_are_pytorchs(mask, stem):
    """The same weights: kernels and tangent kernels agree to rounding."""
    tied, shown = stem == "words", X if stem == "patch" else WORDS
    net = Transformer(
        width=24, heads=3, blocks=2, n_in=12, positions=6, mask=mask, stem=stem, tied=tied, n_out=12,
        activation="tanh", **GIVEN,
    )  # fmt: skip
    outputs = np.setdiff1d(np.arange(12), WORDS) if tied else np.arange(12)
    K, Theta = models(net, shown, outputs, 2, seed=4, neurons=2)
    ours = sample_transformer(net, shown, networks=2, seed=4, neurons=2)
    np.testing.assert_allclose(ours.K, K.mean(axis=0), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(ours.Theta_by_group[-1], Theta.mean(axis=0), rtol=1e-9, atol=1e-11)


def compared(depth, width, mask, networks, neurons, allowance):
    """Distances of PyTorch models from the flow, beyond ``allowance`` H/n of the kernel's size, in standard errors."""
    net = Transformer(width=width, heads=2, blocks=depth, n_in=12, positions=4, mask=mask, n_out=8, **GIVEN)
    K, Theta = models(net, X, range(8), networks, seed=depth, neurons=neurons)
    flow = transformer_flow(net, X, draws=2**13)
    worst = []
    for values, expected, error in (
        (K, flow.K.values, flow.K_error.values),
        (Theta.sum(axis=1), flow.Theta.values[-1], flow.Theta_error.values[-1]),
    ):
        se = np.hypot(values.std(axis=0, ddof=1) / np.sqrt(networks), error)
        size = np.sqrt(np.einsum("...tt,...uu->...tu", expected, expected))
        beyond = np.abs(values.mean(axis=0) - expected) - allowance * net.heads / net.width * size
        worst.append(float((beyond / np.maximum(se, 1e-12)).max()))
    return worst


CASES = [(depth, width, mask) for depth in (1, 2, 3) for width in (32, 64) for mask in ("full", "causal")]


@pytest.mark.parametrize(("depth", "width", "mask"), [CASES[i] for i in (0, 3, 5, 6, 8, 11)])
def test_flow_of_pytorch_models(depth, width, mask):
    """The remainder is O(H/n), with a coefficient of order one: at most 1 for K and Theta, relative to the diagonal."""
    assert max(compared(depth, width, mask, networks=8, neurons=1, allowance=1.0)) < 4


@pytest.mark.slow
@pytest.mark.parametrize(("depth", "width", "mask"), [(d, 4 * w, m) for d, w, m in CASES])
def test_flow_of_many_pytorch_models(depth, width, mask):
    assert max(compared(depth, width, mask, networks=300, neurons=4, allowance=1.0)) < 4


def test_control_another_mask():
    """Models with a causal mask are not those of the full one."""
    net = Transformer(width=64, heads=2, blocks=1, n_in=12, positions=4, mask="causal", n_out=8, **GIVEN)
    K, _ = models(net, X, range(8), 16, seed=1)
    wrong = transformer_flow(net.changed(mask="full"), X).K.values
    size = np.sqrt(np.einsum("...tt,...uu->...tu", wrong, wrong))
    beyond = np.abs(K.mean(axis=0) - wrong) - 2 / 64 * size
    assert np.max(beyond[1] / (K.std(axis=0, ddof=1)[1] / np.sqrt(16))) > 4
