"""The module of the reduced residual block."""

from __future__ import annotations

from torch import Tensor, nn

from rgflow.network.kinds.reduced import Reduced
from rgflow.nn.models.layers import Place, module_of


class ReducedModule(nn.Module):
    """x' = x + sigma(W x + b)."""

    def __init__(self, layer: Reduced, place: Place):
        super().__init__()
        self.sigma = place.sigma
        self.inner = place.affine(
            place.fan_in, place.width, C_W=layer.C_W, C_b=layer.C_b, lambda_W=layer.lambda_W, lambda_b=layer.lambda_b
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.sigma(self.inner(x))
        return out


@module_of.register
def reduced(layer: Reduced, place: Place) -> nn.Module:
    """The reduced residual block."""
    return ReducedModule(layer, place)
