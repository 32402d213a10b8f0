"""Networks without their weights: neurons from their exact conditional law, O(n) a network.

For dense layers, and others of the form z' = b + W s(z) (:mod:`rgflow.sampling.alone`). Given the hidden layer below,
the rows (W_i, b_i) matter only through z_i = W_i s + b_i, Gaussian and independent from neuron to neuron:

    z_i = L xi_i,     L L^T = G = C_b + C_W/n sum_j s_j s_j^T,     xi_i ~ N(0, 1) in N dimensions.

Conversely z_i says of W_i exactly what lies in the N directions E = (C_W/n)^(1/2) L^-1 s of its n-dimensional space,

    W_i = (C_W/n)^(1/2) (E^T xi_i + what is left of a Gaussian vector of n + 1 dimensions orthogonal to E and e),

e = C_b^(1/2) L^-1 1 being the component of the same N orthonormal directions along the bias. All that tangent kernels
need of the weights follows from these two lines; no matrix of n x n numbers is ever made.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from rgflow.activations import Activation
from rgflow.errors import AccuracyError
from rgflow.network import Dense, Network
from rgflow.sampling.alone import made
from rgflow.sampling.draw import Array, Purpose, Streams, Together, covariance_root
from rgflow.sampling.first import FirstLayer
from rgflow.sampling.mixing import Mixing
from rgflow.sampling.routes import Routes


@dataclass(frozen=True, eq=False)
class Hidden:
    """A hidden layer of the networks of a chunk, and what the next layer's own parameters make of it on average.

    Attributes
    ----------
    layer : the number of the next layer, which is the one measured
    normal : xi, (m, N, n)
    s, slope : sigma and sigma' at z, (m, N, n), or what the next layer's weights act on and the diagonal of its
        derivative; the slope is None where nobody asks for it
    overlap : sum_j s_j s_j^T / n, (m, N, N)
    C_b, C_W, lambda_b, lambda_W : of the next layer
    mixing : what ds/dz has beside diag(slope); None where s_j depends on z_j alone
    """

    layer: int
    normal: Array
    s: Array
    slope: Array | None
    overlap: Array
    C_b: float
    C_W: float
    lambda_b: float
    lambda_W: float
    mixing: Mixing | None = None

    def forward(self, x: Array) -> Array:
        """ds/dz x for x of every input, (m, N or 1, any number, n)."""
        assert self.slope is not None
        found = self.slope[:, :, None] * x
        return np.asarray(found - self.mixing.forward(x) if self.mixing else found)

    def back(self, x: Array) -> Array:
        """(ds/dz)^T x for x of every input, (m, N or 1, any number, n)."""
        assert self.slope is not None
        found = self.slope[:, :, None] * x
        return np.asarray(found - self.mixing.back(x) if self.mixing else found)

    @property
    def trace(self) -> Array:
        """tr ds/dz_1 (ds/dz_2)^T, (m, N, N)."""
        assert self.slope is not None
        found = products(self.slope, self.slope)
        return found - self.mixing.trace(self.slope) if self.mixing else found

    @property
    def width(self) -> int:
        """n, the fan-in of the next layer."""
        return int(self.s.shape[-1])

    @property
    def G(self) -> Array:
        """C_b + C_W/n sum_j s_j s_j^T, the covariance of the next layer: (m, N, N)."""
        return np.asarray(self.C_b + self.C_W * self.overlap)

    @property
    def own(self) -> Array:
        """lambda_b + lambda_W/n sum_j s_j s_j^T, what the own parameters add to the tangent kernel: (m, N, N)."""
        return np.asarray(self.lambda_b + self.lambda_W * self.overlap)


def hidden_layers(
    net: Network,
    first: FirstLayer,
    streams: Streams | Together,
    count: int,
    order: int,
    names: Collection[str] = (),
) -> Iterator[Hidden]:
    """The hidden layers of ``count`` networks, one after the other; slopes if ``order`` is 1.

    ``names`` are those of the tensors asked for, some of which a norm may refuse.
    """
    root = first.root
    for layer in range(2, net.depth + 1):
        generator = streams(Purpose.NEURONS, layer - 1)
        normal = generator.standard_normal((count, root.shape[-1], net.widths[layer - 1]))
        z, own = times(root, normal), net.layers[layer - 1]
        if type(own) is Dense:
            found = derivatives(net.activation, z, order)
            s, slope = found[0], found[1] if order else None
            C_b, C_W, lambda_b, lambda_W = map(own.value, ("C_b", "C_W", "lambda_b", "lambda_W"))
            overlap = products(s, s) / s.shape[-1]
            hidden = Hidden(layer, normal, s, slope, overlap, C_b, C_W, lambda_b, lambda_W)
        else:
            hidden = _hidden(made(own, z, net.activation, order, layer, names), layer, normal, order)
        yield hidden
        if layer < net.depth:
            root = covariance_root(hidden.G)


def _hidden(routes: Routes, layer: int, normal: Array, order: int) -> Hidden:
    """A hidden layer below any layer that its neurons reach through one Gaussian matrix alone."""
    (own,) = routes.weights
    s = own.source.values
    slope, mixing = own.source.slopes() if order else (None, None)
    overlap = products(s, s) / s.shape[-1]
    return Hidden(layer, normal, s, slope, overlap, routes.C_b, own.C, routes.lambda_b, own.rate, mixing)


def derivatives(sigma: Activation, z: Array, order: int) -> Array:
    """sigma and its derivatives at z; every piece at all points moved into it, which is faster than sorting them."""
    if not sigma.kinks:
        return sigma.derivatives(z, order)
    ends = (-np.inf, *sigma.kinks, np.inf)
    try:
        pieces = [
            sigma.piece_derivatives(k, np.clip(z, low, high), order) for k, (low, high) in enumerate(pairwise(ends))
        ]
    except AccuracyError:
        # A formula need not be a number at the end of its interval.
        return sigma.derivatives(z, order)
    found = pieces[0]
    for kink, piece in zip(sigma.kinks, pieces[1:], strict=True):
        np.copyto(found, piece, where=z >= kink)
    return found


def times(matrix: Array, rows: Array) -> Array:
    """(m or none, p, q) times (m, q, n); one row needs no matrix product."""
    if matrix.shape[-2:] == (1, 1):
        return np.asarray(matrix * rows)
    return np.asarray(np.matmul(matrix, rows))


def products(a: Array, b: Array) -> Array:
    """sum_j a_pj b_qj of each network, (m, p, n) and (m, q, n) -> (m, p, q)."""
    if a.shape[1] == b.shape[1] == 1:
        # A product of matrices for every network costs more than the sum itself.
        return np.asarray(np.einsum("mj,mj->m", a[:, 0], b[:, 0])[:, None, None])
    return np.asarray(np.matmul(a, b.swapaxes(1, 2)))


def inverse_root(root: Array) -> Array:
    """The inverse of a lower triangular root (m, N, N) on the directions that it has; zero on those it lacks.

    >>> inverse_root(np.array([[[2.0, 0.0], [1.0, 0.0]]]))
    array([[[0.5, 0. ],
            [0. , 0. ]]])
    """
    size = root.shape[-1]
    found = np.zeros_like(root)
    for k in range(size):
        pivot = root[:, k, k]
        alive = pivot > 0
        row = np.zeros((len(root), size))
        row[:, k] = 1.0
        row -= np.matmul(root[:, k, None, :k], found[:, :k])[:, 0]
        found[:, k] = np.where(alive[:, None], row / np.where(alive, pivot, 1.0)[:, None], 0.0)
    return found


@dataclass(frozen=True, eq=False)
class Directions:
    """The N orthonormal directions of (W_i, b_i) that the next layer's neurons know: along W and along b.

    Attributes
    ----------
    weights : E = (C_W/n)^(1/2) L^-1 s, (m, N, n)
    bias : e = C_b^(1/2) L^-1 1, (m, N)
    root : L, (m, N, N)
    """

    weights: Array
    bias: Array
    root: Array

    @classmethod
    def of(cls, hidden: Hidden) -> Directions:
        """Those of the layer after a hidden one."""
        root = covariance_root(hidden.G)
        inverse = inverse_root(root)
        weights = times(inverse * np.sqrt(hidden.C_W / hidden.width), hidden.s)
        return cls(weights, np.sqrt(hidden.C_b) * inverse.sum(axis=-1), root)
