"""``plot_phase``: the phases of an activation over C_W and C_b, coloured by the depth that differences survive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rgflow.errors import InputError
from rgflow.plots.style import BLANK, DASHES, GREY, INK, LABEL, SMALL, TICK, house_style, key, key_below, one_panel

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes

    from rgflow.plots.style import Place

LEAST, MOST = 1.0, 1000.0  # layers: the range of the colour bar
COLOURS = "PuOr"  # told apart with every kind of colour vision; light where nothing decays


@house_style
def plot_phase(ds: xarray.Dataset, points: Sequence[tuple[float, float, str]] = (), ax: Place = None) -> Axes:
    """Draw a phase diagram: violet where nearby inputs come together (ordered), orange where they part (chaotic).

    The colour is the depth scale xi_perpendicular, on a logarithmic scale; it is pale where signals go deep. Black: the
    critical line, dashed where flows from the diagram's first kernel end at another fixed point. Where colours meet
    without a line, chi_perpendicular jumps from one fixed point to another.

    Parameters
    ----------
    ds : xarray.Dataset
        From :func:`rgflow.phase_diagram`, of two values of C_W and C_b at least.
    points : sequence of (C_W, C_b, label)
        Points to mark, critical ones say; those outside of the window are left out.
    ax : matplotlib Axes, or Figure, optional
        Where to draw; without it a new figure is made, ``.figure`` of what is returned.

    Returns
    -------
    Axes

    Raises
    ------
    InputError
        If ``ds`` is of another kind or too small, or a point is not two finite numbers and a text.
    """
    if getattr(ds, "attrs", {}).get("kind") != "phase diagram":
        raise InputError("plot_phase takes a Dataset that rgflow.phase_diagram returned")
    if min(ds.sizes["C_W"], ds.sizes["C_b"]) < 2:
        raise InputError(f"the diagram has {ds.sizes['C_W']} x {ds.sizes['C_b']} points; two of each are the least")
    marked = [_point(point) for point in points]
    title = f"{ds.attrs['activation']}, infinite width, first kernel {ds.attrs['first_kernel']:g}"
    ax, own = one_panel(ax, (6.6, 4.7), title)
    _colours(ax, ds)
    _lines(ax, ds)
    _names(ax, ds)
    _marks(ax, ds, marked)
    ax.set_xlabel(r"$C_W$", fontsize=LABEL)
    ax.set_ylabel(r"$C_b$", fontsize=LABEL)
    ax.tick_params(labelsize=TICK, color=GREY)
    lines: list[Any] = list(ax.get_legend_handles_labels()[0])
    handles = sorted(lines, key=lambda drawn: drawn.get_linestyle())  # "-" before "--"
    if handles and own:
        key_below(ax, handles, 2)
    elif handles:
        key(ax, handles, frameon=True, framealpha=0.85)
    return ax


def _colours(ax: Axes, ds: xarray.Dataset) -> None:
    """Decades of depth below MOST, negative in the ordered phase."""
    decades = np.log10(MOST / LEAST)
    with np.errstate(divide="ignore"):
        below = np.clip(np.log10(MOST / ds["xi_perpendicular"].values), 0, decades)
    side = np.sign(ds["phase"].values)
    mesh = ax.pcolormesh(
        ds["C_W"].values,
        ds["C_b"].values,
        -side * below,  # the violet end of PuOr is its upper one
        cmap=COLOURS,
        vmin=-decades,
        vmax=decades,
        shading="nearest",
        rasterized=True,
    )
    ax.set_xlim(float(ds["C_W"][0]), float(ds["C_W"][-1]))
    ax.set_ylim(float(ds["C_b"][0]), float(ds["C_b"][-1]))
    bar = ax.figure.colorbar(mesh, ax=ax, pad=0.02, aspect=28)
    depths = 10.0 ** np.arange(int(decades) + 1)
    ticks = [(sign * np.log10(MOST / depth), depth) for sign in (-1, 1) for depth in depths[: -1 if sign > 0 else None]]
    names = {LEAST: "≤ 1", MOST: "≥ 1000"}
    bar.set_ticks([at for at, _ in ticks], labels=[names.get(depth, f"{depth:g}") for _, depth in ticks])
    bar.set_label(r"depth scale $\xi_\perp$ in layers:   chaotic  |  ordered", fontsize=SMALL)
    bar.ax.tick_params(labelsize=TICK, color=GREY)
    bar.outline.set_visible(False)


def _lines(ax: Axes, ds: xarray.Dataset) -> None:
    """The pieces of the critical line, solid where flows end there; each kind is named once."""
    w, b = ds["critical_C_W"].values, ds["critical_C_b"].values
    labels = {True: r"critical line, $\chi_\perp(K^*) = 1$", False: "the same, for other first kernels"}
    for piece in np.split(np.arange(w.size), np.flatnonzero(np.isnan(w))):
        piece = piece[~np.isnan(w[piece])]
        if piece.size < 2:
            continue
        reached = bool(ds["critical_reached"].values[piece[-1]])
        label = labels.pop(reached, None)
        if reached:
            ax.plot(w[piece], b[piece], color=INK, lw=1.8, label=label)
        else:
            ax.plot(w[piece], b[piece], color=INK, lw=1.4, ls=DASHES, label=label)


def _names(ax: Axes, ds: xarray.Dataset) -> None:
    """The names of the phases, each where it is furthest from the edge of its region."""
    from scipy.ndimage import distance_transform_edt

    phase = ds["phase"].values
    C_W, C_b = ds["C_W"].values, ds["C_b"].values
    spacing = (1 / phase.shape[0], 1 / phase.shape[1])
    for value, name in ((-1, "ordered"), (1, "chaotic")):
        region = np.pad(phase == value, 1)
        far = distance_transform_edt(region, sampling=spacing)[1:-1, 1:-1]
        if far.max() < 0.06:  # too narrow for a word
            continue
        i, j = np.unravel_index(int(far.argmax()), far.shape)
        ax.text(C_W[j], C_b[i], name, ha="center", va="center", fontsize=LABEL, color=INK, bbox=BLANK)


def _point(point: Any) -> tuple[float, float, str]:
    try:
        C_W, C_b, label = point
        found = float(C_W), float(C_b), label
    except (TypeError, ValueError):
        raise InputError(f"the point {point!r} is not (C_W, C_b, label)") from None
    if not np.isfinite(found[:2]).all() or not isinstance(label, str):
        raise InputError(f"the point {point!r} is not two finite numbers and a text")
    return found


def _marks(ax: Axes, ds: xarray.Dataset, points: Sequence[tuple[float, float, str]]) -> None:
    """Points with their labels, which lean to the side where there is more room."""
    (left, right), (low, high) = ds["C_W"].values[[0, -1]], ds["C_b"].values[[0, -1]]
    for C_W, C_b, label in points:
        if not (left <= C_W <= right and low <= C_b <= high):
            continue
        ax.plot([C_W], [C_b], "o", ms=8, mfc="white", mec=INK, mew=1.6, clip_on=False, zorder=5)
        across, upward = (left + right) / 2 > C_W, C_b < (low + high) / 2
        ax.annotate(
            label,
            (C_W, C_b),
            xytext=(9 if across else -9, 9 if upward else -9),
            textcoords="offset points",
            ha="left" if across else "right",
            va="bottom" if upward else "top",
            fontsize=SMALL,
            color=INK,
            zorder=6,
            bbox=BLANK,
        )
