"""Run a network whose layers are more than one affine map of the layer below: carries, branches, projections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rgflow.algebra import Tensor
from rgflow.algebra.response import Answer, Entry, Neuron
from rgflow.derive.linked import entries_of
from rgflow.derive.noise import Overlap, covariance
from rgflow.derive.response import exchanges, response, shift
from rgflow.errors import InputError
from rgflow.flow.averages import Averages
from rgflow.flow.history import History, checked
from rgflow.flow.leading import leading
from rgflow.flow.linked import LinkedFlow
from rgflow.flow.needs import Needs, needs
from rgflow.layers import Law
from rgflow.layers.stages import Stage
from rgflow.network import Network
from rgflow.progress import progress_bar

MOST_BYTES = 2**31
K, THETA = Tensor.named("K"), Tensor.named("Theta")


def run_stages(
    net: Network, stages: Sequence[Stage], tensors: Sequence[Tensor], overlap: Any, progress: bool = False
) -> History:
    """K and Theta, and with them K_1, Theta_1 and cumulants of two entries at leading order."""
    further = [tensor for tensor in tensors if tensor.cost]
    components = {tensor: _components(tensor, len(overlap)) for tensor in further}
    wanted = needs((entries for found in components.values() for entries in found.values()), _laws(stages))
    single, double = asked(wanted, stages)
    _check_room(len(stages), len(wanted.pairs) + len(wanted.noises) + len(double))
    means = leading(net.activation, stages, overlap)
    last = [i for i, stage in enumerate(stages) if stage.last]
    values = {K: means.K[last], THETA: means.Theta[last]}
    errors = {K: means.K_error[last], THETA: means.Theta_error[last]}
    if further:
        steps = 2 * len(stages) * len({(later.samples, earlier.samples) for later, earlier in double})
        quiet = np.errstate(over="ignore", invalid="ignore")  # what overflows is named by its layer, below
        with progress_bar(progress, "averages between layers", steps) as advance, quiet:
            passes = [
                LinkedFlow(
                    stages, Averages(net.activation, stages, means, single, double, moved, advance), wanted, overlap
                )
                for moved in (False, True)
            ]
        for tensor, entries in components.items():
            with np.errstate(over="ignore", invalid="ignore"):
                found, moved = (_tensor(each, entries, last, net) for each in passes)
                error = np.abs(found - moved) + 8 * np.finfo(float).eps * np.abs(found)
            values[tensor], errors[tensor] = found, np.where(np.isnan(error), np.inf, error)
    if len(overlap) == 1:
        values = {tensor: np.reshape(value, len(last)) for tensor, value in values.items()}
        errors = {tensor: np.reshape(error, len(last)) for tensor, error in errors.items()}
    return checked(net, History(values, errors))


def _components(tensor: Tensor, samples: int) -> dict[tuple[int, ...], tuple[Entry, ...]]:
    """The entries of every component of a tensor, by its arguments."""
    return {i: entries_of(tensor, i) for i in np.ndindex(*[samples] * (2 * tensor.level))}


def _tensor(
    run: LinkedFlow, components: dict[tuple[int, ...], tuple[Entry, ...]], last: list[int], net: Network
) -> Any:
    """All components at every layer in PDLT's normalisation, (L, N, N, ..)."""
    fan_in = np.array(net.fan_in, np.float64)
    found = [run.value(entries)[last] * fan_in for entries in components.values()]
    shape = [1 + highest for highest in max(components)]  # components run through all arguments, the last one highest
    return np.stack(found, axis=1).reshape(len(last), *shape)


def _check_room(stages: int, linked: int) -> None:
    """Everything between every two stages must fit into memory."""
    size = 8 * linked * stages**2
    if size > MOST_BYTES:
        raise InputError(
            f"a neuron's past over {stages} stages, with {linked} averages and cumulants between every two, would fill "
            f"{size / 2**30:.1f} GiB; ask fewer tensors or inputs, or fewer layers"
        )


def _laws(stages: Sequence[Stage]) -> list[Law]:
    return [stage.law for stage in stages[1:]]


def asked(wanted: Needs, stages: Sequence[Stage]) -> tuple[list[Neuron], list[tuple[Neuron, Neuron]]]:
    """The brackets that a flow needs, at one stage and between two."""
    single: dict[Neuron, None] = {}
    double: dict[tuple[Neuron, Neuron], None] = {}
    answers: list[Answer] = []
    overlaps: list[Overlap] = []
    for law in dict.fromkeys(stage.law for stage in stages):
        for p, q in wanted.pairs:
            answers += response(p, law)
            answers += [answer for found in exchanges(p, q, law) for part in found.averages for answer in part]
        for f, q in wanted.noises:
            answers += response(q, law)
            overlaps += [o for a in response(q, law) if a.noise is not None for o in covariance(f, a.noise)]
        shifts = [answer for entry in wanted.shifts for answer in shift(entry, law)]
        overlaps += [o for a in shifts if len(a.noises) == 2 for o in covariance(*a.noises)]
        answers += shifts
    single.update(dict.fromkeys(bracket for answer in answers for bracket in answer.brackets))
    for overlap in overlaps:
        sides = (overlap.later, overlap.earlier)
        single.update(dict.fromkeys(side for side in sides if side.factors))
        if all(side.factors for side in sides):
            double[sides] = None
    return list(single), list(double)


def highest_written(tensor: Tensor, stages: Sequence[Stage]) -> int:
    """The highest written derivative of sigma in what a tensor needs."""
    entries = entries_of(tensor, (0,) * (2 * tensor.level))
    single, double = asked(needs([entries], _laws(stages)), stages)
    brackets = [*single, *(side for pair in double for side in pair)]
    return max((order for bracket in brackets for order in bracket.orders), default=0)
