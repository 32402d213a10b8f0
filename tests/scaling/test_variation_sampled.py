"""Sampled networks with explicit weights and back-propagation, in plain NumPy, against the flow."""

import numpy as np
import pytest
from explicit_blocks import run

import rgflow as rg
from rgflow.scaling import variation, variation_network

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
    """At two widths, which cancels order 1/n: within four standard errors; widths change, so N/M and N/Nu count."""
    widths = [96] * 5 if reduced else [96, 96, 48, 48, 96]
    betas = {"beta_W": 0.3, "beta_V": 0.2, "beta_a": 0.1, "beta_b": 0.4}
    sigma, slope = {"tanh": (np.tanh, tanh_slope), "relu": (lambda h: np.maximum(h, 0), lambda h: (h > 0) * 1.0)}[name]
    one, two = (
        sampled(
            150,
            [scale * n for n in widths],
            lambda l: tuple(l ** -betas[f"beta_{x}"] for x in "WVab"),
            sigma,
            slope,
            5 + scale,
            reduced,
        )
        for scale in (1, 2)
    )
    ds = variation(name, 4, **betas, widths=widths, reduced=reduced)
    seen = 0
    for quantity in set(one) & set(ds.data_vars):
        mean, error = 2 * two[quantity][0] - one[quantity][0], np.hypot(2 * two[quantity][1], one[quantity][1])
        theory = ds[quantity].values[5 - len(mean) :]
        assert (np.abs(mean - theory) <= 4 * error + 1e-13 * theory).all(), quantity  # p^0 and chi^L are exact
        seen += 1
    assert seen == (4 if reduced else 6)
    if not reduced:
        # and p at one width, with the correction that the flow knows
        flow = rg.flow(variation_network(name, 4, **betas, widths=widths), first_kernel=1.0, tensors=["K"], order=1)
        corrected = (flow["K"] + flow["K_1"] / flow["fan_in"]).values[:5]
        mean, error = one["p"]
        assert (np.abs(mean - corrected) <= 4 * error + 1e-13 * corrected).all()


@pytest.mark.slow
def test_halved_widths():
    """The papers' figure: N_0 = 1024 halved at squares, 60 networks, and what the flow says of order 1/n.

    p with its K_1 within three standard errors, taken from V of the flow where it is: p is skewed, and few networks do
    not know their own spread. Of gradients the size of order 1/n is that of the tangent kernel, Theta_1.
    """
    widths = [1024 >> sum(at <= l for at in HALVED) for l in range(101)]
    found = sampled(60, widths, lambda l: (1, 1, 1, 1), np.tanh, tanh_slope, 7)
    ds = variation("tanh", 100, widths=widths)
    flow = rg.flow(variation_network("tanh", 100, widths=widths), first_kernel=1.0, order=1)
    n = np.array(widths)
    p, V = (flow["K"] + flow["K_1"] / flow["fan_in"]).values[:101], (flow["V"] / flow["fan_in"]).values[:101]
    # <x_1^4> - <x_1^2>^2 over n neurons, and what they have in common
    spread = np.sqrt(V + 2 * (p**2 + V) / n)
    assert spread[100] == pytest.approx(np.sqrt(float(flow["V"][101]) / 16), rel=0.05)  # the same by the read-out
    layers = [9, 16, 25, 36, 49, 64, 81, 100]
    assert (np.abs(found["p"][0] - p)[layers] < 3 * spread[layers] / np.sqrt(60)).all()
    mean, error = found["chi"]
    beyond = abs(float(flow["Theta_1"][100] / flow["Theta"][100])) / widths[-1]
    assert beyond < 0.03
    assert abs(mean[0] - float(ds["chi"][0])) < 3 * error[0] + beyond * mean[0]
