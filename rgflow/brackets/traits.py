"""What quadrature must know of an activation: how fast it grows and oscillates, whether its pieces are polynomials."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from rgflow.activations import Activation


@dataclass(frozen=True)
class Traits:
    """Numbers that choose nodes; the error estimate, not they, decides what is believed.

    power : |sigma| grows at most like |z|^power (times e^{growth |z|})
    frequency : highest frequency of an oscillating sigma, else 0
    """

    power: float
    growth: float
    frequency: float
    polynomial_degree: int | None


@lru_cache(maxsize=256)
def traits(activation: Activation) -> Traits:
    """Traits of sigma, from its declared properties and a few values.

    >>> from rgflow.activations import activation
    >>> traits(activation("z^3")).polynomial_degree
    3
    """
    if activation.polynomial is not None:
        degree = len(activation.polynomial) - 1
        return Traits(float(degree), 0.0, 0.0, degree)
    power = 0.0
    if activation.growth == 0:
        with np.errstate(all="ignore"):
            near, far = (np.abs(activation(np.array([-z, z]))) for z in (100.0, 200.0))
        for a, b in zip(near, far, strict=True):
            if a > 0 and b > a and math.isfinite(b):
                power = max(power, math.log2(b / a))
    frequency = 0.0
    if activation.oscillating:
        # the ratio of neighbouring high derivatives is the highest frequency present
        table = activation.derivatives(np.linspace(-20.0, 20.0, 4001), 9)
        frequency = max(1.0, float(np.abs(table[9]).max() / max(np.abs(table[8]).max(), 1e-300)))
    return Traits(power, float(activation.growth), frequency, None)
