"""``plot_aspect``: what finite width does with depth: fluctuations, tangent kernels, their change, information."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rgflow.errors import InputError
from rgflow.plots.panels import BEYOND, COLOURS, GREY
from rgflow.predict.aspect.depth import Recommendation
from rgflow.predict.aspect.ratio import AspectRatio
from rgflow.predict.aspect.scale import series_at

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from rgflow.predict.aspect.growth import Growth

PANELS = 4
SHOWN = 2.4  # of r*, at least: how far pictures go
MIXTURES = 40  # places at which the information of a mixture is drawn
LARGEST = 4.0  # V/(n K^2) up to which a mixture is integrated


def plot_aspect(found: AspectRatio, recommended: Recommendation, axes: Any = None) -> NDArray[np.object_]:
    """Draw V/(n K^2), the fluctuation of the tangent kernel, P and Q over n Theta^2, and the information of outputs.

    Against depth over width, at the width of the recommendation. The line of r* is dashed, that of the recommended
    depth dotted; hatched is what lies beyond the first cut-off.

    Parameters
    ----------
    found : AspectRatio
        From :func:`rgflow.aspect_ratio`.
    recommended : Recommendation
        From its ``recommend``.
    axes : array of four matplotlib Axes, optional
        Without it a new figure is made, ``axes.flat[0].figure``.

    Returns
    -------
    array of Axes, of shape (4,)

    Raises
    ------
    InputError
    """
    if not isinstance(found, AspectRatio) or not isinstance(recommended, Recommendation):
        raise InputError("plot_aspect takes what rgflow.aspect_ratio returned, and what its recommend(width) returned")
    own = axes is None
    given = np.asarray(_figure(found, recommended) if own else axes, dtype=object).reshape(-1)
    if given.size < PANELS:
        raise InputError(f"axes holds {given.size} Axes; {PANELS} are drawn")
    n = recommended.width
    growth = found.growth(recommended.flowed)
    layer = np.arange(1, growth.depth + 1)
    ratio = layer / n
    end = max(SHOWN * found.optimal, 1.15 * recommended.ratio)
    inside = ratio <= end
    for ax in given[:PANELS]:
        _finish(ax, found, recommended, end)
    _metric(given[0], ratio[inside], growth.metric[inside] / n, float(found.nu), end)
    _tangent(given[1], ratio[inside], growth, inside, n)
    _change(given[2], ratio[inside], growth, inside, n)
    _information(given[3], found, end)
    if own:
        _legend(given[0])
    return given[:PANELS]


def _figure(found: AspectRatio, recommended: Recommendation) -> Any:
    from matplotlib.figure import Figure

    from rgflow.universality.points import named

    figure = Figure(figsize=(10.5, 6.6), layout="constrained", facecolor="white")
    where = named(found.criticality.activation, found.criticality.layer)
    outputs = f"{found.n_out} output{'s' * (found.n_out > 1)}"
    title = f"{where}, width {recommended.width}, {outputs}: r* = {found.optimal:.4g}, {recommended.depth} layers"
    figure.suptitle(title, fontsize=11, x=0.01, ha="left", fontweight="bold")
    return figure.subplots(2, 2, squeeze=False)


def _metric(ax: Axes, ratio: NDArray[Any], metric: NDArray[Any], nu: float, end: float) -> None:
    ax.plot(ratio, metric, color=COLOURS[0], lw=2, zorder=3)
    ax.plot([0, end], [0, nu * end], color="#1b1b1b", lw=1.1, ls=(0, (1, 2)), zorder=2)
    ax.annotate(
        rf"$\nu\,\ell/n$, $\nu$ = {nu:.4g}",
        (0.97, 0.06),
        xycoords="axes fraction",
        ha="right",
        fontsize=9,
    )
    ax.set_title(r"metric: $V/(nK^2)$", fontsize=11, loc="left")


def _tangent(ax: Axes, ratio: NDArray[Any], growth: Growth, inside: NDArray[Any], n: int) -> None:
    ax.plot(ratio, np.sqrt(growth.tangent[inside] / n), color=COLOURS[1], lw=2, zorder=3)
    ax.set_title(r"tangent kernel: $\sqrt{(A+2B)/(n\Theta^2)}$", fontsize=11, loc="left")


def _change(ax: Axes, ratio: NDArray[Any], growth: Growth, inside: NDArray[Any], n: int) -> None:
    ax.set_title(r"its change in training: $|P|,|Q|$ over $n\Theta^2$", fontsize=11, loc="left")
    if not growth.change:
        text = "not followed where neurons remember"
        box = {"facecolor": "white", "edgecolor": "none"}
        ax.annotate(text, (0.5, 0.5), xycoords="axes fraction", ha="center", fontsize=9, color=GREY, bbox=box)
        ax.set_yticks([])
        return
    for (name, values), colour in zip(growth.change.items(), COLOURS[2:], strict=False):
        ax.plot(ratio, values[inside] / n, color=colour, lw=2, zorder=3, label=f"${name}$")
    ax.legend(fontsize=9, frameon=False, loc="upper left")


def _information(ax: Axes, found: AspectRatio, end: float) -> None:
    ratio = np.linspace(0, end, 200)
    v = float(found.nu) * ratio
    series = np.array([series_at(found.groups, x) for x in v])
    ax.plot(ratio, series, color=COLOURS[0], lw=2, zorder=3, label="series through $v^3$")
    places = np.linspace(0, min(end, LARGEST / float(found.nu)), MIXTURES)
    drawn = [(law, np.array([found.mixture(x, law) for x in places])) for law in ("gamma", "log-normal")]
    for (law, values), dash in zip(drawn, ("-", "-."), strict=True):
        ax.plot(places, values, color=COLOURS[3], lw=1.6, ls=dash, zorder=2, label=f"scale mixture, {law}")
    top = max(values.max() for _, values in drawn)
    ax.set_ylim(-0.25 * top, 1.05 * top)
    ax.axhline(0, color="#c4c7cb", lw=0.8, zorder=1)
    a, b = found.groups
    ax.set_title(f"information: $I({a};{b})$ in nats, $v=\\nu\\,\\ell/n$", fontsize=11, loc="left")
    ax.legend(fontsize=9, frameon=False, loc="upper left")


def _finish(ax: Axes, found: AspectRatio, recommended: Recommendation, end: float) -> None:
    ax.set_xlim(0, end)
    ax.axvline(found.optimal, color="#1b1b1b", lw=1.2, ls=(0, (4, 2.5)), zorder=4)
    ax.axvline(recommended.ratio, color=GREY, lw=1.4, ls=":", zorder=4)
    cut = min((last for last in recommended.cutoffs.values() if last is not None), default=None)
    if cut is not None and (cut + 0.5) / recommended.width < end:
        ax.axvspan((cut + 0.5) / recommended.width, end, zorder=0, **BEYOND)
    ax.set_xlabel(r"depth / width $\ell/n$", fontsize=9.5)
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(True, which="major", color="#e6e6e6", lw=0.7)
    ax.set_axisbelow(True)
    ax.tick_params(labelsize=8.5, color=GREY)


def _legend(ax: Axes) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles = [
        Line2D([], [], color="#1b1b1b", lw=1.2, ls=(0, (4, 2.5)), label="r*: maximum of the truncated series"),
        Line2D([], [], color=GREY, lw=1.4, ls=":", label="recommended depth"),
        Patch(**BEYOND, label="beyond the first cut-off"),
    ]
    ax.figure.legend(handles=handles, loc="outside lower left", ncols=3, fontsize=9, frameon=False)
