"""Losses over learning rates: one panel for each way of scaling, one curve for each size, the best rates marked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rgflow.errors import InputError
from rgflow.plots.style import INK, LABEL, LINE, PANEL, SHADES, canvas, frame, house_style, key
from rgflow.plots.style import panels as where_to_draw
from rgflow.scaling.transfer import best_rates, rate_shift

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes

WORST = 12.0  # how many times above the lowest loss the picture reaches


@house_style
def plot_transfer(
    runs: xarray.Dataset, ax: Any = None, *, panels: str = "family", curves: str = "width", label: str = ""
) -> NDArray[np.object_]:
    """Draw losses at the end of training over learning rates, and where they are lowest.

    Parameters
    ----------
    runs : xarray.Dataset
        As :func:`rgflow.best_rates` takes it, with the dims ``panels``, ``curves``, ``rate`` and ``seed``.
    ax : array of matplotlib Axes, one for each panel, or Figure, optional
    panels, curves : str
        The dims that are drawn side by side, and over each other.
    label : str, optional
        Of the learning rate.

    Returns
    -------
    array of Axes, one for each panel
        Lines are geometric means over seeds, bands reach from the lowest to the highest seed. A diamond is the vertex
        of the parabola through the points next to the lowest, its bar one standard error of its logarithm; the title
        says by what factor these vertices move.

    Raises InputError for Datasets without these dims, more than five curves, or Axes of another number.
    """
    dims = getattr(getattr(runs, "data_vars", {}).get("loss"), "dims", ())
    if set(dims) != {panels, curves, "rate", "seed"} or panels == curves:
        raise InputError(f"plot_transfer takes a loss over {panels!r}, {curves!r}, 'rate', 'seed'; these are {dims!r}")
    names, sizes = runs[panels].values, runs[curves].values
    if len(sizes) > len(SHADES):
        raise InputError(f"{len(sizes)} curves in a panel; draw at most {len(SHADES)}")
    if not (np.isfinite(runs["loss"].values) & (runs["loss"].values > 0)).any():
        raise InputError("no loss is finite and positive; there is nothing to draw")
    found = best_rates(runs)
    figure = canvas(ax, (3.7 * len(names), 3.7))
    laid_out = None if figure is None else figure.subplots(1, len(names), sharex=True, sharey=True)
    places = where_to_draw(ax, len(names), laid_out, f"one for each {panels}")
    shades = [SHADES[round(place)] for place in np.linspace(0, len(SHADES) - 1, len(sizes))]
    limits = _limits(runs["loss"].values, found["loss"].values)
    for panel, name in zip(places, names, strict=True):
        here, best = runs.sel({panels: name}), found.sel({panels: name})
        for shade, size in zip(shades, sizes, strict=True):
            _curve(panel, here.sel({curves: size}), best.sel({curves: size}), shade, f"{curves} {size}")
        moved = float(rate_shift(best["best"], curves))
        known = "not bracketed" if np.isnan(moved) else f"best rate moves by {moved:.2f}"
        panel.set_title(f"{name}: {known}", fontsize=PANEL - 0.5, loc="left", color=INK)
        _finish(panel, limits, label or "learning rate")
    for panel in places[1:]:
        panel.set_ylim(places[0].get_ylim())
    places[0].set_ylabel("training loss", fontsize=LABEL)
    key(places[0], loc="lower right")
    return places


def _limits(losses: Any, lowest: Any) -> tuple[float, float] | None:
    """All that was lowest, its seeds included; what is far above it is cut off."""
    known, best = losses[np.isfinite(losses)], lowest[np.isfinite(lowest)]
    if not known.size:
        return None
    top = max(WORST * best.min(), 1.5 * best.max()) if best.size else known.max()
    return 0.7 * float(known.min()), 1.1 * float(min(top, known.max()))


def _curve(ax: Axes, runs: xarray.Dataset, best: xarray.Dataset, shade: str, label: str) -> None:
    rates = runs["rate"].values
    logs = np.log(runs["loss"].transpose("rate", "seed").values)
    seen = np.isfinite(logs).all(axis=1)
    middle, low, high = (np.exp(of(logs[seen], axis=1)) for of in (np.mean, np.min, np.max))
    ax.fill_between(rates[seen], low, high, color=shade, alpha=0.18, lw=0)
    ax.plot(rates[seen], middle, color=shade, lw=LINE, label=label)
    if np.isfinite(best["best"]):
        place, error = float(best["best"]), float(best["best_se"])
        away = 0.0 if np.isnan(error) else error / place  # an error of the logarithm
        ax.errorbar(
            place, float(best["loss"]), xerr=place * np.abs(np.expm1([[-away], [away]])), fmt="D", ms=6, mfc=shade,
            mec="white", mew=0.9, ecolor=shade, elinewidth=1.4, capsize=2.5 if away else 0.0, zorder=5,
        )  # fmt: skip


def _finish(ax: Axes, limits: tuple[float, float] | None, label: str) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    if limits is not None:
        ax.set_ylim(*limits)
    ax.xaxis.set_major_locator(LogLocator(base=2, numticks=8))
    ax.yaxis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0)))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda y, place: f"{y:g}"))
    ax.yaxis.set_minor_formatter(NullFormatter())
    frame(ax, label)
