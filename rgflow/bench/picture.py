"""``plot_bench``: ratios as bars on a logarithmic axis, with their spread and what was promised."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rgflow.bench.measure import SUBJECTS
from rgflow.bench.rows import Row, number
from rgflow.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OURS, PROMISED, INK, GREY = "#3b78ab", "#d1495b", "#1b1b1b", "#7a7a7a"
HEIGHT = 0.27  # inches of a line
LIMIT, EDGE = 2e4, 4e4  # bars of more than the one end at the other, with an arrow


def plot_bench(rows: Sequence[Row], ax: Axes | None = None) -> Axes:
    """Draw how many times as long others take: a bar for each ratio, its range as a line, red what was promised.

    Parameters
    ----------
    rows : sequence of Row
        Those without a label for pictures are left out, and of several numbers of threads the least is drawn.
    ax : matplotlib Axes, optional
        Where to draw; without it a new figure is made.

    Returns
    -------
    Axes

    Raises InputError if there is nothing to draw.
    """
    groups = grouped(rows)
    if not groups:
        raise InputError("no row holds a ratio to draw; measure kernels, grid, inputs or networks")
    lines = sum(1 + len(group) for group in groups.values())
    ax = _axes(lines) if ax is None else ax
    place, ticks, names = float(lines), [], []
    for title, group in groups.items():
        place -= 1
        ticks.append(place)
        names.append(title)
        for row in group:
            place -= 1
            ticks.append(place)
            names.append(row.label)
            _bar(ax, place, row)
    _frame(ax, groups, lines)
    ax.set_yticks(ticks, labels=names, fontsize=9)
    for text in ax.get_yticklabels():
        if text.get_text() in groups:
            text.set_fontweight("bold")
    return ax


def grouped(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The rows to draw by the title of their subject, each label once."""
    found: dict[str, dict[str, Row]] = {}
    for row in rows:
        if row.label and row.unit == "times" and not row.skipped:
            found.setdefault(SUBJECTS[row.subject].title, {}).setdefault(row.label, row)
    return {title: list(group.values()) for title, group in found.items()}


def _bar(ax: Any, place: float, row: Row) -> None:
    """A bar from 1; one that leaves the picture says how far it and its promise are."""
    beyond = row.value > LIMIT
    ax.barh(place, min(row.value, EDGE) - 1, left=1, height=0.66, color=OURS, zorder=2)
    text, right = times(row.value), max(row.value, row.high, row.promise or 0.0, 1.0)
    if beyond:
        text, right = f"→ {text}" + (f" (promised {times(row.promise)})" if row.promise else ""), EDGE
    else:
        ax.plot([row.low, row.high], [place, place], color=INK, lw=1.4, zorder=4, solid_capstyle="butt")
    if row.promise and not beyond:
        ax.plot([row.promise] * 2, [place - 0.45, place + 0.45], color=PROMISED, lw=2.2, zorder=5)
    ax.annotate(text, (right, place), xytext=(6, 0), textcoords="offset points", va="center", fontsize=9, color=INK)


def times(value: float) -> str:
    """A ratio as a person writes it.

    >>> times(5.25), times(1e6)
    ('5.25 ×', '$10^{6}$ ×')
    """
    if value < 1e5:
        return f"{number(value)} ×"
    power = int(np.floor(np.log10(value)))
    digits = f"{value / 10**power:.1f}"
    return rf"$10^{{{power}}}$ ×" if digits == "1.0" else rf"${digits}\cdot 10^{{{power}}}$ ×"


def _frame(ax: Any, groups: dict[str, list[Row]], lines: int) -> None:
    drawn = [row for group in groups.values() for row in group]
    low = min(min(row.low, row.promise or row.low) for row in drawn)
    ax.set_xscale("log")
    ax.set_xlim(min(0.4, low / 1.5), LIMIT * 2000)
    ax.set_xticks([0.5, 1, 2, 5, 10, 100, 1000, 10000], labels=["0.5", "1", "2", "5", "10", "100", "1000", "10 000"])
    ax.minorticks_off()
    ax.axvline(1, color=GREY, lw=1, zorder=3)
    ax.set_ylim(-0.7, lines - 0.3)
    ax.set_title(
        "times as long as rgflow, on one thread; black: range of the rounds, red: promised",
        fontsize=9.5,
        loc="right",
    )
    ax.tick_params(axis="y", length=0)
    ax.tick_params(axis="x", labelsize=9, color=GREY)
    ax.grid(axis="x", color="#e3e3e3", lw=0.7, zorder=0)
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)


def _axes(lines: int) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.5, 0.8 + HEIGHT * lines), layout="constrained", facecolor="white")
    return figure.subplots()
