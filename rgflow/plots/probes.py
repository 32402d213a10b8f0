"""Pictures of what was measured of PyTorch models, beside the theory: lines are theory, points measurements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rgflow.errors import InputError
from rgflow.plots.panels import BEYOND, COLOURS, GREY

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes

POINTS: dict[str, Any] = {"fmt": "o", "ms": 3.6, "mfc": "white", "mew": 1.1, "elinewidth": 1.1, "zorder": 4}
BARS = 2  # standard errors


def plot_partial_jacobians(ds: xarray.Dataset, ax: Axes | None = None) -> Axes:
    """Draw J against the layer: points measured with two standard errors, line the theory, in a band of its own error.

    The pale band is where single networks lie (one standard deviation), hatched what a theory at order 1 does not
    reach: the estimated error exceeds half the value.

    Parameters
    ----------
    ds : xarray.Dataset
        From ``rgflow.nn.partial_jacobians``.
    ax : matplotlib Axes, optional

    Returns
    -------
    Axes

    Raises InputError for another Dataset.
    """
    _check(ds, "partial jacobians", "partial_jacobians")
    ax = _axes(f"partial Jacobians{_of(ds)}") if ax is None else ax
    layer, J = ds["layer"].values, ds["J"].values
    _theory(ax, ds, "J", layer)
    error = np.nan_to_num(ds["J_se"].values)
    ax.errorbar(layer, J, yerr=BARS * error, color=COLOURS[0], label=_measured(ds), **POINTS)
    shown = J[np.isfinite(J) & (J > 0)]
    if shown.size and shown.max() > 8 * shown.min():
        ax.set_yscale("log")
        low = shown.min() / 3
        ax.set_ylim(bottom=max(low, ax.get_ylim()[0]))
    ax.set_ylabel(rf"$J^{{{layer[0]},\ell}}$", fontsize=11)
    _finish(ax, r"layer $\ell$")
    return ax


def plot_activation_kernels(ds: xarray.Dataset, ax: Axes | None = None) -> Axes:
    """Draw kernels against the layer: of the first input and of the first two, as :func:`plot_partial_jacobians` does.

    Parameters
    ----------
    ds : xarray.Dataset
        From ``rgflow.nn.activation_kernels``.
    ax : matplotlib Axes, optional

    Returns
    -------
    Axes

    Raises InputError for another Dataset.
    """
    _check(ds, "activation kernels", "activation_kernels")
    ax = _axes(f"kernels{_of(ds)}") if ax is None else ax
    places: list[dict[str, int]] = [{}]
    if "sample0" in ds["K"].dims:
        places = [{"sample0": 0, "sample1": 0}, {"sample0": 0, "sample1": 1}]
    layer = ds["layer"].values
    for colour, at in zip(COLOURS, places, strict=False):
        one = ds.isel(at)
        name = "$K$" if not at else f"$K_{{{at['sample0'] + 1}{at['sample1'] + 1}}}$"
        _theory(ax, one, "K", layer, colour, name)
        error = np.nan_to_num(one["K_se"].values)
        label = f"{name}, {_measured(ds)}"
        ax.errorbar(layer, one["K"].values, yerr=BARS * error, color=colour, label=label, **POINTS)
    ax.set_ylabel("kernel", fontsize=11)
    _finish(ax, r"layer $\ell$")
    return ax


def plot_tangent_kernel_spread(ds: xarray.Dataset, ax: Axes | None = None) -> Axes:
    """Draw the tangent kernel's mean and its two fluctuations A, B over the theory, with two standard errors.

    Parameters
    ----------
    ds : xarray.Dataset
        From ``rgflow.nn.tangent_kernel_spread``, of models that were made from a description.
    ax : matplotlib Axes, optional

    Returns
    -------
    Axes

    Raises InputError for another Dataset, or one without theory.
    """
    _check(ds, "tangent kernel spread", "tangent_kernel_spread")
    names = [name for name in ("Theta", "A", "B") if f"{name}_theory" in ds]
    if not names:
        raise InputError(f"there is no theory to draw the measurement over ({ds.attrs['theory']})")
    ax = _axes(f"tangent kernel{_of(ds)}") if ax is None else ax
    start = 0
    ticks = []
    for colour, name in zip(COLOURS, names, strict=False):
        expected = ds[f"{name}_theory"].values.ravel()
        good = np.abs(expected) > 1e-9 * np.abs(expected).max()
        ratio = (ds[name].values.ravel() / np.where(good, expected, np.nan))[good]
        bar = BARS * (ds[f"{name}_se"].values.ravel() / np.abs(np.where(good, expected, np.nan)))[good]
        places = start + np.arange(ratio.size)
        band = (ds[f"{name}_theory_error"].values.ravel() / np.abs(np.where(good, expected, np.nan)))[good]
        band = np.where(np.isfinite(band), band, 10.0)
        ax.fill_between(places, 1 - band, 1 + band, color=colour, alpha=0.14, lw=0, step="mid")
        ax.errorbar(places, ratio, yerr=bar, color=colour, label=rf"${'Θ' if name == 'Theta' else name}$", **POINTS)
        ticks.append((places.mean(), rf"${'Θ' if name == 'Theta' else name}$"))
        start += ratio.size + 2
    ax.axhline(1.0, color=GREY, lw=1.2, zorder=1)
    ax.set_ylim(0, max(2.0, min(ax.get_ylim()[1], 4.0)))
    ax.set_ylabel("measured / theory", fontsize=10)
    _finish(ax, "components, by input")
    ax.set_xticks([x for x, _ in ticks], [name for _, name in ticks])
    return ax


def plot_width_check(ds: xarray.Dataset, quantity: str = "own", step: int = 1, ax: Axes | None = None) -> Axes:
    """Draw a quantity against the width, a colour for each module: points runs, dashed lines the derived powers.

    Parameters
    ----------
    ds : xarray.Dataset
        From ``rgflow.nn.width_check``.
    quantity : "size", "change", "own", "own_relative" or "own_moved"
    step : int
        After which it was measured.
    ax : matplotlib Axes, optional

    Returns
    -------
    Axes

    Raises InputError for another Dataset, quantity or step.
    """
    _check(ds, "width check", "width_check")
    if f"{quantity}_exponent" not in ds:
        known = [name for name in map(str, ds) if f"{name}_exponent" in ds]
        raise InputError(f"quantity is {quantity!r}; draw one of {', '.join(known)}")
    if step not in ds["step"].values:
        raise InputError(f"step is {step!r}; the measurement has the steps 1 to {int(ds['step'][-1])}")
    here = ds.sel(step=step)
    own = ax is None
    if ax is None:
        ax = _axes(f"{quantity.replace('_', ' ')}, step {step}   {ds.attrs['family']}", wide=True)
    width = ds["width"].values
    modules = ds["module"].values
    colours = _colours(len(modules))
    for i, (colour, module) in enumerate(zip(colours, modules, strict=True)):
        one = here.isel(layer=i)
        values = one[quantity].values
        fit, error = float(one[f"{quantity}_exponent"]), float(one[f"{quantity}_exponent_se"])
        label = f"{module}: {fit:+.2f} ± {error:.2f}".replace("-", "−")
        with np.errstate(divide="ignore"):
            middle = np.exp(np.log(values).mean())
        derived = float(one[f"{quantity}_exponent_derived"]) if f"{quantity}_exponent_derived" in one else np.nan
        if np.isfinite(derived):
            centre = np.exp(np.log(width).mean())
            ax.plot(width, middle * (width / centre) ** derived, color=colour, lw=1.4, ls=(0, (4, 2.5)), zorder=2)
            label += f" (derived {derived:+.2g})".replace("-", "−")
        for run in values.T:
            ax.plot(width, run, "o", ms=3.4, mfc="white", mec=colour, mew=1.0, zorder=3)
        ax.plot([], [], "o", color=colour, mfc="white", label=label)
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.set_xticks(width, [str(w) for w in width])
    ax.minorticks_off()
    ax.set_ylabel(quantity.replace("_", " "), fontsize=10)
    _finish(ax, "width")
    if own:
        ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), fontsize=8.5, frameon=False, handlelength=1.2)
    return ax


def plot_ranks(ds: xarray.Dataset, ax: Axes | None = None) -> Axes:
    """Draw numerical and effective ranks of representations against the layer, with two standard errors.

    Parameters
    ----------
    ds : xarray.Dataset
        From ``rgflow.nn.ranks``.
    ax : matplotlib Axes, optional

    Returns
    -------
    Axes

    Raises InputError for another Dataset.
    """
    from matplotlib.ticker import LogLocator

    _check(ds, "ranks", "ranks")
    ax = _axes(f"ranks of {ds.attrs['inputs']} representations{_of(ds)}") if ax is None else ax
    layer = ds["layer"].values
    for colour, name in zip(COLOURS, ("rank", "effective_rank", "participation"), strict=False):
        error = np.nan_to_num(ds[f"{name}_se"].values)
        label = name.replace("_", " ")
        ax.errorbar(layer, ds[name].values, yerr=BARS * error, color=colour, label=label, **{**POINTS, "fmt": "o-"})
    if "participation_theory" in ds:
        style: dict[str, Any] = {"color": COLOURS[2], "lw": 1.3, "ls": (0, (4, 2.5))}
        ax.plot(layer, ds["participation_theory"].values, label=r"participation, $n\to\infty$", **style)
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    ax.yaxis.set_major_formatter(lambda value, place: f"{value:g}")
    ax.yaxis.set_minor_formatter(lambda value, place: "")
    ax.set_ylabel("rank", fontsize=10)
    _finish(ax, r"layer $\ell$")
    return ax


def plot_tuned(ds: xarray.Dataset, ax: Axes | None = None) -> Axes:
    """Draw ln J of every block before and after tuning; where it is near 0 gradients pass.

    Parameters
    ----------
    ds : xarray.Dataset
        ``tuned.table`` of ``rgflow.nn.tune``.
    ax : matplotlib Axes, optional

    Returns
    -------
    Axes

    Raises InputError for another Dataset.
    """
    _check(ds, "tuned", "tune(...).table")
    ax = _axes("partial Jacobians of every block, before and after tuning") if ax is None else ax
    layer = ds["layer"].values
    ax.axhline(0.0, color=GREY, lw=1.0, zorder=1)
    ax.plot(layer, ds["log_J_before"].values, color=COLOURS[1], lw=1.6, label="before")
    ax.errorbar(
        layer,
        ds["log_J"].values,
        yerr=BARS * np.nan_to_num(ds["log_J_se"].values),
        color=COLOURS[0],
        label="tuned",
        **POINTS,
    )
    ax.set_ylabel(r"$\ln J^{\ell-1,\ell}$", fontsize=11)
    _finish(ax, r"block $\ell$")
    return ax


# Parts ----------------------------------------------------------------------------------------------------------------


def _check(ds: Any, what: str, source: str) -> None:
    attrs = getattr(ds, "attrs", {})
    if attrs.get("kind") != "measured" or attrs.get("what") != what:
        raise InputError(
            f"this draws what rgflow.nn.{source} returned, not {attrs.get('what') or attrs.get('kind') or ds!r}"
        )


def _axes(title: str, wide: bool = False) -> Axes:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.2 if wide else 6.0, 3.9), layout="constrained", facecolor="white")
    figure.suptitle(title, fontsize=11, x=0.01, ha="left", fontweight="bold")
    return figure.subplots()


def _of(ds: xarray.Dataset) -> str:
    known = f"   {ds.attrs['activation']}" if "activation" in ds.attrs else ""
    count = ds.attrs["networks"]
    return f"{known}   {count} network{'s' * (count > 1)}"


def _measured(ds: xarray.Dataset) -> str:
    return "measured" if ds.attrs["networks"] == 1 else "measured, ± 2 standard errors"


def _colours(count: int) -> list[Any]:
    """The palette, and shades beyond it."""
    if count <= len(COLOURS):
        return list(COLOURS[:count])
    from matplotlib import colormaps

    return [colormaps["viridis"](0.9 * i / (count - 1)) for i in range(count)]


def _theory(ax: Axes, ds: xarray.Dataset, name: str, layer: Any, colour: str = COLOURS[0], of: str = "") -> None:
    if f"{name}_theory" not in ds:
        return
    value = ds[f"{name}_theory"].values
    label = f"{of}, theory" if of else "theory"
    ax.plot(layer, value, color=colour, lw=1.8, label=label, zorder=3)
    if f"{name}_spread_theory" in ds:
        spread = ds[f"{name}_spread_theory"].values
        low, high = np.maximum(value - spread, 0.02 * np.abs(value)) if name == "J" else value - spread, value + spread
        ax.fill_between(
            layer, low, high, color=colour, alpha=0.10, lw=0, zorder=1, label="one network" if not of else None
        )
    if f"{name}_theory_error" in ds:
        error = ds[f"{name}_theory_error"].values
        good = error < 0.5 * np.abs(value)
        shown = np.where(good, error, np.nan)
        ax.fill_between(layer, value - shown, value + shown, color=colour, alpha=0.25, lw=0, zorder=2)
        if not good.all() and not of:
            first = layer[int(np.argmin(good))]
            ax.axvspan(first - 0.5, layer[-1] + 0.5, zorder=0, label="theory not to be trusted", **BEYOND)


def _finish(ax: Axes, label: str) -> None:
    from matplotlib.ticker import MaxNLocator

    ax.set_xlabel(label, fontsize=10)
    if "layer" in label or "block" in label:
        ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10]))
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(True, which="major", color="#e6e6e6", lw=0.7)
    ax.set_axisbelow(True)
    ax.tick_params(labelsize=9, color=GREY)
    ax.legend(loc="best", fontsize=8.5, frameon=False, handlelength=1.4)
