"""A scaling family at a width and depth: what standard deviations and learning rates are multiplied by."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from rgflow.checks import whole
from rgflow.errors import InputError
from rgflow.nn.parametrization.growth import Growth
from rgflow.scaling.families.family import Family


@dataclass(frozen=True)
class Scaling:
    """A family at a width: factors of standard deviations and rates relative to base width."""

    family: Family
    growth: Growth
    eta: float
    decay: float

    def std(self, group: str, bias: bool) -> float:
        """r^{-(a + b)}; 1 for what does not grow."""
        return 1.0 if group == "fixed" else self._raised(self.family.std_power(group, bias=bias))

    def rate(self, group: str, bias: bool, first: bool = False) -> float:
        """eta r^{-(2a + c)}."""
        return self.eta * (
            1.0 if group == "fixed" else self._raised(self.family.rate_power(group, first=first, bias=bias))
        )

    def multiplier(self, group: str, other: str) -> float:
        """Of a matrix of the second group that shares its entries with one of the first."""
        family = self.family
        std = family.std_power(other) - family.std_power(group)
        times = 2 if family.optimizer == "sgd" else 1
        if family.rate_power(other) != family.rate_power(group) + times * std:
            raise InputError(
                f"a parameter is shared by an {group} and an {other} matrix, whose rates in the family {family.name!r} "
                "cannot both be had by a multiplier; give it one role, roles={name: ...}, or do not share it"
            )
        return self._raised(std)

    def _raised(self, power: Any) -> float:
        if not isinstance(power, Fraction):
            raise InputError(f"{self.family.name} has the exponent {power} in a symbol; give its s a number")
        try:
            return math.pow(self.growth.factor, power)
        except OverflowError:
            raise InputError(f"({self.growth.factor})^({power}) is out of range; check width and base_width") from None


def depth_factor(family: Family, depth: int | None, base_depth: int | None) -> float:
    if (depth is None) != (base_depth is None):
        raise InputError("give both depth and base_depth, or neither")
    if not family.depth_rate:
        if depth is not None:
            raise InputError(f"the rates of {family.name!r} do not depend on depth; see Family.with_depth")
        return 1.0
    if depth is None or base_depth is None:
        raise InputError(f"the rates of {family.name!r} go with depth^({family.depth_rate}); give depth and base_depth")
    return math.pow(whole("depth", depth, 1) / whole("base_depth", base_depth, 1), family.depth_rate)
