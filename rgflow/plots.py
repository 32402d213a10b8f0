"""Pictures of flows: theory as lines, sampled networks as points. Every function takes axes and returns them."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rgflow.algebra import Tensor
from rgflow.components import Component, number_of_samples, picked, representatives, scale
from rgflow.errors import InputError, StoreError
from rgflow.flow import total

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes

# Okabe & Ito's palette: told apart with every kind of colour vision.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
GREY = "#5f6368"
BEYOND: dict[str, Any] = {"facecolor": "#eceded", "hatch": "///", "edgecolor": "#c4c7cb", "lw": 0}
MOST_COLUMNS = 4
MOST_POINTS = 40  # points and error bars of one curve; more run into each other


def plot_flow(ds: xarray.Dataset, mc: xarray.Dataset | None = None, axes: Any = None) -> NDArray[np.object_]:
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
    axes : array of matplotlib Axes, optional
        One for each letter, or two rows of them, the lower row for the distances. Without it a new figure is made;
        ``axes.flat[0].figure`` is it.

    Returns
    -------
    array of Axes, of shape (letters,) or (2, letters)

    Raises
    ------
    InputError
        If the kinds do not fit, the networks of ``ds`` and ``mc`` differ, or the number of axes is wrong.
    """
    curves = _curves(ds, mc)
    letters = list(dict.fromkeys(curve.letter for curve in curves))
    relative = any(curve.leading is not None for curve in curves)
    own = axes is None
    if own:
        axes = _figure(len(letters), relative, _title(ds, mc))
    drawn = np.asarray(axes, dtype=object)
    if drawn.shape not in ((len(letters),), (1, len(letters)), (2, len(letters))):
        if drawn.size != len(letters) or drawn.ndim > 1:
            raise InputError(
                f"axes has shape {drawn.shape}; this flow has {len(letters)} letters ({', '.join(letters)}): "
                f"give an array of shape ({len(letters)},) or (2, {len(letters)})"
            )
        drawn = drawn.reshape(-1)
    rows = drawn.reshape(-1, len(letters))
    beyond = _beyond(ds)
    for column, letter in enumerate(letters):
        family = [curve for curve in curves if curve.letter == letter]
        _values(rows[0, column], family)
        if len(rows) == 2:
            _distances(rows[1, column], family)
        for row in rows[:, column]:
            _finish(row, ds, beyond.get(letter))
    for row in rows[:-1].flat:
        row.set_xlabel("")
    _line_styles(rows[0, 0], curves, mc is not None, any(layer is not None for layer in beyond.values()), own)
    return drawn


def write_picture(axes: NDArray[np.object_], path: str | os.PathLike[str], dpi: int = 120) -> None:
    """Write the figure of ``axes`` to a .png, .svg or .pdf file, whole or not at all.

    Raises InputError for another ending, StoreError if the file cannot be written.
    """
    target = Path(path)
    kind = target.suffix.lower().lstrip(".")
    if kind not in ("png", "svg", "pdf"):
        raise InputError(f"{target.name!r} ends in {target.suffix!r}; pictures are .png, .svg or .pdf")
    drawn = io.BytesIO()
    panel: Any = axes.flat[0]
    panel.figure.savefig(drawn, format=kind, dpi=dpi)
    try:
        target.write_bytes(drawn.getvalue())
    except OSError as error:
        raise StoreError(f"cannot write {target}: {error.strerror or error}") from error


# What is drawn -------------------------------------------------------------------------------------------------------


@dataclass
class _Curve:
    """One component of one letter: arrays (L,), in units of its scale."""

    letter: str
    components: list[Component]
    layer: NDArray[Any]
    value: NDArray[Any]
    error: NDArray[Any] | None = None
    leading: NDArray[Any] | None = None
    sampled: NDArray[Any] | None = None
    standard_error: NDArray[Any] | None = None
    unit: str = field(default="")


def _curves(ds: xarray.Dataset, mc: xarray.Dataset | None) -> list[_Curve]:
    _check_kinds(ds, mc)
    coefficients = ds.attrs["kind"] == "coefficients"
    summed = total(ds) if coefficients and "expansion_ratio" in ds else None
    if coefficients:
        letters = list(dict.fromkeys(Tensor.named(str(name)).letter for name in ds["coefficient"].values))
        missing = [letter for letter in letters if letter not in ds]
        if missing:
            raise InputError(f"{missing[0]} is known by its corrections alone; flow {missing[0]!r} to draw it")
    else:
        letters = [str(name) for name in ds.data_vars if not str(name).endswith(("_error", "_se"))]
    found: list[_Curve] = []
    for letter in letters:
        tensor = Tensor.named(letter)
        family: list[_Curve] = []
        for component in representatives(tensor, number_of_samples(ds)):
            curve = _curve(ds, summed, mc, tensor, component)
            twin = next((c for c in family if _alike(c, curve)), None)
            if twin is None:
                family.append(curve)
            else:
                twin.components.append(component)
        found += family
    return found


