"""What benchmarks hold for true, and the programs they compare with: all compute the same numbers."""

import numpy as np
import pytest

import rgflow as rg
from rgflow.bench import grid, inputs, kernels, peers, reference, yardsticks

SMALL = 16


def flowed(name, X, depth):
    ds = rg.flow(kernels.net(name, depth), X, tensors=["K", "Theta"], order=0)
    return ds["K"].values[-1], ds["Theta"].values[-1], ds["numerical_error"].values.max()


@pytest.mark.parametrize("name", ["relu", "erf", "gelu", "tanh"])
def test_the_reference_of_kernels_is_that_of_the_flow(name):
    """Typed formulas and a rule of 180 x 180 nodes against derived recursions, three inputs, three layers."""
    X = kernels.inputs(3)
    K, Theta = reference.gram(name, X, 3)
    found_K, found_Theta, doubt = flowed(name, X, 3)
    rounding = 100 * np.finfo(float).eps * np.abs(Theta).max()  # three layers of sums of positive terms
    assert np.abs(found_K - K).max() <= doubt + rounding
    assert np.abs(found_Theta - Theta).max() <= doubt + rounding


def test_control_another_parametrization_is_seen():
    """Negative control: without lambda = C the tangent kernels differ."""
    X = kernels.inputs(3)
    ds = rg.flow(rg.MLP([784] * 5, "gelu", C_b=0.17292239, C_W=1.98305826), X, tensors=["Theta"], order=0)
    _, Theta = reference.gram("gelu", X, 3)
    assert reference.error(ds["Theta"].values[-1], Theta) > 0.1


def test_numpy_does_the_same():
    """The arc-cosine formula loses half its digits at rho = 1; 25 Gauss-Hermite nodes know tanh to four."""
    X = kernels.inputs(4)
    half = np.sqrt(4 * np.finfo(float).eps)
    for found, true in zip(yardsticks.relu_gram(X, 3), reference.gram("relu", X, 3), strict=True):
        assert reference.error(found, true, reference.diagonal(true)) < 4 * half
    errors = []
    for degree in (25, 50):
        found = yardsticks.product_gram("tanh", X, 3, degree)
        true = reference.gram("tanh", X, 3)
        errors.append(max(reference.error(f, t, reference.diagonal(t)) for f, t in zip(found, true, strict=True)))
    assert errors[0] < 1e-3
    assert errors[1] < errors[0] / 20  # more nodes come closer to the reference, from far


def test_the_reference_of_grids_is_that_of_the_flow():
    C_b, C_W = np.array([0.0, 0.3]), np.array([1.2, 0.7])
    true = reference.grid(C_b, C_W, 5)
    for i, (b, w) in enumerate(zip(C_b, C_W, strict=True)):
        net = rg.MLP.uniform(n_in=8, width=8, depth=6, activation="tanh", C_b=b, C_W=w, lambda_b=b, lambda_W=w)
        ds = rg.flow(net, first_kernel=1.0, tensors=["K", "V", "Theta"])
        found = [float(ds[name][-1]) for name in ("K", "V", "Theta")]
        assert found == pytest.approx(true[i, list(grid.LETTERS)], rel=1e-12)


def test_the_reference_of_grids_has_converged():
    C_b, C_W = grid.axes(4)
    fine = reference.grid(C_b, C_W, 20, nodes=1200, reach=10.0)
    assert reference.grid(C_b, C_W, 20) == pytest.approx(fine, rel=1e-14)


def test_numpy_and_c_run_the_same_grid(tmp_path, monkeypatch):
    C_b, C_W = grid.axes(SMALL)
    monkeypatch.setattr(grid, "LAYERS", 10)
    true = reference.grid(C_b, C_W, 10)[:, grid.LETTERS]
    errors = [reference.error(yardsticks.tanh_grid(C_b, C_W, 10, n)[:, grid.LETTERS], true) for n in (64, 128)]
    assert errors[1] < errors[0] / 20 < 1e-2
    program = peers.grid_in_c()
    if program is None:
        pytest.skip("no C compiler here")
    found = grid.in_c(program, SMALL, 1, (1, 128, 8.5), tmp_path).found()
    assert reference.error(found, true) < 1e-12
    coarse = grid.in_c(program, SMALL, 1, (1, 16, 8.5), tmp_path).found()
    assert reference.error(coarse, true) > 1e-6  # control: too few nodes are seen


def test_ours_are_right_on_a_small_grid(monkeypatch):
    true = reference.grid(*grid.axes(SMALL), grid.LAYERS)[:, grid.LETTERS]
    for side in (grid.tabulated(SMALL, 1), grid.quadrature(SMALL, 1)):
        assert reference.error(side.found(), true) < 1e-11


def test_the_reference_of_four_inputs_is_that_of_the_flow(monkeypatch):
    """Two pairs of equal inputs: the vertex as one of two inputs, which is flowed by another rule."""
    monkeypatch.setattr(inputs, "NODES", 44)
    known = reference.KNOWN["gelu"]
    X = np.random.default_rng(3).standard_normal((4, 8)) / 2
    K = known.C_b + known.C_W * X @ X.T / 8
    net = rg.MLP([8, 8, 1], "gelu", C_b=known.C_b, C_W=known.C_W)
    found = rg.flow(net, X[:2], tensors=["V"])["V"].values[1]
    true = inputs.vertex(K)[:2, :2, :2, :2]
    assert np.abs(found - true).max() < 1e-9 * np.abs(true).max()
