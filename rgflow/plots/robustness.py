"""Accuracy under disturbances as curves; the cells into which a model divides a plane of inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from rgflow.errors import InputError
from rgflow.plots.panels import COLOURS, GREY

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes

STYLES = {"white_noise": ("-", "o"), "fgsm": ("--", "s"), "pgd": (":", "D")}
NAMES = {"white_noise": "white noise", "fgsm": "one gradient step", "pgd": "projected gradient descent"}


def plot_robustness(found: xarray.Dataset | Mapping[str, xarray.Dataset], ax: Axes | None = None) -> Axes:
    """Draw the accuracy on disturbed inputs over the size of the disturbance; bars are two standard errors.

    Parameters
    ----------
    found : Dataset of :func:`rgflow.nn.robustness`, or mapping of labels to such
        One colour for each label, one style of line for each attack.
    ax : matplotlib Axes, optional
        Without it a new figure is made, ``ax.figure`` of what is returned.

    Returns
    -------
    Axes

    Raises InputError for Datasets of another kind.
    """
    models: dict[str, Any]
    models = {"": found} if hasattr(found, "data_vars") else dict(found)  # a Dataset is a mapping too
    if not models or any(getattr(ds, "attrs", {}).get("kind") != "robustness" for ds in models.values()):
        raise InputError("plot_robustness takes a Dataset that rgflow.nn.robustness returned, or a mapping of such")
    ax = _axes() if ax is None else ax
    attacks = dict.fromkeys(str(name) for ds in models.values() for name in np.atleast_1d(ds["attack"].values))
    for ds, colour in zip(models.values(), _colours(len(models)), strict=True):
        curves = ds if "attack" in ds.dims else ds.expand_dims("attack")
        for name in map(str, curves["attack"].values):
            one = curves.sel(attack=name).sortby("size")
            line, mark = STYLES[name]
            ax.errorbar(
                one["size"].values, one["accuracy"].values, 2 * one["accuracy_se"].values, color=colour, ls=line,
                marker=mark, ms=4, lw=1.4, elinewidth=1,
            )  # fmt: skip
    units = str(next(iter(models.values()))["size"].attrs.get("units", ""))
    ax.set_xlabel(f"size of the disturbance{f' ({units})' if units else ''}")
    ax.set_ylabel("accuracy")
    ax.set_ylim(0, 1.03)
    if len(attacks) == 1:
        ax.set_title(NAMES[next(iter(attacks))], fontsize=10)
    _finished(ax)
    _legend(ax, list(models), list(attacks) if len(attacks) > 1 else [])
    return ax


def plot_decision_cells(ds: xarray.Dataset, ax: Axes | None = None) -> Axes:
    """Draw the class that a model finds at every point of a plane of inputs, and the three inputs that span it.

    Shades fade towards the borders between classes, where the two best outputs are equal.

    Parameters
    ----------
    ds : Dataset of :func:`rgflow.nn.decision_cells`
    ax : matplotlib Axes, optional

    Returns
    -------
    Axes

    Raises InputError for another Dataset.
    """
    if getattr(ds, "attrs", {}).get("kind") != "decision cells":
        raise InputError("plot_decision_cells takes a Dataset that rgflow.nn.decision_cells returned")
    from matplotlib import colormaps
    from matplotlib.colors import to_rgb

    ax = _axes() if ax is None else ax
    classes = ds["class"].transpose("v", "u").values
    margin = ds["margin"].transpose("v", "u").values
    palette = np.array([to_rgb(colormaps["tab10"](k % 10)) for k in range(int(classes.max()) + 1)])
    strength = 0.25 + 0.5 * margin / max(float(margin.max()), np.finfo(float).tiny)
    shade = 1 - strength[..., None] * (1 - palette[classes])
    u, v = ds["u"].values, ds["v"].values
    half = (u[1] - u[0]) / 2, (v[1] - v[0]) / 2
    extent = (u[0] - half[0], u[-1] + half[0], v[0] - half[1], v[-1] + half[1])
    ax.imshow(shade, origin="lower", extent=extent, interpolation="nearest")
    for k in np.unique(classes):
        inside = np.argwhere(classes == k)
        if len(inside) < 0.004 * classes.size:  # a cell too small for its number
            continue
        place = inside[np.argmin(((inside - inside.mean(0)) ** 2).sum(1))]
        ax.text(u[place[1]], v[place[0]], str(k), ha="center", va="center", fontsize=11, color="black")
    ax.plot(ds["point_u"].values, ds["point_v"].values, "o", color="black", mfc="white", ms=6)
    ax.set(xlabel="distance in the plane", ylabel="", aspect="equal")
    _finished(ax)
    return ax


def _legend(ax: Axes, labels: list[str], attacks: list[str]) -> None:
    """Colours for models, lines for attacks: fewer entries than there are curves."""
    from matplotlib.lines import Line2D

    coloured = [
        Line2D([], [], color=colour, lw=2, label=label)
        for colour, label in zip(_colours(len(labels)), labels, strict=True)
        if label
    ]
    styled = [
        Line2D([], [], color=GREY, ls=STYLES[name][0], marker=STYLES[name][1], ms=4, label=NAMES[name])
        for name in attacks
    ]
    if coloured or styled:
        ax.legend(handles=[*coloured, *styled], fontsize=8, frameon=False, loc="best")


def _axes() -> Axes:
    from matplotlib.figure import Figure

    return Figure(figsize=(5.4, 3.8), layout="constrained", facecolor="white").subplots()


def _colours(count: int) -> list[Any]:
    if count > len(COLOURS):
        raise InputError(f"{count} models in one picture; at most {len(COLOURS)} are told apart")
    return list(COLOURS[:count])


def _finished(ax: Axes) -> None:
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=9, color=GREY)
