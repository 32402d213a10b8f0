"""Why the order 1/n of a training may not be small."""

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

if TYPE_CHECKING:
    import xarray

Floats = NDArray[np.float64]

LOST = 1e-3  # of a number: its digits are no longer worth printing
NEGLIGIBLE = 0.01  # of the variance before training
BOUND = 0.5  # of a standard deviation relative to its mean, and of a shift relative to what it shifts


def doubts(net: Network, ds: xarray.Dataset, known: Ensemble, clock: Clock, variables: Variables) -> tuple[str, ...]:
    """Why the order 1/n may not be small."""
    found = []
    trusted = int(ds["trusted_layers"].min())
    if trusted < net.depth:
        found.append(f"the expansion of the network's tensors is trusted to layer {trusted} of {net.depth}")
    fluctuation = known.fluctuations()
    if fluctuation.max() > BOUND:
        found.append(
            f"the tangent kernel of the slowest modes fluctuates by {fluctuation.max():.2g} of its mean "
            f"(above {BOUND}): take wider layers, or training inputs farther apart"
        )
    if clock.step is not None:
        reach = clock.step * float((known.eigenvalues * (1 + 2 * fluctuation)).max())
        if reach >= 2:
            found.append(
                f"two standard deviations above its mean the tangent kernel makes learning_rate={clock.step:.6g} "
                f"diverge; take less than {2 * clock.step / reach:.3g}"
            )
    for name, shift, size, error in _shifts(variables, known):
        if (error > LOST * size).any():
            found.append(f"the numerical error of the {name}, {error.max():.1e}, shows in it: inputs are too near")
        beyond = shift > BOUND * size
        if beyond.any():
            at = int(beyond.any(axis=1).sum())
            found.append(f"the {name} shifts by more than {BOUND} of its size at {at} test inputs")
    return tuple(found)


def _shifts(variables: Variables, known: Ensemble) -> Iterator[tuple[str, Floats, Floats, Floats]]:
    """Shifts of mean and variance, what they are measured by (also a part of outputs before training), their errors.

    What is learnt exactly has neither: nothing over nothing is no doubt.
    """
    count = len(known.eigenvalues)
    before = np.diagonal(known.tensors[Tensor.named("K")])[count:, None]
    spread = np.maximum(np.einsum("aaii->ai", variables["covariance_infinite"][1]), 0) + NEGLIGIBLE * before
    size = np.sqrt(spread) + np.abs(variables["mean_infinite"][1])
    yield "mean", np.abs(variables["mean_shift"][1]), size, variables["mean_numerical_error"][1]
    change, error = (np.einsum("aaii->ai", variables[f"covariance_{of}"][1]) for of in ("shift", "numerical_error"))
    yield "variance", np.abs(change), spread, error
