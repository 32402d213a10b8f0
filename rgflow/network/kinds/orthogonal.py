"""The layer with orthogonal weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rgflow.network.layer import Layer


@dataclass(frozen=True)
class Orthogonal(Layer):
    r"""A layer with random orthogonal weights and no random bias (C_b = 0).

    .. math:: z'_i = \sum_j W_{ij}\, \sigma(z_j), \qquad W = \sqrt{C_W m / n_\ell}\; O, \quad
              m = \max(n_\ell, n_{\ell+1})

    O is an n_{l+1} x n_l block with orthonormal rows or columns of a Haar-distributed matrix, so that Var W_ij = C_W /
    n_l as in a dense layer. Tangent directions are Gaussian: learning rate lambda_b for the bias (zero at the start),
    lambda_W / fan_in for weights.

    Parameters
    ----------
    C_W : float
        Variance of each weight times fan-in; not negative.
    lambda_b, lambda_W : float
        Learning-rate tensor, as for a dense layer; not negative. InputError otherwise.

    Source: Day, Kahn, Roberts (arXiv:2310.07765).

    >>> Orthogonal(C_W=2.0).value("C_b")
    0.0
    """

    ends = True
    C_b: ClassVar[float] = 0.0

    C_W: float = 1.0
    lambda_b: float = 1.0
    lambda_W: float = 1.0
