"""The linear layer."""

from __future__ import annotations

from dataclasses import dataclass

from rgflow.network.layer import Layer


@dataclass(frozen=True)
class Linear(Layer):
    """A layer without activation, z'_i = b_i + sum_j W_ij z_j: the read-out of a network of branches.

    b ~ N(0, C_b), W ~ N(0, C_W / fan_in); learning-rate tensor lambda_b for biases, lambda_W / fan_in for weights.
    """

    ends = True

    C_b: float = 0.0
    C_W: float = 1.0
    lambda_b: float = 1.0
    lambda_W: float = 1.0
