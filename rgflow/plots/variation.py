"""Signals and gradients with depth, and the phase diagram of gradients over two powers of the depth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rgflow.errors import InputError
from rgflow.plots.style import (
    COLOURS,
    GREY,
    INK,
    KEY,
    LABEL,
    LINE,
    SMALL,
    TICK,
    canvas,
    frame,
    house_style,
    key,
    one_panel,
    panels,
    whole_numbers,
)
from rgflow.scaling.growth.depth_law import POLYNOMIAL, REGIMES, STRETCHED

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes

    from rgflow.plots.style import Place

# pale where nothing grows, dark where everything does; told apart in grey, too
REGIME_COLOURS = ("#f7f4ef", "#dfe7d5", "#bcd9cf", "#8cc0c9", "#4f8fba", "#2f4b8a")
PATHS = {"zig": "#D55E00", "zag": "#E69F00"}
_TEX = {
    "p": "p",
    "q": "q",
    "s": "s",
    "e": "e",
    "chi": r"\chi",
    "chi_W": r"\chi_W",
    "chi_V": r"\chi_V",
    "chi_b": r"\chi_b",
    "chi_a": r"\chi_a",
}


@house_style
def plot_variation(datasets: Any, ax: Any = None) -> NDArray[np.object_]:
    """Draw signals (left) and gradients (right) with depth, of one network or of several side by side.

    Parameters
    ----------
    datasets : xarray.Dataset, or dict of label to Dataset
        From :func:`rgflow.variation`. One: p, q, s and every gradient. Several, up to six: p and chi of each.
    ax : array of two matplotlib Axes, or Figure, optional

    Returns
    -------
    array of Axes, of shape (2,)

    Raises InputError for Datasets of another kind, too many of them, or Axes of another number.
    """
    several = isinstance(datasets, dict)  # a Dataset is a Mapping, too
    given: dict[str, xarray.Dataset] = dict(datasets) if several else {"": datasets}
    for ds in given.values():
        if getattr(ds, "attrs", {}).get("kind") != "variation":
            raise InputError("plot_variation takes Datasets that rgflow.variation returned")
    if not 1 <= len(given) <= len(COLOURS):
        raise InputError(f"{len(given)} Datasets; draw from one to {len(COLOURS)}")
    names = list(dict.fromkeys(f"{ds.attrs['activation']}, {ds.attrs['layers']}" for ds in given.values()))
    figure = canvas(ax, (9.2, 3.9), "; ".join(names) + ", infinite width")
    found = panels(ax, 2, None if figure is None else figure.subplots(1, 2), "signals and gradients")
    left, right = found
    if several:
        for colour, (label, ds) in zip(COLOURS, given.items(), strict=False):
            _curve(left, ds, "p", colour, label)
            _curve(right, ds, "chi", colour, label)
        left.set_ylabel("$p$", fontsize=LABEL)
        right.set_ylabel(r"$\chi^{(\ell)}/\chi^{(L)}$", fontsize=LABEL)
    else:
        ds = given[""]
        for colour, name in zip(COLOURS, [n for n in ("p", "q", "s") if f"log_{n}" in ds], strict=False):
            _curve(left, ds, name, colour, f"${_TEX[name]}$")
        gradients = [n for n in ("chi", "chi_W", "chi_V", "chi_b", "chi_a") if f"log_{n}" in ds]
        for colour, name in zip(COLOURS, gradients, strict=False):
            _curve(right, ds, name, colour, f"${_TEX[name]}$")
        left.set_ylabel("mean squares", fontsize=LABEL)
        right.set_ylabel(r"mean square gradients$\,/\,\chi^{(L)}$", fontsize=LABEL)
    for panel in found:
        _finish(panel)
    return found


def _curve(ax: Axes, ds: xarray.Dataset, name: str, colour: str, label: str) -> None:
    """In powers of ten from logarithms: they may be beyond every float."""
    values = ds[f"log_{name}"].values / np.log(10)
    seen = np.isfinite(values)
    ax.plot(ds["layer"].values[seen], values[seen], color=colour, lw=LINE, label=label)


def _finish(ax: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    low, high = ax.get_ylim()
    if high - low < 0.5:  # less than a factor of three: room for a tick
        middle = (low + high) / 2
        ax.set_ylim(middle - 0.25, middle + 0.25)
    ax.yaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], min_n_ticks=2, integer=high - low > 2))
    ax.yaxis.set_major_formatter(lambda x, place: "1" if x == 0 else f"$10^{{{x:g}}}$")
    whole_numbers(ax)
    last = max((np.max(line.get_xdata()) for line in ax.lines if len(np.ravel(line.get_xdata()))), default=1)
    ax.set_xlim(0, float(last))
    frame(ax, "block ℓ")
    key(ax)


@house_style
def plot_variation_phases(
    ds: xarray.Dataset, paths: Mapping[str, Sequence[tuple[float, float]]] | None = None, ax: Place = None
) -> Axes:
    """Draw how fast a gradient ratio grows over two powers of the depth: the regime as colour, exponents as lines.

    Parameters
    ----------
    ds : xarray.Dataset
        From ``rgflow.variation_phases(...).diagram(...)``.
    paths : dict of label to points, optional
        Polygons to draw, as {"zig": [(0, 0), (2, 0)], "zag": [(2, 0), (2, 2)]}.
    ax : matplotlib Axes, or Figure, optional

    Returns
    -------
    Axes

    Raises InputError for a Dataset of another kind, Axes of another number or a path that is no list of points.
    """
    if getattr(ds, "attrs", {}).get("kind") != "variation diagram":
        raise InputError("plot_variation_phases takes a Dataset that variation_phases(...).diagram(...) returned")
    quantity = ds.attrs["quantity"]
    ax, own = one_panel(ax, (6.8, 4.8), _growth_title(ds))
    if own:
        powers = [text for text in ds.attrs["powers"].split(", ") if len(set(text.split(" = "))) == 2]
        told = ", ".join(" = ".join(map(_named, text.split(" = "))) for text in powers)
        ax.set_title(told, fontsize=KEY, loc="left", color=GREY)
    across, upward = (str(d) for d in ds[f"regime_{quantity}"].dims)
    x, y = ds[across].values, ds[upward].values
    regime, exponent = ds[f"regime_{quantity}"].values.T, ds[f"exponent_{quantity}"].values.T
    _regimes(ax, x, y, regime)
    _exponents(ax, x, y, np.where(regime == REGIMES.index(POLYNOMIAL), exponent, np.nan), r"$\ell^{%g}$")
    _exponents(ax, x, y, np.where(regime == REGIMES.index(STRETCHED), exponent, np.nan), r"$\exp\,\ell^{%g}$")
    for colour, (label, points) in zip(_path_colours(paths), (paths or {}).items(), strict=False):
        _path(ax, points, label, colour)
    ax.set_xlim(x[0], x[-1])
    ax.set_ylim(y[0], y[-1])
    ax.set_xlabel(_named(across), fontsize=LABEL)
    ax.set_ylabel(_named(upward), fontsize=LABEL)
    ax.tick_params(labelsize=TICK, color=GREY)
    _legend(ax, regime, paths, own)
    return ax


def _growth_title(ds: xarray.Dataset) -> str:
    quantity = ds.attrs["quantity"]
    what = f"{_TEX[quantity]}(\\ell)" if quantity in ("p", "q") else _ratio(quantity)
    return f"{ds.attrs['activation']}, {ds.attrs['block']}: how ${what}$ grows"


def _ratio(quantity: str) -> str:
    first = 0 if quantity == "chi" else 1
    return f"{_TEX[quantity]}^{{({first})}}/{_TEX[quantity]}^{{(\\ell)}}"


def _named(symbol: str) -> str:
    head, _, tail = symbol.partition("_")
    return f"$\\beta_{tail}$" if head == "beta" and len(tail) == 1 else symbol


def _regimes(ax: Axes, x: Any, y: Any, regime: Any) -> None:
    from matplotlib.colors import BoundaryNorm, ListedColormap

    norm = BoundaryNorm(np.arange(len(REGIMES) + 1) - 0.5, len(REGIMES))
    ax.pcolormesh(x, y, regime, cmap=ListedColormap(REGIME_COLOURS), norm=norm, shading="nearest", rasterized=True)
    for edge in range(1, len(REGIMES)):  # the edges of regions, so that pale ones are told apart
        if (regime >= edge).any() and (regime < edge).any():
            ax.contour(x, y, regime >= edge, levels=[0.5], colors=INK, linewidths=0.9)


def _exponents(ax: Axes, x: Any, y: Any, exponent: Any, label: str) -> None:
    """Lines of equal power of l, as far as it varies."""
    seen = exponent[np.isfinite(exponent)]
    if seen.size < 8 or np.ptp(seen) < 1e-6:
        return
    parts = 4 if np.ptp(seen) > 0.75 else 8
    levels = np.arange(np.ceil(parts * seen.min()), np.floor(parts * seen.max()) + 1) / parts
    if levels.size:
        lines = ax.contour(x, y, exponent, levels=levels, colors=INK, linewidths=0.8, linestyles=":")
        ax.clabel(lines, fmt=lambda v: label % v, fontsize=SMALL)


def _path_colours(paths: Any) -> list[str]:
    return [PATHS.get(label, colour) for label, colour in zip(paths or {}, [*COLOURS[1:], COLOURS[0]], strict=False)]


def _path(ax: Axes, points: Any, label: str, colour: str) -> None:
    try:
        found = np.array([(float(a), float(b)) for a, b in points])
    except (TypeError, ValueError):
        raise InputError(f"the path {label!r} is {points!r}; give a list of points (x, y)") from None
    if len(found) < 2 or not np.isfinite(found).all():
        raise InputError(f"the path {label!r} is {points!r}; give two finite points at least")
    ax.plot(found[:, 0], found[:, 1], color="white", lw=5, solid_capstyle="round", clip_on=False, zorder=4)
    ax.plot(found[:, 0], found[:, 1], color=colour, lw=2.6, label=label, clip_on=False, zorder=5)
    ends = {"arrowstyle": "-|>", "color": colour, "lw": 2.6, "shrinkA": 0, "shrinkB": 0}
    ax.annotate(
        "", found[-1], found[-1] - 0.12 * (found[-1] - found[-2]), arrowprops=ends, annotation_clip=False, zorder=6
    )


def _legend(ax: Axes, regime: Any, paths: Any, own: bool) -> None:
    from matplotlib.patches import Patch

    present = [i for i in range(len(REGIMES)) if (regime == i).any()]
    handles: list[Any] = [Patch(fc=REGIME_COLOURS[i], ec=INK, lw=0.6, label=REGIMES[i]) for i in present]
    handles += ax.get_legend_handles_labels()[0] if paths else []
    if own:
        ax.figure.legend(handles=handles, loc="outside right upper", fontsize=KEY + 0.5, frameon=False)
    else:
        key(ax, handles, frameon=True, framealpha=0.85)
