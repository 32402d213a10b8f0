"""The branch where the width changes: the identity becomes a random projection."""

from __future__ import annotations

from dataclasses import dataclass

from rgflow.network.layer import Layer, size


@dataclass(frozen=True)
class Projection(Layer):
    r"""A residual block whose skip is a projection, from width n to n'.

    .. math:: x'_i = \sum_j P_{ij} x_j + \sum_k V_{ik}\, \sigma(h_k) + a_i, \qquad h_k = \sum_j W_{kj} x_j + b_k

    P ~ N(0, C_P / n), b ~ N(0, C_b), W ~ N(0, C_W / n), a ~ N(0, C_a), V ~ N(0, C_V / M) with M hidden neurons;
    learning-rate tensor lambda_P / n (0: the projection is not trained), and those of a branch.

    Parameters
    ----------
    C_P, C_a, C_V, C_b, C_W : float
        Variances, of weights times their fan-in; not negative.
    lambda_P, lambda_a, lambda_V, lambda_b, lambda_W : float
        Learning-rate tensor, of weights times their fan-in; not negative. InputError otherwise.
    hidden : int, optional
        M; by default n'.

    Source: Yang and Schoenholz, "Deep Mean Field Theory: Layerwise Variance and Width Variation" (2018).

    >>> Projection().lambda_P
    0.0
    """

    C_P: float = 1.0
    C_a: float = 0.0
    C_V: float = 1.0
    C_b: float = 0.0
    C_W: float = 1.0
    lambda_P: float = 0.0
    lambda_a: float = 1.0
    lambda_V: float = 1.0
    lambda_b: float = 1.0
    lambda_W: float = 1.0
    hidden: int | None = size()
