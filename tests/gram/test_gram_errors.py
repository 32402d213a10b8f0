"""Reported errors of deep networks hold, and are not far too large; averages over one input that are closed."""

import numpy as np
import pytest

import rgflow as rg
from rgflow.errors import AccuracyError
from rgflow.gram.arcs import arcs, closed
from rgflow.gram.gram import gram
from rgflow.gram.hermite import direct

LONG = np.longdouble
PI = LONG("3.14159265358979323846264338327950288")


def by_angles(overlap, depth, C_W, C_b, slope):
    """K and Theta of max(z, slope z) with lambda = 1 in extended precision, by the angle (Cho and Saul 2009)."""
    K, Theta = LONG(C_b) + LONG(C_W) * overlap, 1 + overlap
    smooth, bent = (1 - LONG(slope)) ** 2 / (2 * PI), LONG(slope)
    for _ in range(depth):
        root = np.sqrt(np.diagonal(K))
        size = np.outer(root, root)
        c = np.clip(K / size, -1, 1)
        sine = np.sqrt((1 - c) * (1 + c))
        angle = PI - np.arctan2(sine, c)
        products = size * smooth * (sine + angle * c) + bent * K
        Theta = 1 + products + LONG(C_W) * (smooth * angle + bent) * Theta
        K = LONG(C_b) + LONG(C_W) * products
    return K, Theta


@pytest.mark.skipif(np.finfo(LONG).eps > 1e-18, reason="no extended precision here")
@pytest.mark.parametrize(("slope", "C_W", "C_b"), [(0.0, 2.0, 0.0), (0.0, 1.9, 0.05), (0.3, 1.5, 0.4)])
def test_two_slopes_at_depth_64(slope, C_W, C_b):
    x = np.random.default_rng(0).standard_normal((40, 50))
    name = rg.activation("leaky_relu", slope=slope) if slope else "relu"
    found = gram(rg.MLP.uniform(n_in=50, width=3, depth=65, activation=name, C_W=C_W, C_b=C_b), x)
    K, Theta = by_angles(x.astype(LONG) @ x.T.astype(LONG) / 50, 64, C_W, C_b, slope)
    apart = ~np.eye(40, dtype=bool)
    for letter, true in (("K", K), ("Theta", Theta)):
        away = float(np.abs(found[letter].values - true)[apart].max())
        error = float(found.numerical_error.sel(coefficient=letter))
        assert away <= error < 3e-11 * float(true.max()), letter
    wrong, _ = by_angles(x.astype(LONG) @ x.T.astype(LONG) / 50, 64, C_W, C_b, slope + 1e-9)  # control
    assert np.abs(found.K.values - wrong).max() > float(found.numerical_error[0])


@pytest.mark.parametrize("activation", arcs(), ids=["erf", "gelu"])
def test_closed_averages(activation):
    """Against quadrature at small and large kernels; the series of s' itself has no part in them."""
    for K in np.geomspace(1e-8, 30.0, 9):
        found, there = closed(activation, np.array([K])), direct(activation, np.array([K]), 4, 256)
        for name in ("square", "slope", "answer", "second", "third"):
            value, other = (float(np.max(getattr(each, name))) for each in (found, there))
            assert value == pytest.approx(other, rel=2e-14, abs=0), (name, K)


@pytest.mark.parametrize(
    ("activation", "C_W", "depth"), [("erf", 2.0, 200), ("sign(z)", 1.5, 9)], ids=["beyond numbers", "by quadrature"]
)
def test_chaos_that_has_eaten_all_digits_is_refused(activation, C_W, depth):
    """Nearly antiparallel inputs of a chaotic network: its error passes K, or the largest float."""
    x = np.random.default_rng(0).standard_normal((12, 7))
    x[1] = -x[0] * (1 + 1e-7)
    x[2] = x[3] + 1e-6 * x[4]
    net = rg.MLP.uniform(n_in=7, width=3, depth=depth, activation=activation, C_W=C_W, C_b=0.0)
    with pytest.raises(AccuracyError, match="has grown to its size at layer"):
        gram(net, x, kinks="almost_everywhere", tensors="K")
