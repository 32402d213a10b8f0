"""Fitted powers of the width, and those that a family derives, by the names of a width check."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rgflow.errors import InputError
from rgflow.scaling.families.family import Family, family

Array = NDArray[np.float64]
# measured names to those of FamilyExponents: columns of the first step, and signals after any number of steps
AT_START = {"size": "preactivation"}
FIRST_STEP = {"own": "own", "own_relative": "own_relative"}
AFTER = {"change": "change", "own_moved": "own"}


def _kind(optimizer: torch.optim.Optimizer) -> str | None:
    """The optimizer as families call it; None for those they do not know."""
    if isinstance(optimizer, (torch.optim.Adam, torch.optim.AdamW)):
        return "adam"
    return "sgd" if isinstance(optimizer, torch.optim.SGD) else None


def slopes(values: Array, x: Array) -> tuple[Array, Array]:
    """Slope of ln values (..., width, run) in x for every run: mean over runs, and its standard error."""
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(values)
        logs = np.where(np.isfinite(logs), logs, np.nan)
    away = x - x.mean()
    each = np.einsum("w,...wr->...r", away, logs) / (away**2).sum()
    runs = each.shape[-1]
    mean = each.mean(axis=-1)
    if runs > 1:
        return mean, each.std(axis=-1, ddof=1) / np.sqrt(runs)
    left = logs - logs.mean(axis=-2, keepdims=True) - away[:, None] * each[..., None, :]
    if len(x) < 3:
        return mean, np.full_like(mean, np.nan)
    error: Array = np.sqrt((left**2).sum(axis=-2)[..., 0] / (len(x) - 2) / (away**2).sum())
    return mean, error


def derived(
    of: str | Family | None, layers: int, activation: Any, steps: int, optimizer: torch.optim.Optimizer
) -> dict[str, Array]:
    """Derived exponents (step, layer), and (layer) of sizes; -inf for what is zero, NaN where nothing is derived."""
    if of is None:
        return {}
    kind = _kind(optimizer)
    if isinstance(of, str):
        if kind is None:
            raise InputError(
                f"exponents of the family {of!r} are derived for SGD, Adam and AdamW, not {type(optimizer).__name__}; "
                "give the rgflow.Family that describes it, or leave family out"
            )
        known = family(of, layers=layers, optimizer=kind)
    else:
        known = of
    if kind not in (None, known.optimizer):
        raise InputError(
            f"the family {known.name!r} has rates for {known.optimizer!r}, the optimizer is "
            f"{type(optimizer).__name__}; give rgflow.family(..., optimizer={kind!r})"
        )
    powers = known.exponents(layers, activation)

    def numbers(row: Iterable[Any]) -> list[float]:
        return [-np.inf if power is None else float(power) for power in row]

    found = {name: np.array(numbers(powers[column])) for name, column in AT_START.items()}
    for name, column in FIRST_STEP.items():
        later = [[np.nan] * layers for _ in range(steps - 1)]
        found[name] = np.array([numbers(powers[column]), *later])
    for name, what in AFTER.items():
        found[name] = np.array([numbers(powers.step(t, what)) for t in range(1, steps + 1)])
    return found
