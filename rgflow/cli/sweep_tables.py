"""A sweep as tables: few of its numbers, how many points have none and why, where the expansion is to be trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rgflow.algebra import Tensor
from rgflow.cli.formulas import hanging
from rgflow.cli.phase import spread
from rgflow.cli.screen import rule_below_titles
from rgflow.cli.tables import COLUMN, number, show

if TYPE_CHECKING:
    import xarray
    from rich.console import Console

MOST_ROWS = 8
TRUST = 0.5  # of the size of the next order relative to the last


def print_sweep(ds: xarray.Dataset, shown: str, console: Console) -> None:
    """The grid, its numbers at the last layer, failures and trust."""
    last = ds.isel(layer=-1) if "layer" in ds.dims else ds
    dims = [str(dim) for dim in last["status"].dims]
    sizes = [f"{last.sizes[dim]} values of {dim}" for dim in dims] or ["one point"]
    console.print(f"{ds.attrs['activation']}: {', '.join(sizes)}", style="bold", soft_wrap=True)
    console.print(hanging("", "; ".join([*_fixed(last), shown]), console.width, 0), soft_wrap=True)
    console.print()
    wide = [dim for dim in dims if last.sizes[dim] > 1]
    names = _names(last)
    if len(wide) == 2:
        for name in (name for name in names if name.endswith("_se") or not Tensor.named(name).order):
            console.print(f"{name}:", soft_wrap=True)
            show(console, _map(last[name].squeeze(), wide, console.width))
            console.print()
    elif len(wide) > 2:
        show(console, _summary(last, names))
    else:
        show(console, _columns(last, names, wide))
    for line, style in (*_failures(last), *_trust(last)):
        console.print(hanging("", line, console.width, 0), style=style, soft_wrap=True)


def _names(ds: xarray.Dataset) -> list[str]:
    """Coefficients and corrections, or what was sampled with its standard errors."""
    if ds.attrs["kind"] == "coefficients":
        return [str(name) for name in ds["coefficient"].values]
    return [str(name) for name in ds.data_vars if name != "status"]


def _fixed(ds: xarray.Dataset) -> list[str]:
    """What is the same everywhere."""
    parts = [f"layer {int(ds['layer'])}"] if "layer" in ds.coords else []
    for name in ("C_W", "C_b", "lambda_W", "lambda_b", "skip"):
        if name in ds.coords and name not in ds["status"].dims and np.unique(ds[name].values).size == 1:
            parts.append(f"{name} = {float(ds[name].values.flat[0]):g}")
    if "width" not in ds.dims:
        parts.append(f"fan-in {int(np.max(ds['fan_in'].values))}")
    if "networks" in ds.attrs:
        parts.append(f"{ds.attrs['networks']} sampled networks a point")
    return parts


def _table(first: str, columns: list[str]) -> Any:
    from rich.table import Table

    found = Table(box=rule_below_titles(), padding=0, show_edge=False, pad_edge=False)
    found.add_column(first, no_wrap=True, min_width=12)
    for column in columns:
        found.add_column(column, justify="right", no_wrap=True, min_width=max(COLUMN, len(column) + 1))
    return found


def _map(values: xarray.DataArray, dims: list[str], width: int) -> Any:
    """One tensor over two axes: the first across, the second upwards, as in the picture."""
    ds = values.sortby(dims)
    across, up = ds[dims[0]].values, ds[dims[1]].values
    array = ds.transpose(dims[1], dims[0]).values
    columns = spread(len(across), max(2, (width - 14) // COLUMN))
    found = _table(f"  {dims[1]} \\ {dims[0]}", [f"{across[j]:.4g}" for j in columns])
    for i in reversed(spread(len(up), MOST_ROWS)):
        found.add_row(f"  {up[i]:.4g}", *(number(array[i, j]) for j in columns))
    return found


def _columns(ds: xarray.Dataset, names: list[str], dims: list[str]) -> Any:
    """All tensors along one axis."""
    flat = ds.squeeze()
    found = _table(f"  {dims[0]}" if dims else "", names)
    if not dims:
        found.add_row("", *(number(float(flat[name])) for name in names))
        return found
    flat = flat.sortby(dims[0])
    for i in spread(flat.sizes[dims[0]], 2 * MOST_ROWS):
        found.add_row(f"  {flat[dims[0]].values[i]:.6g}", *(number(float(flat[name].values[i])) for name in names))
    return found


def _summary(ds: xarray.Dataset, names: list[str]) -> Any:
    """Least, median and largest of every tensor."""
    found = _table("  over the grid", ["least", "median", "largest"])
    for name in names:
        values = ds[name].values
        known = values[np.isfinite(values)]
        row = (known.min(), np.median(known), known.max()) if known.size else (np.nan,) * 3
        found.add_row(f"  {name}", *(number(float(x)) for x in row))
    return found


def _failures(ds: xarray.Dataset) -> list[tuple[str, str]]:
    status = ds["status"].values
    meanings = str(ds["status"].attrs["flag_meanings"]).split()
    lines = []
    for code in (int(code) for code in np.unique(status) if code):
        count = int((status == code).sum())
        said = ds["status"].attrs.get(meanings[code], "")
        words = meanings[code].replace("_", " ")
        lines.append((f"{count} of {status.size} points have no numbers, {words}: {said}", "yellow"))
    return lines


def _trust(ds: xarray.Dataset) -> list[tuple[str, str]]:
    """In how much of the grid the next order is smaller than half of the last."""
    if "expansion_ratio" not in ds:
        return []
    parts = []
    good = ds["status"].values == 0
    for letter in ds["letter"].values:
        ratio = ds["expansion_ratio"].sel(letter=letter).transpose(*ds["status"].dims).values[good]
        parts.append(f"{Tensor.named(str(letter)).name} {100 * float(np.mean(ratio <= TRUST)):.3g}\N{NO-BREAK SPACE}%")
    return [(f"the next order is smaller than half the last in {', '.join(parts)} of the points with numbers", "")]
