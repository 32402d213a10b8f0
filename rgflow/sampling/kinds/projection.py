"""Routes of the branch beside a projection."""

from __future__ import annotations

from rgflow.network.kinds.projection import Projection
from rgflow.sampling.routes import Routes, Stages, Weights, routes
from rgflow.sampling.signals import Signal


@routes.register
def projection(layer: Projection, below: Signal, stages: Stages, width: int) -> Routes:
    """x' = P x + V sigma(W x + b) + a; W and b are drawn, P, V and a averaged."""
    h = stages.dense(below, layer.hidden or width, layer.C_b, layer.C_W, layer.lambda_b, layer.lambda_W)
    inner = Weights(stages.activated(h), layer.C_V, layer.lambda_V)
    return Routes([inner, Weights(below, layer.C_P, layer.lambda_P)], layer.C_a, layer.lambda_a)