def _curve(
    ds: xarray.Dataset, summed: xarray.Dataset | None, mc: xarray.Dataset | None, tensor: Tensor, component: Component
) -> _Curve:
    letter = tensor.letter
    unit, text = np.ones(ds.sizes["layer"]), ""
    if tensor.level > 1 and "K" in ds and ("Theta" in ds or not _directions(tensor)):
        with np.errstate(divide="ignore", invalid="ignore"):
            unit, text = scale(ds, tensor, component), _unit(tensor)
    source = ds if summed is None else summed
    first = 1 if tensor.level > 1 else 0  # the first layer is Gaussian: nothing to see above level 1

    def at(data: xarray.Dataset | None, name: str) -> NDArray[Any] | None:
        if data is None or name not in data:
            return None
        with np.errstate(divide="ignore", invalid="ignore"):
            values: NDArray[Any] = (picked(data, name, component) / unit)[first:]
        return values

    value = at(source, letter)
    assert value is not None
    return _Curve(
        letter,
        [component],
        ds["layer"].values[first:],
        value,
        at(source, f"{letter}_error"),
        at(ds, letter) if summed is not None else None,
        at(mc, letter),
        at(mc, f"{letter}_se"),
        text,
    )


def _alike(one: _Curve, other: _Curve) -> bool:
    """Equal in theory, as for inputs of the same norm."""
    size = np.abs(one.value).max(initial=0.0)
    return bool(np.allclose(one.value, other.value, rtol=1e-9, atol=1e-12 * size))


def _check_kinds(ds: xarray.Dataset, mc: xarray.Dataset | None) -> None:
    kind = ds.attrs.get("kind")
    if kind not in ("coefficients", "totals"):
        raise InputError("plot_flow takes a Dataset that rgflow.flow or rgflow.total returned")
    if mc is None:
        return
    if mc.attrs.get("kind") != "totals":
        raise InputError(
            f"mc holds {mc.attrs.get('kind')!r}; points are totals: rgflow.sample(...) or rgflow.total(...)"
        )
    described = ("layer", "fan_in", "C_b", "C_W", "lambda_b", "lambda_W")
    same = all(np.array_equal(ds[name], mc[name]) for name in described)
    if not same or ds.attrs["activation"] != mc.attrs["activation"] or number_of_samples(ds) != number_of_samples(mc):
        raise InputError("ds and mc belong to different networks or inputs; sample the network that was flowed")


def _beyond(ds: xarray.Dataset) -> dict[str, int | None]:
    """For each letter the layer after which the expansion is not to be trusted."""
    if "trusted_layers" not in ds:
        return {}
    depth = ds.sizes["layer"]
    pairs = zip(ds["letter"].values, ds["trusted_layers"].values, strict=True)
    return {str(letter): (int(layer) if layer < depth else None) for letter, layer in pairs}


def _directions(tensor: Tensor) -> int:
    return sum(len(jet.edges) for pair in tensor.pairs for jet in pair) // 2


# How it is drawn -----------------------------------------------------------------------------------------------------


