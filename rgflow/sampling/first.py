"""The first layer: what inputs or a given kernel say about it, exactly.

z^1 = b + W x is Gaussian, independent from neuron to neuron, and linear in its parameters, so that it depends on the
inputs only through g = x.x'/n_0:   K^1 = C_b + C_W g,   H^1_jm = delta_jm Theta^1,   Theta^1 = lambda_b + lambda_W g.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rgflow.errors import InputError
from rgflow.network import MLP
from rgflow.sampling.draw import Array, covariance_root


@dataclass(frozen=True, eq=False)
class FirstLayer:
    """K^1 and Theta^1, both (N, N), with their roots."""

    kernel: Array
    tangent: Array

    @property
    def root(self) -> Array:
        """L with L L^T = K^1."""
        return covariance_root(self.kernel)

    @property
    def tangent_root(self) -> Array:
        """L with L L^T = Theta^1."""
        return covariance_root(self.tangent)


def first_layer(net: MLP, inputs: Any, first_kernel: Any) -> FirstLayer:
    """K^1 and Theta^1 from inputs (N, n_0) or (n_0,), or from K^1 itself: a number or (N, N).

    Raises
    ------
    InputError
        When not exactly one is given; for wrong shapes, no inputs, values that are not finite, a kernel that is not
        symmetric and positive semidefinite, or one that no inputs give with the C_b and C_W of layer 1.
    """
    if (inputs is None) == (first_kernel is None):
        raise InputError("give exactly one of inputs and first_kernel")
    dense = net.layers[0]
    if inputs is not None:
        x = _numbers("inputs", inputs)
        n_0 = net.widths[0]
        x = x[None] if x.ndim == 1 else x
        if x.ndim != 2 or x.shape[0] < 1 or x.shape[1] != n_0:
            raise InputError(f"inputs has shape {np.shape(inputs)}; give (N, {n_0}) or ({n_0},) with N at least 1")
        gram = x @ x.T / n_0
        return FirstLayer(dense.C_b + dense.C_W * gram, dense.lambda_b + dense.lambda_W * gram)
    kernel = _numbers("first_kernel", first_kernel)
    kernel = kernel.reshape(1, 1) if kernel.ndim == 0 else kernel
    if kernel.ndim != 2 or kernel.shape[0] != kernel.shape[1] or not len(kernel):
        raise InputError(f"first_kernel has shape {np.shape(first_kernel)}; give a number or an N x N matrix")
    # Rounding of the dot products a kernel is made of.
    slack = 16 * len(kernel) * np.finfo(float).eps * float(np.max(np.abs(kernel)))
    if np.max(np.abs(kernel - kernel.T)) > slack:
        raise InputError(f"first_kernel is not symmetric: {kernel.tolist()!r}")
    kernel = (kernel + kernel.T) / 2
    _positive("first_kernel", kernel, slack)
    if dense.C_W == 0:
        raise InputError("first_kernel does not determine x.x'/n_0 when C_W of layer 1 is 0; give inputs")
    gram = (kernel - dense.C_b) / dense.C_W
    name = f"(first_kernel - C_b)/C_W with C_b={dense.C_b!r}, C_W={dense.C_W!r}, which is x.x'/n_0,"
    _positive(name, gram, slack / dense.C_W)
    return FirstLayer(kernel, dense.lambda_b + dense.lambda_W * gram)


def _numbers(name: str, value: Any) -> Array:
    try:
        if np.iscomplexobj(value):
            raise TypeError
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{name} is not an array of real numbers") from None
    if not np.all(np.isfinite(array)):
        raise InputError(f"{name} holds values that are not finite")
    return array


def _positive(name: str, matrix: Array, slack: float) -> None:
    least = float(np.linalg.eigvalsh(matrix)[0])
    if least < -slack:
        raise InputError(f"{name} is not positive semidefinite: its least eigenvalue is {least!r}")
