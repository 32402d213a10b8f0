"""``plot_aspect``: what finite width does with depth: fluctuations, tangent kernels, their change, information."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rgflow.errors import InputError
from rgflow.plots.style import (
    BEYOND,
    COLOURS,
    DASHES,
    GREY,
    INK,
    KEY,
    PANEL,
    canvas,
    distrusted,
    frame,
    house_style,
    key,
    key_below,
    panels,
)
from rgflow.predict.aspect.ratio import AspectRatio
from rgflow.predict.aspect.recommendation import Recommendation
from rgflow.predict.aspect.scale import continued_at
from rgflow.predict.information.mixture import WIDEST, mixture_information

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]

PANELS = 4
SHOWN = 2.4  # of r*, at least: how far pictures go, if layers were flowed as far
FARTHEST = 5.0  # of r*: no farther, to show where the first cut-off is
FEW = 25  # layers that get a marker each
MIXTURES = 40  # layers at which the information of a mixture is drawn
TIGHT = 1.3  # of what is drawn: bounds up to there are drawn too
BLANK = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
AT_R: dict[str, Any] = {"color": INK, "lw": 1.2, "ls": DASHES}
AT_DEPTH: dict[str, Any] = {"color": GREY, "lw": 1.4, "ls": ":"}
AT_BOUND: dict[str, Any] = {"color": "#9a2b2b", "lw": 1.0, "ls": (0, (1, 1.5))}


@house_style
def plot_aspect(found: AspectRatio, recommended: Recommendation, ax: Any = None) -> NDArray[np.object_]:
    """Draw V/(n K^2), the fluctuation of the tangent kernel, P and Q over n Theta^2, and the information of outputs.

    All of them as a flow of this width has them, layer by layer, against depth over width; information is that at its
    V/(n K^2). Where neurons remember, P and Q are not followed, and the ratio of successive orders is drawn instead.
    The line of r* is dashed, that of the recommended depth dotted; hatched is what lies beyond the first cut-off.

    Parameters
    ----------
    found : AspectRatio
        From :func:`rgflow.aspect_ratio`.
    recommended : Recommendation
        From its ``recommend``.
    ax : array of four matplotlib Axes, or Figure, optional
        Without it a new figure is made.

    Returns
    -------
    array of Axes, of shape (4,)

    Raises
    ------
    InputError
    """
    if not isinstance(found, AspectRatio) or not isinstance(recommended, Recommendation):
        raise InputError("plot_aspect takes what rgflow.aspect_ratio returned, and what its recommend(width) returned")
    figure = canvas(ax, (10.5, 6.6), _title(found, recommended))
    given = panels(ax, PANELS, None if figure is None else figure.subplots(2, 2))
    n, growth = recommended.width, found.growth(recommended.flowed)
    cut = min((last for last in recommended.cutoffs.values() if last is not None), default=None)
    end = _end(found, recommended, cut)
    layers = np.arange(1, round(end * n) + 1)
    hatched = [_finish(panel, found, recommended, end, cut) for panel in given]
    style = {"lw": 2, "zorder": 3, **({"marker": "o", "ms": 3.5} if len(layers) <= FEW else {})}
    bounds = recommended.bounds
    v = growth.metric[layers - 1] / n
    _metric(given[0], layers / n, v, float(found.nu) * end, bounds["kurtosis"] / 3, style)
    spread = np.sqrt(growth.tangent[layers - 1] / n)
    _tangent(given[1], layers / n, spread, bounds["tangent kernel"], style)
    if growth.change:
        _change(given[2], layers / n, {name: x[layers - 1] / n for name, x in growth.change.items()}, style)
    else:
        _orders(given[2], layers / n, growth.orders[layers - 1] / n, bounds["expansion"], style)
    _information(given[3], found, layers / n, v, style)
    if figure is not None:
        _legend(given[0], found, end, hatched[0])
    return given


def _end(found: AspectRatio, recommended: Recommendation, cut: int | None) -> float:
    """Where pictures end: past r*, the depth, and the first cut-off if that is not far; where the flow does at most."""
    n, best = recommended.width, found.best_ratio
    first = 0.0 if cut is None else min(1.2 * cut / n, FARTHEST * best)
    layers = np.ceil(n * max(SHOWN * best, 1.15 * recommended.ratio, first))
    return float(min(max(layers, 4), recommended.flowed)) / n


def _title(found: AspectRatio, recommended: Recommendation) -> str:
    from rgflow.universality.points import named

    where = named(found.criticality.activation, found.criticality.layer)
    outputs = f"{found.n_out} output{'s' * (found.n_out > 1)}"
    best = f"$r^*$ = {found.best_ratio:.4g}, {recommended.depth} layers"
    return f"{where}, width {recommended.width}, {outputs}: {best}"


def _metric(ax: Axes, ratio: Floats, v: Floats, by_nu: float, bound: float, style: dict[str, Any]) -> None:
    ax.plot(ratio, v, color=COLOURS[0], **style)
    end = float(ratio[-1])
    ax.plot([0, end], [0, by_nu], color=INK, lw=1.1, ls=(0, (1, 2)), zorder=2)
    text = rf"$\nu\,\ell/n$, $\nu$ = {by_nu / end:.4g}"
    ax.annotate(text, (0.97, 0.06), xycoords="axes fraction", ha="right", fontsize=KEY, bbox=BLANK)
    if bound <= TIGHT * max(v.max(), by_nu):
        _bound(ax, bound, "excess kurtosis", 3)
    ax.set_title(r"metric: $V/(nK^2)$", fontsize=PANEL, loc="left")


def _tangent(ax: Axes, ratio: Floats, spread: Floats, bound: float, style: dict[str, Any]) -> None:
    ax.plot(ratio, spread, color=COLOURS[1], **style)
    _bound(ax, bound, "bound")
    ax.set_title(r"tangent kernel: $\sqrt{(A+2B)/(n\Theta^2)}$", fontsize=PANEL, loc="left")


def _change(ax: Axes, ratio: Floats, change: dict[str, Floats], style: dict[str, Any]) -> None:
    for (name, values), colour in zip(change.items(), COLOURS[2:], strict=False):
        ax.plot(ratio, values, color=colour, label=f"${name}$", **style)
    ax.set_title(r"its change in training: $|P|,|Q|$ over $n\Theta^2$", fontsize=PANEL, loc="left")
    _key(ax)


def _orders(ax: Axes, ratio: Floats, orders: Floats, bound: float, style: dict[str, Any]) -> None:
    ax.plot(ratio, orders, color=COLOURS[2], **style)
    if bound <= TIGHT * orders.max():
        _bound(ax, bound, "bound")
    ax.set_title("expansion: ratio of successive orders", fontsize=PANEL, loc="left")


def _information(ax: Axes, found: AspectRatio, ratio: Floats, v: Floats, style: dict[str, Any]) -> None:
    name = "series through $v^3$" + (", continued to one output" if found.continued else "")
    series = continued_at(found, v)
    ax.plot(ratio, series, color=COLOURS[0], label=name, **style)
    some = np.flatnonzero(v <= WIDEST)
    some = some[:: -(-len(some) // MIXTURES)]
    top = float(series.max())
    for law, dash in (("gamma", "-"), ("log-normal", "-.")):
        values = [mixture_information(*found.groups, float(v[i]), law)[0] for i in some]
        ax.plot(ratio[some], values, color=COLOURS[3], lw=1.6, ls=dash, zorder=2, label=f"scale mixture, {law}")
        top = max(top, *values)
    ax.set_ylim(-0.25 * top, 1.45 * top)  # the key lies above all curves
    ax.axhline(0, color="#c4c7cb", lw=0.8, zorder=1)
    a, b = found.groups
    ax.set_title(f"information: $I({a};{b})$ in nats, $v=V/(nK^2)$", fontsize=PANEL, loc="left")
    _key(ax)


def _bound(ax: Axes, value: float, name: str, times: int = 1) -> None:
    """A bound of what is drawn; it may be that of a multiple."""
    ax.axhline(value, zorder=2, **AT_BOUND)
    ax.set_ylim(top=max(ax.get_ylim()[1], 1.12 * value))
    text = f"{name} {times * value:.3g}"
    ax.annotate(
        text,
        (0.02, value),
        xycoords=("axes fraction", "data"),
        va="center",
        fontsize=KEY,
        color="#9a2b2b",
        bbox=BLANK,
        zorder=6,
    )


def _key(ax: Axes) -> None:
    """A key on white, so that the vertical lines end at it."""
    white = {"frameon": True, "framealpha": 1, "facecolor": "white", "edgecolor": "none", "borderpad": 0.2}
    key(ax, loc="upper left", **white).set_zorder(6)


def _finish(ax: Axes, found: AspectRatio, recommended: Recommendation, end: float, cut: int | None) -> bool:
    """The axes themselves and what stands in every panel; whether something is hatched."""
    ax.set_xlim(0, end)
    ax.axvline(found.best_ratio, zorder=4, **AT_R)
    ax.axvline(recommended.ratio, zorder=4, **AT_DEPTH)
    hatched = cut is not None and (cut + 0.5) / recommended.width < end
    if hatched and cut is not None:
        distrusted(ax, (cut + 0.5) / recommended.width, end)
    frame(ax, r"depth / width $\ell/n$")
    return hatched


def _legend(ax: Axes, found: AspectRatio, end: float, hatched: bool) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    name = "$r^*$: maximum of the truncated series, $v=\\nu\\,\\ell/n$" + (
        ", continued to one output" if found.continued else ""
    )
    handles: list[Any] = []
    far = found.best_ratio > end
    handles.append(Line2D([], [], label=name + f" (at {found.best_ratio:.3g}, deeper than was flowed)" * far, **AT_R))
    handles.append(Line2D([], [], label="recommended depth" + " (deeper than was flowed)" * far, **AT_DEPTH))
    if hatched:
        handles.append(Patch(**BEYOND, label="beyond the first cut-off"))
    key_below(ax, handles, 1 if far else 3)
