"""How one tensor of a sweep is drawn: a curve over one axis, a map over two, and where it is not to be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from rgflow.algebra import Tensor
from rgflow.algebra.tex import tensor_tex
from rgflow.plots.style import BARS, BLANK, COLOURS, GREY, INK, LABEL, LINE, SMALL, TICK, distrusted, frame

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes
    from matplotlib.colors import Normalize

DECADES = 100.0  # a ratio of values from which colours and axes are logarithmic
TRUST = 0.5  # of what distrust() returns
NOTHING = ("#ffffff", "#e4e6e8", "#c9ccd0", "#aeb2b7")  # points without numbers, one shade for each reason
NAMES = {
    **{name: rf"$C_{name[-1]}$" for name in ("C_b", "C_W")},
    **{name: rf"$\lambda_{name[-1]}$" for name in ("lambda_b", "lambda_W")},
    "first_kernel": "$K$ of layer 1",
    "depth": "depth $L$",
    "width": "width $n$",
    "skip": r"skip $\xi$",
}


def curve(ax: Axes, ds: xarray.Dataset, name: str, dim: str) -> None:
    """A tensor along one axis, with its error where it has one."""
    x, y = ds[dim].values, ds[name].values
    colour = COLOURS[0]
    sampled = f"{name}_se" in ds
    if sampled:
        bars = BARS * ds[f"{name}_se"].values
        ax.errorbar(x, y, yerr=bars, fmt="o", ms=3.4, mfc="white", mec=colour, ecolor=colour, elinewidth=1.0)
    else:
        ax.plot(x, y, lw=LINE, color=colour, marker="o" if x.size < 12 else None, ms=3.4)
    if _decades(x):
        ax.set_xscale("log")
    if _decades(y):
        ax.set_yscale("log")
    if f"{name}_error" in ds:
        error = ds[f"{name}_error"].values
        error = np.where(np.isfinite(error), error, np.nan)
        limits = ax.get_ylim()
        ax.fill_between(x, y - error, y + error, color=colour, alpha=0.16, lw=0)
        ax.set_ylim(limits)
    ax.set_xlim(*_edges(x)[[0, -1]])
    edges, reasons = _edges(x), codes(ds["status"].values)
    for i, code in enumerate(ds["status"].values):
        if code:
            ax.axvspan(edges[i], edges[i + 1], facecolor=NOTHING[reasons.index(int(code)) % 4], zorder=0, lw=0)
        elif distrust(ds, name).values[i] > TRUST:
            distrusted(ax, edges[i], edges[i + 1])
    frame(ax, NAMES.get(dim, dim), f"${tensor_tex(Tensor.named(name), ())}$")


def distrust(ds: xarray.Dataset, name: str) -> xarray.DataArray:
    """The expansion ratio r as r/(1/2 + r): above 1/2 where it is not to be trusted; NaN where that is not known."""
    letter = Tensor.named(name).letter
    if "expansion_ratio" in ds and letter in ds["letter"].values:
        ratio = ds["expansion_ratio"].sel(letter=letter)
        return 1 - 0.5 / (0.5 + ratio)
    if f"{name}_error" in ds:
        error = ds[f"{name}_error"]
        return error.notnull().where(error.notnull()) * (error == np.inf)
    return ds[name] * np.nan


def surface(ax: Axes, ds: xarray.Dataset, name: str, dims: tuple[str, ...]) -> None:
    """A tensor over two axes, the first across; shades where there are no numbers, a hatch where there is no trust."""
    from matplotlib import rc_context

    across, up = dims
    values = ds[name].transpose(up, across).values
    status = ds["status"].transpose(up, across).values
    edges = _edges(ds[across].values), _edges(ds[up].values)
    norm, colours = _colours(values)
    mesh = ax.pcolormesh(*edges, np.ma.masked_invalid(values), rasterized=True, norm=norm, cmap=colours)
    for code, shade in zip(codes(status), NOTHING, strict=False):
        from matplotlib.colors import ListedColormap

        where = np.ma.masked_where(status != code, np.ones(status.shape))
        ax.pcolormesh(*edges, where, cmap=ListedColormap([shade]), rasterized=True)
    beyond = np.ma.masked_invalid(distrust(ds, name).transpose(up, across).values)
    if (beyond > TRUST).any() and min(beyond.shape) > 1:
        # contours take the lines of a hatch from the settings
        with rc_context({"hatch.color": "white", "hatch.linewidth": 0.6}):
            levels = [TRUST, 1.1]
            ax.contourf(ds[across].values, ds[up].values, beyond, levels, colors="none", hatches=["///"])
    for set_scale, dim in ((ax.set_xscale, across), (ax.set_yscale, up)):
        if _decades(ds[dim].values):
            set_scale("log")
    bar = ax.figure.colorbar(mesh, ax=ax, pad=0.02, aspect=26, extend=_beyond(values, norm))
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=TICK, color=GREY)
    ax.set_title(f"${tensor_tex(Tensor.named(name), ())}$", fontsize=LABEL + 1, loc="left")
    ax.set_xlabel(NAMES.get(across, across), fontsize=LABEL)
    ax.set_ylabel(NAMES.get(up, up), fontsize=LABEL)


def _colours(values: NDArray[Any]) -> tuple[Normalize, str]:
    """Logarithmic for positive values over decades, white at zero for both signs; else from the least to the most.

    The hundredth part at either end may run off the scale: a line of points that vanish would take all colours.
    """
    from matplotlib.colors import LogNorm, Normalize

    finite = values[np.isfinite(values)]
    if not finite.size:
        return Normalize(0, 1), "viridis"
    low, high = (float(x) for x in np.quantile(finite, (0.01, 0.99), method="nearest"))
    if low == high:
        low, high = float(finite.min()), float(finite.max())
    if low > 0 and high > DECADES * low:
        return LogNorm(low, high), "viridis"
    if low < 0 < high:
        most = max(-low, high)
        return Normalize(-most, most), "RdBu_r"
    return Normalize(low, high), "viridis" if low >= 0 else "viridis_r"


def _beyond(values: NDArray[Any], norm: Normalize) -> Literal["neither", "both", "min", "max"]:
    """At which ends of the scale there are values beyond."""
    below, above = (
        bool(np.nanmin(values, initial=np.inf) < norm.vmin),
        bool(np.nanmax(values, initial=-np.inf) > norm.vmax),
    )
    return "both" if below and above else "min" if below else "max" if above else "neither"


def _decades(values: NDArray[Any]) -> bool:
    finite = values[np.isfinite(values)]
    return bool(finite.size > 1 and finite.min() > 0 and finite.max() > DECADES * finite.min())


def _edges(x: NDArray[Any]) -> NDArray[Any]:
    """Edges of cells about sorted values, halfway between them; in logarithms if the axis is logarithmic."""
    at = np.log(x) if _decades(x) else np.asarray(x, np.float64)
    middle = (at[1:] + at[:-1]) / 2
    edges = np.concatenate([[2 * at[0] - middle[0]], middle, [2 * at[-1] - middle[-1]]])
    return np.asarray(np.exp(edges) if _decades(x) else edges)


def codes(status: NDArray[Any]) -> list[int]:
    """The reasons that occur, in order."""
    return [int(code) for code in np.unique(status) if code]


def marks(ax: Axes, points: Sequence[tuple[float, float, str]]) -> None:
    """Points with their labels."""
    (left, right), (low, high) = ax.get_xlim(), ax.get_ylim()
    for x, y, label in points:
        if not (left <= x <= right and low <= y <= high):
            continue
        ax.plot([x], [y], "o", ms=7, mfc="white", mec=INK, mew=1.5, clip_on=False, zorder=5)
        beside: dict[str, Any] = {"xytext": (8, 8), "textcoords": "offset points", "fontsize": SMALL, "color": INK}
        ax.annotate(label, (x, y), zorder=6, bbox=BLANK, **beside)
