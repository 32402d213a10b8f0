"""The first layer: what the overlaps of the inputs say about it, exactly.

z^1 = b + W x is Gaussian, independent from neuron to neuron, and linear in its parameters, so that it depends on the
inputs only through g = x.x'/n_0:   K^1 = C_b + C_W g,   H^1_jm = delta_jm Theta^1,   Theta^1 = lambda_b + lambda_W g.
"""

from __future__ import annotations

from dataclasses import dataclass

from rgflow.network import MLP
from rgflow.network.inputs import Given
from rgflow.sampling.draw import Array, covariance_root


@dataclass(frozen=True, eq=False)
class FirstLayer:
    """K^1 and Theta^1, both (N, N), with their roots."""

    kernel: Array
    tangent: Array

    @property
    def root(self) -> Array:
        """L with L L^T = K^1."""
        return covariance_root(self.kernel)

    @property
    def tangent_root(self) -> Array:
        """L with L L^T = Theta^1."""
        return covariance_root(self.tangent)


def first_layer(net: MLP, given: Given) -> FirstLayer:
    """K^1 and Theta^1 of the different inputs."""
    dense = net.layers[0]
    return FirstLayer(dense.C_b + dense.C_W * given.overlap, dense.lambda_b + dense.lambda_W * given.overlap)
