"""Pictures of what was measured of PyTorch models, beside the theory: lines are theory, points measurements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rgflow.errors import InputError
from rgflow.plots.style import (
    BARS,
    COLOURS,
    DASHES,
    GREY,
    LABEL,
    LINE,
    distrusted,
    frame,
    house_style,
    key,
    many_colours,
    one_panel,
    whole_numbers,
)

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes

    from rgflow.plots.style import Place

POINTS: dict[str, Any] = {"fmt": "o", "ms": 3.6, "mfc": "white", "mew": 1.1, "elinewidth": 1.1, "zorder": 4}
SIZE, WIDE = (6.0, 3.9), (8.2, 3.9)
QUANTITIES = {
    "size": "outputs at the start",
    "change": "change of outputs",
    "own": "effect of a module's own updates",
    "own_relative": "effect of a module's own updates over its output",
    "own_moved": "effect of a module's own updates on its inputs now",
}


@house_style
def plot_partial_jacobians(ds: xarray.Dataset, ax: Place = None) -> Axes:
    """Draw J against the layer: points measured with two standard errors, line the theory, in a band of its own error.

    The pale band is where single networks lie (one standard deviation), hatched what a theory at order 1 does not
    reach: the estimated error exceeds half the value.

    Parameters
    ----------
    ds : xarray.Dataset
        From ``rgflow.nn.partial_jacobians``.
    ax : matplotlib Axes, or Figure, optional

    Returns
    -------
    Axes

    Raises InputError for another Dataset.
    """
    _check(ds, "partial jacobians", "partial_jacobians")
    ax, _ = one_panel(ax, SIZE, f"partial Jacobians{_of(ds)}")
    layer, J = ds["layer"].values, ds["J"].values
    _shade(ax, layer, [_theory(ax, ds, "J", layer)])
    error = np.nan_to_num(ds["J_se"].values)
    ax.errorbar(layer, J, yerr=BARS * error, color=COLOURS[0], label=_measured(ds), **POINTS)
    shown = J[np.isfinite(J) & (J > 0)]
    if shown.size and shown.max() > 8 * shown.min():
        ax.set_yscale("log")
        low = shown.min() / 3
        ax.set_ylim(bottom=max(low, ax.get_ylim()[0]))
    ax.set_ylabel(rf"$J^{{{layer[0]},\ell}}$", fontsize=LABEL)
    _finish(ax, "layer ℓ")
    return ax


@house_style
def plot_activation_kernels(ds: xarray.Dataset, ax: Place = None) -> Axes:
    """Draw kernels against the layer: of the first input and of the first two, as :func:`plot_partial_jacobians` does.

    Parameters
    ----------
    ds : xarray.Dataset
        From ``rgflow.nn.activation_kernels``.
    ax : matplotlib Axes, or Figure, optional

    Returns
    -------
    Axes

    Raises InputError for another Dataset.
    """
    _check(ds, "activation kernels", "activation_kernels")
    ax, _ = one_panel(ax, SIZE, f"kernels{_of(ds)}")
    places: list[dict[str, int]] = [{}]
    if "sample0" in ds["K"].dims:
        places = [{"sample0": 0, "sample1": 0}, {"sample0": 0, "sample1": 1}]
    layer, beyond = ds["layer"].values, []
    for colour, at in zip(COLOURS, places, strict=False):
        one = ds.isel(at)
        name = "$K$" if not at else f"$K_{{{at['sample0'] + 1}{at['sample1'] + 1}}}$"
        beyond.append(_theory(ax, one, "K", layer, colour, name))
        error = np.nan_to_num(one["K_se"].values)
        ax.errorbar(layer, one["K"].values, yerr=BARS * error, color=colour, **POINTS)
    ax.plot([], [], "o", ms=3.6, mfc="white", color=GREY, label=_measured(ds))
    _shade(ax, layer, beyond)
    ax.set_ylabel("$K$", fontsize=LABEL)
    _finish(ax, "layer ℓ")
    return ax


@house_style
def plot_tangent_kernel_spread(ds: xarray.Dataset, ax: Place = None) -> Axes:
    """Draw the tangent kernel's mean and its two fluctuations A, B over the theory, with two standard errors.

    Parameters
    ----------
    ds : xarray.Dataset
        From ``rgflow.nn.tangent_kernel_spread``, of models that were made from a description.
    ax : matplotlib Axes, or Figure, optional

    Returns
    -------
    Axes

    Raises InputError for another Dataset, or one without theory.
    """
    _check(ds, "tangent kernel spread", "tangent_kernel_spread")
    names = [name for name in ("Theta", "A", "B") if f"{name}_theory" in ds]
    if not names:
        raise InputError(f"there is no theory to draw the measurement over ({ds.attrs['theory']})")
    ax, _ = one_panel(ax, SIZE, f"tangent kernel{_of(ds)}")
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
    ax.set_ylabel("measured / theory", fontsize=LABEL)
    _finish(ax, "components, by input")
    ax.set_xticks([x for x, _ in ticks], [name for _, name in ticks])
    return ax


@house_style
def plot_width_check(ds: xarray.Dataset, quantity: str = "own", step: int = 1, ax: Place = None) -> Axes:
    """Draw a quantity against the width, a colour for each module: points runs, dashed lines the derived powers.

    Parameters
    ----------
    ds : xarray.Dataset
        From ``rgflow.nn.width_check``.
    quantity : "size", "change", "own", "own_relative" or "own_moved"
    step : int
        After which it was measured.
    ax : matplotlib Axes, or Figure, optional

    Returns
    -------
    Axes

    Raises InputError for another Dataset, quantity or step.
    """
    from matplotlib.ticker import LogLocator, NullLocator

    _check(ds, "width check", "width_check")
    if f"{quantity}_exponent" not in ds:
        known = [name for name in map(str, ds) if f"{name}_exponent" in ds]
        raise InputError(f"quantity is {quantity!r}; draw one of {', '.join(known)}")
    if step not in ds["step"].values:
        raise InputError(f"step is {step!r}; the measurement has the steps 1 to {int(ds['step'][-1])}")
    here = ds.sel(step=step)
    ax, own = one_panel(ax, WIDE, f"{QUANTITIES.get(quantity, quantity)}, step {step}, {ds.attrs['family']}")
    width = ds["width"].values
    modules = ds["module"].values
    colours = many_colours(len(modules))
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
            ax.plot(width, middle * (width / centre) ** derived, color=colour, lw=1.4, ls=DASHES, zorder=2)
            label += f" (derived {derived:+.2g})".replace("-", "−")
        for run in values.T:
            ax.plot(width, run, "o", ms=3.4, mfc="white", mec=colour, mew=1.0, zorder=3)
        ax.plot([], [], "o", color=colour, mfc="white", label=label)
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.set_xticks(width, [str(w) for w in width])
    ax.xaxis.minorticks_off()
    ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(lambda value, place: f"{value:g}")
    ax.set_ylabel("root mean square", fontsize=LABEL)
    _finish(ax, "width")
    if own:
        key(ax, loc="upper left", bbox_to_anchor=(1.01, 1.0))
    return ax


@house_style
def plot_ranks(ds: xarray.Dataset, ax: Place = None) -> Axes:
    """Draw numerical and effective ranks of representations against the layer, with two standard errors.

    Parameters
    ----------
    ds : xarray.Dataset
        From ``rgflow.nn.ranks``.
    ax : matplotlib Axes, or Figure, optional

    Returns
    -------
    Axes

    Raises InputError for another Dataset.
    """
    from matplotlib.ticker import LogLocator

    _check(ds, "ranks", "ranks")
    ax, _ = one_panel(ax, SIZE, f"ranks of {ds.attrs['inputs']} representations{_of(ds)}")
    layer = ds["layer"].values
    for colour, name in zip(COLOURS, ("rank", "effective_rank", "participation"), strict=False):
        error = np.nan_to_num(ds[f"{name}_se"].values)
        label = name.replace("_", " ")
        ax.errorbar(layer, ds[name].values, yerr=BARS * error, color=colour, label=label, **{**POINTS, "fmt": "o-"})
    if "participation_theory" in ds:
        style: dict[str, Any] = {"color": COLOURS[2], "lw": 1.3, "ls": DASHES}
        ax.plot(layer, ds["participation_theory"].values, label=r"participation, $n\to\infty$", **style)
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    ax.yaxis.set_major_formatter(lambda value, place: f"{value:g}")
    ax.yaxis.set_minor_formatter(lambda value, place: "")
    ax.set_ylabel("rank", fontsize=LABEL)
    _finish(ax, "layer ℓ")
    return ax


@house_style
def plot_tuned(ds: xarray.Dataset, ax: Place = None) -> Axes:
    """Draw ln J of every block before and after tuning; where it is near 0 gradients pass.

    Parameters
    ----------
    ds : xarray.Dataset
        ``tuned.table`` of ``rgflow.nn.tune``.
    ax : matplotlib Axes, or Figure, optional

    Returns
    -------
    Axes

    Raises InputError for another Dataset.
    """
    _check(ds, "tuned", "tune(...).table")
    ax, _ = one_panel(ax, SIZE, "partial Jacobians of every block, before and after tuning")
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
    ax.set_ylabel(r"$\ln\, J^{\ell-1,\ell}$", fontsize=LABEL)
    _finish(ax, "block ℓ")
    return ax


# Parts ----------------------------------------------------------------------------------------------------------------


def _check(ds: Any, what: str, source: str) -> None:
    attrs = getattr(ds, "attrs", {})
    if attrs.get("kind") != "measured" or attrs.get("what") != what:
        raise InputError(
            f"this draws what rgflow.nn.{source} returned, not {attrs.get('what') or attrs.get('kind') or ds!r}"
        )


def _of(ds: xarray.Dataset) -> str:
    known = f", {ds.attrs['activation']}" if "activation" in ds.attrs else ""
    count = ds.attrs["networks"]
    return f"{known}, {count} network{'s' * (count > 1)}"


def _measured(ds: xarray.Dataset) -> str:
    return "measured" if ds.attrs["networks"] == 1 else "measured, ± 2 standard errors"


def _theory(ax: Axes, ds: xarray.Dataset, name: str, layer: Any, colour: str = COLOURS[0], of: str = "") -> Any:
    """Line and bands of the theory; the first layer at which it is not to be trusted, if there is one."""
    if f"{name}_theory" not in ds:
        return None
    value = ds[f"{name}_theory"].values
    ax.plot(layer, value, color=colour, lw=LINE, label=f"{of}, theory" if of else "theory", zorder=3)
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
        return None if good.all() else layer[int(np.argmin(good))]
    return None


def _shade(ax: Axes, layer: Any, beyond: list[Any]) -> None:
    """The layers from the first at which a curve's theory is not to be trusted."""
    ax.set_xlim(layer[0] - 0.5, layer[-1] + 0.5)
    starts = [first for first in beyond if first is not None]
    if starts:
        which = "" if len(starts) == len(beyond) else "not all "
        distrusted(ax, min(starts) - 0.5, layer[-1] + 0.5, label=f"{which}theory{' not' * (not which)} to be trusted")


def _finish(ax: Axes, label: str) -> None:
    if "layer" in label or "block" in label:
        whole_numbers(ax)
    frame(ax, label)
    key(ax)
