"""Power counting on derived recursions: what power of n every tensor of every layer has.

Nothing here knows a formula of the theory: the terms are those of :func:`rgflow.derive`. A term is a product of
hyperparameters, tensors of the layer below and averages, and its power the sum of theirs; a tensor has the largest
power among its terms. Sums of averages that multiply the same tensors are taken first, since they may cancel; others
are not expected to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from rgflow.algebra import Recursion, System
from rgflow.derive import closure, derive
from rgflow.scaling.families.powers import NOTHING, NOTHING_TO_ADD, Power, largest
from rgflow.scaling.families.sizes import Average, Combination, Sizes


@dataclass(frozen=True)
class LayerPowers:
    """Powers of n of the hyperparameters of one layer; weights times the fan-in, which is n, or n_0 of order one.

    Attributes
    ----------
    C_b, C_W, lambda_b, lambda_W : Power
    fan_in : Power
    """

    C_b: Power
    C_W: Power
    lambda_b: Power
    lambda_W: Power
    fan_in: Power


State = Mapping[str, Power]


@lru_cache(maxsize=64)
def system(names: tuple[str, ...]) -> System:
    """The derived recursions of tensors and of all on which they depend."""
    return closure(list(names))


@lru_cache(maxsize=1)
def jacobian() -> Recursion:
    """The derived recursion of the partial Jacobian norm."""
    found = derive("J")
    assert isinstance(found, Recursion)
    return found


def stepped(recursion: Recursion, layer: LayerPowers, state: State, sizes: Sizes) -> Power:
    """The power of a tensor of the next layer; widths have a fixed ratio above the first, so that r does not count."""
    found = []
    for (symbols, tensors), averages in _collected(recursion).items():
        total = sum((getattr(layer, name) * power for name, power in symbols), NOTHING_TO_ADD)
        total = sum((state[name] for name in tensors), total)
        if total.zero:  # then averages need no power
            continue
        found.append(total + sizes.combined(averages, state["K"]) if averages[0][1] else total)
    return largest(found)


@lru_cache(maxsize=1024)
def _collected(recursion: Recursion) -> dict[tuple[tuple[tuple[str, int], ...], tuple[str, ...]], Combination]:
    """The terms, those with the same hyperparameters and tensors together: their averages may cancel."""
    found: dict[tuple[tuple[tuple[str, int], ...], tuple[str, ...]], list[tuple[Fraction, tuple[Average, ...]]]] = {}
    for term in recursion.terms:
        averages = tuple((bracket.orders, bracket.pending) for bracket in term.brackets)
        tensors = tuple(value.tensor.name for value in term.tensors)
        found.setdefault((term.symbols, tensors), []).append((term.coefficient, averages))
    return {body: tuple(averages) for body, averages in found.items()}


def first_layer(recursions: System, layer: LayerPowers) -> dict[str, Power]:
    """The Gaussian first layer: its parameters alone, read off the recursions with an input of order one.

    Terms with nothing but hyperparameters and averages of a layer below are there, x in place of sigma; fluctuations
    are not, since n_0 inputs are given numbers.
    """
    found = {}
    for recursion in recursions:
        if recursion.tensor.level > 1:
            found[recursion.name] = NOTHING
            continue
        own = [term for term in recursion.terms if not term.tensors]
        found[recursion.name] = largest(
            sum((getattr(layer, name) * power for name, power in term.symbols), NOTHING_TO_ADD) for term in own
        )
    return found


def flowed(names: Sequence[str], layers: Sequence[LayerPowers], sizes: Sizes) -> list[dict[str, Power]]:
    """The powers of tensors at layers 1..L."""
    recursions = system(tuple(names))
    states = [first_layer(recursions, layers[0])]
    for layer in layers[1:]:
        before = states[-1]
        states.append({rec.name: stepped(rec, layer, before, sizes) for rec in recursions})
    return states


def backward(kernels: Sequence[Power], layers: Sequence[LayerPowers], sizes: Sizes) -> list[Power]:
    """The power of J of the output with respect to layers 1..L, from the derived recursion, and 0 at the last."""
    recursion = jacobian()
    found = []
    for start in range(1, len(layers) + 1):
        state = {recursion.name: NOTHING_TO_ADD}
        for place in range(start, len(layers)):
            state["K"] = kernels[place - 1]
            state[recursion.name] = stepped(recursion, layers[place], state, sizes)
        found.append(state[recursion.name])
    return found
