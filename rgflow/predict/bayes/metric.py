r"""The random metric of a finite network: outputs are Gaussian given it, and it fluctuates by 1/sqrt(n).

.. math:: E[\hat G] = K + K_1/n, \qquad \mathrm{Cov}(\hat G_{12}, \hat G_{34}) = V_{(12)(34)}/n
          = \sum_k w_k\, (G_k)_{12} (G_k)_{34}

A symmetric matrix over pairs of inputs has eigenvectors that are symmetric matrices over inputs, the *modes* G_k of the
metric: N (N + 1)/2 of them, of unit Frobenius norm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rgflow.flow import flow
from rgflow.network import Network

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Metric:
    """Mean and fluctuations of the metric of the outputs at N inputs, with the network's own widths put in.

    Attributes
    ----------
    kernel : K, (N, N)
    change : K_1/n, (N, N)
    vertex : V/n, (N, N, N, N)
    """

    kernel: Floats
    change: Floats
    vertex: Floats

    def modes(self) -> tuple[Floats, Floats]:
        """Variances w (k,), largest first, and modes G (k, N, N)."""
        N = len(self.kernel)
        a, b = np.triu_indices(N)
        scale = np.where(a == b, 1.0, np.sqrt(2.0))  # an off-diagonal pair stands for two entries
        matrix = self.vertex[a[:, None], b[:, None], a, b] * np.outer(scale, scale)
        weights, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
        modes = np.zeros((len(weights), N, N))
        modes[:, a, b] = modes[:, b, a] = (vectors / scale[:, None]).T
        order = np.argsort(-np.abs(weights))
        return weights[order], modes[order]


def exact_metric(net: Network, inputs: Any, progress: bool = False) -> Metric:
    """The metric at a few inputs (N, n_0) from the flow of K, K_1 and V; raises what :func:`rgflow.flow` raises."""
    last = flow(net, inputs=inputs, tensors=["K", "V"], order=1, progress=progress).isel(layer=-1)
    N, n = len(inputs), float(last["fan_in"])
    kernel, change, vertex = (np.asarray(last[name]) for name in ("K", "K_1", "V"))
    return Metric(kernel.reshape(N, N), change.reshape(N, N) / n, vertex.reshape(N, N, N, N) / n)
