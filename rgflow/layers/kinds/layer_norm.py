"""Layers that normalise: z' = b + W sigma(norm(z)) + skip z, or z' = b + W norm(sigma(z)) + skip z.

After sigma it is one law, whose metric is a smooth map of averages over neurons. Before sigma it is two: z is divided
by what its norm is at leading order, neuron by neuron, and what the weights read of that is normalised once more, which
takes away what fluctuates.
"""

from __future__ import annotations

from dataclasses import dataclass

from rgflow.algebra.jets import Jet
from rgflow.algebra.response import OF_KERNEL
from rgflow.layers.affine import Affine
from rgflow.layers.law import Law, Norm, Part
from rgflow.layers.laws import laws
from rgflow.network.kinds.layer_norm import LayerNorm


@dataclass(frozen=True)
class Scaled(Affine):
    """z divided by the root of its kernel, neuron by neuron."""

    @property
    def scale(self) -> str:
        return OF_KERNEL

    def integrand(self, a: Jet, b: Jet) -> tuple[Part, ...]:
        return (Part((), a, b, linear=True, own=True, scaled=True),)


@laws.register
def _(layer: LayerNorm) -> tuple[Law, ...]:
    inside = layer.place == "before"
    name, norm = type(layer).__name__.lower(), Norm(layer.centred, inside)
    if not inside:
        return (Affine(name, carry=("skip", 1), norm=norm),)
    return (Scaled(f"{name}: normalised", (), (), ("", 1)), Affine(name, carry=("skip", 2), norm=norm))
