r"""How fluctuations of a critical network grow with depth: coefficients of 1/n by layer, of equal widths.

    metric   V/K^2, and the next orders |K_1/K| and, where it is known, |V_1/V|
    tangent  (A + 2 B)/Theta^2, the variance of the tangent kernel of one neuron, relative
    change   |P|/Theta^2, |Q|/Theta^2, of the differential of the tangent kernel

Divided by n they are the sizes that the expansion in 1/n rests on. One flow serves every width.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rgflow.activations import Activation
from rgflow.brackets import gaussian_moments
from rgflow.errors import AccuracyError, KinkError, OrderError
from rgflow.universality.kernel_step import kernel_step
from rgflow.universality.onset import critical_flow
from rgflow.universality.points import HALF_STABLE, CriticalPoint

Floats = NDArray[np.float64]

WITH_MEMORY = 24  # layers that are flowed where neurons remember: the work grows as their square
WITHOUT = 2048
LETTERS = ("K", "Theta", "V", "A", "B", "P", "Q")


@dataclass(frozen=True, eq=False)
class Growth:
    """Coefficients of 1/n at layers 1, 2, ...

    Attributes
    ----------
    metric, tangent : array (L,)
        V/K^2 and (A + 2 B)/Theta^2.
    change : dict of arrays (L,)
        |P|/Theta^2 and |Q|/Theta^2; empty where neurons remember.
    orders : array (L,)
        The largest ratio of successive orders.
    order : int
        Through which order in 1/n these ratios are known.
    """

    metric: Floats
    tangent: Floats
    change: dict[str, Floats]
    orders: Floats
    order: int

    @property
    def depth(self) -> int:
        """How many layers were flowed."""
        return len(self.metric)

    def last(self, values: Floats, bound: float) -> int | None:
        """The last layer up to which values stay within a bound; None if that is not among those flowed."""
        beyond = np.flatnonzero(~(values <= bound))
        return int(beyond[0]) if beyond.size else None


def most_layers(point: CriticalPoint) -> int:
    """How deep such networks are flowed."""
    return WITH_MEMORY if kernel_step(point.layer).remembers else WITHOUT


@lru_cache(maxsize=16)
def growth(point: CriticalPoint, depth: int, first_kernel: float) -> Growth:
    """The coefficients of the first layers, with the learning rates that give every layer an equal share."""
    remembers = kernel_step(point.layer).remembers
    letters = LETTERS[:5] if remembers else LETTERS
    ds = critical_flow(point, depth, letters, first_kernel)
    value = {name: ds[name].values for name in letters}
    K, V, Theta = value["K"], value["V"], value["Theta"]
    ratios, order = [V / K**2, np.abs(ds["K_1"].values / K)], 1
    if not remembers:
        second = _second(point, depth, first_kernel)
        if second is not None:
            ratios.append(second)
            order = 2
    return Growth(
        V / K**2,
        (value["A"] + 2 * value["B"]) / Theta**2,
        {name: np.abs(value[name]) / Theta**2 for name in letters if name in "PQ"},
        np.max(ratios, axis=0),
        order,
    )


def _second(point: CriticalPoint, depth: int, first_kernel: float) -> Any:
    """|V_1/V|, or None where the flow does not know it. (K_2/K_1 says nothing where K_1 nearly vanishes.)"""
    try:
        ds = critical_flow(point, depth, ("V",), first_kernel, order=2)
    except (OrderError, KinkError, AccuracyError):
        return None
    V, V_1 = (np.abs(ds[name].values) for name in ("V", "V_1"))
    return np.divide(V_1, V, out=np.zeros_like(V), where=V > 0)


@lru_cache(maxsize=64)
def tangent_depth(activation: Activation, point: CriticalPoint) -> float | None:
    """1/(K d chi_perp/dK) at a half-stable K*: the depth at which fluctuations of the metric move every later slope.

    Beyond it those of the tangent kernel, which multiplies all these slopes, grow faster than those of the metric. None
    for other classes.
    """
    if point.universality_class != HALF_STABLE or point.K_star is None:
        return None
    (bend,), _ = gaussian_moments(activation, [[[point.K_star]]], [(((1, 1), 2),)], kinks="almost_everywhere")
    slope = abs(point.C_W * float(bend[0]) / 2) * point.K_star
    return 1 / slope if slope > 0 else None
