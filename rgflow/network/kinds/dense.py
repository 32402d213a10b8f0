"""The dense layer."""

from __future__ import annotations

from dataclasses import dataclass

from rgflow.network.layer import Layer


@dataclass(frozen=True)
class Dense(Layer):
    r"""A dense layer with independent Gaussian parameters.

    .. math:: z'_i = b_i + \sum_j W_{ij}\, \sigma(z_j)

    b ~ N(0, C_b), W ~ N(0, C_W / fan_in); learning-rate tensor lambda_b for biases, lambda_W / fan_in for weights.

    Parameters
    ----------
    C_b, C_W : float
        Variances, of weights times fan-in; not negative.
    lambda_b, lambda_W : float
        Learning-rate tensor, of weights times fan-in; not negative. InputError otherwise.

    Source: PDLT (arXiv:2106.10165), section 2.2 and chapter 8.

    >>> Dense(C_W=2.0)
    Dense(C_b=0.0, C_W=2.0, lambda_b=1.0, lambda_W=1.0)
    """

    ends = True

    C_b: float = 0.0
    C_W: float = 1.0
    lambda_b: float = 1.0
    lambda_W: float = 1.0
