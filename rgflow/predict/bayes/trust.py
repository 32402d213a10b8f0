"""When to believe a posterior at order 1/n: measures of what the expansion takes to be small, and their limits.

All are proportional to 1/n.

strain
    How far the data move the metric, relative to metric plus noise: the largest |eigenvalue| of Kt^-1/2 (E[G|y] - K)
    Kt^-1/2 over training inputs. The expansion is in this: on small problems with a known answer the relative error of
    the shift of the mean is of its size, and at 1/2 about a half. Data that are unlikely under the prior strain it.
fluctuation
    The largest V/(n K^2) of one input: the variance of its metric relative to its square.
evidence
    The shift of the log evidence for each of the N n_out targets, in units of 1/2.
shift
    That of the mean in posterior standard deviations (root mean squares over test inputs and outputs).
variance
    The change of the posterior's variance at test inputs, at most, relative to the largest.
"""

from __future__ import annotations

from typing import Any

import numpy as np

LIMITS = {"strain": 0.5, "fluctuation": 0.5, "evidence": 0.5, "shift": 1.0, "variance": 0.5}
_MEANINGS = {
    "fluctuation": "V/(n K^2) of one input",
    "strain": "the change of the metric by the data, relative to it",
    "evidence": "the shift of the log evidence for each target, in units of 1/2,",
    "shift": "the shift of the mean in posterior standard deviations",
    "variance": "the relative change of the posterior's variance",
}


def measured(strain: float, fluctuation: float, shift: Any, variance: Any, targets: int) -> dict[str, float]:
    """The measures by name; ``variance`` (M,) is that at infinite width, ``targets`` their number N n_out."""
    sure = np.sqrt(np.maximum(variance, 0).mean())
    moved = np.sqrt(np.square(shift.mean).mean())
    found = {
        "strain": strain,
        "fluctuation": fluctuation,
        "evidence": abs(float(shift.log_evidence)) / (targets / 2),
        "shift": float(moved / sure) if sure > 0 else 0.0,
    }
    if shift.covariance is not None and variance.max() > 0:
        alone = np.einsum("mmoo->mo" if shift.covariance.ndim == 4 else "moo->mo", shift.covariance)
        found["variance"] = float(np.abs(alone).max() / variance.max())
    return found


def doubts(measures: dict[str, float]) -> list[str]:
    """A line for every measure beyond its limit."""
    return [
        f"{_MEANINGS[name]} is {value:.2g}, beyond {LIMITS[name]:g}"
        for name, value in measures.items()
        if not value <= LIMITS[name]
    ]
