"""``plot_sweep``: tensors over one axis of a sweep as curves, over two as maps, white where there are no numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rgflow.algebra import Tensor
from rgflow.components import families
from rgflow.errors import InputError, UnknownName
from rgflow.plots.panels import BEYOND, GREY
from rgflow.plots.sweep_panels import NAMES, NOTHING, TRUST, codes, curve, distrust, marks, surface

if TYPE_CHECKING:
    import xarray

MOST_COLUMNS = 3


def plot_sweep(
    ds: xarray.Dataset,
    tensors: str | Sequence[str] | None = None,
    points: Sequence[tuple[float, float, str]] = (),
    axes: Any = None,
) -> NDArray[np.object_]:
    """Draw tensors of a sweep at its last layer: curves over one axis, maps over two.

    Colours and axes are logarithmic where positive values span two decades; a map of both signs is white at zero.
    Points without numbers are white, or grey where there are several reasons, which the legend tells. Curves of totals
    have a band of their error, those of samples bars of two standard errors. Hatched: where the expansion is not to be
    trusted, since the next order exceeds half the last (of totals: where their error is infinite).

    Parameters
    ----------
    ds : xarray.Dataset
        From :func:`rgflow.sweep`, or :func:`rgflow.total` of it; one input. Of more than two axes select:
        ``ds.sel(width=128)``. The axis of columns of a map is the first.
    tensors : names, optional
        Default: the leading order of every tensor; of totals all.
    points : sequence of (x, y, label)
        Marked on maps, critical points say; those outside are left out.
    axes : array of matplotlib Axes, optional
        One for each tensor. Without it a new figure is made, ``axes.flat[0].figure`` of what is returned.

    Returns
    -------
    array of Axes, of shape (tensors,)

    Raises
    ------
    InputError, UnknownName
    """
    dims = _axes(ds)
    names = _names(ds, tensors)
    shown = _last_layer(ds).squeeze().sortby(list(dims))
    own = axes is None
    drawn = np.asarray(_figure(ds, len(names), dims) if own else axes, dtype=object).reshape(-1)
    if drawn.size != len(names):
        raise InputError(f"axes holds {drawn.size} Axes; {len(names)} tensors are drawn: {', '.join(names)}")
    for ax, name in zip(drawn, names, strict=True):
        if len(dims) == 1:
            curve(ax, shown, name, dims[0])
        else:
            surface(ax, shown, name, dims)
            marks(ax, points)
        ax.tick_params(labelsize=9, color=GREY)
    _legend(drawn, shown, names, own)
    return drawn


# What is drawn --------------------------------------------------------------------------------------------------------


def _axes(ds: xarray.Dataset) -> tuple[str, ...]:
    """One or two axes of more than one value."""
    if getattr(ds, "attrs", {}).get("kind") not in ("coefficients", "totals") or "status" not in ds:
        raise InputError("plot_sweep takes a Dataset that rgflow.sweep returned, or rgflow.total of one")
    dims = tuple(str(dim) for dim in ds["status"].dims if ds.sizes[dim] > 1)
    if len(dims) not in (1, 2):
        sizes = ", ".join(f"{dim} ({ds.sizes[dim]})" for dim in dims) or "none"
        raise InputError(
            f"a picture has one or two axes; this sweep has {sizes}: select, as ds.isel({dims[-1:] or 'x'}=0)"
        )
    if ds.sizes.get("sample0", 1) > 1:
        raise InputError(f"this sweep is of {ds.sizes['sample0']} inputs; select, as ds.isel(sample0=0, sample1=0)")
    return dims


def _names(ds: xarray.Dataset, tensors: str | Sequence[str] | None) -> list[str]:
    known = [name for family in families(ds.drop_vars("status")).values() for name in (t.name for t in family)]
    if tensors is None:
        return [name for name in known if not Tensor.named(name).order]
    asked = [tensors] if isinstance(tensors, str) else list(tensors)
    for name in asked:
        if name not in known:
            raise UnknownName("tensor of this sweep", name, known)
    if not asked:
        raise InputError(f"tensors is empty; draw some of {', '.join(known)}")
    return asked


def _last_layer(ds: xarray.Dataset) -> xarray.Dataset:
    return ds.isel(layer=-1) if "layer" in ds.dims else ds


def _figure(ds: xarray.Dataset, count: int, dims: tuple[str, ...]) -> NDArray[Any]:
    from matplotlib.figure import Figure

    columns = min(count, MOST_COLUMNS)
    rows = -(-count // columns)
    wide = 4.6 if len(dims) == 2 else 4.0
    figure = Figure(figsize=(wide * columns + 0.4, 3.6 * rows + 0.7), layout="constrained", facecolor="white")
    figure.suptitle(_title(ds), fontsize=11, x=0.01, ha="left", fontweight="bold")
    panels = figure.subplots(rows, columns, squeeze=False).reshape(-1)
    for ax in panels[count:]:
        ax.remove()
    return np.asarray(panels[:count])


def _title(ds: xarray.Dataset) -> str:
    sigma = str(ds.attrs["activation"])
    swept = any(
        f"{dim}=" in sigma for dim in ds["status"].dims
    )  # the value of a parameter that is an axis says nothing
    parts = [sigma.partition("(")[0] if swept else sigma]
    if "layer" in ds.coords:
        parts.append(f"layer {int(np.max(ds['layer'].values))}")
    fixed = {name: ds[name] for name in ("C_W", "C_b", "width", "depth", "first_kernel") if name in ds.coords}
    parts += [
        f"{NAMES[name]} = {float(x.values.flat[0]):.4g}" for name, x in fixed.items() if np.unique(x.values).size == 1
    ]
    if "networks" in ds.attrs:
        parts.append(f"{ds.attrs['networks']} sampled networks")
    return "   ".join(parts)


def _legend(drawn: NDArray[Any], ds: xarray.Dataset, names: Sequence[str], own: bool) -> None:
    """Why points have no numbers, and that others are not to be trusted."""
    from matplotlib.patches import Patch

    meanings = str(ds["status"].attrs.get("flag_meanings", "")).split()
    reasons = codes(ds["status"].values)
    handles = [
        Patch(facecolor=shade, edgecolor=GREY, lw=0.8, label=f"no numbers: {meanings[code].replace('_', ' ')}")
        for code, shade in zip(reasons, NOTHING, strict=False)
        if code < len(meanings)
    ]
    if any((distrust(ds, name) > TRUST).any() for name in names):
        handles.append(Patch(label="expansion in 1/n not to be trusted", **BEYOND))
    if handles and own:
        drawn[0].figure.legend(handles=handles, loc="outside lower left", ncols=len(handles), fontsize=9, frameon=False)
    elif handles:
        drawn[0].legend(handles=handles, loc="best", fontsize=8)
