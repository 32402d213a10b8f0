"""Kinked averages of inputs that depend on two others exactly: three inputs and a plane, as toy data have."""

import itertools
import math

import numpy as np
import pytest

from rgflow import activation
from rgflow.brackets import gaussian_moments

NODES, WEIGHTS = np.polynomial.legendre.leggauss(60)


def in_the_plane(vectors, powers):
    """< prod_i relu(u_i.x)^p_i > over a standard Gaussian x in the plane, theta(u_i.x) for p_i = 0.

    A moment of the radius times an integral over the angle, split where a factor sets in.
    """
    radius = 2 ** (sum(powers) / 2) * math.gamma(sum(powers) / 2 + 1)
    angles, lengths = np.arctan2(vectors[:, 1], vectors[:, 0]), np.hypot(*vectors.T)
    ends = np.sort(
        np.concatenate([(angles + np.pi / 2) % (2 * np.pi), (angles - np.pi / 2) % (2 * np.pi), [0, 2 * np.pi]])
    )
    total = 0.0
    for a, b in itertools.pairwise(ends):
        around = (a + b) / 2 + (b - a) / 2 * NODES
        along = lengths[:, None] * np.cos(around - angles[:, None])
        factor = np.prod([z**p * (z[30] > 0) for z, p in zip(along, powers, strict=True)], axis=0)
        total += (b - a) / 2 * (WEIGHTS * factor).sum()
    return radius * total / (2 * np.pi)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("orders", [((0,), (0,), (0,)), ((0, 0), (0,), (0,)), ((1,), (1,), (0,)), ((1,), (1,), (1,))])
def test_three_inputs_of_a_plane(seed, orders):
    vectors = np.random.default_rng(seed).normal(size=(3, 2))
    kernel = vectors @ vectors.T
    moment = tuple((factor, 0) for factor in orders)
    found, error = gaussian_moments(activation("relu"), kernel[None], [moment], kinks="almost_everywhere")
    exact = in_the_plane(vectors, [factor.count(0) for factor in orders])
    scale = math.prod(np.sqrt(kernel[i, i]) ** factor.count(0) for i, factor in enumerate(orders))
    assert abs(found[0, 0] - exact) <= error[0, 0] + 1e-15 * scale
    assert error[0, 0] < 1e-10 * scale
