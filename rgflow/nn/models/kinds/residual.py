"""The module of the residual layer."""

from __future__ import annotations

from torch import Tensor, nn

from rgflow.network.kinds.residual import Residual
from rgflow.nn.models.layers import Place, module_of


class ResidualModule(nn.Module):
    """z' = b + W sigma(z) + skip z."""

    def __init__(self, layer: Residual, place: Place):
        super().__init__()
        self.sigma, self.skip = place.sigma, layer.skip
        self.own = place.affine(
            place.fan_in, place.width, C_W=layer.C_W, C_b=layer.C_b, lambda_W=layer.lambda_W, lambda_b=layer.lambda_b
        )

    def forward(self, z: Tensor) -> Tensor:
        out: Tensor = self.own(self.sigma(z)) + self.skip * z
        return out


@module_of.register
def residual(layer: Residual, place: Place) -> nn.Module:
    """The residual layer."""
    return ResidualModule(layer, place)
