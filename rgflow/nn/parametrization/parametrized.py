"""``Parametrized``: what was done to a module, its parameter groups, and the first step of its family."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from rgflow.checks import not_negative
from rgflow.errors import UnknownName
from rgflow.nn.parametrization.axes import Used
from rgflow.nn.parametrization.first_step import FirstStep
from rgflow.nn.parametrization.growth import Growth
from rgflow.nn.parametrization.report import Row, as_dataset, as_text
from rgflow.nn.parametrization.roles import MATRICES
from rgflow.nn.parametrization.shared import main_use
from rgflow.scaling.families.family import Family

if TYPE_CHECKING:
    import xarray


@dataclass(frozen=True, eq=False)
class Entry:
    """A parameter with its place in the family and what was done to it.

    Attributes
    ----------
    group : "input", "hidden", "output", "fixed" or "frozen"
        Whose exponents it has.
    """

    parameter: nn.Parameter
    used: tuple[Used, ...]
    group: str
    row: Row

    @property
    def name(self) -> str:
        """Its first name."""
        return self.used[0].name

    @property
    def is_matrix(self) -> bool:
        """Whether it is the weight of a layer (a bias or a gain of what does not grow has the role "fixed" too)."""
        reading = main_use(self.used).reading
        return self.row.role in MATRICES and reading is not None and reading.kind == "matrix"


@dataclass(frozen=True, eq=False)
class Parametrized:
    """What :func:`parametrize` did; prints as a table of parameters.

    Attributes
    ----------
    module : Module
    family : Family
    optimizer : "sgd", "adam" or "adamw"
    learning_rate : float
    growth : Growth
        n / n_base, and what grows.
    entries : tuple of Entry
    """

    module: nn.Module
    family: Family
    optimizer: str
    learning_rate: float
    growth: Growth
    entries: tuple[Entry, ...]
    handles: tuple[Any, ...] = field(default=(), repr=False)

    @property
    def rows(self) -> tuple[Row, ...]:
        """One for each parameter."""
        return tuple(entry.row for entry in self.entries)

    @property
    def table(self) -> xarray.Dataset:
        """The rows as a Dataset, dim ``parameter``."""
        attrs: dict[str, str | float] = {
            "kind": "parametrisation",
            "family": self.family.name,
            "optimizer": self.optimizer,
            "learning_rate": self.learning_rate,
            "width_over_base": float(self.growth.factor),
        }
        return as_dataset(self.rows, attrs)

    @property
    def groups(self) -> list[dict[str, Any]]:
        """Parameter groups for torch.optim: ``params``, ``lr``, ``weight_decay``, ``name``.

        Parameters of equal rates share a group, or, where the first step has rates of its own, each has one.
        """
        found: dict[Any, dict[str, Any]] = {}
        apart = self.switches
        for entry in self.entries:
            row = entry.row
            if entry.group == "frozen":
                continue
            key = row.name if apart else (row.learning_rate, row.weight_decay)
            new: dict[str, Any] = {"params": [], "lr": row.learning_rate, "weight_decay": row.weight_decay, "name": ""}
            group = found.setdefault(key, new)
            group["params"].append(entry.parameter)
            group["name"] += f", {entry.name}" if group["name"] else entry.name
        return list(found.values())

    @property
    def switches(self) -> bool:
        """Whether the first step is unlike the others."""
        return self.family.first is not None or self.family.forget is not None

    def first_step(self, optimizer: torch.optim.Optimizer) -> FirstStep:
        """The scheduler that gives the first step its rates, and the others theirs; make it before the first step."""
        return FirstStep(optimizer, self)

    def with_first_rates(self, rates: Mapping[str, float]) -> Parametrized:
        """The same with other rates of the first step, by name (as :func:`rgflow.nn.calibrate` finds them)."""
        known = [entry.name for entry in self.entries]
        for name in rates:
            if name not in known:
                raise UnknownName("parameter", name, known)
        entries = []
        for entry in self.entries:
            rate = rates.get(entry.name, entry.row.first_rate)
            entries.append(replace(entry, row=replace(entry.row, first_rate=not_negative(entry.name, rate))))
        return replace(self, entries=tuple(entries))

    def undo_multipliers(self) -> None:
        """Take away the multipliers of shared parameters."""
        for handle in self.handles:
            handle.remove()

    def __str__(self) -> str:
        factor = self.growth.factor
        head = f"{self.family.name} for {self.optimizer}, {factor} times the base width"
        return f"{head}, learning rate {self.learning_rate:g} at base width\n{as_text(self.rows)}"

    def _repr_html_(self) -> str:
        return f"<pre>{self}</pre>"
