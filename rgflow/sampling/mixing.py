"""What of a layer's derivative by the layer below joins different neurons: a few columns times as many rows.

ds/dz = diag(slope) - columns rows, for every input by itself; no columns where s_j depends on z_j alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rgflow.sampling.draw import Array


@dataclass(frozen=True, eq=False)
class Mixing:
    """Columns (m, N, n, k) times rows (m, N, k, n)."""

    columns: Array
    rows: Array

    def forward(self, x: Array) -> Array:
        """Columns rows x for x of every input, (m, N or 1, any number, n)."""
        return np.asarray(np.matmul(np.matmul(x, self.rows.swapaxes(2, 3)), self.columns.swapaxes(2, 3)))

    def back(self, x: Array) -> Array:
        """The transposed of columns rows, times x."""
        return np.asarray(np.matmul(np.matmul(x, self.columns), self.rows))

    def trace(self, slope: Array) -> Array:
        """What they take from tr ds/dz_1 (ds/dz_2)^T, beside sum_j slope_j1 slope_j2: (m, N, N)."""
        diagonal = np.sum(self.columns * self.rows.swapaxes(2, 3), axis=3)
        once = np.matmul(diagonal, slope.swapaxes(1, 2))
        columns, rows = self.columns.swapaxes(2, 3), self.rows
        both = np.matmul(columns[:, :, None], columns[:, None].swapaxes(3, 4))
        both *= np.matmul(rows[:, :, None], rows[:, None].swapaxes(3, 4))
        return np.asarray(once + once.swapaxes(1, 2) - both.sum(axis=(3, 4)))

    def below(self, slope: Array) -> Mixing:
        """diag(slope) columns rows."""
        return Mixing(slope[..., None] * self.columns, self.rows)
