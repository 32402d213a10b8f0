"""Where power laws set in: the constants that the layers near the input leave behind, and the depth they cost."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np

from rgflow.universality.constants import near_input
from rgflow.universality.deep_flow import deep_flow
from rgflow.universality.laws import power_laws
from rgflow.universality.points import VANISHING, CriticalPoint
from rgflow.universality.power_law import PowerLaw
from rgflow.universality.rates import rate_exponents

DEPTH = 2048  # layers of the flow that measures the constants
FARTHEST = 10**9
LOOKED_AT = 200  # layers up to there, a tenth apart


def critical_flow(
    point: CriticalPoint,
    depth: int,
    names: tuple[str, ...],
    first_kernel: float,
    lambda_b: float = 1.0,
    lambda_W: float = 1.0,
    order: int = 1,
) -> Any:
    """A flow at a critical point with the rates of its power laws, lambda_b l^-p_perp and lambda_W l^(p_0 - p_perp)."""
    x_b, x_W = (float(x) for x in rate_exponents(point))
    return deep_flow(
        point.activation,
        depth,
        names,
        C_b=point.C_b,
        C_W=point.C_W,
        first_kernel=first_kernel,
        lambda_b=lambda_b,
        lambda_W=lambda_W,
        rates=(x_b, x_W),
        order=order,
        layer=point.layer,
    )


@lru_cache(maxsize=64)
def constants(
    point: CriticalPoint, first_kernel: float = 1.0, lambda_b: float = 1.0, lambda_W: float = 1.0
) -> Mapping[str, float]:
    """c_K and c_Theta of the power laws of class K* = 0, from a flow of K and Theta alone.

    All known terms of K at layer 2048 determine c_K, then those of Theta c_Theta.
    """
    laws = power_laws(point, ("K", "Theta"))
    ds = critical_flow(point, DEPTH, ("K", "Theta"), first_kernel, lambda_b, lambda_W, order=0)
    found = near_input(
        {name: law.expression for name, law in laws.items()},
        {name: float(ds[name][-1]) for name in laws},
        DEPTH,
        {"lambda_b": lambda_b, "lambda_W": lambda_W},
    )
    return MappingProxyType(found)


def onset(
    point: CriticalPoint, laws: Mapping[str, PowerLaw], tolerance: float, first_kernel: float
) -> dict[str, int | None]:
    """The layer from which the correction of each law stays below ``tolerance``, for lambda_b = lambda_W = 1.

    None where that is not within 1e9 layers; laws whose correction is not known, or holds a constant of its own, are
    left out.
    """
    values: dict[str, float] = {"lambda_b": 1.0, "lambda_W": 1.0, "k": first_kernel}
    if point.universality_class == VANISHING:
        values |= constants(point, first_kernel)
    return {name: _settles(law, values, tolerance) for name, law in laws.items() if law.determined_by(values)}


def _settles(law: PowerLaw, values: Mapping[str, float], tolerance: float) -> int | None:
    """The last crossing, first among layers that lie close on a logarithmic scale, then between two of them."""
    if law.correction == 0:
        return 2
    layers = np.unique(np.geomspace(2, FARTHEST, LOOKED_AT).astype(np.int64))
    late = np.flatnonzero(np.abs(law.correction_at(layers, **values)) >= tolerance)
    if not late.size:
        return 2
    if late[-1] == len(layers) - 1:
        return None
    above, below = int(layers[late[-1]]), int(layers[late[-1] + 1])
    while below - above > 1:
        middle = (above + below) // 2
        if abs(law.correction_at(middle, **values)) >= tolerance:
            above = middle
        else:
            below = middle
    return below
