"""The neural tangent kernel of a hidden layer and its derivatives along tangent directions, exactly as matrices.

H_jm;12 = sum_mu,nu lambda_mu,nu dz_j1/dtheta_mu dz_m2/dtheta_nu is the average over a direction e of z_{j1,e} z_{m2,e}.
Its jets keep that direction exact and let further, sampled directions act on either side:

    M[A|B]_jm;12 = E_e[z_{j1,eA} z_{m2,eB}],        H = M[|]

One direction less to sample costs products of n x n matrices and saves most of the variance.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rgflow.sampling.draw import Array
from rgflow.sampling.jets import Directions

Sides = tuple[Directions, Directions]


class TangentKernel:
    """M[A|B] for a set of pairs (A, B) closed under taking subsets; each (m, N, N, n, n).

    Only one of M[A|B] and M[B|A] is kept: M[B|A]_mj;21 = M[A|B]_jm;12.
    """

    def __init__(self, matrices: dict[Sides, Array]):
        self._matrices = matrices

    def __call__(self, a: Directions, b: Directions) -> Array:
        """M[a|b], (m, N, N, n, n)."""
        if (a, b) in self._matrices:
            return self._matrices[a, b]
        return self._matrices[b, a].transpose(0, 2, 1, 4, 3)

    @classmethod
    def first_layer(cls, tangent: Array, count: int, width: int, sides: Sequence[Sides]) -> TangentKernel:
        """H_jm;12 = delta_jm (lambda_b + lambda_W x_1.x_2/n_0) in every network, without derivatives: z^1 is linear."""
        plain = np.broadcast_to(tangent[:, :, None, None] * np.eye(width), (count, *tangent.shape, width, width))
        return cls({side: plain if side == ((), ()) else np.zeros_like(plain) for side in sides})
