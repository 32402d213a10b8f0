"""The tangent kernel of a network averaged over everything that its neurons do not say about its weights, exactly.

Given all neurons, rows of weights are independent Gaussian vectors (:mod:`rgflow.sampling.collapsed`), so that the
average of the tangent kernel of a hidden layer keeps the form

    E[H_jm;12 | neurons] = delta_jm h_12 + xi_j^T Q_12 xi_m,     h (N, N),  Q_12 (N, N) for each pair of inputs.

With J = ds/dz (in a dense layer sigma'(z_j) of each neuron), N_12 = J_1 H_12 J_2^T and W_i as there, one layer makes of
it

    Q'_12 = C_W/n E N_12 E^T,     t_12 = C_W/n tr N_12,     Hbar_12 = lambda_b + lambda_W/n sum_j s_1 s_2 + t_12,
    h'_12 = Hbar_12 - tr Q'_12,

starting from h = Theta^1, Q = 0. Letters that are linear in H need no more: E[Hbar | neurons] may stand for Hbar in
Theta and D, and F[1,3,2,4] = C_W^2/n sum_jm s_j1 s_m2 N_jm;34 = n (L Q'_34 L^T)_12. The average has less variance than
any network it stands for, and costs O(n N^4).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from rgflow.sampling.collapsed import Directions, Hidden, products
from rgflow.sampling.draw import Array


@dataclass(frozen=True, eq=False)
class ExpectedTangent:
    """E[H | neurons] of the layer after ``hidden``.

    Attributes
    ----------
    directions : what that layer's neurons know of their weights
    trace : t, (m, N, N)
    h : (m, N, N)
    Q : (m, N, N, N, N), inputs 1, 2 and then the two xi
    """

    hidden: Hidden
    directions: Directions
    trace: Array
    h: Array
    Q: Array

    @property
    def Hbar(self) -> Array:
        """E[H_ii;12 | neurons], (m, N, N)."""
        return np.asarray(self.hidden.own + self.trace)

    @property
    def F(self) -> Array:
        """(m, N, N, N, N), arguments [1, 3, 2, 4]."""
        L = self.directions.root[:, None, None]
        found = np.matmul(np.matmul(L, self.Q), L.swapaxes(3, 4)) * self.hidden.width
        return np.asarray(found.transpose(0, 3, 1, 4, 2))


def expected_tangents(layers: Iterator[Hidden], tangent: Array) -> Iterator[ExpectedTangent]:
    """E[H | neurons] after each hidden layer; ``tangent`` is Theta^1, (N, N)."""
    h, Q = tangent[None], None
    for hidden in layers:
        after = _after(hidden, h, Q)
        yield after
        h, Q = after.h, after.Q


def _after(hidden: Hidden, h: Array, Q: Array | None) -> ExpectedTangent:
    count, inputs, width = hidden.s.shape
    share = hidden.C_W / width
    directions = Directions.of(hidden)
    along = _for_every_input(hidden.back, directions.weights)
    shape = (count, *[inputs] * 4)
    # (1, 2, a, b): the first factor is that of input 1.
    trace = h * hidden.trace
    found = h[..., None, None] * products(along, along).reshape(shape).transpose(0, 1, 3, 2, 4)
    if Q is not None:
        across = _for_every_input(hidden.forward, hidden.normal)
        both = products(across, across).reshape(shape).transpose(0, 1, 3, 2, 4)
        trace = trace + np.sum((Q * both).reshape(count, inputs, inputs, -1), axis=-1)
        # (m, 1, E, xi)
        mixed = products(across, directions.weights).reshape(count, inputs, inputs, inputs).swapaxes(2, 3)
        found = found + np.matmul(np.matmul(mixed[:, :, None], Q), mixed[:, None].swapaxes(3, 4))
    found, trace = found * share, trace * share
    rest = hidden.own + trace - np.einsum("mabcc->mab", found)
    return ExpectedTangent(hidden, directions, trace, rest, found)


def _for_every_input(derivative: Callable[[Array], Array], rows: Array) -> Array:
    """ds/dz_1 x_a, or its transposed, for every input 1 and row a: (m, N N, n)."""
    count, inputs, width = rows.shape
    return derivative(rows[:, None]).reshape(count, inputs * inputs, width)
