"""The residual layer of a multilayer perceptron: a dense layer with a skip connection."""

from __future__ import annotations

from dataclasses import dataclass

from rgflow.network.layer import Layer, real


@dataclass(frozen=True)
class Residual(Layer):
    r"""A residual layer: a dense one and what it read, times ``skip``; it keeps the width.

    .. math:: z'_i = b_i + \sum_j W_{ij}\, \sigma(z_j) + \text{skip}\; z_i

    b ~ N(0, C_b), W ~ N(0, C_W / width); learning-rate tensor lambda_b for biases, lambda_W / width for weights.
    skip = 0 is a dense layer.

    Parameters
    ----------
    skip : float
        Skip strength, any finite number.
    C_b, C_W, lambda_b, lambda_W : float
        As for a dense layer; not negative. InputError otherwise.

    Source: PDLT (arXiv:2106.10165), appendix B.

    >>> Residual(skip=0.9).hyperparameters()
    ('skip', 'C_b', 'C_W', 'lambda_b', 'lambda_W')
    """

    keeps_width = True

    skip: float = real(1.0)
    C_b: float = 0.0
    C_W: float = 1.0
    lambda_b: float = 1.0
    lambda_W: float = 1.0
