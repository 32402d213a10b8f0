"""Routes of the dense layer."""

from __future__ import annotations

from rgflow.network.kinds.dense import Dense
from rgflow.sampling.routes import Routes, Stages, Weights, routes
from rgflow.sampling.signals import Signal


@routes.register
def dense(layer: Dense, below: Signal, stages: Stages, width: int) -> Routes:
    """z' = b + W sigma(z)."""
    return Routes([Weights(stages.activated(below), layer.C_W, layer.lambda_W)], layer.C_b, layer.lambda_b)
