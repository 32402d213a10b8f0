"""Routes of layers that normalise: LayerNorm and, without the mean, RMSNorm."""

from __future__ import annotations

from rgflow.network.kinds.layer_norm import LayerNorm
from rgflow.sampling.routes import Routes, Stages, Weights, routes
from rgflow.sampling.signals import Signal


@routes.register
def layer_norm(layer: LayerNorm, below: Signal, stages: Stages, width: int) -> Routes:
    """z' = b + W sigma(norm(z)) + skip z, or b + W norm(sigma(z)) + skip z."""
    if layer.place == "before":
        x = stages.activated(stages.normalized(below, layer.epsilon, layer.centred))
    else:
        x = stages.normalized(stages.activated(below), layer.epsilon, layer.centred)
    carried = stages.scaled(below, layer.skip) if layer.skip else None
    return Routes([Weights(x, layer.C_W, layer.lambda_W)], layer.C_b, layer.lambda_b, carried)
