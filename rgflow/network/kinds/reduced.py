"""The reduced residual block: the activation of one weight layer beside the identity."""

from __future__ import annotations

from dataclasses import dataclass

from rgflow.network.layer import Layer


@dataclass(frozen=True)
class Reduced(Layer):
    r"""A residual block with one weight matrix, inside the activation; it keeps the width n.

    .. math:: x'_i = x_i + \sigma(h_i), \qquad h_i = \sum_j W_{ij} x_j + b_i

    b ~ N(0, C_b), W ~ N(0, C_W / n); learning-rate tensor lambda_b for biases, lambda_W / n for weights.

    Parameters
    ----------
    C_b, C_W, lambda_b, lambda_W : float
        As for a dense layer; not negative. InputError otherwise.

    Source: Yang and Schoenholz (arXiv:1712.08969), the reduced residual network.

    >>> Reduced(C_b=0.1).keeps_width
    True
    """

    keeps_width = True

    C_b: float = 0.0
    C_W: float = 1.0
    lambda_b: float = 1.0
    lambda_W: float = 1.0
