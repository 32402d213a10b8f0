"""Routes of the reduced residual block."""

from __future__ import annotations

from rgflow.network.kinds.reduced import Reduced
from rgflow.sampling.routes import Routes, Stages, routes
from rgflow.sampling.signals import Signal


@routes.register
def reduced(layer: Reduced, below: Signal, stages: Stages, width: int) -> Routes:
    """x' = x + sigma(W x + b): no weights stand outside the activation, so all of it is drawn."""
    h = stages.dense(below, width, layer.C_b, layer.C_W, layer.lambda_b, layer.lambda_W)
    return Routes([], carried=stages.sum(below, stages.activated(h)))
