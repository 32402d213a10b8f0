"""Run a network whose layers are more than one affine map of the layer below: carries, branches, projections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rgflow.algebra import Tensor
from rgflow.algebra.response import Answer
from rgflow.derive.noise import Overlap, covariance
from rgflow.derive.response import exchanges, response, shift
from rgflow.flow.averages import Averages, Entry
from rgflow.flow.history import History
from rgflow.flow.leading import leading
from rgflow.flow.linked import Linked
from rgflow.flow.needs import Needs, needs
from rgflow.layers.stages import Stage
from rgflow.network import Network

K, THETA = Tensor.named("K"), Tensor.named("Theta")


def run_stages(net: Network, stages: Sequence[Stage], tensors: Sequence[Tensor], overlap: Any) -> History:
    """K and Theta of any number of inputs; of one input also K_1, Theta_1 and the four-point letters."""
    means = leading(net.activation, stages, overlap)
    last = [i for i, stage in enumerate(stages) if stage.last]
    one = len(overlap) == 1
    values = {K: means.K[last], THETA: means.Theta[last]}
    errors = {K: means.K_error[last], THETA: means.Theta_error[last]}
    if one:
        values = {t: v[:, 0, 0] for t, v in values.items()}
        errors = {t: v[:, 0, 0] for t, v in errors.items()}
    further = [tensor for tensor in tensors if tensor.cost]
    if further:
        fan_in = np.array(net.fan_in, np.float64)
        wanted = needs(further, (stage.law for stage in stages[1:]))
        single, double = asked(wanted, stages)
        passes = [
            Linked(stages, Averages(net.activation, stages, means, single, double, moved), wanted, float(overlap[0, 0]))
            for moved in (False, True)
        ]
        for tensor in further:
            found, moved = (each.tensor(tensor)[last] * fan_in for each in passes)
            values[tensor] = found
            errors[tensor] = np.abs(found - moved) + 8 * np.finfo(float).eps * np.abs(found)
    return History(values, errors)


def asked(wanted: Needs, stages: Sequence[Stage]) -> tuple[list[Entry], list[tuple[Entry, Entry]]]:
    """The brackets that a flow needs, at one stage and between two."""
    single: dict[Entry, None] = {}
    double: dict[tuple[Entry, Entry], None] = {}
    answers: list[Answer] = []
    overlaps: list[Overlap] = []
    for law in dict.fromkeys(stage.law for stage in stages):
        for p, q in wanted.pairs:
            answers += response(p, law)
            answers += [answer for found in exchanges(p, q, law) for part in found.averages for answer in part]
        for f, q in wanted.noises:
            answers += response(q, law)
            overlaps += [o for a in response(q, law) if a.noise is not None for o in covariance(f, a.noise)]
        answers += [answer for entry in wanted.shifts for answer in shift(entry, law)]
    for answer in answers:
        if answer.bracket is not None:
            single[answer.bracket.orders, answer.bracket.pending] = None
    for overlap in overlaps:
        later, earlier = ((side.orders, side.pending) for side in (overlap.later, overlap.earlier))
        single.update(dict.fromkeys(side for side in (later, earlier) if side[0]))
        if later[0] and earlier[0]:
            double[later, earlier] = None
    return list(single), list(double)


def highest_written(tensors: Sequence[Tensor], stages: Sequence[Stage]) -> int:
    """The highest written derivative of sigma in what these tensors need."""
    single, double = asked(needs(tensors, (stage.law for stage in stages[1:])), stages)
    return max((k for orders, _ in [*single, *(side for pair in double for side in pair)] for k in orders), default=0)
