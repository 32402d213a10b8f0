"""Run a System through the layers of a network: numbers and their numerical error."""

from __future__ import annotations

from typing import Any

import numpy as np

from rgflow.algebra import System, Tensor
from rgflow.errors import AccuracyError
from rgflow.flow.history import History
from rgflow.flow.inputs import Start
from rgflow.flow.many_inputs import run_many
from rgflow.flow.one_input import run_one
from rgflow.network import MLP


def run(net: MLP, system: System, begin: Start) -> History:
    """All tensors of the System at every layer, starting from the Gaussian first layer.

    Raises AccuracyError for a flow that overflows or whose Gaussian averages cannot be had.
    """
    known = first_layer(net, begin.overlap)
    flow = run_one if system.samples == "one" else run_many
    history = flow(net.activation, system, known, hyperparameters(net))
    for tensor, values in history.values.items():
        bad = np.flatnonzero(~np.isfinite(values.reshape(len(values), -1)).all(axis=1))
        if bad.size:
            raise AccuracyError(
                f"{tensor.name} of {net.activation.name} is not finite at layer {bad[0] + 1}: the flow runs away; "
                "choose a smaller C_W or fewer layers"
            )
    return history


def hyperparameters(net: MLP) -> Any:
    """Rows (C_b, C_W, lambda_b, lambda_W, r) for layers 2..L, r = n_l / n_{l-1}."""
    rows = [
        (layer.C_b, layer.C_W, layer.lambda_b, layer.lambda_W, net.widths[i] / net.widths[i - 1])
        for i, layer in enumerate(net.layers)
        if i > 0
    ]
    return np.array(rows, np.float64).reshape(-1, 5)


def first_layer(net: MLP, overlap: Any) -> dict[Tensor, Any]:
    """The Gaussian first layer: K = C_b + C_W x.x'/n_0, Theta = lambda_b + lambda_W x.x'/n_0, all cumulants zero."""
    layer = net.layers[0]
    return {
        Tensor.named("K"): layer.C_b + layer.C_W * overlap,
        Tensor.named("Theta"): layer.lambda_b + layer.lambda_W * overlap,
    }
