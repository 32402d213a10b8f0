"""The module of the branch."""

from __future__ import annotations

from torch import Tensor, nn

from rgflow.network.kinds.branch import Branch
from rgflow.nn.models.layers import Place, module_of


class BranchModule(nn.Module):
    """x' = x + V sigma(W x + b) + a."""

    def __init__(self, layer: Branch, place: Place):
        super().__init__()
        hidden = layer.hidden or place.width
        self.sigma = place.sigma
        self.inner = place.affine(
            place.fan_in, hidden, C_W=layer.C_W, C_b=layer.C_b, lambda_W=layer.lambda_W, lambda_b=layer.lambda_b
        )
        self.own = place.affine(
            hidden, place.width, C_W=layer.C_V, C_b=layer.C_a, lambda_W=layer.lambda_V, lambda_b=layer.lambda_a
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.own(self.sigma(self.inner(x)))
        return out


@module_of.register
def branch(layer: Branch, place: Place) -> nn.Module:
    """The branch."""
    return BranchModule(layer, place)
