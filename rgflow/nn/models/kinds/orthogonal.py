"""The module of the layer with orthogonal weights."""

from __future__ import annotations

from torch import Tensor, nn

from rgflow.network.kinds.orthogonal import Orthogonal
from rgflow.nn.models.layers import Place, module_of


class OrthogonalModule(nn.Module):
    """z' = b + W sigma(z), W drawn from Haar's law and b zero at the start; b + W x as the first layer."""

    def __init__(self, layer: Orthogonal, place: Place):
        super().__init__()
        self.sigma = nn.Identity() if place.first else place.sigma
        self.own = place.affine(
            place.fan_in, place.width, C_W=layer.C_W, lambda_W=layer.lambda_W, lambda_b=layer.lambda_b, orthogonal=True
        )

    def forward(self, z: Tensor) -> Tensor:
        out: Tensor = self.own(self.sigma(z))
        return out


@module_of.register
def orthogonal(layer: Orthogonal, place: Place) -> nn.Module:
    """The layer with orthogonal weights."""
    return OrthogonalModule(layer, place)
