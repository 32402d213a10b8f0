"""Exact laws at finite width: single-input scale-invariant networks, whose G is a product of independent factors."""

from fractions import Fraction

import numpy as np
import pytest

from rgflow.network import MLP
from rgflow.sampling import sample

WIDTHS = (3, 12, 7, 20, 5)
# y = sigma(unit normal): E[X], E[X^2], E[X^3] of X = C_W y^2 with C_W = 1/E[y^2].
LAWS = {"relu": (2.0, (1, 6, 60)), "linear": (1.0, (1, 3, 15))}
APART = 4.0


def moments_of_mean(n, m):
    """E[(mean of n copies of X)^k], k = 1, 2, 3."""
    m1, m2, m3 = (Fraction(value) for value in m)
    second = (n * m2 + n * (n - 1) * m1**2) / Fraction(n**2)
    third = (n * m3 + 3 * n * (n - 1) * m2 * m1 + n * (n - 1) * (n - 2) * m1**3) / Fraction(n**3)
    return m1, second, third


@pytest.fixture(scope="module", params=LAWS)
def sampled(request):
    C_W, m = LAWS[request.param]
    net = MLP(WIDTHS, request.param, C_W=C_W, lambda_b=0.5, lambda_W=0.7)
    names = ("K", "V", "V6", "Theta")
    by_neurons = sample(net, first_kernel=1.5, tensors=names[:3], networks=100_000, seed=21)
    by_weights = sample(net, first_kernel=1.5, tensors=names, networks=10_000, seed=22, route="weights")
    return C_W, m, {"neurons": by_neurons, "weights": by_weights}


@pytest.mark.parametrize("route", ["neurons", "weights"])
def test_product_law(sampled, route):
    """E[G^2]/E[G]^2 = prod (1 + 5/n_l) for ReLU, (1 + 2/n_l) for linear; also the third moment."""
    C_W, m, by_route = sampled
    ds = by_route[route]
    second, third = Fraction(1), Fraction(1)
    for layer in range(2, len(WIDTHS)):
        n = WIDTHS[layer - 1]
        _, factor2, factor3 = moments_of_mean(n, m)
        assert factor2 == 1 + Fraction(5 if C_W == 2.0 else 2, n)
        second, third = second * factor2, third * factor3
        exact = {
            "K": 1.5,
            "V": n * 1.5**2 * float(second - 1),
            "V6": n**2 * 1.5**3 * float(third - 3 * second + 2),
        }
        for name, value in exact.items():
            at = ds.sel(layer=layer)
            assert abs(float(at[name]) - value) < APART * float(at[f"{name}_se"])


def test_mean_tangent_kernel(sampled):
    """Theta' = lambda_b + lambda_W K/C_W + Theta, exactly: C_W <sigma'^2> = 1 whatever the widths."""
    C_W, _, by_route = sampled
    ds = by_route["weights"]
    own = 0.5 + 0.7 * 1.5 / C_W
    for layer in range(1, len(WIDTHS)):
        at = ds.sel(layer=layer)
        assert abs(float(at.Theta) - layer * own) <= APART * float(at.Theta_se) + 1e-14


def test_a_wrong_width_is_noticed(sampled):
    """Control: with the neighbouring layer's width the law is refused."""
    C_W, _, by_route = sampled
    ds = by_route["neurons"].sel(layer=2)
    wrong = WIDTHS[2] * 1.5**2 * (5 if C_W == 2.0 else 2) / WIDTHS[1]
    assert abs(float(ds.V) - wrong) > 10 * float(ds.V_se)


def test_first_layer_is_exact(sampled):
    for ds in sampled[2].values():
        at = ds.sel(layer=1)
        assert np.isclose(float(at.K), 1.5, rtol=0, atol=0)
        assert all(float(at[f"{name}_se"]) == 0 for name in ds if not name.endswith("_se"))
        assert float(at.V) == float(at.V6) == 0
