"""From exponents a, b, c by group to powers of n of every layer's C_W and lambda_W, in the engine's normalisation.

Weights of a layer have variance C_W/fan-in and rate lambda_W/fan-in; the fan-in is n, in the first layer n_0, of order
one. Every width above the input is n up to a fixed ratio.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rgflow.scaling.families.counting import LayerPowers
from rgflow.scaling.families.powers import NOTHING, NOTHING_TO_ADD, Power
from rgflow.scaling.families.training import Plan
from rgflow.scaling.families.triple import ABC


def group_of(layer: int, layers: int) -> str:
    """The group of layer l = 1..L.

    >>> [group_of(l, 4) for l in (1, 2, 3, 4)]
    ['input', 'hidden', 'hidden', 'output']
    """
    return "input" if layer == 1 else "output" if layer == layers else "hidden"


def planned(
    weights: Mapping[str, ABC],
    biases: Mapping[str, ABC] | None,
    layers: int,
    *,
    optimizer: str = "sgd",
    first: Mapping[str, Any] | None = None,
    forget: Any = None,
) -> Plan:
    """The layers 1..L of a network; without biases they are neither drawn nor trained."""
    groups = [group_of(l, layers) for l in range(1, layers + 1)]
    of_bias: Mapping[str, ABC | None] = dict.fromkeys(weights) if biases is None else dict(biases)
    later = tuple(_layer(g, weights[g], of_bias[g], optimizer) for g in groups)
    changed = {g: ABC(abc.a, abc.b, first[g]) if first and g in first else abc for g, abc in weights.items()}
    start = tuple(_layer(g, changed[g], of_bias[g], optimizer) for g in groups)
    kept = NOTHING_TO_ADD if forget is None else Power.read(forget)
    return Plan(later, start, kept, optimizer == "adam")


def _layer(group: str, weights: ABC, biases: ABC | None, optimizer: str) -> LayerPowers:
    fan_in = Power.of(0 if group == "input" else 1)
    return LayerPowers(
        C_b=Power.read(biases.std_power) * 2 if biases else NOTHING,
        C_W=fan_in + Power.read(weights.std_power) * 2,
        lambda_b=Power.read(biases.rate_power(optimizer)) if biases else NOTHING,
        lambda_W=fan_in + Power.read(weights.rate_power(optimizer)),
        fan_in=fan_in,
    )
