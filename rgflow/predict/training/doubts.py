"""Measures of what the order 1/n of a training takes to be small."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rgflow.algebra import Tensor
from rgflow.network import Network
from rgflow.predict.training.clock import Clock
from rgflow.predict.training.ensemble import Ensemble
from rgflow.predict.training.parts import Variables
from rgflow.predict.trust import HALF, Measure

if TYPE_CHECKING:
    import xarray

Floats = NDArray[np.float64]

LOST = 1e-3  # of a number: its digits are no longer worth printing
NEGLIGIBLE = 1e-4  # of the variance before training
ROUNDING = 1e-9  # the same


def measures(net: Network, ds: xarray.Dataset, known: Ensemble, clock: Clock, variables: Variables) -> list[Measure]:
    """What the order 1/n of a training takes to be small."""
    deviation = known.fluctuations()
    fluctuation = deviation * clock.pull(known.eigenvalues)
    beyond = net.depth - int(ds["trusted_layers"].min())
    found = [
        Measure("depth", beyond, 0, "the number of layers beyond those to which the network's tensors are trusted"),
        Measure(
            "kernel",
            float(fluctuation.max()),
            HALF,
            "the standard deviation of the slowest modes' tangent kernel, relative to its mean,",
            "take wider layers, or training inputs farther apart",
        ),
    ]
    if clock.step is not None:
        # a network whose kernel is two standard deviations above the mean should not diverge
        reach = clock.step * float((known.eigenvalues + 2 * deviation).max())
        meaning = "learning_rate times the tangent kernel, two standard deviations above its mean,"
        found.append(Measure("step", reach, 2, meaning, f"take less than {2 * clock.step / reach:.3g}"))
    for name, shift, size, error in _shifts(variables, known):
        meaning = f"the shift of the {name} at order 1/n, relative to its size at the worst test input,"
        found.append(Measure(f"{name} shift", float((shift / size).max()), HALF, meaning))
        meaning = f"the numerical error of the {name}, relative to its size,"
        found.append(Measure(f"{name} digits", float((error / size).max()), LOST, meaning, "inputs are too near"))
    variance = np.einsum("aaii->ai", variables["covariance"][1])
    negative = float((-variance / _before(known)).max())
    found.append(Measure("negative variance", negative, ROUNDING, "minus the least variance, relative to that before,"))
    return found


def _before(known: Ensemble) -> Floats:
    """The variance of each test output before training, (M, 1)."""
    count = len(known.eigenvalues)
    return np.diagonal(known.tensors[Tensor.named("K")])[count:, None]


def _shifts(variables: Variables, known: Ensemble) -> Iterator[tuple[str, Floats, Floats, Floats]]:
    """Shifts of mean and variance, what they are measured by (also a part of outputs before training), their errors.

    What is learnt exactly has none of these: nothing over nothing is no doubt.
    """
    spread = np.maximum(np.einsum("aaii->ai", variables["covariance_infinite"][1]), 0) + NEGLIGIBLE * _before(known)
    size = np.sqrt(spread) + np.abs(variables["mean_infinite"][1])
    yield "mean", np.abs(variables["mean_shift"][1]), size, variables["mean_numerical_error"][1]
    change, error = (np.einsum("aaii->ai", variables[f"covariance_{of}"][1]) for of in ("shift", "numerical_error"))
    yield "variance", np.abs(change), spread, error
