"""Both sides of the second relation at the parameters as they stand, over the full batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from rgflow.nn.fluctuation.full import Full
from rgflow.nn.fluctuation.observables import Motion, dot, velocity, wide

Groups = Sequence[Sequence[Tensor]]


def learning(optimizer: torch.optim.Optimizer) -> list[list[Tensor]]:
    """The parameters of each group that require a gradient."""
    return [[p for p in group["params"] if p.requires_grad] for group in optimizer.param_groups]


def left_sides(full: Full, groups: Groups, motions: Sequence[Motion]) -> list[float]:
    """(1-nu) |grad f|^2 of each group, with weight decay in f."""
    found = []
    for parameters, slopes, moves in zip(groups, _grouped(full.gradient(_all(groups)), groups), motions, strict=True):
        square = 0.0
        for parameter, slope in zip(parameters, slopes, strict=True):
            g = wide(slope).add(wide(parameter.detach()), alpha=moves.decay)
            square += float(dot(g, g))
        found.append((1 - moves.dampening) * square)
    return found


def right_side(
    full: Full,
    groups: Groups,
    motions: Sequence[Motion],
    optimizer: torch.optim.Optimizer,
    *,
    batches: int,
    batch: int,
    seed: int,
) -> float:
    """Half of Delta . H Delta for the steps Delta = eta v' of fresh mini-batches, averaged; NaN without batches."""
    if not batches:
        return float("nan")
    device, count = full.data.X.device, len(full.data.X)
    random = np.random.default_rng([seed, count])
    total = 0.0
    for _ in range(batches):
        examples = torch.from_numpy(random.choice(count, min(batch, count), replace=False)).to(device)
        slopes = _grouped(full.batch_gradient(_all(groups), examples), groups)
        steps: list[Tensor] = []
        for parameters, found, moves in zip(groups, slopes, motions, strict=True):
            for parameter, slope in zip(parameters, found, strict=True):
                v = -(1 - moves.dampening) * slope.add(parameter.detach(), alpha=moves.decay)
                before = velocity(optimizer, parameter) if moves.momentum else None
                steps.append(moves.rate * (v if before is None else v + moves.momentum * before.to(v.dtype)))
                total += moves.decay * float(dot(wide(steps[-1]), wide(steps[-1])))  # weight decay is part of H
        total += float(full.along(_all(groups), steps))
    return total / (2 * batches)


def _all(groups: Groups) -> list[Tensor]:
    return [parameter for group in groups for parameter in group]


def _grouped(found: list[Tensor], groups: Groups) -> list[list[Tensor]]:
    rest = iter(found)
    return [[next(rest) for _ in group] for group in groups]
