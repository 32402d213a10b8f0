"""How one letter is drawn: its values in one panel, its distance from the limit of infinite width in another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rgflow.algebra.partial import tensor_named
from rgflow.algebra.tex import letter_tex, tensor_tex
from rgflow.plots.curves import Curve
from rgflow.plots.style import (  # noqa: F401
    BARS,
    BEYOND,
    COLOURS,
    DASH,
    DASHES,
    GREY,
    LABEL,
    LINE,
    SMALL,
    distrusted,
    frame,
    key,
    whole_numbers,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_POINTS = 40  # points and error bars of one curve; more run into each other


def draw_values(ax: Axes, family: Sequence[Curve]) -> None:
    """A letter in its unit."""
    for colour, curve in zip(COLOURS, family, strict=False):
        _draw(ax, curve, colour, lambda x: x)
    values = np.concatenate([np.concatenate([c.value, c.value if c.sampled is None else c.sampled]) for c in family])
    values = values[np.isfinite(values)]
    falling = all(abs(c.value[-1]) < abs(c.value[0]) for c in family if c.value.size)
    if values.size and values.min() > 0 and values.max() > (8 if falling else 1000) * values.min():
        ax.set_yscale("log")
    letter = letter_tex(family[0].letter)
    ax.set_ylabel(f"${letter}\\,/\\,({family[0].unit})$" if family[0].unit else f"${letter}$", fontsize=LABEL)
    if family[0].components != [()]:
        from matplotlib.lines import Line2D

        coloured = zip(COLOURS, family, strict=False)
        handles = [Line2D([], [], color=colour, lw=2, label=_label(curve)) for colour, curve in coloured]
        key(ax, handles)


def draw_distances(ax: Axes, family: Sequence[Curve]) -> None:
    """Relative to the leading order, in percent."""
    for colour, curve in zip(COLOURS, family, strict=False):
        if curve.leading is None:
            continue
        lead = np.where(curve.leading == 0, np.nan, curve.leading)
        _draw(ax, curve, colour, lambda x, lead=lead: 100 * (x / lead - 1), lambda x, lead=lead: 100 * x / np.abs(lead))
    _limit_to_data(ax)
    ax.yaxis.set_major_formatter(lambda x, place: f"{x:+.3g} %".replace("-", "−") if x else "0")
    letter = letter_tex(family[0].letter)
    ax.set_ylabel(f"${letter}$, relative to $n\\to\\infty$", fontsize=SMALL)


def _limit_to_data(ax: Axes) -> None:
    """Lines and points set the limits; a wide band is cut off."""
    seen = [np.asarray(line.get_ydata(), np.float64) for line in ax.lines]
    bars = [path[:, 1] for drawn in ax.containers for part in drawn[2] for path in part.get_segments()]
    values = np.concatenate([*seen, *bars]) if seen else np.zeros(0)
    values = values[np.isfinite(values)]
    if values.size and values.max() > values.min():
        margin = 0.08 * (values.max() - values.min())
        ax.set_ylim(values.min() - margin, values.max() + margin)


def _draw(ax: Axes, curve: Curve, colour: str, of: Any, size: Any = None) -> None:
    size = size or of
    layer, value = curve.layer, of(curve.value)
    if curve.leading is not None:
        ax.plot(layer, of(curve.leading), ls=DASHES, lw=DASH, color=colour, alpha=0.85, zorder=2)
    ax.plot(layer, value, lw=LINE, color=colour, zorder=3)
    if curve.error is not None:
        error = np.where(np.isfinite(curve.error), size(curve.error), np.nan)
        ax.fill_between(layer, value - error, value + error, color=colour, alpha=0.16, lw=0, zorder=1)
    if curve.sampled is not None and curve.standard_error is not None:
        seen = np.flatnonzero(curve.standard_error > 0)
        seen = seen[:: max(1, -(-len(seen) // MOST_POINTS))]
        ax.errorbar(
            layer[seen],
            of(curve.sampled)[seen],
            yerr=BARS * size(curve.standard_error)[seen],
            fmt="o",
            ms=3.2,
            mfc="white",
            mec=colour,
            mew=1.0,
            ecolor=colour,
            elinewidth=1.0,
            zorder=4,
        )


def finish(ax: Axes, depth: int, trusted: int | None) -> None:
    """The axes themselves, and the layers beyond trust, hatched."""
    ax.set_xlim(0.5, depth + 0.5)
    whole_numbers(ax)
    frame(ax, "layer ℓ")
    if trusted is not None:
        distrusted(ax, trusted + 0.5, depth + 0.5)


def _label(curve: Curve) -> str:
    tensor = tensor_named(curve.letter)
    named = [tensor_tex(tensor, tuple(str(i + 1) for i in component)) for component in curve.components]
    return f"${' = '.join(named)}$"
