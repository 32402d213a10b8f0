"""``plot_power_laws``: a flow at criticality beside the power laws that it tends to, on logarithmic scales."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rgflow.algebra import Tensor
from rgflow.algebra.tex import tensor_tex
from rgflow.checks import whole
from rgflow.errors import InputError
from rgflow.plots.style import (
    COLOURS,
    DASH,
    DASHES,
    DOTS,
    INK,
    PANEL,
    canvas,
    frame,
    house_style,
    key_below,
    panels,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from rgflow.universality import Criticality

SHOWN = ("K", "Theta", "V", "B", "F", "A", "D", "Q")  # what vanishes is left out
FIRST = 2  # every other tensor is zero in the first layer


@house_style
def plot_power_laws(found: Criticality, depth: int = 1000, ax: Any = None) -> NDArray[np.object_]:
    """Draw K, Theta, V, B, F, A, D and Q of a critical network against depth, each with the power law that it follows.

    Coloured: the flow, with lambda_b = lambda_W = 1 and a first kernel of 1, or K* at a half-stable point. Dashed: the
    leading power law. Dotted, where it is not exact: with its next power of the depth.

    Parameters
    ----------
    found : Criticality
        From :func:`rgflow.criticality`.
    depth : int
        Layers of the flow, 10 at least.
    ax : array of matplotlib Axes, or Figure, optional
        One for each tensor; without it a new figure is made.

    Returns
    -------
    array of Axes, of shape (tensors,)

    Raises
    ------
    InputError, NoClosedForm
    """
    from rgflow.universality import Criticality
    from rgflow.universality.onset import critical_flow

    if not isinstance(found, Criticality):
        raise InputError(f"plot_power_laws takes what rgflow.criticality returned; this is a {type(found).__name__}")
    depth = whole("depth", depth, 10)
    names = tuple(name for name in SHOWN if name in found.laws and not found.laws[name].vanishes)
    columns = 4 if len(names) > 6 else 3
    rows = -(-len(names) // columns)
    figure = canvas(ax, (2.9 * columns, 2.6 * rows + 0.6), _title(found))
    given = panels(ax, len(names), _laid_out(figure, rows, columns, len(names)), ", ".join(names))
    at = units(found)
    ds = critical_flow(found.point, depth, names, at["k"])
    layers = np.unique(np.geomspace(1, depth, 400).astype(np.int64))
    for panel, name, colour in zip(given, names, COLOURS * 2, strict=False):
        _panel(panel, found.laws[name], layers, ds[name].values[layers - 1], at, colour)
    if figure is not None:
        _legend(given[0])
    return given


def units(found: Criticality) -> dict[str, float]:
    """What stands for the symbols of power laws in pictures and tables: rates of 1, the first kernel K* or else 1.

    Where the kernel decays also c_K and c_Theta, which follow from these.
    """
    from rgflow.universality.onset import constants

    at = {"lambda_b": 1.0, "lambda_W": 1.0, "k": found.K_star or 1.0}
    return at | dict(constants(found.point, at["k"])) if found.K_star == 0 else at


def _title(found: Criticality) -> str:
    from rgflow.universality.points import named

    start = "every $K$ is fixed" if found.K_star is None else f"$K^*$ = {found.K_star:.6g}"
    return f"{named(found.activation, found.layer)}, $C_b$ = {found.C_b:.6g}, $C_W$ = {found.C_W:.6g}, {start}"


def _laid_out(figure: Any, rows: int, columns: int, count: int) -> Any:
    if figure is None:
        return None
    found = figure.subplots(rows, columns, squeeze=False).reshape(-1)
    for spare in found[count:]:
        spare.remove()
    return found[:count]


def _panel(
    ax: Axes, law: Any, layers: NDArray[np.int64], flow: NDArray[np.float64], at: dict[str, float], colour: str
) -> None:
    from matplotlib.ticker import NullFormatter

    seen = layers >= FIRST
    where, values = layers[seen], flow[seen]
    correction = law.correction if law.determined_by(at) else 0
    leading, next_one = (_numbers(e, where, at) for e in (law.leading, law.leading * (1 + correction)))
    sign = -1.0 if leading[-1] < 0 else 1.0

    def positive(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.where(sign * x > 0, sign * x, np.nan)

    ax.plot(where, positive(values), color=colour, lw=2.2, zorder=2)
    ax.plot(where, positive(leading), color=INK, lw=DASH, ls=DASHES, zorder=3)
    if correction != 0:
        late = np.abs(next_one / leading - 1) < 0.5
        ax.plot(where, np.where(late, positive(next_one), np.nan), color=INK, lw=DASH, ls=DOTS, zorder=4)
    ax.set_xscale("log")
    ax.set_yscale("log")
    both = np.concatenate([positive(values), positive(leading)])
    low, high = np.nanmin(both), np.nanmax(both)
    ax.yaxis.set_minor_formatter(NullFormatter())
    if high < 10 * low:  # room for a decade, since nothing else is labelled
        middle = np.sqrt(low * high)
        ax.set_ylim(middle / 6, middle * 6)
    letter = tensor_tex(Tensor.named(law.name), (), "")
    power = "constant" if law.exponent == 0 else rf"$\propto\ell{_short(law.exponent)}$"
    ax.set_title(rf"${'-' if sign < 0 else ''}{letter}$: {power}", fontsize=PANEL, loc="left")
    frame(ax, "layer ℓ")


def _numbers(expression: Any, layers: NDArray[np.int64], at: dict[str, float]) -> NDArray[np.float64]:
    import sympy as sp

    from rgflow.universality.exponentials import l

    put = {s: sp.Float(at[s.name]) for s in expression.free_symbols if s.name in at}
    found: NDArray[np.float64] = sp.lambdify(l, expression.xreplace(put), "numpy")(layers.astype(np.float64))
    return found + np.zeros(layers.size)


def _short(exponent: Any) -> str:
    if exponent == 1:
        return ""
    number = str(exponent) if exponent.is_Rational and exponent.q < 100 else f"{float(exponent):.3g}"
    return f"^{{{number}}}"


def _legend(ax: Axes) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=COLOURS[0], lw=2.2, label="flow, infinite width"),
        Line2D([], [], color=INK, lw=DASH, ls=DASHES, label="leading power law"),
        Line2D([], [], color=INK, lw=DASH, ls=DOTS, label="with the next power of the depth"),
    ]
    key_below(ax, handles, 3)
