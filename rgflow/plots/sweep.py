"""``plot_sweep``: tensors over one axis of a sweep as curves, over two as maps, white where there are no numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rgflow.algebra import Tensor
from rgflow.components import families
from rgflow.errors import InputError, UnknownName
from rgflow.plots.style import BEYOND, GREY, TICK, canvas, house_style, key, key_below, panels
from rgflow.plots.sweep_panels import NAMES, NOTHING, TRUST, codes, curve, distrust, marks, surface

if TYPE_CHECKING:
    import xarray

MOST_COLUMNS = 3


@house_style
def plot_sweep(
    ds: xarray.Dataset,
    tensors: str | Sequence[str] | None = None,
    points: Sequence[tuple[float, float, str]] = (),
    ax: Any = None,
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
    ax : array of matplotlib Axes, or Figure, optional
        One for each tensor. Without it a new figure is made, ``[0].figure`` of what is returned.

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
    columns = min(len(names), MOST_COLUMNS)
    rows, wide = -(-len(names) // columns), 4.6 if len(dims) == 2 else 4.0
    figure = canvas(ax, (wide * columns + 0.4, 3.6 * rows + 0.7), _title(ds))
    laid_out = None if figure is None else _laid_out(figure, rows, columns, len(names))
    drawn = panels(ax, len(names), laid_out, ", ".join(names))
    for panel, name in zip(drawn, names, strict=True):
        if len(dims) == 1:
            curve(panel, shown, name, dims[0])
        else:
            surface(panel, shown, name, dims)
            marks(panel, points)
        panel.tick_params(labelsize=TICK, color=GREY)
    _legend(drawn, shown, names, figure is not None)
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


def _laid_out(figure: Any, rows: int, columns: int, count: int) -> NDArray[Any]:
    found = figure.subplots(rows, columns, squeeze=False).reshape(-1)
    for spare in found[count:]:
        spare.remove()
    return np.asarray(found[:count])


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
    return ", ".join(parts)


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
        key_below(drawn[0], handles, len(handles))
    elif handles:
        key(drawn[0], handles, frameon=True, framealpha=0.85)
