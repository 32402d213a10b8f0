"""Gram matrices against real networks: their distance is that of order 1/n, and nothing else."""

import numpy as np
import pytest

import rgflow as rg
from rgflow.gram.gram import gram

WIDTH, NETWORKS, SIGMAS = 64, 4000, 4.5  # of some twenty numbers that fluctuate together


@pytest.mark.parametrize("name", ["tanh", "relu", "gelu"])
def test_sampled_networks(name):
    """The mean of K over networks is K + K_1/n, its O(1/n^2) is below the standard errors."""
    net = rg.MLP.uniform(n_in=6, width=WIDTH, depth=3, activation=name, C_W=1.8, C_b=0.1)
    x = np.random.default_rng(5).standard_normal((3, 6))
    drawn = rg.sample(net, inputs=x, tensors=["K", "Theta"], networks=NETWORKS, seed=0)
    found = gram(net, x, layers="all")
    shifts = rg.flow(net, x, tensors=["K_1", "Theta_1"], order=1)
    control = gram(rg.MLP.uniform(n_in=6, width=WIDTH, depth=3, activation=name, C_W=1.85, C_b=0.1), x, layers="all")
    for letter in ("K", "Theta"):
        mean, se = (drawn[key].values[1:] for key in (letter, letter + "_se"))
        shift = shifts[letter + "_1"].values[1:] / WIDTH
        assert np.abs((mean - found[letter].values[1:] - shift) / se).max() < SIGMAS, letter
        assert np.abs((mean - control[letter].values[1:] - shift) / se).max() > 2 * SIGMAS, letter
        if letter == "K":  # control: the limit alone is not what networks of this width do
            assert np.abs((mean - found[letter].values[1:]) / se).max() > SIGMAS
