"""Sampled networks with explicit weights and back-propagation, in plain NumPy, against the flow."""

import numpy as np
import pytest
from explicit_blocks import run

from rgflow.scaling import variation

HALVED = (16, 25, 36, 49, 64, 81)


def tanh_slope(h):
    return 1 / np.cosh(h) ** 2


def sampled(networks, widths, variances, sigma, slope, seed, reduced=False):
    """Means over networks and standard errors: p, chi and gradients of parameters over mean chi at the last layer."""
    p, chi, by = [], [], []
    for i in range(networks):
        rng = np.random.default_rng((seed, i))
        x = rng.standard_normal(widths[0])
        found = run(rng, widths, variances, sigma, slope, x / np.sqrt(np.mean(x**2)), reduced=reduced)
        p.append(found[0])
        chi.append(found[1])
        by.append(found[2])
    last = np.mean([c[-1] for c in chi])
    columns = {"p": np.array(p), "chi": np.array(chi) / last}
    columns |= {f"chi_{k}": np.array([b[k] for b in by]) / last for k in by[0]}
    return {k: (v.mean(axis=0), v.std(axis=0, ddof=1) / np.sqrt(networks)) for k, v in columns.items()}


def test_back_propagation_by_differences():
    """The witness itself: dE/dx by a finite difference."""
    gradient = np.random.default_rng(9).standard_normal(5)
    x = np.random.default_rng(8).standard_normal(4)

    def energy(at):
        found = run_output(at)
        return gradient @ found

    def run_output(at):
        rng = np.random.default_rng(1)
        W1, b1 = rng.standard_normal((3, 4)) / 2, rng.standard_normal(3)
        P1, V1, a1 = rng.standard_normal((3, 4)) / 2, rng.standard_normal((3, 3)) / np.sqrt(3), rng.standard_normal(3)
        y = P1 @ at + V1 @ np.tanh(W1 @ at + b1) + a1
        W2, b2 = rng.standard_normal((5, 3)) / np.sqrt(3), rng.standard_normal(5)
        P2, V2, a2 = (
            rng.standard_normal((5, 3)) / np.sqrt(3),
            rng.standard_normal((5, 5)) / np.sqrt(5),
            rng.standard_normal(5),
        )
        return P2 @ y + V2 @ np.tanh(W2 @ y + b2) + a2

    step = 1e-5
    slopes = [(energy(x + step * e) - energy(x - step * e)) / (2 * step) for e in np.eye(4)]
    p, chi, _ = run(np.random.default_rng(1), [4, 3, 5], lambda l: (1, 1, 1, 1), np.tanh, tanh_slope, x, gradient)
    assert chi[0] == pytest.approx(np.mean(np.square(slopes)), rel=1e-8)
    assert p[-1] == pytest.approx(np.mean(run_output(x) ** 2), rel=1e-12)


@pytest.mark.parametrize(("name", "reduced"), [("tanh", False), ("relu", False), ("tanh", True)])
def test_small_networks(name, reduced):
    """Within 5 standard errors and what is left out at order 1/n; widths change, so that N/M and N/Nu count."""
    widths = [96] * 5 if reduced else [96, 96, 48, 48, 96]
    betas = {"beta_W": 0.3, "beta_V": 0.2, "beta_a": 0.1, "beta_b": 0.4}
    sigma, slope = {"tanh": (np.tanh, tanh_slope), "relu": (lambda h: np.maximum(h, 0), lambda h: (h > 0) * 1.0)}[name]
    networks = 150
    found = sampled(
        networks, widths, lambda l: tuple(l ** -betas[f"beta_{x}"] for x in "WVab"), sigma, slope, 5, reduced
    )
    ds = variation(name, 4, **betas, widths=widths, reduced=reduced)
    for quantity, (mean, error) in found.items():
        if quantity not in ds:
            continue
        theory = ds[quantity].values[5 - len(mean) :]
        beyond = 8 / min(widths)  # a few times 4 layers / width, the size of the next order
        assert (np.abs(mean - theory) < 5 * error + beyond / 4 * theory).all(), quantity


@pytest.mark.slow
def test_halved_widths():
    """The papers' figure: N_0 = 1024 halved at squares, 60 networks; p within three standard errors up to layer 81."""
    widths = [1024 >> sum(at <= l for at in HALVED) for l in range(101)]
    found = sampled(60, widths, lambda l: (1, 1, 1, 1), np.tanh, tanh_slope, 7)
    ds = variation("tanh", 100, widths=widths)
    mean, error = found["p"]
    layers = [9, 16, 25, 36, 49, 64, 81]
    assert (np.abs(mean - ds["p"].values)[layers] < 3 * error[layers]).all()
    mean, error = found["chi"]
    assert abs(mean[0] - float(ds["chi"][0])) < 3 * error[0] + 0.2 * mean[0]
