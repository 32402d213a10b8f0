"""What each network contributes to a tensor of the next layer, given a hidden layer, its tangent kernel and its jets.

The parameters of the next layer are averaged exactly. Given the hidden layer its neurons are independent, and every
letter pairs its entries over two *different* neurons i != k, so that the average is a product of two covariances:

    G_12    = C_b + C_W/n sum_j s_1 s_2                                             E[z_i1 z_i2 | hidden]
    Hbar_12 = lambda_b + 1/n sum_j (lambda_W s_1 s_2 + C_W s'_1 s'_2 H_jj;12)       E[H_ii;12 | hidden]

    K = E[G],  Theta = E[Hbar],  V6 = n^2 third cumulant of (G_12, G_34, G_56)
    V[1,2,3,4] = n Cov(G_12, G_34)       D[1,2,3,4] = n Cov(G_12, Hbar_34)       A[1,2,3,4] = n Cov(Hbar_12, Hbar_34)
    F[1,3,2,4] = n E[z_i1 z_k2 H_ik;34]      = C_W^2/n E sum_jm s_j1 s_m2 N[|]_jm;34
    B[1,3,2,4] = n E[H_ik;12 H_ik;34]        = C_W^2/n E sum_jm N[|]_jm;12 N[|]_jm;34

with n the width of the hidden layer, s = sigma(z), H its tangent kernel (a matrix over neurons for each pair of inputs)
and N[|]_jm;12 = s'_j1 s'_m2 H_jm;12. Equal neurons would add the other pairings; i != k isolates one.

In the letters of the dNTK and ddNTK one direction joins the two neurons and is averaged exactly, in N[A|B], the
activated M[A|B]; the others, f and g, each occurring twice, are drawn. With the sum over j, m understood,

    P[0,1,2,3] = 1/n E C_W s_j3 C_W s_{m2,f} N[f|]_jm;01
    Q[0,1,2,3] = 1/n E (C_W s_{j1,f} N[f|] + lambda_W s_j1 N[|])_jm;02 C_W s_m3
    R[0,1,2,3] = 1/n E (C_W s_{j1,f} N[fg|] + lambda_W s_j1 N[g|])_jm;02 C_W s_{m3,g}
    S[1,2,3,4] = 1/n E (C_W s_{j2,fg} N[f|]_jm;13 C_W s_{m4,g} + lambda_W N[|]_jm;13 C_W N[|]_jm;24)
    T[1,3,4,2] = 1/n E (C_W s_{j3,f} d_f + lambda_W s_j3) (C_W s_{m4,g} d_g + lambda_W s_m4) N[f|g]_jm;12
    U[1,4,2,3] = 1/n E C_W s_{j4,g} C_W s_{m3,f} N[f|g]_jm;12

Terms with lambda_W are those where a direction runs through the own parameters of the next layer: it then leaves both
jets it belongs to. In T, d_f (d_g) keeps f (g) in N and its absence takes it out.

Source: the definitions of PDLT (arXiv:2106.10165) chapters 4, 8, 11 and its last one; averages done here by hand.
Normalisation: totals in 1/n, arguments in PDLT's order.
"""

from __future__ import annotations

from functools import cached_property
from itertools import product

import numpy as np

from rgflow.network import Dense
from rgflow.sampling.draw import Array
from rgflow.sampling.jets import Directions, Jets
from rgflow.sampling.tangent import TangentKernel, own_parameters

# Directions beside e that each letter holds.
LETTERS = {"P": 1, "Q": 1, "R": 2, "S": 2, "T": 2, "U": 2}


def metric(s: Array, dense: Dense) -> Array:
    """G_12 = C_b + C_W/n sum_j s_1 s_2: (m, N, n) -> (m, N, N), the covariance of the next layer given this one."""
    return np.asarray(np.matmul(s, s.swapaxes(1, 2)) * (dense.C_W / s.shape[-1]) + dense.C_b)


