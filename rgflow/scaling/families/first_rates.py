"""The exponents c of a large first step: those with which every layer's own update makes a signal of order one.

After the first step the signals of all layers shall be of order one. What the update of layer l puts into z^l is then
its rate times the average of sigma at the start and sigma of order one, times the backward signal of the start; it is
proportional to n^-c, and the c that makes it of order one is its power at c = 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rgflow.activations import Activation
from rgflow.activations import activation as find_activation
from rgflow.errors import InputError
from rgflow.scaling.families.described import group_of, planned
from rgflow.scaling.families.sizes import Sizes
from rgflow.scaling.families.training import into_moved
from rgflow.scaling.families.triple import ABC


def first_rates(weights: Mapping[str, ABC], layers: int, activation: Activation) -> tuple[Any, ...]:
    """c of layers 1..L at the first step of gradient descent; c of the given exponents plays no part.

    >>> from rgflow.activations import activation
    >>> averages = {"input": ABC(0, 0, 0), "hidden": ABC(1, 0, 0), "output": ABC(1, 0, 0)}
    >>> [str(c) for c in first_rates(averages, 4, activation("relu"))]
    ['-2', '-5/2', '-5/2', '-2']
    """
    unit = {group: replace(abc, c=0) for group, abc in weights.items()}
    plan = planned(unit, None, layers)
    found = into_moved(plan, Sizes(activation))
    return tuple(power.value() for power in found)


def by_group(weights: Mapping[str, ABC], layers: int, activation: Activation) -> dict[str, Any]:
    """The same by group; InputError where hidden layers differ."""
    found: dict[str, Any] = {}
    for l, c in enumerate(first_rates(weights, layers, activation), start=1):
        group = group_of(l, layers)
        if found.setdefault(group, c) != c:
            raise InputError(
                f"with {activation.name} the hidden layers need different exponents at the first step, {found[group]} "
                f"and {c}; one for all is known for homogeneous activations that are not odd, such as relu"
            )
    return found


def rectified(homogeneity: int) -> Activation:
    """relu(z)^p, the standard positively p-homogeneous activation."""
    return find_activation("relu" if homogeneity == 1 else f"relu(z)^{homogeneity}")
