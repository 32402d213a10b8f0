"""Fluctuations of training: the two sides of the first relation with epochs, and the surface read off the second."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rgflow.errors import InputError
from rgflow.plots.style import BARS, COLOURS, DASHES, GREY, LINE, frame, house_style, key, one_panel, whole_numbers

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes

    from rgflow.plots.style import Place

SIZE = (6.2, 3.9)


@house_style
def plot_fluctuations(histories: Any, ax: Place = None) -> Axes:
    """Draw O_L (line) and O_R (dashes) after each epoch; they meet where training is stationary.

    The band about O_L is two standard errors of their ratio.

    Parameters
    ----------
    histories : xarray.Dataset, or dict of label to Dataset
        From ``rgflow.nn.fit`` with a FluctuationMonitor; up to six. Of a single one, epochs after which the rate was
        another are marked.
    ax : matplotlib Axes, or Figure, optional

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
    title = "the two sides of the fluctuation-dissipation relation"
    ax, _ = one_panel(ax, SIZE, title)
    for colour, (label, ds) in zip(COLOURS, given.items(), strict=False):
        before = f"{label}: " if label else ""
        epoch = ds["epoch"].values
        ax.plot(epoch, ds["O_L"], color=colour, lw=LINE, label=f"{before}$O_L=\\overline{{\\theta\\cdot g}}$")
        right = r"$O_R=\eta(1+\mu)\overline{v^2}\,/\,2(1-\nu)$"
        if "FDR1_se" in ds:  # of O_L/O_R
            error = BARS * ds["FDR1_se"].values * np.abs(ds["O_R"].values)
            low, high = ds["O_L"].values - error, ds["O_L"].values + error
            ax.fill_between(epoch, low, high, color=colour, alpha=0.16, lw=0)
        ax.plot(epoch, ds["O_R"], color=colour, lw=LINE, ls=(0, (3, 2)), label=before + right)
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
    whole_numbers(ax)
    frame(ax, "epoch", "averages over the later half")
    key(ax)
    return ax


@house_style
def plot_landscape(ds: xarray.Dataset, ax: Place = None) -> Axes:
    """Draw G with the learning rate, and the straight line of a harmonic surface, (eta/2) Tr(H C).

    Parameters
    ----------
    ds : xarray.Dataset
        From ``rgflow.nn.landscape``.
    ax : matplotlib Axes, or Figure, optional

    Returns
    -------
    matplotlib Axes

    Raises InputError for a Dataset of another kind.
    """
    if getattr(ds, "attrs", {}).get("kind") != "landscape":
        raise InputError("plot_landscape takes a Dataset that rgflow.nn.landscape returned")
    ax, _ = one_panel(ax, SIZE, "the loss surface read off fluctuations at several learning rates")
    rate = ds["rate"].values
    mu, nu = ds.attrs["momentum"], ds.attrs["dampening"] if ds.attrs["momentum"] else 0.0
    scale = (1 - nu) ** 2 / (1 - mu**2) / 2
    fine = np.linspace(0.0, 1.05 * rate.max(), 100)
    level, tilt = float(ds["TrHC_0"]), float(ds["anharmonicity"]) / rate.max()
    harmonic = r"harmonic: $\eta\,\mathrm{Tr}(HC)\,/\,2$" if not mu else r"harmonic"
    ax.plot(fine, scale * level * fine, color=GREY, lw=1.4, ls=DASHES, label=harmonic)
    bent = scale * level * fine * (1 + tilt * fine)
    how = f"bent by {100 * tilt * rate.max():+.0f} % at the end".replace("-", "−")
    ax.plot(fine, bent, color=COLOURS[0], lw=LINE, label=how)
    bars = BARS * ds["G_se"].values
    said = "measured, ± 2 standard errors"
    ax.errorbar(rate, ds["G"], yerr=bars, fmt="o", color=COLOURS[1], ms=4, mfc="white", capsize=2, lw=1.2, label=said)
    ax.set_xlim(left=0.0)
    ax.set_ylim(bottom=0.0)
    frame(ax, r"learning rate $\eta$", r"$G(\eta)$")
    key(ax)
    return ax
