"""A scaling family as a picture: powers of the width along s, and the web of widths and depths that its gamma spans."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rgflow.errors import InputError
from rgflow.plots.style import COLOURS, GREY, INK, KEY, LABEL, SMALL, THIN, TICK, frame, house_style, key, one_panel

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes

    from rgflow.plots.style import Place

_TEX = {
    "output": r"output $z^L$",
    "NTK": r"NTK $H$",
    "NTK spread": r"spread of $H$",
    "dNTK output": r"$E[dH\,z^L]$",
    "dNTK": r"dNTK",
    "ddNTK": r"ddNTK, $\gamma$",
}
_STYLES = {"NTK": (0, (1, 1.5)), "NTK spread": (0, (4, 2)), "dNTK output": (0, (4, 2))}

SIZE = (6.6, 4.4)


@house_style
def plot_family(ds: xarray.Dataset, ax: Place = None) -> Axes:
    """Draw the powers of the width n of the observables along s, and of what hidden signals change.

    Parameters
    ----------
    ds : xarray.Dataset
        From ``rgflow.family("meta", s=symbol).exponents(...).to_dataset()``.
    ax : matplotlib Axes, or Figure, optional

    Returns
    -------
    Axes

    Raises InputError for a Dataset of another kind, or without the dim s.
    """
    if getattr(ds, "attrs", {}).get("kind") != "scaling family":
        raise InputError("plot_family takes a Dataset that family(...).exponents(...).to_dataset() returned")
    if "s" not in ds.dims:
        raise InputError(f"the family {ds.attrs['family']!r} has no s to draw along; take family('meta', s=symbol)")
    axes, _ = one_panel(ax, SIZE, f"powers of the width along the family, {ds.attrs['activation']}")
    s = ds["s"].values
    curves = [
        (_TEX.get(str(name), str(name)), ds["exponent"].sel(observable=name).values) for name in ds["observable"].values
    ]
    curves.append((r"change of hidden $z$", ds["change"].values[:, 0]))
    styles = [_STYLES.get(str(name), "-") for name in ds["observable"].values] + ["-"]
    colours = [COLOURS[i % len(COLOURS)] for i in range(len(curves) - 1)] + [INK]
    for (label, values), style, colour in zip(curves, styles, colours, strict=True):
        axes.plot(s, values, ls=style, lw=2.2, color=colour, label=label, zorder=3)
    _labels_at_the_end(axes, s, curves, colours)
    axes.axhline(0, color=GREY, lw=THIN, zorder=1)
    axes.set_xlim(s[0], s[-1])
    frame(axes, r"$s$", r"power of $n$")
    for place, text, side in ((s[0], "neural tangent", "left"), (s[-1], "maximal update", "right")):
        axes.annotate(text, (place, 1.01), xycoords=("data", "axes fraction"), fontsize=KEY, color=GREY, ha=side)
    return axes


@house_style
def plot_web(ds: xarray.Dataset, ax: Place = None) -> Axes:
    """Draw where gamma = n^g L^d is one, over width and depth, for several s: below a line the theory is perturbative.

    Parameters
    ----------
    ds : xarray.Dataset
        From ``rgflow.family(...).web(...)``, dims ``s``, ``depth``, ``width``.
    ax : matplotlib Axes, or Figure, optional

    Returns
    -------
    Axes

    Raises InputError for a Dataset of another kind.
    """
    if getattr(ds, "attrs", {}).get("kind") != "scaling web":
        raise InputError("plot_web takes a Dataset that family(...).web(...) returned")
    from matplotlib.colors import LogNorm

    axes, _ = one_panel(ax, SIZE, rf"the scale $\gamma$ that width and depth share, {ds.attrs['activation']}")
    n, depth = ds["width"].values, ds["depth"].values
    first = ds["gamma"].values[0]
    reach = max(abs(np.log10(first.min())), abs(np.log10(first.max())))
    drawn = axes.pcolormesh(
        n,
        depth,
        first,
        cmap="RdBu_r",
        norm=LogNorm(10**-reach, 10**reach),
        shading="nearest",
        rasterized=True,
        alpha=0.55,
    )
    bar = axes.figure.colorbar(drawn, ax=axes, pad=0.02)
    bar.set_label(rf"$\gamma$ at $s = {float(ds['s'].values[0]):g}$", fontsize=SMALL)
    bar.ax.tick_params(labelsize=TICK, color=GREY)
    bar.outline.set_visible(False)
    for i, s in enumerate(ds["s"].values):
        gamma = ds["gamma"].values[i]
        colour = COLOURS[i % len(COLOURS)]
        edge = _edge(n, depth, gamma)
        axes.plot(n, edge, color="white", lw=4.5, zorder=3)
        axes.plot(n, edge, color=colour, lw=2.2, label=rf"$\gamma = 1$, $s = {float(s):g}$", zorder=4)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    axes.set_xlim(n[0], n[-1])
    axes.set_ylim(depth[0], depth[-1])
    axes.set_xlabel(r"width $n$", fontsize=LABEL)
    axes.set_ylabel(r"depth $L$", fontsize=LABEL)
    axes.tick_params(labelsize=TICK, color=GREY)
    key(axes, loc="upper left", frameon=True, framealpha=0.9, edgecolor="none")
    return axes


def _edge(n: NDArray[np.float64], depth: NDArray[np.float64], gamma: NDArray[np.float64]) -> NDArray[np.float64]:
    """The depth at which gamma is one at each width, in logarithms along the grid; gamma grows with depth."""
    found = np.full(len(n), np.nan)
    levels, logs = np.log(depth), np.log(gamma)
    for i in range(len(n)):
        column = logs[:, i]
        slope = (column[-1] - column[0]) / (levels[-1] - levels[0])
        found[i] = np.exp(levels[0] - column[0] / slope)
    return found


def _labels_at_the_end(axes: Axes, s: Any, curves: list[tuple[str, Any]], colours: list[str]) -> None:
    """Names beside the right ends; curves that end together share a line of text each."""
    ends = [float(values[-1]) for _, values in curves]
    order = sorted(range(len(curves)), key=lambda i: (ends[i], i))
    low = min(float(np.min(values)) for _, values in curves)
    gap, last = 0.065 * max(max(ends) - low, 0.5), -np.inf
    for i in order:
        alike = [j for j in order if abs(ends[j] - ends[i]) < gap / 4]
        place = max(ends[i] + (alike.index(i) - (len(alike) - 1) / 2) * gap, last + gap)
        last = place
        axes.annotate(
            curves[i][0],
            (s[-1], ends[i]),
            xytext=(1.03, place),
            textcoords=("axes fraction", "data"),
            fontsize=KEY + 0.5,
            color=colours[i],
            va="center",
            annotation_clip=False,
        )
