"""The module of the branch behind a gate."""

from __future__ import annotations

from torch import Tensor, nn

from rgflow.network.kinds.gated import Gated
from rgflow.nn.models.layers import Place, module_of


class GatedModule(nn.Module):
    """x' = x + gate V sigma(W x + b); the gate is a fixed number."""

    def __init__(self, layer: Gated, place: Place):
        super().__init__()
        hidden = layer.hidden or place.width
        self.sigma, self.gate = place.sigma, layer.gate
        self.inner = place.affine(
            place.fan_in, hidden, C_W=layer.C_W, C_b=layer.C_b, lambda_W=layer.lambda_W, lambda_b=layer.lambda_b
        )
        self.own = place.affine(hidden, place.width, C_W=layer.C_V, lambda_W=layer.lambda_V)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.gate * self.own(self.sigma(self.inner(x)))
        return out


@module_of.register
def gated(layer: Gated, place: Place) -> nn.Module:
    """The branch behind a gate."""
    return GatedModule(layer, place)
