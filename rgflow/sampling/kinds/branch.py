"""Routes of the branch."""

from __future__ import annotations

from rgflow.network.kinds.branch import Branch
from rgflow.sampling.routes import Routes, Stages, Weights, routes
from rgflow.sampling.signals import Signal


@routes.register
def branch(layer: Branch, below: Signal, stages: Stages, width: int) -> Routes:
    """x' = x + V sigma(W x + b) + a; W and b are drawn, V and a averaged."""
    h = stages.dense(below, layer.hidden or width, layer.C_b, layer.C_W, layer.lambda_b, layer.lambda_W)
    weights = [Weights(stages.activated(h), layer.C_V, layer.lambda_V)]
    return Routes(weights, layer.C_a, layer.lambda_a, carried=below)
