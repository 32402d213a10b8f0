r"""Does the best learning rate stay where it is when a network grows? Read off measured losses.

The loss at the end of training, over learning rates in equal ratios, has a minimum between a slow and an unstable side.
With log losses averaged over seeds, a parabola in log rate through the points next to the lowest one has its vertex at

.. math:: \log \eta^* = -\frac{c_1}{2 c_2}, \qquad \log L \approx c_0 + c_1 \log\eta + c_2 \log^2 \eta,

which moves less with the noise of single runs than the lowest point itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rgflow.checks import whole
from rgflow.errors import InputError
from rgflow.labelled import dataset

if TYPE_CHECKING:
    import xarray

Array = NDArray[np.float64]


def best_rates(runs: xarray.Dataset, *, neighbours: int = 2) -> xarray.Dataset:
    """The best learning rate of every network, from losses over rates and seeds.

    Parameters
    ----------
    runs : xarray.Dataset
        Variable ``loss``, above 0, with dims ``rate`` (learning rates, increasing), ``seed`` and any others, the
        networks. A loss that is infinite is a run that diverged; NaN one that is missing.
    neighbours : int
        Points on each side of the lowest one that the parabola is fitted to, at least 1.

    Returns
    -------
    xarray.Dataset
        Over the other dims: ``best``, the vertex of the parabola, ``lowest``, the rate of the lowest mean of log loss,
        ``loss`` there (a geometric mean), ``best_se``, the standard error of ``best`` by leaving out one seed at a
        time, and ``lowest_by_seed`` (dim seed). Rates at which a seed diverged or is missing take no part. NaN where
        the lowest point is the first or last rate of the grid (the minimum is not bracketed; a rate that diverged does
        bracket it), or nothing is finite.

    Raises
    ------
    InputError
        For other Datasets, losses that are not above 0, rates that do not increase.

    >>> rates = 2.0 ** np.arange(-3, 4)
    >>> loss = np.exp(0.1 * np.log(rates / 1.5) ** 2)[:, None] * np.array([1.0, 1.1])
    >>> runs = dataset({"loss": (("rate", "seed"), loss)}, {"rate": rates, "seed": [0, 1]}, {})
    >>> found = best_rates(runs)
    >>> f"{float(found.best):.3f} {float(found.lowest):g}"
    '1.500 2'
    """
    loss, rates, dims = _checked(runs)
    each = whole("neighbours", neighbours, 1)
    x = np.log(rates)
    flat = loss.reshape(-1, *loss.shape[-2:])
    rows = [_of_one(x, one, each) for one in flat]
    shape = loss.shape[:-2]
    found = {name: (dims, np.array([row[name] for row in rows]).reshape(shape)) for name in ("best", "lowest", "loss")}
    spread = np.array([_jackknife(x, one, each) for one in flat]).reshape(shape)
    alone = np.array([[_lowest(x, one[:, [k]]) for k in range(one.shape[1])] for one in flat])
    found["best_se"] = (dims, spread)
    found["lowest_by_seed"] = ((*dims, "seed"), alone.reshape(*shape, loss.shape[-1]))
    coords = {
        str(name): (tuple(map(str, values.dims)), values.values)
        for name, values in runs.coords.items()
        if "rate" not in values.dims
    }
    about = {"kind": "best learning rates", "neighbours": each, "step": float(np.exp(np.diff(x).mean()))}
    return dataset(found, coords, about)


def rate_shift(best: Any, dim: str = "width") -> Any:
    """By what factor the best learning rate moves: largest over smallest along a dim; NaN if one is unknown.

    Parameters
    ----------
    best : xarray.DataArray
        ``best`` or ``lowest`` of :func:`best_rates`.
    dim : str
    """
    if dim not in getattr(best, "dims", ()):
        raise InputError(f"best has the dims {getattr(best, 'dims', None)!r}; give an array of best_rates with {dim!r}")
    return best.max(dim, skipna=False) / best.min(dim, skipna=False)


def _checked(runs: Any) -> tuple[Array, Array, tuple[str, ...]]:
    """Losses (..., rate, seed), rates, and the names of the other dims."""
    if "loss" not in getattr(runs, "data_vars", ()) or not {"rate", "seed"} <= set(runs["loss"].dims):
        raise InputError("best_rates takes a Dataset with the variable 'loss' over 'rate', 'seed' and other dims")
    dims = tuple(str(dim) for dim in runs["loss"].dims if dim not in ("rate", "seed"))
    loss = np.asarray(runs["loss"].transpose(*dims, "rate", "seed").values, dtype=np.float64)
    rates = np.asarray(runs["rate"].values, dtype=np.float64)
    if rates.size < 3 or not (np.isfinite(rates).all() and rates[0] > 0 and (np.diff(rates) > 0).all()):
        raise InputError(f"rates are {rates!r:.80}; give at least three, above 0 and increasing")
    if not loss.shape[-1]:
        raise InputError("there is no seed; give the losses of at least one")
    if (loss <= 0).any():
        raise InputError(f"loss has the value {loss[loss <= 0].min()}; its logarithm is averaged: it must be above 0")
    return loss, rates, dims


def _mean(loss: Array) -> Array:
    """Mean log loss of each rate over seeds; inf where one diverged, NaN where one is missing."""
    return np.asarray(np.log(loss).mean(axis=-1))


def _of_one(x: Array, loss: Array, each: int) -> dict[str, float]:
    y = _mean(loss)
    place = _bracketed(y)
    if place is None:
        return dict.fromkeys(("best", "lowest", "loss"), float("nan"))
    near = slice(max(place - each, 0), place + each + 1)
    use = np.isfinite(y[near])
    lowest = float(np.exp(x[place]))
    best = lowest
    if use.sum() >= 3:
        a, b, _ = np.polyfit(x[near][use] - x[place], y[near][use], 2)
        if a > 0:  # else it bends the other way within noise, and the point itself is what is known
            best = float(np.exp(x[place] + np.clip(-b / (2 * a), *(x[near][use][[0, -1]] - x[place]))))
    return {"best": best, "lowest": lowest, "loss": float(np.exp(y[place]))}


def _bracketed(y: Array) -> int | None:
    """The place of the lowest point if there are points on either side; a diverged one is one, a missing one not."""
    known = np.flatnonzero(~np.isnan(y))
    if not np.isfinite(y).any():
        return None
    place = int(np.nanargmin(y))
    return place if known[0] < place < known[-1] else None


def _lowest(x: Array, loss: Array) -> float:
    y = _mean(loss)
    return float(np.exp(x[int(np.nanargmin(y))])) if np.isfinite(y).any() else float("nan")


def _jackknife(x: Array, loss: Array, each: int) -> float:
    """Standard error of the best rate by leaving out one seed at a time; NaN with one seed."""
    seeds = loss.shape[-1]
    if seeds < 2:
        return float("nan")
    logs = np.log([_of_one(x, np.delete(loss, k, axis=1), each)["best"] for k in range(seeds)])
    error = np.sqrt((seeds - 1) / seeds * np.sum((logs - logs.mean()) ** 2))
    return float(error * _of_one(x, loss, each)["best"])
