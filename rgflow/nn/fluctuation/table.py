"""From averages over the later half to the numbers of a group, with their standard errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rgflow.labelled import dataset
from rgflow.nn.fluctuation.half_running import HalfRunning, mean_error, ratio_error

if TYPE_CHECKING:
    import xarray


def ratio_of(steps: HalfRunning, pieces: int, rule: str) -> tuple[float, float]:
    """(O_L/O_R - 1, its standard error); NaN where nothing moved."""
    left, right, _ = steps.mean()
    if not right:
        return float("nan"), float("nan")
    with np.errstate(all="ignore"):  # a run that explodes has no ratio
        return float(left / right - 1), ratio_error(steps.batch_means(pieces), rule)


def row_of(steps: HalfRunning, full: HalfRunning, pieces: int, rule: str, rate: float) -> dict[str, float]:
    """All numbers of the total or of a group: from its steps, and from full batches."""
    left, right, drag = steps.mean()
    ratio, error = ratio_of(steps, pieces, rule)
    errors = mean_error(steps.batch_means(pieces))
    square, bent = full.mean()
    spread = mean_error(full.batch_means(min(pieces, max(full.count - full.start, 1))))
    found = {
        "O_L": left,
        "O_R": right,
        "O_L_se": np.nan if errors is None else errors[0],
        "O_R_se": np.nan if errors is None else errors[1],
        "FDR1": ratio,
        "FDR1_se": error,
        "G": square + drag,
        "G_se": np.nan if spread is None else spread[0],
        "G_H": bent,
        "G_H_se": np.nan if spread is None else spread[1],
        "learning_rate": rate,
        "window": steps.count,
        "start": steps.start,
    }
    return {key: float(value) for key, value in found.items()}


def table_of(rows: Mapping[str, Mapping[str, float]], attrs: Mapping[str, Any]) -> xarray.Dataset:
    """Rows by the names of their groups, as a Dataset."""
    names: Sequence[str] = list(rows)
    kinds = {"window": np.int64, "start": np.int64}
    data = {
        key: (("group",), np.array([rows[name][key] for name in names], dtype=kinds.get(key, np.float64)))
        for key in rows[names[0]]
    }
    return dataset(data, {"group": np.array(names)}, {"kind": "fluctuations", **attrs})
