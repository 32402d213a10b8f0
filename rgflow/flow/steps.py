"""The steps of a flow: for each further layer the recursions of its kind and its numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rgflow.algebra import System
from rgflow.codegen.table import lower
from rgflow.layers import Law
from rgflow.layers.laws import value
from rgflow.network import Network


@dataclass(frozen=True, eq=False)
class Step:
    """One layer: its System, and a row with the symbols of the System's table and r = n_l / n_{l-1}."""

    system: System
    hyper: Any


def steps(net: Network, systems: dict[Law, System], rules: tuple[Law, ...]) -> list[Step]:
    """Layers 2..L of a network whose layers have one law each, ``rules``."""
    found = []
    symbols = {law: lower(system).symbols for law, system in systems.items()}
    for i in range(1, net.depth):
        law, below, here = rules[i], net.widths[i], net.widths[i + 1]
        values = [value(net.layers[i], symbol, below, here) for symbol in symbols[law]]
        found.append(Step(systems[law], np.array([*values, below / net.widths[i - 1]])))
    return found
