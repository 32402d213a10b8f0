"""Accuracy under disturbances as curves; the cells into which a model divides a plane of inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from rgflow.errors import InputError
from rgflow.plots.style import BARS, CLASSES, COLOURS, GREY, INK, LABEL, LINE, PANEL, frame, house_style, key, one_panel

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes

    from rgflow.plots.style import Place

SIZE = (5.8, 3.9)
STYLES = {"white_noise": ("-", "o"), "fgsm": ("--", "s"), "pgd": (":", "D")}
NAMES = {"white_noise": "white noise", "fgsm": "one gradient step", "pgd": "projected gradient descent"}


@house_style
def plot_robustness(found: xarray.Dataset | Mapping[str, xarray.Dataset], ax: Place = None) -> Axes:
    """Draw the accuracy on disturbed inputs over the size of the disturbance; bars are two standard errors.

    Parameters
    ----------
    found : Dataset of :func:`rgflow.nn.robustness`, or mapping of labels to such
        One colour for each label, one style of line for each attack.
    ax : matplotlib Axes, or Figure, optional
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
    ax, _ = one_panel(ax, SIZE, "accuracy on disturbed inputs, ± 2 standard errors")
    attacks = dict.fromkeys(str(name) for ds in models.values() for name in np.atleast_1d(ds["attack"].values))
    for ds, colour in zip(models.values(), _colours(len(models)), strict=True):
        curves = ds if "attack" in ds.dims else ds.expand_dims("attack")
        for name in map(str, curves["attack"].values):
            one = curves.sel(attack=name).sortby("size")
            line, mark = STYLES[name]
            ax.errorbar(
                one["size"].values, one["accuracy"].values, BARS * one["accuracy_se"].values, color=colour, ls=line,
                marker=mark, ms=4, mfc="white", lw=LINE, elinewidth=1,
            )  # fmt: skip
    units = str(next(iter(models.values()))["size"].attrs.get("units", ""))
    ax.set_ylim(0, 1.03)
    if len(attacks) == 1:
        ax.set_title(NAMES[next(iter(attacks))], fontsize=PANEL, loc="left")
    frame(ax, f"size of the disturbance{f' ({units})' if units else ''}", "accuracy")
    _legend(ax, list(models), list(attacks) if len(attacks) > 1 else [])
    return ax


@house_style
def plot_decision_cells(ds: xarray.Dataset, ax: Place = None) -> Axes:
    """Draw the class that a model finds at every point of a plane of inputs, and the three inputs that span it.

    Shades fade towards the borders between classes, where the two best outputs are equal.

    Parameters
    ----------
    ds : Dataset of :func:`rgflow.nn.decision_cells`
    ax : matplotlib Axes, or Figure, optional

    Returns
    -------
    Axes

    Raises InputError for another Dataset.
    """
    if getattr(ds, "attrs", {}).get("kind") != "decision cells":
        raise InputError("plot_decision_cells takes a Dataset that rgflow.nn.decision_cells returned")
    from matplotlib.colors import to_rgb
    from scipy.ndimage import distance_transform_edt

    ax, _ = one_panel(ax, (5.0, 4.3), "classes on a plane of inputs")
    classes = ds["class"].transpose("v", "u").values
    margin = ds["margin"].transpose("v", "u").values
    palette = np.array([to_rgb(CLASSES[k % len(CLASSES)]) for k in range(int(classes.max()) + 1)])
    strength = 0.25 + 0.5 * margin / max(float(margin.max()), np.finfo(float).tiny)
    shade = 1 - strength[..., None] * (1 - palette[classes])
    u, v = ds["u"].values, ds["v"].values
    half = (u[1] - u[0]) / 2, (v[1] - v[0]) / 2
    extent = (u[0] - half[0], u[-1] + half[0], v[0] - half[1], v[-1] + half[1])
    ax.imshow(shade, origin="lower", extent=extent, interpolation="nearest")
    points = np.stack([ds["point_v"].values, ds["point_u"].values])[:, :, None, None]
    apart = np.hypot(*(np.stack(np.meshgrid(v, u, indexing="ij"))[:, None] - points)).min(axis=0)
    for k in np.unique(classes):
        inside = np.pad(classes == k, 1)
        if inside.sum() < 0.004 * classes.size:  # a cell too small for its number
            continue
        room = distance_transform_edt(inside, sampling=(2 * half[1], 2 * half[0]))[1:-1, 1:-1]
        i, j = np.unravel_index(int(np.minimum(room, apart).argmax()), room.shape)
        ax.text(u[j], v[i], str(k), ha="center", va="center", fontsize=LABEL, color=INK)
    ax.plot(ds["point_u"].values, ds["point_v"].values, "o", color=INK, mfc="white", ms=6)
    ax.set_aspect("equal")
    frame(ax, "distance in the plane", grid=False)
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
        Line2D([], [], color=GREY, ls=STYLES[name][0], marker=STYLES[name][1], ms=4, mfc="white", label=NAMES[name])
        for name in attacks
    ]
    if coloured or styled:
        key(ax, [*coloured, *styled])


def _colours(count: int) -> list[Any]:
    if count > len(COLOURS):
        raise InputError(f"{count} models in one picture; at most {len(COLOURS)} are told apart")
    return list(COLOURS[:count])
