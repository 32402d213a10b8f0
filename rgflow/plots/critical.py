"""``plot_power_laws``: a flow at criticality beside the power laws that it tends to, on logarithmic scales."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rgflow.algebra import Tensor
from rgflow.algebra.tex import tensor_tex
from rgflow.checks import whole
from rgflow.errors import InputError
from rgflow.plots.panels import COLOURS, GREY

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from rgflow.universality import Criticality

SHOWN = ("K", "Theta", "V", "B", "F", "A", "D", "Q")  # what vanishes is left out
FIRST = 2  # every other tensor is zero in the first layer


def plot_power_laws(found: Criticality, depth: int = 1000, axes: Any = None) -> NDArray[np.object_]:
    """Draw K, Theta, V, B, F, A, D and Q of a critical network against depth, each with the power law that it follows.

    Coloured: the flow, with lambda_b = lambda_W = 1 and a first kernel of 1, or K* at a half-stable point. Dashed: the
    leading power law. Dotted, where it is not exact: with its next power of the depth.

    Parameters
    ----------
    found : Criticality
        From :func:`rgflow.criticality`.
    depth : int
        Layers of the flow, 10 at least.
    axes : array of matplotlib Axes, optional
        One for each tensor; without it a new figure is made, ``axes.flat[0].figure``.

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
    own = axes is None
    given = np.asarray(_figure(found, names) if own else axes, dtype=object).reshape(-1)
    if given.size < len(names):
        raise InputError(f"axes holds {given.size} Axes; {len(names)} tensors are drawn: {', '.join(names)}")
    at = units(found)
    ds = critical_flow(found.point, depth, names, at["k"])
    layers = np.unique(np.geomspace(1, depth, 400).astype(np.int64))
    for ax, name, colour in zip(given, names, COLOURS * 2, strict=False):
        _panel(ax, found.laws[name], layers, ds[name].values[layers - 1], at, colour)
    for ax in given[len(names) :]:
        ax.set_visible(False)
    if own:
        _legend(given[0])
    return given[: len(names)]


def units(found: Criticality) -> dict[str, float]:
    """What stands for the symbols of power laws in pictures and tables: rates of 1, the first kernel K* or else 1.

    Where the kernel decays also c_K and c_Theta, which follow from these.
    """
    from rgflow.universality.onset import constants

    at = {"lambda_b": 1.0, "lambda_W": 1.0, "k": found.K_star or 1.0}
    return at | dict(constants(found.point, at["k"])) if found.K_star == 0 else at


def _figure(found: Criticality, names: tuple[str, ...]) -> Any:
    from matplotlib.figure import Figure

    from rgflow.universality.points import named

    columns = 4 if len(names) > 6 else 3
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(2.9 * columns, 2.6 * rows + 0.6), layout="constrained", facecolor="white")
    start = "every K is fixed" if found.K_star is None else f"K* = {found.K_star:.6g}"
    title = f"{named(found.activation, found.layer)}   C_b = {found.C_b:.6g}, C_W = {found.C_W:.6g}, {start}"
    figure.suptitle(title, fontsize=11, x=0.01, ha="left", fontweight="bold")
    return figure.subplots(rows, columns, squeeze=False)


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
    ax.plot(where, positive(leading), color="#1b1b1b", lw=1.2, ls=(0, (4, 2.5)), zorder=3)
    if correction != 0:
        late = np.abs(next_one / leading - 1) < 0.5
        ax.plot(where, np.where(late, positive(next_one), np.nan), color="#1b1b1b", lw=1.3, ls=":", zorder=4)
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
    ax.set_title(rf"${'-' if sign < 0 else ''}{letter}$   {power}", fontsize=11, loc="left")
    ax.set_xlabel(r"layer $\ell$", fontsize=9)
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(True, which="major", color="#e6e6e6", lw=0.7)
    ax.set_axisbelow(True)
    ax.tick_params(labelsize=8.5, color=GREY)


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
        Line2D([], [], color="#1b1b1b", lw=1.2, ls=(0, (4, 2.5)), label="leading power law"),
        Line2D([], [], color="#1b1b1b", lw=1.3, ls=":", label="with the next power of the depth"),
    ]
    ax.figure.legend(handles=handles, loc="outside lower left", ncols=3, fontsize=9, frameon=False)