class Measurement:
    """One hidden layer of the networks of a chunk, seen by the next layer.

    Parameters
    ----------
    s : jets of sigma(z), each (m, N, n)
    tangent : the *activated* jets of the tangent kernel, N[A|B]
    dense : the next layer's hyperparameters
    """

    def __init__(self, s: Jets, tangent: TangentKernel, dense: Dense):
        self.s = s
        self.N = tangent
        self.dense = dense
        self.width = s[()].shape[-1]
        self.inputs = s[()].shape[1]

    def Hbar(self) -> Array:
        """(m, N, N)."""
        through = np.einsum("mabjj->mab", self.N((), ())) * (self.dense.C_W / self.width)
        return np.asarray(through + own_parameters(self.s, (), (), self.dense))

    def F(self) -> Array:
        """(m, N, N, N, N), arguments [1, 3, 2, 4]."""
        return self.dense.C_W**2 * self._bilinear(self.s[()], self.N((), ()), self.s[()])

    def B(self) -> Array:
        """(m, N, N, N, N), arguments [1, 3, 2, 4]."""
        return np.asarray(self.dense.C_W**2 * self._contracted)

    @cached_property
    def _contracted(self) -> Array:
        """1/n sum_jm N_jm;ac N_jm;bd, as (m, a, b, c, d)."""
        tangent = self.N((), ())
        out = np.empty((len(tangent), *[self.inputs] * 4))
        for a, b, c, d in product(range(self.inputs), repeat=4):
            # H_jm;12 = H_mj;21 and the two kernels may change places.
            same = [(a, b, c, d), (b, a, d, c), (c, d, a, b), (d, c, b, a)]
            if (a, b, c, d) == min(same):
                value = np.einsum("mjk,mjk->m", tangent[:, a, c], tangent[:, b, d])
                for arguments in same:
                    out[:, *arguments] = value
        return np.asarray(out / self.width)

    def P(self, f: int) -> Array:
        """(m, N, N, N, N), arguments [0, 1, 2, 3]."""
        found = self._bilinear(self.s[()], self.N((f,), ()), self.s[f,])
        return self.dense.C_W**2 * found.transpose(0, 2, 4, 3, 1)

    def Q(self, f: int) -> Array:
        """(m, N, N, N, N), arguments [0, 1, 2, 3]."""
        last = self.s[()]
        found = self.dense.C_W * self._bilinear(self.s[f,], self.N((f,), ()), last)
        found += self.dense.lambda_W * self._bilinear(self.s[()], self.N((), ()), last)
        return self.dense.C_W * found.transpose(0, 2, 1, 4, 3)

    def R(self, f: int, g: int) -> Array:
        """(m, N, N, N, N), arguments [0, 1, 2, 3]."""
        last = self.s[g,]
        found = self.dense.C_W * self._bilinear(self.s[f,], self.N(_joined(f, g), ()), last)
        found += self.dense.lambda_W * self._bilinear(self.s[()], self.N((g,), ()), last)
        return self.dense.C_W * found.transpose(0, 2, 1, 4, 3)

    def S(self, f: int, g: int) -> Array:
        """(m, N, N, N, N), arguments [1, 2, 3, 4]."""
        found = self._bilinear(self.s[_joined(f, g)], self.N((f,), ()), self.s[g,])
        own = self.dense.lambda_W * self.dense.C_W * self._contracted
        return np.asarray(self.dense.C_W**2 * found.transpose(0, 2, 1, 4, 3) + own)

    def T(self, f: int, g: int) -> Array:
        """(m, N, N, N, N), arguments [1, 3, 4, 2]."""
        C_W, lambda_W = self.dense.C_W, self.dense.lambda_W
        kept: tuple[tuple[Directions, float], ...] = (((f,), C_W), ((), lambda_W))
        other: tuple[tuple[Directions, float], ...] = (((g,), C_W), ((), lambda_W))
        total: Array | float = 0.0
        for (a, left), (b, right) in product(kept, other):
            total = total + left * right * self._bilinear(self.s[a], self.N(a, b), self.s[b])
        return np.asarray(total).transpose(0, 2, 1, 3, 4)

    def U(self, f: int, g: int) -> Array:
        """(m, N, N, N, N), arguments [1, 4, 2, 3]."""
        found = self._bilinear(self.s[g,], self.N((f,), (g,)), self.s[f,])
        return self.dense.C_W**2 * found.transpose(0, 2, 1, 4, 3)

    def _bilinear(self, x: Array, matrix: Array, y: Array) -> Array:
        """1/n sum_jm x_ja matrix_jm;bd y_mc, as (m, a, b, c, d)."""
        half = np.matmul(x[:, None, None], matrix)
        found = np.matmul(half, y[:, None, None].swapaxes(3, 4)) / self.width
        return np.asarray(found.transpose(0, 3, 1, 4, 2))


def pair_index(inputs: int) -> np.ndarray[tuple[int, ...], np.dtype[np.intp]]:
    """The number of the unordered pair of inputs (a, b), (N, N)."""
    first, second = np.triu_indices(inputs)
    index = np.empty((inputs, inputs), dtype=np.intp)
    index[first, second] = index[second, first] = np.arange(len(first))
    return index


def _joined(f: int, g: int) -> Directions:
    return (f, g) if f < g else (g, f)
