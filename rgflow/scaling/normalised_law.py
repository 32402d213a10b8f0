r"""Partial Jacobians through many layers with a norm: which law of the depth, from the step of one layer.

With K' = c + a K + w M and chi_J = a + w s(K) (:mod:`rgflow.scaling.normalised_step`), a = skip^2:

- a < 1: one fixed point, K* = (c + w M)/(1 - a), which every kernel approaches as a^l. J ~ chi_J^l with chi_J =
  a + w s(K*), or a constant where that is 1: corrections fall exponentially, so that zeta = 0.
- a = 1: K = kappa l, kappa = c + w M, and s -> A K^{-p} at large kernels,

.. math:: \ln J = w A \kappa^{-p} \sum_l l^{-p}: \quad p = 1: \; J \sim l^{-\zeta}, \; \zeta = -w A/\kappa; \qquad
          0 < p < 1: \; J \sim e^{\rho\, l^{1-p}}; \qquad p = 0: \; J \sim (1 + w A)^l.

  Before sigma p = 1. After it p = 1 for sigma that tends to lines and 1/2 if it tends to two constants.
- a > 1: the kernel grows as a^l, and chi_J tends to a, or a + w A if p = 0.
"""

from __future__ import annotations

import math
from typing import Any

from rgflow.activations import Activation
from rgflow.errors import NoCriticalPoint
from rgflow.network import Layer
from rgflow.scaling.growth.printing import LONGEST
from rgflow.scaling.homogeneous import refuse_jumps
from rgflow.scaling.normalised_step import (
    NormalisedStep,
    at_large_kernels,
    evaluated,
    kernel_symbol,
    normalised_step,
)
from rgflow.scaling.regimes import DIGITS, Regime, approaching, exponential, power, without_sigma
from rgflow.universality.kernel_step import exact

SAME = 1e-12  # a factor this near to 1 is 1: hyperparameters have 16 digits


def normalised_law(sigma: Activation, layer: Layer) -> Regime:
    """How partial Jacobians of a deep network of equal layers with a norm grow or fall.

    The first kernel plays no part, as long as it is not zero.

    Raises
    ------
    NoCriticalPoint
        For an epsilon that is not zero, and layers whose lines are of another form.
    NoClosedForm
        Where the kernel grows, and sigma before the norm tends neither to lines nor to two constants.
    KinkError
        For sigma that jumps.
    """
    added, weight, skip = (given(layer.value(name)) for name in ("C_b", "C_W", "skip"))
    kept = skip**2
    if not weight:
        return without_sigma(added, kept)
    refuse_jumps(sigma)
    step = checked_step(layer)
    source = added + weight * evaluated(step.read, sigma)
    if kept < 1:
        return _renewed(sigma, step, source / (1 - kept), kept, weight)
    amplitude, fall = at_large_kernels(step.slope, sigma)
    if kept > 1:
        return exponential(kept if fall > 0 else kept + weight * amplitude, math.inf)
    if fall == 0:
        return exponential(1 + weight * amplitude, math.inf)
    return approaching(weight * amplitude * source**-fall, fall)  # K = source l


def given(value: float) -> Any:
    """A hyperparameter: exact if it is a short decimal, else to 30 digits, with which no formula grows."""
    import sympy as sp

    number = exact(value)
    return number if number.q <= LONGEST else sp.Float(number, 2 * DIGITS)


def checked_step(layer: Layer) -> NormalisedStep:
    """The step of a layer whose epsilon is zero; NoCriticalPoint for others."""
    epsilon = layer.value("epsilon")
    if epsilon:
        raise NoCriticalPoint(
            f"{layer!r} has epsilon = {epsilon:g}, and with it what the weights read depends on the kernel; depth laws "
            "and critical lines are derived at epsilon = 0: give epsilon=0, or follow rgflow.partial_jacobian"
        )
    return normalised_step(layer.changed(**{name: 0.0 for name in layer.hyperparameters()}))


def _renewed(sigma: Activation, step: NormalisedStep, kernel: Any, kept: Any, weight: Any) -> Regime:
    """The kernel ends at a fixed point."""
    chi = kept + weight * evaluated(step.slope.subs(kernel_symbol(), kernel), sigma)
    if abs(float((chi - 1).n(2 * DIGITS))) <= SAME:
        return power(0, float(kernel))
    return exponential(chi, float(kernel))
