"""Routes of the linear layer."""

from __future__ import annotations

from rgflow.network.kinds.linear import Linear
from rgflow.sampling.routes import Routes, Stages, Weights, routes
from rgflow.sampling.signals import Signal


@routes.register
def linear(layer: Linear, below: Signal, stages: Stages, width: int) -> Routes:
    """z' = b + W z."""
    return Routes([Weights(below, layer.C_W, layer.lambda_W)], layer.C_b, layer.lambda_b)
