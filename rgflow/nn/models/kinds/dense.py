"""The module of the dense layer."""

from __future__ import annotations

from torch import Tensor, nn

from rgflow.network.kinds.dense import Dense
from rgflow.nn.models.layers import Place, module_of


class DenseModule(nn.Module):
    """z' = b + W sigma(z); b + W x as the first layer."""

    def __init__(self, layer: Dense, place: Place):
        super().__init__()
        self.sigma = nn.Identity() if place.first else place.sigma
        self.own = place.affine(
            place.fan_in, place.width, C_W=layer.C_W, C_b=layer.C_b, lambda_W=layer.lambda_W, lambda_b=layer.lambda_b
        )

    def forward(self, z: Tensor) -> Tensor:
        out: Tensor = self.own(self.sigma(z))
        return out


@module_of.register
def dense(layer: Dense, place: Place) -> nn.Module:
    """The dense layer."""
    return DenseModule(layer, place)
