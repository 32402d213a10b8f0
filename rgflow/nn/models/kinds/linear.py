"""The module of the linear layer."""

from __future__ import annotations

from torch import Tensor, nn

from rgflow.network.kinds.linear import Linear
from rgflow.nn.models.layers import Place, module_of


class LinearModule(nn.Module):
    """z' = b + W z."""

    def __init__(self, layer: Linear, place: Place):
        super().__init__()
        self.own = place.affine(
            place.fan_in, place.width, C_W=layer.C_W, C_b=layer.C_b, lambda_W=layer.lambda_W, lambda_b=layer.lambda_b
        )

    def forward(self, z: Tensor) -> Tensor:
        out: Tensor = self.own(z)
        return out


@module_of.register
def linear(layer: Linear, place: Place) -> nn.Module:
    """The linear layer."""
    return LinearModule(layer, place)
