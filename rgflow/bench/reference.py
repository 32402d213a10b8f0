"""What is true: K, Theta, V by formulas typed by hand and quadrature that is far too fine, without any of our engine.

Only for a few inputs or points; everything fast is compared with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Function = Callable[[Any], Any]
NODES, REACH = 180, 9.0  # of the trapezoid rule in each direction: beyond rounding for every sigma below and K < 10
PI = np.longdouble("3.14159265358979323846264338327950288")


@dataclass(frozen=True)
class Known:
    """An activation typed by hand: sigma, its derivative, and hyperparameters at which its networks can be deep."""

    sigma: Function
    slope: Function
    C_W: float
    C_b: float


def _normal(z: Any) -> Any:
    return np.exp(-z * z / 2) / math.sqrt(2 * math.pi)


def _below(z: Any) -> Any:
    from scipy.special import ndtr

    return ndtr(z)


def _erf(z: Any) -> Any:
    from scipy.special import erf

    return erf(z)


KNOWN = {
    "relu": Known(lambda z: np.maximum(z, 0), lambda z: (z > 0) * 1.0, 2.0, 0.0),
    "erf": Known(_erf, lambda z: 2 / math.sqrt(math.pi) * np.exp(-z * z), 1.0, 0.0),
    "gelu": Known(lambda z: z * _below(z), lambda z: _below(z) + z * _normal(z), 1.98305826, 0.17292239),
    "tanh": Known(np.tanh, lambda z: 1 / np.cosh(z) ** 2, 1.0, 0.0),
}


def gram(name: str, inputs: Any, depth: int) -> tuple[Any, Any]:
    """K and Theta behind ``depth`` activations, lambda = C: K' = C_b + C_W <ss>, Theta' = K' + C_W Theta <s's'>.

    inputs (N, n_0), few of them. ReLU by the arc-cosine kernels of Cho and Saul (2009) in extended precision, others by
    a rule of 180 x 180 nodes.
    """
    known = KNOWN[name]
    X = np.asarray(inputs, np.longdouble)
    K = known.C_b + known.C_W * (X @ X.T) / X.shape[1]
    Theta = K.copy()
    for _ in range(depth):
        products, slopes = _arc_cosine(K) if name == "relu" else _by_quadrature(known, np.asarray(K, float))
        K = known.C_b + known.C_W * products
        Theta = K + known.C_W * Theta * slopes
    return np.asarray(K, float), np.asarray(Theta, float)


def _arc_cosine(K: Any) -> tuple[Any, Any]:
    size = np.sqrt(np.outer(np.diag(K), np.diag(K)))
    rho = np.clip(K / size, -1, 1)
    np.fill_diagonal(rho, 1)
    angle = np.arccos(rho)
    return size * (np.sqrt(1 - rho * rho) + (PI - angle) * rho) / (2 * PI), (PI - angle) / (2 * PI)


def _by_quadrature(known: Known, K: Any) -> tuple[Any, Any]:
    x, w = np.linspace(-REACH, REACH, NODES, retstep=True)[0], None
    w = np.exp(-x * x / 2)
    w /= w.sum()
    products, slopes = np.zeros_like(K), np.zeros_like(K)
    for i, j in zip(*np.triu_indices(len(K)), strict=True):
        if i == j:
            y = math.sqrt(K[i, i]) * x
            found = w @ known.sigma(y) ** 2, w @ known.slope(y) ** 2
        else:
            y = math.sqrt(K[i, i]) * x
            z = K[i, j] / K[i, i] * y[:, None] + math.sqrt(K[j, j] - K[i, j] ** 2 / K[i, i]) * x
            found = (w * known.sigma(y)) @ known.sigma(z) @ w, (w * known.slope(y)) @ known.slope(z) @ w
        products[i, j] = products[j, i] = found[0]
        slopes[i, j] = slopes[j, i] = found[1]
    return products, slopes


def grid(C_b: Any, C_W: Any, layers: int, nodes: int = 800, reach: float = 9.5) -> Any:
    """K, chi_parallel, chi_perpendicular, V, Theta of tanh, one input, from K = Theta = 1, V = 0: array (P, 5).

    The recursions of PDLT (chapters 4, 5, 8), lambda = C, width ratio 1, in extended precision:

        chi_parallel = C_W / (2 K^2) <s s (z^2 - K)>       chi_perpendicular = C_W <s' s'>
        V' = C_W^2 (<s^4> - <s s>^2) + chi_parallel^2 V     Theta' = C_b + C_W <s s> + chi_perpendicular Theta
    """
    b, c = np.asarray(C_b, np.longdouble), np.asarray(C_W, np.longdouble)
    x = np.linspace(0, reach, nodes, dtype=np.longdouble)
    w = np.exp(-x * x / 2)
    w[0] /= 2
    w /= w.sum()
    K, V, Theta = np.ones_like(b), np.zeros_like(b), np.ones_like(b)
    parallel = perpendicular = np.zeros_like(b)
    for _ in range(layers):
        square = np.tanh(np.sqrt(K)[:, None] * x) ** 2
        mean = square @ w
        parallel = c * (square @ (w * (x * x - 1))) / (2 * K)
        perpendicular = c * ((1 - square) ** 2 @ w)
        V = parallel**2 * V + c**2 * (square**2 @ w - mean**2)
        Theta = b + c * mean + perpendicular * Theta
        K = b + c * mean
    return np.stack([K, parallel, perpendicular, V, Theta], -1).astype(float)


def error(found: Any, truth: Any, scale: Any = None) -> float:
    """The largest error relative to ``scale``, by default to the truth itself."""
    size = np.abs(truth) if scale is None else scale
    return float(np.max(np.abs(np.asarray(found) - truth) / size))


def diagonal(matrix: Any) -> Any:
    """The scale of a kernel's entries: sqrt(K_aa K_bb)."""
    size = np.sqrt(np.diag(matrix))
    return np.outer(size, size)
