"""The module of the branch beside a projection."""

from __future__ import annotations

from torch import Tensor, nn

from rgflow.network.kinds.projection import Projection
from rgflow.nn.models.layers import Place, module_of


class ProjectionModule(nn.Module):
    """x' = P x + V sigma(W x + b) + a."""

    def __init__(self, layer: Projection, place: Place):
        super().__init__()
        hidden = layer.hidden or place.width
        self.sigma = place.sigma
        self.inner = place.affine(
            place.fan_in, hidden, C_W=layer.C_W, C_b=layer.C_b, lambda_W=layer.lambda_W, lambda_b=layer.lambda_b
        )
        self.own = place.affine(
            hidden, place.width, C_W=layer.C_V, C_b=layer.C_a, lambda_W=layer.lambda_V, lambda_b=layer.lambda_a
        )
        self.projection = place.affine(place.fan_in, place.width, C_W=layer.C_P, lambda_W=layer.lambda_P)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.projection(x) + self.own(self.sigma(self.inner(x)))
        return out


@module_of.register
def projection(layer: Projection, place: Place) -> nn.Module:
    """The branch beside a projection."""
    return ProjectionModule(layer, place)
