r"""What a network of a family is at its start: powers of n of outputs, tangent kernel and its differentials.

With one output and rates eta n^-c inside, at the last layer, whose fan-in is n:

.. math:: z \sim K^{1/2}, \quad H \sim \Theta, \quad \delta H \sim (\max(A, B)/n)^{1/2}, \quad
    E[dH\,z] = (P + Q + \dots)/n, \quad dH \sim (\kappa_3/n^2)^{1/2}, \quad ddH \sim \max(R, S, T, U)/n

dH has no mean; its square is a cumulant of three entries of the metric for each pairing of the six jets of two dH.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache

from rgflow.algebra import Tensor
from rgflow.scaling.families.counting import LayerPowers, flowed
from rgflow.scaling.families.powers import NOTHING, Power, largest
from rgflow.scaling.families.sizes import Sizes

HALF = Fraction(1, 2)
SPREAD, WITH_OUTPUT, SECOND = ("A", "B"), ("P", "Q"), ("R", "S", "T", "U")
OBSERVABLES = {
    "output": "outputs",
    "NTK": "tangent kernel, mean",
    "NTK spread": "tangent kernel, standard deviation over networks",
    "dNTK output": "differential of the NTK times an output, mean",
    "dNTK": "differential of the NTK, standard deviation over networks",
    "ddNTK": "second differential of the NTK, mean",
}
"""The observables at the start, and what they are."""


@lru_cache(maxsize=1)
def squared_differential() -> tuple[str, ...]:
    """The tensors whose sum is the mean square of dH, one for each way to pair its jets with those of another dH."""
    jets = ("1ef", "2e", "3f", "4gh", "5g", "6h")
    pairings = ("|".join(f"{a} {b}" for a, b in pairs) for pairs in _pairings(jets))
    return tuple(dict.fromkeys(Tensor.named(pairing).name for pairing in pairings))


def _pairings(items: Sequence[str]) -> Iterator[list[tuple[str, str]]]:
    if not items:
        yield []
        return
    for i in range(1, len(items)):
        for rest in _pairings((*items[1:i], *items[i + 1 :])):
            yield [(items[0], items[i]), *rest]


def at_start(layers: Sequence[LayerPowers], sizes: Sizes) -> dict[str, Power]:
    """The powers of OBSERVABLES."""
    third = squared_differential()
    last = flowed(("K", "Theta", *SPREAD, *WITH_OUTPUT, *SECOND, *third), layers, sizes)[-1]
    over = layers[-1].fan_in

    def sum_of(names: tuple[str, ...]) -> Power:
        return largest(last[name] for name in names)

    return {
        "output": last["K"] * HALF,
        "NTK": last["Theta"],
        "NTK spread": (sum_of(SPREAD) - over) * HALF,
        "dNTK output": sum_of(WITH_OUTPUT) - over,
        "dNTK": (sum_of(third) - over * 2) * HALF,
        "ddNTK": sum_of(SECOND) - over,
    }


def shares(layers: Sequence[LayerPowers], sizes: Sizes) -> list[Power]:
    """The part of the mean tangent kernel that each layer contributes: all other layers without learning rates."""
    found = []
    for own in range(len(layers)):
        alone = [
            layer if place == own else replace(layer, lambda_b=NOTHING, lambda_W=NOTHING)
            for place, layer in enumerate(layers)
        ]
        found.append(flowed(("K", "Theta"), alone, sizes)[-1]["Theta"])
    return found


def kernels(layers: Sequence[LayerPowers], sizes: Sizes) -> list[Power]:
    """The powers of K of layers 1..L."""
    return [state["K"] for state in flowed(("K",), layers, sizes)]
