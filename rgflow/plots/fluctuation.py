"""Fluctuations of training: the two sides of the first relation with epochs, and the surface read off the second."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rgflow.errors import InputError
from rgflow.plots.panels import COLOURS, GREY

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes


def plot_fluctuations(histories: Any, ax: Axes | None = None) -> Axes:
    """Draw O_L (line) and O_R (dashes) after each epoch; they meet where training is stationary.

    Parameters
    ----------
    histories : xarray.Dataset, or dict of label to Dataset
        From ``rgflow.nn.fit`` with a FluctuationMonitor; up to six. Of a single one, epochs after which the rate was
        another are marked.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Raises InputError for Datasets without O_L and O_R, or too many of them.
    """
    given: dict[str, xarray.Dataset] = dict(histories) if isinstance(histories, dict) else {"": histories}
    for ds in given.values():
        if getattr(ds, "attrs", {}).get("kind") != "training" or not {"O_L", "O_R"} <= set(ds.data_vars):
            raise InputError(
                "plot_fluctuations takes what rgflow.nn.fit returns with monitors=[FluctuationMonitor(...)]"
            )
    if not 1 <= len(given) <= len(COLOURS):
        raise InputError(f"{len(given)} histories; draw from one to {len(COLOURS)}")
    ax = _axes() if ax is None else ax
    for colour, (label, ds) in zip(COLOURS, given.items(), strict=False):
        before = f"{label}: " if label else ""
        epoch = ds["epoch"].values
        ax.plot(epoch, ds["O_L"], color=colour, lw=1.8, label=f"{before}$O_L=\\overline{{\\theta\\cdot g}}$")
        right = r"$O_R=\frac{\eta}{2}\frac{1+\mu}{1-\nu}\overline{v^2}$"
        ax.plot(epoch, ds["O_R"], color=colour, lw=1.8, ls=(0, (3, 2)), label=before + right)
    if len(given) == 1:
        (ds,) = given.values()
        rate = ds["learning_rate"].values
        for place in np.flatnonzero(np.diff(rate)):
            ax.axvline(ds["epoch"].values[place] + 0.5, color="#b9bdc2", lw=0.9, ls=":", zorder=0)
    if all(float(ds[name].min()) > 0 for ds in given.values() for name in ("O_L", "O_R")):
        ax.set_yscale("log")
    else:  # O_L of a short window may be negative: linear about 0, as far as O_R goes
        least = np.nanmin(np.concatenate([ds["O_R"].values for ds in given.values()]))
        ax.set_yscale("symlog", linthresh=max(float(least), 1e-300), linscale=0.5)
    ax.set_xlabel("epoch", fontsize=10)
    _finish(ax)
    return ax


def plot_landscape(ds: xarray.Dataset, ax: Axes | None = None) -> Axes:
    """Draw G with the learning rate, and the straight line of a harmonic surface, (eta/2) Tr(H C).

    Parameters
    ----------
    ds : xarray.Dataset
        From ``rgflow.nn.landscape``.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Raises InputError for a Dataset of another kind.
    """
    if getattr(ds, "attrs", {}).get("kind") != "landscape":
        raise InputError("plot_landscape takes a Dataset that rgflow.nn.landscape returned")
    ax = _axes() if ax is None else ax
    rate = ds["rate"].values
    mu, nu = ds.attrs["momentum"], ds.attrs["dampening"] if ds.attrs["momentum"] else 0.0
    scale = (1 - nu) ** 2 / (1 - mu**2) / 2
    fine = np.linspace(0.0, 1.05 * rate.max(), 100)
    level, tilt = float(ds["TrHC_0"]), float(ds["anharmonicity"]) / rate.max()
    harmonic = r"harmonic: $\frac{\eta}{2}\,\mathrm{Tr}\,HC$" if not mu else r"harmonic"
    ax.plot(fine, scale * level * fine, color=GREY, lw=1.4, ls=(0, (4, 2)), label=harmonic)
    bent = scale * level * fine * (1 + tilt * fine)
    ax.plot(fine, bent, color=COLOURS[0], lw=1.8, label=f"bent by {100 * tilt * rate.max():+.0f} % at the end")
    ax.errorbar(rate, ds["G"], yerr=ds["G_se"], fmt="o", color=COLOURS[1], ms=5, capsize=2, lw=1.2, label="measured")
    ax.set_xlim(left=0.0)
    ax.set_ylim(bottom=0.0)
    ax.set_xlabel(r"learning rate $\eta$", fontsize=10)
    ax.set_ylabel(r"$G(\eta)$", fontsize=11)
    _finish(ax)
    return ax


def _axes() -> Any:
    from matplotlib.figure import Figure

    return Figure(figsize=(6.2, 3.9), layout="constrained", facecolor="white").subplots()


def _finish(ax: Axes) -> None:
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(True, color="#e6e6e6", lw=0.7)
    ax.set_axisbelow(True)
    ax.tick_params(labelsize=9, color=GREY)
    ax.legend(loc="best", fontsize=9, frameon=False)
