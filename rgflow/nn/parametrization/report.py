"""What was done to a module, parameter by parameter: rows that print and become a Dataset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rgflow.labelled import dataset

if TYPE_CHECKING:
    import xarray


@dataclass(frozen=True)
class Row:
    """One parameter.

    Attributes
    ----------
    name : str
        With its other names if it is shared.
    shape : tuple of int
    role : str
        "input", "hidden", "output" or "fixed" matrix, a "... bias", "gain", "embedding", or "frozen".
    fan_in : int
    std_before, std : float
        Root of the mean square of its entries before, and the standard deviation that it was drawn with (the root of
        the mean square where it was left as it was).
    multiplier : float
        By which the module multiplies what the parameter reads; 1 unless it is shared between two roles.
    learning_rate, first_rate : float
        Of every step but the first, and of that; 0 where it is frozen.
    weight_decay : float
    why : str
    """

    name: str
    shape: tuple[int, ...]
    role: str
    fan_in: int
    std_before: float
    std: float
    multiplier: float
    learning_rate: float
    first_rate: float
    weight_decay: float
    why: str


NUMBERS = {
    "fan_in": "neurons and kernel points that a neuron reads",
    "std_before": "root of the mean square before",
    "std": "standard deviation at the start",
    "multiplier": "of what the parameter reads",
    "learning_rate": "of every step but the first",
    "first_rate": "of the first step",
    "weight_decay": "of the parameter's group",
}


def as_dataset(rows: Sequence[Row], attrs: dict[str, str | float]) -> xarray.Dataset:
    """Dim ``parameter`` with names; numbers as variables, words as coordinates."""
    data = {
        key: (("parameter",), np.array([getattr(row, key) for row in rows], float), {"long_name": words})
        for key, words in NUMBERS.items()
    }
    coords = {
        "parameter": [row.name for row in rows],
        "shape": (("parameter",), [" x ".join(map(str, row.shape)) for row in rows]),
        "role": (("parameter",), [row.role for row in rows]),
        "why": (("parameter",), [row.why for row in rows]),
    }
    return dataset(data, coords, attrs)


def as_text(rows: Sequence[Row]) -> str:
    """A line for each parameter under a header; the column of first rates only where there is one."""
    first = any(row.first_rate != row.learning_rate for row in rows)
    decays = any(row.weight_decay for row in rows)
    multiplied = any(row.multiplier != 1 for row in rows)
    header = ["parameter", "shape", "role", "std before", "std", "learning rate"]
    header += ["first step"] * first + ["weight decay"] * decays + ["multiplier"] * multiplied + ["why"]
    lines = [header]
    for row in rows:
        line = [row.name, " x ".join(map(str, row.shape)) or "number", row.role]
        line += [f"{row.std_before:.4g}", f"{row.std:.4g}", f"{row.learning_rate:.4g}"]
        line += [f"{row.first_rate:.4g}"] * first + [f"{row.weight_decay:.4g}"] * decays
        lines.append([*line, *[f"{row.multiplier:.4g}"] * multiplied, row.why])
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines)
