"""Routes of the layer with orthogonal weights."""

from __future__ import annotations

from rgflow.network.kinds.orthogonal import Orthogonal
from rgflow.sampling.routes import Routes, Stages, Weights, routes
from rgflow.sampling.signals import Signal


@routes.register
def orthogonal(layer: Orthogonal, below: Signal, stages: Stages, width: int) -> Routes:
    """z' = W sigma(z), W Haar-distributed; its bias is zero and can be trained."""
    weights = [Weights(stages.activated(below), layer.C_W, layer.lambda_W, orthogonal=True)]
    return Routes(weights, lambda_b=layer.lambda_b)
