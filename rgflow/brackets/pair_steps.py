"""How fine a grid over two inputs must be, from how fast what stands on it varies."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from rgflow.activations import Activation
from rgflow.brackets.rules import _STRIP, first_step
from rgflow.brackets.sigma_line import strip
from rgflow.brackets.traits import traits

Array = NDArray[np.float64]
FINER = {2: 1.5, 3: 1.4, 4: 1.3}  # steps than those for a value: the error is known by extrapolation
SINH_STEP, SINH_FROM = 0.13, 3.0  # from this deviation on nodes of the first axis cluster about z = 0


@dataclass(frozen=True)
class Steps:
    """Steps for products of derivatives of sigma.

    even : whether the first axis is folded at zero. frequency : of sigma. near : width of its strip of analyticity, as
    a factor of slopes. factors : the most derivatives in a product. cut : reach of both axes, in deviations.
    """

    even: bool
    frequency: float
    near: float
    factors: int
    cut: float

    @classmethod
    def of(cls, activation: Activation, factors: int) -> Steps:
        """Those of an activation."""
        trait = traits(activation)
        near = (_STRIP / strip(activation)) ** 0.7  # a wide strip helps less than a narrow one harms
        cut = math.sqrt(69 + 4 * trait.power * factors)
        return cls(activation.parity != 0, trait.frequency, near, factors, cut)

    def at(self, slope1: Array, slope2: Array) -> tuple[Array, Array, Array]:
        """Steps of the two axes, and c of t_1 = c sinh(s) (0: t_1 = s)."""
        h1, h2 = _step(self.near * slope1), _step(self.near * slope2)
        if self.frequency > 0:
            h1, h2 = (
                np.minimum(h, np.pi / (self.frequency * self.factors * slope + 8.3))
                for h, slope in ((h1, slope1), (h2, slope2))
            )
            return h1, h2, np.zeros_like(h1)
        sinh = self.near * slope1 > SINH_FROM
        return np.where(sinh, SINH_STEP, h1), h2, np.where(sinh, 1 / np.maximum(1.0, self.near * slope1), 0.0)

    def nodes(self, slope1: Array, slope2: Array) -> Array:
        """How many nodes the first attempt would take."""
        h1, h2, c = self.at(slope1, slope2)
        rows = np.where(c > 0, np.arcsinh(self.cut / np.where(c > 0, c, 1.0)), self.cut) / h1
        return np.asarray(rows * self.cut / h2 * (1.6 if self.even else 3.2))

    def reach(self, h1: Array, h2: Array) -> float:
        """How far the outermost nodes stand, in deviations."""
        outward = np.maximum(np.cosh(h1) * (1 + h1), 1.0 + h1 / self.cut)
        return float((self.cut * outward + 4 * h2).max())


@lru_cache(maxsize=1)
def _known() -> tuple[Array, Array]:
    scales = np.geomspace(1e-3, 1e3, 241)
    return np.log(scales), np.log(first_step(scales))


def _step(scale: Array) -> Array:
    """:func:`first_step`, read off a table."""
    return np.exp(np.interp(np.log(np.maximum(scale, 1e-3)), *_known()))
