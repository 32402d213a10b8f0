"""``plot_flow``: the panels of a flow side by side, and what their lines, bands and points mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rgflow.components import number_of_samples
from rgflow.errors import InputError
from rgflow.network import Network
from rgflow.plots.curves import Curve, beyond_trust, curves
from rgflow.plots.panels import draw_distances, draw_values, finish
from rgflow.plots.style import BEYOND, DASH, DASHES, GREY, LINE, canvas, house_style, key, key_below

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes

MOST_COLUMNS = 4


@house_style
def plot_flow(ds: xarray.Dataset, mc: xarray.Dataset | None = None, ax: Any = None) -> NDArray[np.object_]:
    """Draw each letter of a flow against depth, and, below, its distance from the limit of infinite width.

    Dashed: leading order. Solid: with the corrections in 1/n that the flow knows, in a band of the size of the first
    order that it leaves out. Points: sampled networks with bars of two standard errors. Hatched: layers beyond
    ``trusted_layers``. Tensors of level 2 and more are measured in n^{k-1} times the leading K and Theta of their
    samples.

    Parameters
    ----------
    ds : xarray.Dataset
        Coefficients, from :func:`rgflow.flow`; or totals, from :func:`rgflow.total` (no leading order is drawn then).
    mc : xarray.Dataset, optional
        Totals, from :func:`rgflow.sample`, of the same network and inputs.
    ax : array of matplotlib Axes, or Figure, optional
        One for each letter, or two rows of them, the lower row for the distances; without it a new figure is made.

    Returns
    -------
    array of Axes, of shape (letters,) or (2, letters)
        ``[0, 0].figure`` is the figure.

    Raises
    ------
    InputError
        If the kinds do not fit, the networks or inputs of ``ds`` and ``mc`` differ, or the number of Axes is wrong.
    """
    from matplotlib.axes import Axes

    drawable = curves(ds, mc)
    letters = list(dict.fromkeys(curve.letter for curve in drawable))
    relative = any(curve.leading is not None for curve in drawable)
    columns = min(len(letters), MOST_COLUMNS)
    blocks = -(-len(letters) // columns)
    figure = canvas(ax, (3.5 * columns + 0.4, blocks * (5.0 if relative else 3.0) + 0.4), _title(ds, mc))
    own = figure is not None
    drawn = np.asarray(_laid_out(figure, len(letters), columns, relative) if own else ax, dtype=object)
    if drawn.shape not in ((len(letters),), (1, len(letters)), (2, len(letters))):
        if drawn.size != len(letters) or drawn.ndim > 1:
            raise InputError(
                f"ax has shape {drawn.shape}; this flow has {len(letters)} letters ({', '.join(letters)}): "
                f"give an array of shape ({len(letters)},) or (2, {len(letters)})"
            )
        drawn = drawn.reshape(-1)
    if not all(isinstance(each, Axes) for each in drawn.flat):
        raise InputError(f"ax is {ax!r:.60}; give matplotlib Axes, an array of them, a Figure, or nothing")
    rows = drawn.reshape(-1, len(letters))
    beyond = beyond_trust(ds)
    for column, letter in enumerate(letters):
        family = [curve for curve in drawable if curve.letter == letter]
        draw_values(rows[0, column], family)
        if len(rows) == 2:
            draw_distances(rows[1, column], family)
        for row in rows[:, column]:
            finish(row, int(ds["layer"][-1]), beyond.get(letter))
    for row in rows[:-1].flat:
        row.set_xlabel("")
    _line_styles(rows[0, 0], drawable, mc is not None, any(layer is not None for layer in beyond.values()), own)
    return drawn


def _laid_out(figure: Any, letters: int, columns: int, relative: bool) -> NDArray[np.object_]:
    """Panels side by side, at most four; more letters go below."""
    blocks, rows = -(-letters // columns), 2 if relative else 1
    ratios = [1.45, 1.0][:rows] * blocks
    grid = figure.subplots(rows * blocks, columns, squeeze=False, height_ratios=ratios)
    panels = grid.reshape(blocks, rows, columns).transpose(1, 0, 2).reshape(rows, -1)
    for ax in panels[:, letters:].flat:
        ax.remove()
    for upper, lower in zip(panels[0, :letters], panels[-1, :letters], strict=True):
        if upper is not lower:
            upper.sharex(lower)
            upper.tick_params(labelbottom=False)
    kept = panels[:, :letters] if relative else panels[0, :letters]
    return np.array(kept, dtype=object)


def _title(ds: xarray.Dataset, mc: xarray.Dataset | None) -> str:
    widths = sorted({int(n) for n in ds["fan_in"].values[1:]})
    parts = [str(ds.attrs["activation"])]
    if widths:
        parts.append(f"width {widths[0]}" if len(widths) == 1 else f"widths {widths[0]} to {widths[-1]}")
    kinds = Network.from_json(ds.attrs["network"]).kinds if "network" in ds.attrs else ""
    parts.append(kinds if "," in kinds else f"{ds.sizes['layer']} layers")
    if ds.attrs.get("closure") == "book":
        parts.append("closed in one time")
    count = number_of_samples(ds)
    parts.append("one input" if count == 1 else f"{count} inputs")
    if mc is not None:
        parts.append(f"{mc.attrs['networks']} sampled networks" if "networks" in mc.attrs else "compared")
    return ", ".join(parts)


def _line_styles(ax: Axes, curves: Sequence[Curve], sampled: bool, beyond: bool, own: bool) -> None:
    """What dashes, lines, bands and points mean: below our own figure, or in the first panel of the caller's."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = []
    if any(curve.leading is not None for curve in curves):
        handles.append(Line2D([], [], color=GREY, lw=DASH, ls=DASHES, label=r"leading order ($n\to\infty$)"))
        handles.append(Line2D([], [], color=GREY, lw=LINE, label="with known corrections in $1/n$"))
    else:
        handles.append(Line2D([], [], color=GREY, lw=LINE, label="theory"))
    if any(curve.error is not None for curve in curves):
        handles.append(Patch(facecolor=GREY, alpha=0.2, lw=0, label="estimate of what is left out"))
    if sampled:
        label = "sampled networks, ± 2 standard errors"
        handles.append(Line2D([], [], color=GREY, marker="o", ls="", ms=4, mfc="white", label=label))
    if beyond:
        handles.append(Patch(label="expansion not to be trusted", **BEYOND))
    if own:
        columns = int(ax.figure.bbox.width / ax.figure.dpi / 3.1)  # inches that the longest entry takes
        columns = max(1, min(len(handles), columns))
        key_below(ax, handles, columns)
    else:
        components = ax.get_legend()
        key(ax, handles, loc="lower left", fontsize=7.5)
        if components is not None:
            ax.add_artist(components)
