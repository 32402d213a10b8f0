"""What a posterior at order 1/n takes to be small: measures, each proportional to 1/n, with their limits.

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

from rgflow.predict.trust import HALF, Measure

STRAIN = "take wider layers, more label noise, or a larger C_W if the targets are large under the prior"
WIDTH = "take wider or fewer layers"


def measures(strain: float, fluctuation: float, shift: Any, variance: Any, targets: int) -> list[Measure]:
    """All of them; ``variance`` (M,) is that at infinite width, ``targets`` their number N n_out."""
    sure = np.sqrt(np.maximum(variance, 0).mean())
    moved = np.sqrt(np.square(shift.mean).mean())
    away = float(moved / sure) if sure > 0 else 0.0
    evidence = abs(float(shift.log_evidence)) / (targets / 2)
    found = [
        Measure("strain", strain, HALF, "the change of the metric by the data, relative to it,", STRAIN),
        Measure("fluctuation", fluctuation, HALF, "V/(n K^2) of one input", WIDTH),
        Measure("evidence", evidence, HALF, "the shift of the log evidence for each target, in units of 1/2,"),
        Measure("shift", away, 1.0, "the shift of the mean in posterior standard deviations"),
    ]
    if shift.covariance is not None and variance.max() > 0:
        alone = np.einsum("mmoo->mo" if shift.covariance.ndim == 4 else "moo->mo", shift.covariance)
        change = float(np.abs(alone).max() / variance.max())
        found.append(Measure("variance", change, HALF, "the relative change of the posterior's variance"))
    return found
