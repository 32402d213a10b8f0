"""The branch of the mean-field papers: two weight layers beside the identity."""

from __future__ import annotations

from dataclasses import dataclass

from rgflow.network.layer import Layer, size


@dataclass(frozen=True)
class Branch(Layer):
    r"""A residual block with two weight matrices; it keeps the width n.

    .. math:: x'_i = x_i + \sum_k V_{ik}\, \sigma(h_k) + a_i, \qquad h_k = \sum_j W_{kj} x_j + b_k

    b ~ N(0, C_b), W ~ N(0, C_W / n), a ~ N(0, C_a), V ~ N(0, C_V / M) with M hidden neurons; learning-rate tensor
    lambda_b, lambda_W / n, lambda_a, lambda_V / M.

    Parameters
    ----------
    C_a, C_V, C_b, C_W : float
        Variances, of weights times their fan-in; not negative.
    lambda_a, lambda_V, lambda_b, lambda_W : float
        Learning-rate tensor, of weights times their fan-in; not negative. InputError otherwise.
    hidden : int, optional
        M; by default n.

    Source: Yang and Schoenholz (arXiv:1712.08969), the full residual network.

    >>> Branch(C_V=0.5, hidden=64).hidden
    64
    """

    keeps_width = True

    C_a: float = 0.0
    C_V: float = 1.0
    C_b: float = 0.0
    C_W: float = 1.0
    lambda_a: float = 1.0
    lambda_V: float = 1.0
    lambda_b: float = 1.0
    lambda_W: float = 1.0
    hidden: int | None = size()
