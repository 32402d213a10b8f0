"""Training of the last layer alone: Bayesian inference at infinite width, and what it is not at order 1/n."""

import numpy as np
import pytest

import rgflow as rg
from rgflow.errors import InputError
from rgflow.predict.training.readout import readout_only

X = np.array([[1.0, 0.5], [-0.6, 1.2], [0.9, -0.8]])  # two to train on, one to test
Y = np.array([1.2, -0.7])
A, B = slice(0, 2), slice(2, 3)
NET = rg.MLP([2, 100, 100, 1], "sin", C_b=0.2, C_W=1.2)


def mean(G):
    """Of Gaussian regression with a metric."""
    return (G[B, A] @ np.linalg.solve(G[A, A], Y))[0]


def variance(G):
    return (G[B, B] - G[B, A] @ np.linalg.solve(G[A, A], G[A, B]))[0, 0]


def averaged(ds, n):
    """1/n times the shifts of mean and variance when each metric of the prior has its own regression.

    E f(G) = f(K) + K_1/n df + V/(2n) ddf, and for the variance that of the means in addition; derivatives are central
    differences of step h, whose error is h^2 of their size.
    """
    K, K_1, V = (ds[name].values[-1] for name in ("K", "K_1", "V"))
    h = 1e-3
    values, vectors = np.linalg.eigh(V.reshape(9, 9))
    directions = vectors.T.reshape(9, 3, 3)

    def slope(f, direction):
        return (f(K + h * direction) - f(K - h * direction)) / (2 * h)

    def shift(f):
        bends = [(f(K + h * d) - 2 * f(K) + f(K - h * d)) / h**2 for d in directions]
        return (slope(f, K_1) + values @ bends / 2) / n

    return shift(mean), shift(variance) + values @ [slope(mean, d) ** 2 for d in directions] / n


def test_at_infinite_width_it_is_bayesian():
    ds = rg.trained(readout_only(NET), (X[A], Y), X[B], order=0)
    kernels = rg.flow(readout_only(NET), X, tensors=["K", "Theta"], order=0)
    K = kernels["K"].values[-1]
    np.testing.assert_array_equal(kernels["Theta"].values[-1], K)
    np.testing.assert_allclose(ds["mean_infinite"].values.ravel(), mean(K), rtol=1e-12)
    np.testing.assert_allclose(ds["covariance_infinite"].values.ravel(), variance(K), rtol=1e-12)
    everything = rg.trained(NET, (X[A], Y), X[B], order=0)  # control: all layers learn
    assert abs(everything["mean_infinite"].item() - mean(K)) > 0.01


def test_at_finite_width_it_averages_over_the_prior_and_bayes_does_not():
    """Every network draws from its own Gaussian process, whatever it makes of the data; Bayes weighs the networks."""
    net = readout_only(NET)
    ds = rg.trained(net, (X[A], Y), X[B])
    by_hand = averaged(rg.flow(net, X, tensors=["K", "V"], order=1), 100)
    np.testing.assert_allclose(ds["mean_shift"].item(), by_hand[0], rtol=1e-4)
    np.testing.assert_allclose(ds["covariance_shift"].item(), by_hand[1], rtol=1e-4)
    learnt = ds["mean_shift_part"].sel(part=["dNTK", "ddNTK I", "ddNTK II"])
    assert not learnt.any()
    bayes = rg.posterior(NET, (X[A], Y), X[B])
    np.testing.assert_allclose(bayes["mean_infinite"], ds["mean_infinite"], rtol=1e-12)
    assert bayes["mean_shift"].item() < -0.004 < 0.003 < ds["mean_shift"].item()


def test_layers_of_other_kinds():
    layers = [rg.Dense(C_b=0.1), rg.Residual(skip=0.9), rg.Linear(C_b=0.3, C_W=0.7)]
    net = readout_only(rg.Network(layers, [2, 30, 30, 1], "tanh"))
    assert net.layers[-1] == rg.Linear(C_b=0.3, C_W=0.7, lambda_b=0.3, lambda_W=0.7)
    assert net.layers[0] == rg.Dense(C_b=0.1, lambda_b=0.0, lambda_W=0.0)
    ds = rg.flow(net, X, tensors=["K", "Theta"], order=0)
    np.testing.assert_allclose(ds["Theta"][-1], ds["K"][-1], rtol=1e-12)


@pytest.mark.parametrize("net", [rg.Network([rg.Dense(), rg.Orthogonal()], [2, 10, 10], "tanh"), "tanh", None])
def test_refused(net):
    with pytest.raises(InputError):
        readout_only(net)
