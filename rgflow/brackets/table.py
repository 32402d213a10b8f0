"""A smooth function of one number, tabulated once as polynomials on equal cells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_DEGREE = 7
_PRECISE = 2e-13
_MOST_CELLS = 4096


@dataclass(frozen=True)
class Table:
    """coefficients (F, G, cells, degree + 1) in the cell's own coordinate -1..1; bounds (2, F, G, cells)."""

    centre: Array
    reach: Array
    coefficients: Array
    bounds: Array

    def __call__(self, x: Array) -> tuple[Array, Array, Array]:
        """Value, error and absolute integral at x (G, P), each (F, G, P)."""
        functions, count, cells, terms = self.coefficients.shape
        scaled = (x - self.centre[:, None]) / self.reach[:, None]  # -1..1 over the table
        position = (scaled + 1) * (0.5 * cells)
        cell = np.clip(position.astype(np.intp), 0, cells - 1)
        s = 2 * (position - cell) - 1
        place = cell + cells * np.arange(count)[:, None]
        value = np.empty((functions, *x.shape))
        for f in range(functions):
            rows = self.coefficients[f].reshape(-1, terms)[place]
            total = rows[..., -1]
            for k in range(terms - 2, -1, -1):
                total = total * s + rows[..., k]
            value[f] = total
        error, absolute = (bound.reshape(functions, -1)[:, place] for bound in self.bounds)
        return value, error, absolute


def tabulate(
    function: Callable[[Array], tuple[Array, Array, Array]], centre: Array, reach: Array, width: Array, uses: int
) -> Table | None:
    """Table of function(x) -> value, error, absolute (F, G, P) over |x - centre| <= reach; None if it does not pay.

    Parameters
    ----------
    centre, reach, width : (G,)
        ``width`` is the first guess of a cell; cells are halved until the last coefficients are small.
    uses : int
        Number of outer nodes at which the function would be needed.
    """
    nodes = np.cos(np.pi * (np.arange(_DEGREE + 1) + 0.5) / (_DEGREE + 1))
    to_power = np.linalg.inv(np.vander(nodes, increasing=True))
    if not (width > 0).all():
        return None
    reach = np.maximum(reach * (1 + 1e-9), 1e-300)
    cells = max(4, int(min(np.ceil((2 * reach / width).max()), 2.0 * _MOST_CELLS)))
    while cells <= _MOST_CELLS and 2 * cells * nodes.size < uses:
        step = 2 * reach / cells
        middle = (centre - reach)[:, None] + step[:, None] * (np.arange(cells) + 0.5)
        x = (middle[:, :, None] + 0.5 * step[:, None, None] * nodes).reshape(reach.size, -1)
        value, error, absolute = (part.reshape(part.shape[0], reach.size, cells, -1) for part in function(x))
        coefficients = value @ to_power.T
        # the first term left out is to the last as the last to the one before it, at the least
        last, before = np.abs(coefficients[..., -1]), np.abs(coefficients[..., -2])
        left_out = last * np.minimum(1.0, 4 * np.divide(last, before, out=np.ones_like(last), where=before > 0))
        size = absolute.max(axis=(-1, -2))
        if (left_out <= _PRECISE * size[..., None]).all() or 4 * cells * nodes.size >= uses:
            bounds = np.stack([error.max(axis=-1) + left_out, absolute.max(axis=-1)])
            return Table(centre, reach, coefficients, bounds)
        cells *= 2
    return None
