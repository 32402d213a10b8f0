"""The recursions of Dinan, Yaida and Zhang (arXiv:2304.02034), typed by hand, for two tokens.

A row of softmax over two tokens is a sigmoid of the difference of its logits, so that all averages over rows are
Gaussian integrals in two dimensions: Gauss-Hermite, nothing drawn. So are averages of the activation.
"""

from dataclasses import dataclass
from math import erf, pi, sqrt

import numpy as np

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(120)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()
Phi = np.vectorize(lambda z: 0.5 * (1 + erf(z / sqrt(2))))
SIGMA = {
    "gelu": (lambda z: z * Phi(z), lambda z: Phi(z) + z * np.exp(-(z**2) / 2) / sqrt(2 * pi)),
    "tanh": (np.tanh, lambda z: 1 / np.cosh(z) ** 2),
}


def two(covariance, f):
    """E[f(z_1) f'(z_2)^T] of functions with values in rows: f maps nodes (k,) to (k, ...)."""
    a, b, c = covariance[0, 0], covariance[0, 1], covariance[1, 1]
    first = sqrt(a) * _NODES
    along = b / sqrt(a) if a > 0 else 0.0
    second = along * _NODES[:, None] + sqrt(max(c - along**2, 0.0)) * _NODES
    left, right = f(first), f(second.reshape(-1))
    right = right.reshape(len(_NODES), len(_NODES), *right.shape[1:])
    averaged = np.einsum("j,ij...->i...", _WEIGHTS, right)
    return np.einsum("i,ia,ib->ab", _WEIGHTS, left.reshape(len(left), -1), averaged.reshape(len(left), -1))


def pairs(kernel, f):
    found = np.empty_like(kernel)
    for t in range(len(kernel)):
        for u in range(len(kernel)):
            found[t, u] = two(kernel[np.ix_([t, u], [t, u])], lambda z: f(z)[:, None])[0, 0]
    return found


@dataclass
class Rows:
    """M_{tu;ab} = E[Omega_ta Omega_ub] and E[dOmega_ta/dl_tb dOmega_uc/dl_ud] of two tokens, full attention."""

    scale: float  # C_Q C_K
    F: np.ndarray

    def __post_init__(self):
        F = self.F
        apart = F[0, 0] + F[1, 1] - 2 * F[0, 1]  # variance of k_1 - k_2
        self.M, self.D = np.empty((2, 2, 2, 2)), np.empty((2,) * 6)
        for t in range(2):
            for u in range(2):
                covariance = self.scale * apart * F[np.ix_([t, u], [t, u])]
                rows = two(covariance, lambda z: np.stack([1 / (1 + np.exp(-z)), 1 / (1 + np.exp(z))], axis=1))
                self.M[t, u] = rows
                slopes = two(covariance, _slopes).reshape(2, 2, 2, 2)  # a, b; c, d
                self.D[t, u] = slopes


def _slopes(z):
    """dOmega_a/dl_b at the difference z of the logits."""
    first = 1 / (1 + np.exp(-z))
    s = first * (1 - first)
    return np.stack([s, -s, -s, s], axis=1)


def stem(net, x):
    """(1.41), and its tangent kernel."""
    overlap, same = x @ x.T / x.shape[1], np.eye(len(x))
    return net.C_patch * overlap + net.C_PE * same, net.Lambda_patch * overlap + net.Lambda_PE * same


def normed(net, G):
    """N, with F = N G (1.53)."""
    root = np.sqrt(np.diag(G) + net.eps)
    return 1 / np.outer(root, root)


def attention(net, G, Theta):
    """(1.64), (1.65), and the tangent kernel assembled from (1.122) to (1.190)."""
    N = normed(net, G)
    F, NT = N * G, N * Theta
    rows = Rows(net.C_Q * net.C_K, F)
    M, D = rows.M, np.einsum("tuabcd,ac->tubd", rows.D, F)
    S = np.einsum("tuab,ab->tu", M, F)
    CUV, CQK = net.C_U * net.C_V, net.C_Q * net.C_K
    DF = np.einsum("tubd,bd->tu", D, F)
    DT = np.einsum("tubd,bd->tu", D, NT)
    return G + CUV * S, (
        Theta
        + (net.Lambda_U * net.C_V + net.Lambda_V * net.C_U) * S
        + (net.Lambda_K * net.C_Q + net.Lambda_Q * net.C_K) * CUV * F * DF
        + CUV * np.einsum("tuab,ab->tu", M, NT)
        + CUV * CQK * (NT * DF + F * DT)
    )


def mlp(net, G, Theta):
    """(1.77), and its tangent kernel."""
    N = normed(net, G)
    F, NT = N * G, N * Theta
    sigma, slope = SIGMA[net.activation.name]
    ss, dd = pairs(net.C_W * F, sigma), pairs(net.C_W * F, slope)
    return G + net.C_X * ss, Theta + net.Lambda_X * ss + net.C_X * dd * (net.Lambda_W * F + net.C_W * NT)


def head(net, G, Theta):
    """(1.80), and its tangent kernel."""
    N = normed(net, G)
    F, NT = N * G, N * Theta
    return net.C_head * F + net.C_bhead, net.Lambda_head * F + net.Lambda_bhead + net.C_head * NT


def flow(net, x):
    """K and Theta at the stem, after every block and at the head: (blocks + 2, 2, 2) each."""
    G, Theta = stem(net, x)
    found = [(G, Theta)]
    for kind in net.blocks:
        G, Theta = (attention if kind == "attention" else mlp)(net, G, Theta)
        found.append((G, Theta))
    found.append(head(net, G, Theta))
    return tuple(np.array(values) for values in zip(*found, strict=True))
