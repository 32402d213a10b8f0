"""The linear layer."""

from __future__ import annotations

from dataclasses import dataclass

from rgflow.network.layer import Layer


@dataclass(frozen=True)
class Linear(Layer):
    r"""A layer without activation: the read-out of a network of branches.

    .. math:: z'_i = b_i + \sum_j W_{ij} z_j

    b ~ N(0, C_b), W ~ N(0, C_W / fan_in); learning-rate tensor lambda_b for biases, lambda_W / fan_in for weights.

    Parameters
    ----------
    C_b, C_W, lambda_b, lambda_W : float
        As for a dense layer; not negative. InputError otherwise.

    Source: PDLT (arXiv:2106.10165), chapter 3, deep linear networks.

    >>> Linear().C_W
    1.0
    """

    ends = True

    C_b: float = 0.0
    C_W: float = 1.0
    lambda_b: float = 1.0
    lambda_W: float = 1.0
