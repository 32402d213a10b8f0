"""The branch behind a gate."""

from __future__ import annotations

from dataclasses import dataclass

from rgflow.network.layer import Layer, real, size


@dataclass(frozen=True)
class Gated(Layer):
    r"""A residual block whose branch is multiplied by a fixed number; it keeps the width n.

    .. math:: x'_i = x_i + \text{gate} \sum_k V_{ik}\, \sigma(h_k), \qquad h_k = \sum_j W_{kj} x_j + b_k

    b ~ N(0, C_b), W ~ N(0, C_W / n), V ~ N(0, C_V / M) with M hidden neurons; learning-rate tensor lambda_b,
    lambda_W / n, lambda_V / M. The gate is a fixed number: 1 is a branch without bias, 0 the identity, 1/sqrt(L) keeps
    the kernel of L blocks of order 1.

    Parameters
    ----------
    gate : float
        Any finite number.
    C_V, C_b, C_W : float
        Variances, of weights times their fan-in; not negative.
    lambda_V, lambda_b, lambda_W : float
        Learning-rate tensor, of weights times their fan-in; not negative. InputError otherwise.
    hidden : int, optional
        M; by default n.

    Source: Bachlechner et al., "ReZero is all you need" (arXiv:2003.04887), with the gate not trained.

    >>> Gated(gate=0.25).gate
    0.25
    """

    keeps_width = True

    gate: float = real(0.5)
    C_V: float = 1.0
    C_b: float = 0.0
    C_W: float = 1.0
    lambda_V: float = 1.0
    lambda_b: float = 1.0
    lambda_W: float = 1.0
    hidden: int | None = size()
