"""Labelled results from NumPy arrays: an xarray Dataset, made without asking whether arrays are Dask's.

Where Dask is installed, xarray loads all of ``dask.array`` to look at the first array it is given: half a second of
every new process, for arrays that we know.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import xarray


def dataset(data: Mapping[str, Any], coords: Mapping[str, Any], attrs: Mapping[str, Any]) -> xarray.Dataset:
    """The Dataset that ``xarray.Dataset(data, coords, attrs)`` is, for arrays and lists of numbers or names.

    Parameters
    ----------
    data : mapping
        Name to (dims, array) or (dims, array, attributes).
    coords : mapping
        The same, or the values along the dim of that name.
    attrs : mapping
        Attributes of the whole.

    >>> ds = dataset({"K": (("layer",), [1.0, 0.5])}, {"layer": [1, 2]}, {"kind": "coefficients"})
    >>> ds["K"].sel(layer=2).item(), ds.attrs
    (0.5, {'kind': 'coefficients'})
    """
    import xarray

    def variable(name: str, given: Any) -> Any:
        dims, values, *rest = given if isinstance(given, tuple) else (name, given)
        names = (dims,) if isinstance(dims, str) else tuple(dims)
        kind = xarray.IndexVariable if names == (name,) else xarray.Variable
        return kind(names, np.asarray(values), rest[0] if rest else None, fastpath=True)

    return xarray.Dataset(
        {name: variable(name, given) for name, given in data.items()},
        {name: variable(name, given) for name, given in coords.items()},
        dict(attrs),
    )
