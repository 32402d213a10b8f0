"""How one letter is drawn: its values in one panel, its distance from the limit of infinite width in another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rgflow.algebra.partial import tensor_named
from rgflow.algebra.tex import letter_tex, tensor_tex
from rgflow.plots.curves import Curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe & Ito's palette: told apart with every kind of colour vision.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
GREY = "#5f6368"
BEYOND: dict[str, Any] = {"facecolor": "#eceded", "hatch": "///", "edgecolor": "#c4c7cb", "lw": 0}
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
    ax.set_ylabel(f"${letter}\\,/\\,({family[0].unit})$" if family[0].unit else f"${letter}$", fontsize=11)
    if family[0].components != [()]:
        from matplotlib.lines import Line2D

        coloured = zip(COLOURS, family, strict=False)
        handles = [Line2D([], [], color=colour, lw=2, label=_label(curve)) for colour, curve in coloured]
        ax.legend(handles=handles, loc="best", fontsize=9, frameon=False, handlelength=1.2)


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
    ax.set_ylabel(f"${letter}$, relative to $n\\to\\infty$", fontsize=9.5)


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
        ax.plot(layer, of(curve.leading), ls=(0, (4, 2.5)), lw=1.2, color=colour, alpha=0.85, zorder=2)
    ax.plot(layer, value, lw=1.8, color=colour, zorder=3)
    if curve.error is not None:
        error = np.where(np.isfinite(curve.error), size(curve.error), np.nan)
        ax.fill_between(layer, value - error, value + error, color=colour, alpha=0.16, lw=0, zorder=1)
    if curve.sampled is not None and curve.standard_error is not None:
        seen = np.flatnonzero(curve.standard_error > 0)
        seen = seen[:: max(1, -(-len(seen) // MOST_POINTS))]
        ax.errorbar(
            layer[seen],
            of(curve.sampled)[seen],
            yerr=2 * size(curve.standard_error)[seen],
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
    from matplotlib.ticker import MaxNLocator

    ax.set_xlim(0.5, depth + 0.5)
    ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10]))
    ax.set_xlabel(r"layer $\ell$", fontsize=10)
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(True, which="major", color="#e6e6e6", lw=0.7)
    ax.set_axisbelow(True)
    ax.tick_params(labelsize=9, color=GREY)
    if trusted is not None:
        ax.axvspan(trusted + 0.5, depth + 0.5, zorder=0, **BEYOND)


def _label(curve: Curve) -> str:
    tensor = tensor_named(curve.letter)
    named = [tensor_tex(tensor, tuple(str(i + 1) for i in component)) for component in curve.components]
    return f"${' = '.join(named)}$"
