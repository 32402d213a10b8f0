"""sigma itself and its derivatives, tabulated as far as they are asked for."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from rgflow.activations import Activation
from rgflow.brackets.cells import EXACT, MOST_CELLS, Smoothed, places, polynomials

Array = NDArray[np.float64]
WIDTH = 0.33  # of a cell, to the strip of analyticity


@lru_cache(maxsize=64)
def strip(activation: Activation) -> float:
    """About how far the nearest singularity of sigma is from the real line, from its derivatives; a first guess.

    >>> from rgflow.activations import activation
    >>> round(strip(activation("tanh")), 1)
    1.5
    """
    size = np.abs(activation.derivatives(np.linspace(-6.0, 6.0, 241), 9)).max(axis=1)
    scale = max(float(size[:2].max()), 1e-300)
    radii = [(size[k] / math.factorial(k) / scale) ** (-1 / k) for k in (6, 7, 8, 9) if size[k] > 0]
    return float(min(8.0, *radii)) if radii else 8.0


def line(activation: Activation, reach: float, order: int) -> Smoothed | None:
    """sigma and its derivatives themselves (s = 0), as a table with order + 1 columns, at least to this reach."""
    return _line(activation, 1.25 ** math.ceil(math.log(reach, 1.25)), order)


@lru_cache(maxsize=64)  # layers reach about as far as each other
def _line(activation: Activation, reach: float, order: int) -> Smoothed | None:
    cells = max(4, math.ceil(2 * reach / (WIDTH * strip(activation))))
    while cells <= MOST_CELLS:
        x = places(reach, cells)
        found = polynomials(np.moveaxis(activation.derivatives(x, order), 0, -1)[None], cells, each=EXACT)
        if found is not None:
            return Smoothed(reach, order + 1, found[0], ((0.0, 0.0, 0, np.zeros(1)),), *found[1:])
        cells = cells * 3 // 2
    return None
