"""The house style: colours that everybody tells apart, sizes of text, frames, and who owns a figure.

One rule for every function that draws: ``ax`` says where. None: a new figure. A Figure or SubFigure: panels are laid
out in it. Axes, or an array of as many Axes as there are panels: they are drawn in. What was drawn in is returned: Axes
where there is one panel, else an array of Axes.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from threading import RLock
from typing import TYPE_CHECKING, Any, ParamSpec, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from rgflow.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import FigureBase

    Place: TypeAlias = Axes | FigureBase | None

P = ParamSpec("P")
Drawn = TypeVar("Drawn")

# Okabe & Ito's palette without black and yellow: told apart with every kind of colour vision.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
# Tol's muted scheme, for classes that are named by numbers besides.
CLASSES = (
    "#88CCEE", "#CC6677", "#DDCC77", "#117733", "#AA4499", "#44AA99", "#999933", "#882255", "#332288", "#BBBBBB",
)  # fmt: skip
# From pale to dark with a size: an order, which a palette of names would not show.
SHADES = ("#9fd3c7", "#5aa9b8", "#2f6f9f", "#1d3a6e", "#140f38")
INK, GREY, GRID = "#1b1b1b", "#5f6368", "#e6e6e6"
# Where an expansion is not to be trusted.
BEYOND: dict[str, Any] = {"facecolor": "#eceded", "hatch": "///", "edgecolor": "#c4c7cb", "lw": 0}
BLANK: dict[str, Any] = {"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "boxstyle": "round,pad=0.2"}

TITLE, PANEL, LABEL, SMALL, TICK, KEY = 12, 10.5, 10.5, 9.5, 8.5, 8.5
"""Sizes in points: of a figure's title, a panel's, labels, longer labels, ticks, keys."""
BARS = 2  # standard errors in every bar
LINE, DASH, THIN = 1.8, 1.3, 0.8
DASHES, DOTS = (0, (4, 2.5)), (0, (1, 1.6))

# What can only be said to matplotlib as a setting, as long as one of our functions runs.
_SETTINGS: dict[str, Any] = {
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans"],
    "mathtext.fontset": "dejavusans",
    "axes.unicode_minus": True,
    "hatch.linewidth": 0.6,
    "svg.fonttype": "none",
    "svg.hashsalt": "rgflow",
    "pdf.fonttype": 42,
}
_OF_OUR_FIGURES: dict[str, Any] = {
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.facecolor": "white",
    "axes.edgecolor": "#9aa0a6",
    "axes.linewidth": THIN,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "legend.facecolor": "white",
    "legend.edgecolor": "none",
}
_LOCK = RLock()  # settings are the process's: one picture at a time, so that none leaves its own behind


@contextmanager
def settings(own: bool) -> Iterator[None]:
    """matplotlib's settings as the house has them; ``own``: on a figure of ours, whatever the user's colours are."""
    from matplotlib import rc_context

    wanted: Any = _SETTINGS | (_OF_OUR_FIGURES if own else {})
    with _LOCK, rc_context(wanted):
        yield


def house_style(draw: Callable[P, Drawn]) -> Callable[P, Drawn]:
    """A function that draws in the house style and leaves every setting as it was."""
    signature = inspect.signature(draw)

    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> Drawn:
        with settings(signature.bind(*args, **kwargs).arguments.get("ax") is None):
            return draw(*args, **kwargs)

    return drawn


# Where to draw --------------------------------------------------------------------------------------------------------


def canvas(ax: Any, size: tuple[float, float], title: str = "") -> Any:
    """A figure to lay out panels in, with its title: a new one, or the one that was given; None for Axes."""
    from matplotlib.figure import Figure, FigureBase

    if ax is None:
        ax = Figure(figsize=size, layout="constrained", facecolor="white")
        ax.get_layout_engine().set(w_pad=0.09, h_pad=0.07)
    elif not isinstance(ax, FigureBase):
        return None
    if title:
        ax.suptitle(title, fontsize=TITLE, x=0.01, ha="left")
    return ax


def one_panel(ax: Any, size: tuple[float, float], title: str = "") -> tuple[Axes, bool]:
    """The Axes to draw in, and whether we laid them out ourselves.

    Raises InputError for what is no place to draw.
    """
    figure = canvas(ax, size, title)
    (panel,) = panels(ax, 1, figure.subplots() if figure is not None else None)
    return panel, figure is not None


def panels(ax: Any, count: int, laid_out: Any, what: str = "") -> NDArray[np.object_]:
    """An array of ``count`` Axes: those laid out in a canvas or, if there is none, those that were given.

    Raises InputError for another number of them, or for what is no place to draw.
    """
    from matplotlib.axes import Axes

    found = np.asarray(ax if laid_out is None else laid_out, dtype=object).reshape(-1)
    if not all(isinstance(each, Axes) for each in found):
        raise InputError(f"ax is {ax!r:.60}; give matplotlib Axes, an array of them, a Figure, or nothing")
    if found.size != count:
        needed = f"{count} {'are' if count > 1 else 'is'} drawn{f': {what}' if what else ''}"
        raise InputError(f"ax holds {found.size} Axes; {needed}")
    return found


# What every panel looks like ------------------------------------------------------------------------------------------


def frame(ax: Axes, xlabel: str = "", ylabel: str = "", grid: bool = True) -> None:
    """Two spines, a pale grid behind everything, small grey numbers."""
    ax.spines[["top", "right"]].set_visible(False)
    if grid:
        ax.grid(True, which="major", color=GRID, lw=0.7)
        ax.set_axisbelow(True)
    ax.tick_params(labelsize=TICK, color=GREY)
    if xlabel:
        ax.set_xlabel(xlabel, fontsize=LABEL)
    if ylabel:
        ax.set_ylabel(ylabel, fontsize=LABEL)


def whole_numbers(ax: Axes) -> None:
    """Layers and epochs are whole."""
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10]))


def key(ax: Axes, handles: Any = None, **where: Any) -> Any:
    """A key in a panel, without a box; None if there is nothing to tell."""
    given = {"handles": ax.get_legend_handles_labels()[0] if handles is None else handles}
    if not given["handles"]:
        return None
    return ax.legend(**given, **{"loc": "best", "fontsize": KEY, "frameon": False, "handlelength": 1.5, **where})


def key_below(ax: Axes, handles: Any, columns: int) -> None:
    """A key under all panels of a figure that we laid out."""
    ax.figure.legend(handles=handles, loc="outside lower left", ncols=columns, fontsize=KEY + 0.5, frameon=False)


def distrusted(ax: Axes, start: float, end: float, label: str | None = None) -> None:
    """Shade where an expansion is not to be trusted."""
    ax.axvspan(start, end, zorder=0, label=label, **BEYOND)


def many_colours(count: int) -> list[Any]:
    """The palette, or shades of one scale where there are more curves than colours."""
    if count <= len(COLOURS):
        return list(COLOURS[:count])
    from matplotlib import colormaps

    return [colormaps["viridis"](0.9 * i / (count - 1)) for i in range(count)]
