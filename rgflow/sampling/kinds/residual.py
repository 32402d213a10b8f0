"""Routes of the residual layer."""

from __future__ import annotations

from rgflow.network.kinds.residual import Residual
from rgflow.sampling.routes import Routes, Stages, Weights, routes
from rgflow.sampling.signals import Signal


@routes.register
def residual(layer: Residual, below: Signal, stages: Stages, width: int) -> Routes:
    """z' = b + W sigma(z) + skip z."""
    weights = [Weights(stages.activated(below), layer.C_W, layer.lambda_W)]
    return Routes(weights, layer.C_b, layer.lambda_b, carried=stages.scaled(below, layer.skip))
