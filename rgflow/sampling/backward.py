"""Gradients sent back through networks whose weights are known only through their neurons: O(n) random numbers a layer.

B and the spread of H between neurons are quadratic in the tangent kernel, and need more of the weights than their
average. They are measured by probes: vectors u of independent signs over the neurons of the hidden layer. With
J = ds/dz (in a dense layer sigma'(z_j) of each neuron), N_12 = J_1 H_12 J_2^T and q_uv;12 = u^T N_12 v, any two of them
give without bias

    sum_jm N_jm;12 N_jm;34 = E[q_uv;12 q_uv;34],       tr N_12 tr N_34 given the weights = E[q_uu;12 q_vv;34],

and q is a sum over layers of overlaps of back-propagated vectors, q_uv;12 = sum_k (D^k_u1 . D^k_v2) own^k_12, where

    D^l_u1 = (J^l_1)^T u,    D^{k-1}_u1 = (J^{k-1}_1)^T W^T D^k_u1,    own^k = lambda_b + lambda_W/n s_1 . s_2.

All vectors of a layer go back through the same W, of which its neurons z = W s + b are known. That law is exact and
Gaussian: W^T D for *unknown* Gaussian (W, b), plus the known part of what it would have made of the neurons,

    W^T D = T + (C_W/n)^(1/2) E^T (xi D - what T says of xi D),    T = (C_W/n)^(1/2) R zeta,   R R^T = D D^T

with zeta one fresh normal vector for each vector sent back, n + 1 long for weights and bias (Matheron's rule). Leaving
the correction out is the assumption that gradients are independent of neurons; it is wrong at order 1/n.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from rgflow.sampling import draw
from rgflow.sampling.collapsed import Hidden, products
from rgflow.sampling.draw import Array, Purpose, Streams, Together, covariance_root
from rgflow.sampling.expected import ExpectedTangent
from rgflow.sampling.squared import ExpectedSquares

# Vectors of signs for one input; pairs of them, and with pairs what they tell, grow faster than their cost, until roots
# of matrices of this size cost more than the random numbers.
_VECTORS = 16
_LEAST = 3


def probes(inputs: int) -> int:
    """How many vectors of signs every layer gets."""
    return max(_LEAST, _VECTORS // inputs)


def probed_squares(
    layers: Iterator[ExpectedTangent], streams: Streams | Together, tangent: Array
) -> Iterator[ExpectedSquares]:
    """A2 and B after each hidden layer, estimated without bias; ``tangent`` is Theta^1, (N, N)."""
    back = _Backward(streams, tangent)
    return map(back.measure, layers)


class _Backward:
    """The way back from every layer of the networks of a chunk.

    Parameters
    ----------
    tangent : Theta^1, (N, N)
    """

    def __init__(self, streams: Streams | Together, tangent: Array):
        self._streams = streams
        self._tangent = tangent
        self._passed: list[ExpectedTangent] = []
        self._fresh: list[tuple[Array, Array]] = []

    def measure(self, after: ExpectedTangent) -> ExpectedSquares:
        """A2 and B after one more layer."""
        if self._passed:
            self._draw(self._passed[-1])
        self._passed.append(after)
        hidden = after.hidden
        q = self._forms() * (hidden.C_W / hidden.width)
        number = q.shape[1]
        pairs = number * (number - 1)
        one, two = np.triu_indices(q.shape[-1])
        # (m, u, v, 1, 2) -> (m, pairs of inputs, u)
        same = np.einsum("muuab->mabu", q)[:, one, two] - after.trace[:, one, two, None]
        total = same.sum(axis=-1)
        A2 = (total[:, :, None] * total[:, None] - np.matmul(same, same.swapaxes(1, 2))) / pairs
        diagonal = np.arange(number)
        q[:, diagonal, diagonal] = 0.0
        count, inputs = len(q), q.shape[-1]
        flat = q.reshape(count, number**2, inputs**2)
        B = np.matmul(flat.swapaxes(1, 2), flat).reshape(count, *[inputs] * 4)
        # (m, 1, 2, 3, 4) -> arguments [1, 3, 2, 4]
        return ExpectedSquares(np.asarray(A2), np.asarray(B.transpose(0, 1, 3, 2, 4) * (hidden.width / pairs)))

    def _draw(self, after: ExpectedTangent) -> None:
        """Random numbers for the way back through the weights after a hidden layer, the same for all later layers."""
        hidden = after.hidden
        generator = self._streams(Purpose.WEIGHTS, hidden.layer)
        vectors = probes(hidden.s.shape[1]) * hidden.s.shape[1]
        fresh = generator.standard_normal((len(hidden.s), vectors, hidden.width))
        bias = self._streams(Purpose.BIASES, hidden.layer).standard_normal((len(hidden.s), vectors, 1))
        self._fresh.append((fresh, bias))

    def _forms(self) -> Array:
        """q over pairs of probes and pairs of inputs, (m, u, v, N, N)."""
        last = self._passed[-1].hidden
        count, inputs, width = last.s.shape
        number = probes(inputs)
        signs = draw.signs(self._streams(Purpose.LOSS, last.layer), count, (number, 1, width), 1.0)
        vectors = _through(last, signs).reshape(count, number * inputs, width)
        q: Array | float = 0.0
        for k in range(len(self._passed) - 1, -1, -1):
            overlap = products(vectors, vectors)
            own = self._passed[k - 1].hidden.own if k else self._tangent[None]
            q = q + overlap.reshape(count, number, inputs, number, inputs) * own[:, None, :, None, :]
            if k:
                vectors = self._back(k, vectors, overlap)
        return np.asarray(q).transpose(0, 1, 3, 2, 4)

    def _back(self, k: int, vectors: Array, overlap: Array) -> Array:
        """From the hidden layer number k to the one below it."""
        below, (fresh, bias) = self._passed[k - 1], self._fresh[k - 1]
        hidden, directions = below.hidden, below.directions
        root = covariance_root(overlap)
        found = np.matmul(root, fresh)
        known = products(vectors, self._passed[k].hidden.normal)
        found += np.matmul(known - _supposed(found, np.matmul(root, bias), below), directions.weights)
        found *= np.sqrt(hidden.C_W / hidden.width)
        count, inputs, width = hidden.s.shape
        return _through(hidden, found.reshape(count, -1, inputs, width)).reshape(found.shape)


def _through(hidden: Hidden, vectors: Array) -> Array:
    """(ds/dz)^T of each input times its vectors, (m, vectors, N or 1, n): (m, vectors, N, n)."""
    assert hidden.slope is not None
    if not hidden.mixing:
        return np.asarray(vectors * hidden.slope[:, None])
    return hidden.back(vectors.swapaxes(1, 2)).swapaxes(1, 2)


def _supposed(found: Array, bias: Array, below: ExpectedTangent) -> Array:
    """What unknown weights and biases would have said of the known directions, (m, vectors, N)."""
    return products(found, below.directions.weights) + bias * below.directions.bias[:, None]
