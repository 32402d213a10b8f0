"""Routes of the branch behind a gate."""

from __future__ import annotations

from rgflow.network.kinds.gated import Gated
from rgflow.sampling.routes import Routes, Stages, Weights, routes
from rgflow.sampling.signals import Signal


@routes.register
def gated(layer: Gated, below: Signal, stages: Stages, width: int) -> Routes:
    """x' = x + gate V sigma(W x + b); W and b are drawn, V averaged."""
    h = stages.dense(below, layer.hidden or width, layer.C_b, layer.C_W, layer.lambda_b, layer.lambda_W)
    opened = stages.scaled(stages.activated(h), layer.gate)
    return Routes([Weights(opened, layer.C_V, layer.lambda_V)], carried=below)
