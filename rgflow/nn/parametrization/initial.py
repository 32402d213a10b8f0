"""The initial values of parameters: critical variances, overridden by role or by name, and the draw itself."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from rgflow.checks import not_negative
from rgflow.errors import InputError, UnknownName
from rgflow.nn.parametrization.axes import Used
from rgflow.nn.parametrization.roles import MATRICES
from rgflow.universality.criticality import criticality


@dataclass(frozen=True)
class Draw:
    """Independent Gaussian entries."""

    mean: float
    std: float

    @property
    def size(self) -> float:
        """Root of the mean square of an entry."""
        return math.hypot(self.mean, self.std)


@dataclass(frozen=True)
class Variances:
    """C_W and C_b: by name, by role, or the default.

    Attributes
    ----------
    C_W, C_b : mapping from names, roles and "attention" to numbers; "" is the default
    """

    C_W: Mapping[str, float]
    C_b: Mapping[str, float]

    @classmethod
    def of(cls, activation: Any, C_W: Any, C_b: Any, used: Sequence[Used]) -> Variances:
        """From what the user gave and the critical point of the activation."""
        names = {name for u in used for name in (u.name, u.name.rpartition(".")[0]) if name}
        weights, biases = _given("C_W", C_W, names), _given("C_b", C_b, names)
        if "" not in weights and activation is not None:
            point = criticality(activation)
            weights = {"": point.C_W, "attention": 1.0} | weights
            biases = {"": point.C_b, "attention": 0.0} | biases
        return cls(weights, {"": 0.0} | biases)

    def weight(self, used: Used) -> float:
        """C_W of a matrix or an embedding; InputError if nothing says it."""
        value = _found(self.C_W, used, used.role)
        if value is None:
            raise InputError(
                f"no C_W is given for {used.name!r} ({used.role}); give activation=, whose critical C_W and C_b are "
                "then taken, or C_W= (and C_b=)"
            )
        return value

    def used_for(self, drawn: Used, listed: Sequence[Used]) -> None:
        """A shared parameter is drawn once; InputError if C_W is given for another of its uses alone."""
        keys = {
            u.name: [key for key in (u.name, u.name.rpartition(".")[0], u.role) if key and key in self.C_W]
            for u in listed
        }
        other = next((name for name, given in keys.items() if given), None)
        if other is not None and not keys[drawn.name]:
            raise InputError(
                f"C_W[{keys[other][0]!r}] would have no effect on {other!r}, which shares its entries with "
                f"{drawn.name!r} and is drawn as its {drawn.role} matrix; give C_W[{drawn.name!r}] too"
            )

    def bias(self, used: Used) -> float:
        """C_b of a bias."""
        return _found(self.C_b, used, used.role.removesuffix(" bias")) or 0.0


def _given(what: str, value: Any, names: set[str]) -> dict[str, float]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        return {"": not_negative(what, value)}
    known = {*MATRICES, "embedding", "attention", *names}
    for name in value:
        if name not in known:
            raise UnknownName(f"name in {what}", name, known)
    return {name: not_negative(f"{what}[{name!r}]", number) for name, number in value.items()}


def _found(values: Mapping[str, float], used: Used, role: str) -> float | None:
    attention = used.reading is not None and used.reading.attention
    keys = [used.name, used.name.rpartition(".")[0] or used.name, "attention" if attention else role, ""]
    return next((values[key] for key in keys if key in values), None)


def draw(parameter: nn.Parameter, change: Draw, source: np.random.SeedSequence, place: int, owner: nn.Module) -> None:
    """Fill a parameter: mean + std N(0, 1), in double precision on the CPU, then rounded, so that devices agree.

    Every parameter has a stream of its own, by its place among all: what one gets depends on no other.
    """
    if parameter.is_meta:
        return
    with torch.no_grad():
        if change.std == 0:
            parameter.fill_(change.mean)
        else:
            child = np.random.SeedSequence(source.entropy, spawn_key=(*source.spawn_key, place))
            generator = torch.Generator("cpu").manual_seed(int(child.generate_state(1, np.uint64)[0] >> np.uint64(1)))
            numbers = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            # Rounded before it is moved: some devices have no double precision.
            parameter.copy_((change.mean + change.std * numbers).to(parameter.dtype))
        if isinstance(owner, nn.Embedding) and owner.padding_idx is not None:
            parameter[owner.padding_idx].zero_()
