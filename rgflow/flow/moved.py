"""A network in which z of one layer alone is moved, and what it is shown: what partial Jacobians are flowed through."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from rgflow.errors import InputError
from rgflow.flow.inputs import Start
from rgflow.layers import forgets
from rgflow.layers.probed import Probed
from rgflow.layers.stages import Stage, stages
from rgflow.network import Layer, Network


class Task(NamedTuple):
    """A network that trains nothing but z of one layer, its stages, and what it is shown."""

    net: Network
    through: tuple[Stage, ...]
    begin: Start
    start: int
    kinks: str
    closure: str

    @property
    def one(self) -> bool:
        """Whether it is one input."""
        return len(self.begin.overlap) == 1

    @property
    def in_one_time(self) -> bool:
        """Whether recursions from one layer to the next give all that is asked."""
        rules = [stage.law for stage in self.through]
        book = self.closure == "book" and not any(law.norm for law in rules)
        return len(rules) == self.net.depth and (book or all(map(forgets, rules)))


def probed(net: Network, start: int | None) -> tuple[Network, tuple[Stage, ...]]:
    """The network with z of layer ``start`` (None: of every layer) as its only trained parameter, and its stages.

    The first layer is told so by its description, from which flows start; all others by their laws.
    """
    first = net.layers[0]
    untrained = Network([_untrained(first, start in (1, None)), *net.layers[1:]], net.widths, net.activation)
    found = [
        replace(stage, law=Probed(stage.law, stage.last and stage.layer > 1 and start in (stage.layer, None)))
        for stage in stages(untrained)
    ]
    return untrained, tuple(found)


def _untrained(layer: Layer, moved: bool) -> Layer:
    rates = {name: 0.0 for name in layer.hyperparameters() if name.startswith("lambda_")}
    if moved and "lambda_b" not in rates:
        raise InputError(f"start is 1 and the first layer, {layer!r}, has no bias to move it with; take start=2")
    return layer.changed(**rates | ({"lambda_b": 1.0} if moved else {}))
