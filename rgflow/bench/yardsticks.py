"""What anyone would write in NumPy: yardsticks that every machine has."""

from __future__ import annotations

from typing import Any

import numpy as np

from rgflow.bench.reference import KNOWN


def relu_gram(inputs: Any, depth: int) -> tuple[Any, Any]:
    """K and Theta of ReLU for N inputs by the arc-cosine kernels, whole N x N arrays at a time."""
    K = 2.0 * (inputs @ inputs.T) / inputs.shape[1]
    Theta = K.copy()
    for _ in range(depth):
        norm = np.sqrt(np.diag(K))
        size = np.outer(norm, norm)
        rho = np.clip(K / size, -1, 1)
        left = np.pi - np.arccos(rho)
        K = size * (np.sqrt(1 - rho * rho) + left * rho) / np.pi
        Theta = K + Theta * left / np.pi
    return K, Theta


def product_gram(name: str, inputs: Any, depth: int, degree: int = 25) -> tuple[Any, Any]:
    """K and Theta of any smooth activation: Gauss-Hermite rules in two directions, whole N x N arrays at a time."""
    known = KNOWN[name]
    x, w = np.polynomial.hermite_e.hermegauss(degree)
    w = w / w.sum()
    K = known.C_b + known.C_W * (inputs @ inputs.T) / inputs.shape[1]
    Theta = K.copy()
    for _ in range(depth):
        root = np.sqrt(np.diag(K))
        across = K / root[:, None]
        rest = np.sqrt(np.maximum(np.diag(K)[None, :] - across**2, 0))
        products, slopes = np.zeros_like(K), np.zeros_like(K)
        for i in range(degree):
            s, d = known.sigma(root * x[i])[:, None], known.slope(root * x[i])[:, None]
            for j in range(degree):
                z = across * x[i] + rest * x[j]
                products += w[i] * w[j] * s * known.sigma(z)
                slopes += w[i] * w[j] * d * known.slope(z)
        K = known.C_b + known.C_W * products
        Theta = K + known.C_W * Theta * slopes
    return K, Theta


def tanh_grid(C_b: Any, C_W: Any, layers: int, nodes: int = 64) -> Any:
    """K, chi_parallel, chi_perpendicular, V, Theta of tanh over points (P,), by Gauss-Hermite: array (P, 5)."""
    x, w = np.polynomial.hermite_e.hermegauss(nodes)
    x, w = x[x > 0], 2 * w[x > 0] / w.sum()
    K, V, Theta = np.ones_like(C_b), np.zeros_like(C_b), np.ones_like(C_b)
    parallel = perpendicular = np.zeros_like(C_b)
    for _ in range(layers):
        square = np.tanh(np.sqrt(K)[:, None] * x) ** 2
        mean = square @ w
        parallel = C_W * (square @ (w * (x * x - 1))) / (2 * K)
        perpendicular = C_W * ((1 - square) ** 2 @ w)
        V = parallel**2 * V + C_W**2 * (square**2 @ w - mean**2)
        K = C_b + C_W * mean
        Theta = K + perpendicular * Theta
    return np.stack([K, parallel, perpendicular, V, Theta], -1)
