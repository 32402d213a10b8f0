"""The module of layers that normalise: LayerNorm and, without the mean, RMSNorm."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rgflow.network.kinds.layer_norm import LayerNorm
from rgflow.nn.models.layers import Place, module_of


class Norm(nn.Module):
    """(x - m) / sqrt(v + epsilon) over the last axis, or x / sqrt(mean square + epsilon); nothing in it is trained."""

    def __init__(self, epsilon: float, centred: bool):
        super().__init__()
        self.epsilon, self.centred = epsilon, centred

    def forward(self, x: Tensor) -> Tensor:
        if self.centred:
            x = x - x.mean(-1, keepdim=True)
        return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + self.epsilon)

    def extra_repr(self) -> str:
        return f"epsilon={self.epsilon}, centred={self.centred}"


class LayerNormModule(nn.Module):
    """z' = b + W sigma(norm(z)) + skip z, or b + W norm(sigma(z)) + skip z."""

    def __init__(self, layer: LayerNorm, place: Place):
        super().__init__()
        norm = Norm(layer.epsilon, layer.centred)
        self.skip = layer.skip
        self.acting = nn.Sequential(*([norm, place.sigma] if layer.place == "before" else [place.sigma, norm]))
        self.own = place.affine(
            place.fan_in, place.width, C_W=layer.C_W, C_b=layer.C_b, lambda_W=layer.lambda_W, lambda_b=layer.lambda_b
        )

    def forward(self, z: Tensor) -> Tensor:
        out: Tensor = self.own(self.acting(z))
        return out + self.skip * z if self.skip else out


@module_of.register
def layer_norm(layer: LayerNorm, place: Place) -> nn.Module:
    """LayerNorm, and RMSNorm, which is one without the mean."""
    return LayerNormModule(layer, place)