def _figure(letters: int, relative: bool, title: str) -> NDArray[np.object_]:
    """Panels side by side, at most four; more letters go below."""
    from matplotlib.figure import Figure

    columns = min(letters, MOST_COLUMNS)
    blocks = -(-letters // columns)
    rows = 2 if relative else 1
    size = (3.5 * columns + 0.4, blocks * (5.0 if relative else 3.0) + 0.4)
    figure = Figure(figsize=size, layout="constrained", facecolor="white")
    figure.suptitle(title, fontsize=11, x=0.01, ha="left", fontweight="bold")
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
    parts.append(f"{ds.sizes['layer']} layers")
    count = number_of_samples(ds)
    parts.append("one input" if count == 1 else f"{count} inputs")
    if mc is not None:
        parts.append(f"{mc.attrs['networks']} sampled networks" if "networks" in mc.attrs else "compared")
    return "   ".join(parts)


def _values(ax: Axes, family: Sequence[_Curve]) -> None:
    for colour, curve in zip(COLOURS, family, strict=False):
        _draw(ax, curve, colour, lambda x: x)
    values = np.concatenate([np.concatenate([c.value, c.value if c.sampled is None else c.sampled]) for c in family])
    values = values[np.isfinite(values)]
    falling = all(abs(c.value[-1]) < abs(c.value[0]) for c in family if c.value.size)
    if values.size and values.min() > 0 and values.max() > (8 if falling else 1000) * values.min():
        ax.set_yscale("log")
    letter = _symbol(family[0].letter)
    ax.set_ylabel(f"${letter}\\,/\\,{family[0].unit}$" if family[0].unit else f"${letter}$", fontsize=11)
    if family[0].components != [()]:
        from matplotlib.lines import Line2D

        coloured = zip(COLOURS, family, strict=False)
        handles = [Line2D([], [], color=colour, lw=2, label=_label(curve)) for colour, curve in coloured]
        ax.legend(handles=handles, loc="best", fontsize=9, frameon=False, handlelength=1.2)


def _distances(ax: Axes, family: Sequence[_Curve]) -> None:
    """Relative to the leading order, in percent."""
    for colour, curve in zip(COLOURS, family, strict=False):
        if curve.leading is None:
            continue
        lead = np.where(curve.leading == 0, np.nan, curve.leading)
        _draw(ax, curve, colour, lambda x, lead=lead: 100 * (x / lead - 1), lambda x, lead=lead: 100 * x / np.abs(lead))
    _limit_to_data(ax)
    ax.yaxis.set_major_formatter(lambda x, place: f"{x:+.3g} %".replace("-", "−") if x else "0")
    letter = _symbol(family[0].letter)
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


def _draw(ax: Axes, curve: _Curve, colour: str, of: Any, size: Any = None) -> None:
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


def _finish(ax: Axes, ds: xarray.Dataset, trusted: int | None) -> None:
    depth = ds.sizes["layer"]
    ax.set_xlim(0.5, depth + 0.5)
    ax.set_xlabel(r"layer $\ell$", fontsize=10)
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(True, which="major", color="#e6e6e6", lw=0.7)
    ax.set_axisbelow(True)
    ax.tick_params(labelsize=9, color=GREY)
    if trusted is not None:
        ax.axvspan(trusted + 0.5, depth + 0.5, zorder=0, **BEYOND)


def _line_styles(ax: Axes, curves: Sequence[_Curve], sampled: bool, beyond: bool, own: bool) -> None:
    """What dashes, lines, bands and points mean: below our own figure, or in the first panel of the caller's."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = []
    if any(curve.leading is not None for curve in curves):
        handles.append(Line2D([], [], color=GREY, lw=1.2, ls=(0, (4, 2.5)), label=r"leading order ($n\to\infty$)"))
        handles.append(Line2D([], [], color=GREY, lw=1.8, label="with known corrections in $1/n$"))
    else:
        handles.append(Line2D([], [], color=GREY, lw=1.8, label="theory"))
    if any(curve.error is not None for curve in curves):
        handles.append(Patch(facecolor=GREY, alpha=0.2, lw=0, label="estimate of what is left out"))
    if sampled:
        label = "sampled networks, ± 2 standard errors"
        handles.append(Line2D([], [], color=GREY, marker="o", ls="", ms=4, mfc="white", label=label))
    if beyond:
        handles.append(Patch(label="expansion not to be trusted", **BEYOND))
    if own:
        ax.figure.legend(
            handles=handles, loc="outside lower left", ncols=min(len(handles), 4), fontsize=9, frameon=False
        )
    else:
        components = ax.get_legend()
        ax.legend(handles=handles, loc="lower left", fontsize=7.5, frameon=False)
        if components is not None:
            ax.add_artist(components)


def _symbol(letter: str) -> str:
    if letter.startswith("G["):
        return r"G_{" + letter[1:].replace("|", r"\,|\,").replace(" ", r"\,") + "}"
    return {"Theta": r"\Theta", "V6": "V_6"}.get(letter, letter)


def _unit(tensor: Tensor) -> str:
    """The scale in mathtext, without the part of n that is 1."""
    edges, k = _directions(tensor), tensor.level
    parts = [("n", k - 1), ("K", k - edges), (r"\Theta", edges)]
    above = r"\,".join(name if power == 1 else f"{name}^{{{power}}}" for name, power in parts if power)
    return f"({above})"


def _label(curve: _Curve) -> str:
    letter = _symbol(curve.letter)
    named = []
    for component in curve.components:
        digits = [str(i + 1) for i in component]
        join = "" if all(len(d) == 1 for d in digits) else ","
        if curve.letter in ("V", "A", "V6"):
            inside = "".join(f"({join.join(digits[i : i + 2])})" for i in range(0, len(digits), 2))
        else:
            inside = join.join(digits)
        named.append(rf"{letter}_{{{inside}}}" if "_" not in letter else rf"{{{letter}}}\,_{{{inside}}}")
    return f"${' = '.join(named)}$"
