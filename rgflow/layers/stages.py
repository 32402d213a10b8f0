"""A network as stages: one for every law, with its width, its numbers, and the population of neurons it belongs to.

A layer with one weight matrix is one stage, a branch is two. Neurons that carry their past along form one population
over several stages; without a carry every stage has neurons of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

from rgflow.errors import InputError
from rgflow.layers.law import Law
from rgflow.layers.laws import laws, value
from rgflow.network import Layer, Network


@dataclass(frozen=True, eq=False)
class Stage:
    """One law at its place in a network.

    Attributes
    ----------
    layer : int
        l, from 1.
    last : bool
        Whether it is the layer's last stage, whose neurons are the layer's z.
    description : Layer
    width, fan_in : int
        Neurons of this stage, and of the stage below.
    population : int
        Equal for stages of the same neurons.
    """

    law: Law
    layer: int
    last: bool
    description: Layer
    width: int
    fan_in: int
    population: int

    def value(self, symbol: str) -> float:
        """A symbol of the law."""
        return value(self.description, symbol, self.fan_in, self.width)

    def product(self, symbols: tuple[str, ...]) -> float:
        """The product of symbols of the law."""
        result = 1.0
        for symbol in symbols:
            result *= self.value(symbol)
        return result


def stages(net: Network) -> tuple[Stage, ...]:
    """The stages of a network, the first layer's first.

    Raises InputError for a kind whose law does not hold for the network's activation.

    >>> from rgflow.network import MLP
    >>> [(stage.law.name, stage.width) for stage in stages(MLP([3, 8, 1], "tanh"))]
    [('dense', 8), ('dense', 1)]
    """
    found: list[Stage] = []
    for i, layer in enumerate(net.layers):
        rules = laws(layer)
        for j, law in enumerate(rules):
            last = j == len(rules) - 1
            below = found[-1].width if found else net.widths[0]
            width = net.widths[i + 1] if last else getattr(layer, "hidden", None) or net.widths[i + 1]
            carried = found[-law.carry[1]].population if law.carry and found else len(found)
            check_activation(law, net)
            found.append(Stage(law, i + 1, last, layer, width, below, carried))
    return tuple(found)


def check_activation(law: Law, net: Network) -> None:
    """InputError if the law holds for odd activations only and this one is not odd."""
    if law.odd and net.activation.parity != -1:
        raise InputError(
            f"the law of a {law.name} layer holds for odd activations, and {net.activation.name} is not; sample such a "
            "network instead, or take Branch layers"
        )
