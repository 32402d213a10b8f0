"""The neural tangent kernel of a hidden layer and its derivatives along tangent directions, exactly as matrices.

H_jm;12 = sum_mu,nu lambda_mu,nu dz_j1/dtheta_mu dz_m2/dtheta_nu is the average over a direction e of z_{j1,e} z_{m2,e}.
Its jets keep that direction exact and let further, sampled directions act on either side:

    M[A|B]_jm;12 = E_e[z_{j1,eA} z_{m2,eB}],        H = M[|]

One direction less to sample costs products of n x n matrices and saves most of the variance.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rgflow.network import Dense
from rgflow.sampling.draw import Array
from rgflow.sampling.jets import Directions, Jets, subsets_of, without

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

    def activated(self, slopes: Jets) -> TangentKernel:
        """E_e[s_{j1,eA} s_{m2,eB}] of s = sigma(z), from the jets of sigma'(z), each (m, N, n).

        s_{eA} = D_A (sigma'(z) z_e) = sum over C in A of (sigma')_{A-C} z_{eC}, on both sides.
        """
        out: dict[Sides, Array] = {}
        for a, b in self._matrices:
            total: Array | None = None
            for c in subsets_of(b):
                inner: Array | None = None
                for d in subsets_of(a):
                    inner = _add(inner, self(d, c) * slopes[_rest(a, d)][:, :, None, :, None])
                assert inner is not None
                inner *= slopes[_rest(b, c)][:, None, :, None, :]
                total = _add(total, inner)
            assert total is not None
            out[a, b] = total
        return TangentKernel(out)

    def next_layer(self, s: Jets, W: Array, directions: Sequence[Array], dense: Dense) -> TangentKernel:
        """M of z' = b + s W from the *activated* one: the product rule on either side, and the own parameters of z'.

        M'[A|B] = (W + sum_{f in A} eps_f d_f)^T M[A|B] (W + sum_{g in B} eps_g d_g)
                  + delta_ik (lambda_b [A, B empty] + lambda_W/n sum_j s_A s_B)

        with d_f taking f out of its set.

        Parameters
        ----------
        s : activated jets, each (m, N, n)
        W : (m, n, n')
        directions : for each sampled direction its part eps^W for these weights, (m, n, n')
        """
        left: dict[Sides, Array] = {}
        for a, b in self._matrices:
            half = _times(_transposed(W), self(a, b))
            for f in a:
                half += _times(_transposed(directions[f]), self(without(a, f), b))
            left[a, b] = half
        out: dict[Sides, Array] = {}
        own = np.arange(W.shape[-1])
        for a, b in self._matrices:
            full = _times(left[a, b], W[:, None, None])
            for g in b:
                full += _times(left[a, without(b, g)], directions[g][:, None, None])
            full[..., own, own] += own_parameters(s, a, b, dense)[..., None]
            out[a, b] = full
        return TangentKernel(out)


def own_parameters(s: Jets, a: Directions, b: Directions, dense: Dense) -> Array:
    """E_e[z'_{ea} z'_{eb}] through own parameters, lambda_b [a, b empty] + lambda_W/n sum_j s_a s_b: (m, N, N)."""
    through = np.matmul(s[a], s[b].swapaxes(1, 2)) * (dense.lambda_W / s[a].shape[-1])
    return np.asarray(through + dense.lambda_b if not a and not b else through)


def _rest(a: Directions, d: Directions) -> Directions:
    return tuple(e for e in a if e not in d)


def _add(total: Array | None, term: Array) -> Array:
    if total is None:
        return term
    total += term
    return total


def _transposed(matrix: Array) -> Array:
    return matrix.swapaxes(1, 2)[:, None, None]


def _times(left: Array, right: Array) -> Array:
    return np.asarray(np.matmul(left, right))
