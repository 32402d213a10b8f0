"""``total``: each tensor summed over its known orders at the network's own widths."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rgflow.algebra.tensor import split_order
from rgflow.errors import InputError, OrderError

if TYPE_CHECKING:
    import xarray


def total(ds: xarray.Dataset) -> xarray.Dataset:
    r"""Sum each letter over its known orders, at the network's own widths.

    .. math:: X = \sum_q X_q\, n^{-q}, \qquad n = \text{fan-in of the layer}

    Parameters
    ----------
    ds : xarray.Dataset
        Coefficients, from :func:`rgflow.flow` or :func:`rgflow.sweep`.

    Returns
    -------
    xarray.Dataset
        For each letter NAME (n^{k-1} times the cumulant, as :func:`rgflow.sample` measures it) and NAME_error, the
        estimated size of the first order that is left out, plus the numerical error. The estimate continues the known
        orders with the largest ratio that the flow has seen; it is infinite where that ratio is 1 or more, and where
        every known order vanishes (P of ReLU, say). An estimate, not a bound: it may miss by a factor of several.
        Points of a sweep that failed are NaN.

    Raises
    ------
    InputError
        If ``ds`` does not hold coefficients, or a correction without the orders below it.
    OrderError
        For a flow at order 0, which knows nothing of its own error.
    """
    import xarray

    if not isinstance(ds, xarray.Dataset) or ds.attrs.get("kind") != "coefficients":
        kind = ds.attrs.get("kind") if isinstance(ds, xarray.Dataset) else type(ds).__name__
        raise InputError(f"total takes a Dataset of coefficients, as rgflow.flow returns it; this one holds {kind!r}")
    if "expansion_ratio" not in ds:
        raise OrderError(
            "this flow is of order 0 and knows nothing of its own error; flow with order=1 and take the total"
        )
    families: dict[str, list[str]] = {}
    for name in ds["coefficient"].values:
        families.setdefault(split_order(str(name))[0], []).append(str(name))
    data: dict[str, Any] = {}
    for letter, names in families.items():
        names = sorted(names, key=lambda name: split_order(name)[1])
        if [split_order(name)[1] for name in names] != list(range(len(names))):
            raise InputError(
                f"{letter} is known by {', '.join(names)} alone; a total needs every order from 0 up: ask {letter!r}"
            )
        data[letter], data[f"{letter}_error"] = _sum(ds, letter, names)
    found = xarray.Dataset(data, attrs={**ds.attrs, "kind": "totals"})
    if "status" in ds:
        found["status"] = ds["status"]
    # all that tells of layers and of axes
    kept = [name for name, values in ds.coords.items() if not {"coefficient", "letter"} & {name, *values.dims}]
    return found.assign_coords({name: ds.coords[name] for name in kept})


def _sum(ds: xarray.Dataset, letter: str, names: list[str]) -> tuple[Any, Any]:
    fan_in = ds["fan_in"].astype(np.float64)
    terms = [ds[name] / fan_in**q for q, name in enumerate(names)]
    value = sum(terms[1:], terms[0])
    value.attrs = {**ds[names[0]].attrs, "order": len(names) - 1}
    ratio = ds["expansion_ratio"].sel(letter=letter, drop=True)
    # the size over all samples: a component that happens to vanish is not better known than the others
    samples = [dim for dim in value.dims if str(dim).startswith("sample")]
    sizes = [abs(term).max(samples) * ratio ** (len(terms) - q) for q, term in enumerate(terms)]
    left_out: Any = sizes[0]
    for size in sizes[1:]:
        left_out = np.maximum(left_out, size)
    # where every known order vanishes while the metric fluctuates, the size of the next is not known at all
    unknown = (sum(sizes) == 0) & (ratio > 0)
    left_out = left_out.where(ratio < 1, np.inf).where(ratio > 0, 0.0).where(~unknown, np.inf)
    numerical = sum(_numerical_error(ds, name) / fan_in**q for q, name in enumerate(names))
    error = (left_out + numerical).broadcast_like(value).transpose(*value.dims).where(value.notnull())
    error.attrs = {"long_name": f"estimated size of the orders left out of {letter}, and numerical error"}
    return value, error


def _numerical_error(ds: xarray.Dataset, name: str) -> Any:
    """That of every point; where only some points of a sweep have one, the largest of these for the others."""
    error = ds["numerical_error"].sel(coefficient=name, drop=True)
    axes = [dim for dim in error.dims if dim != "layer"]
    return error.fillna(error.max(axes)) if axes and bool(error.isnull().any()) else error
