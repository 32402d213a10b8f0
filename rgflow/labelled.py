"""Labelled results from NumPy arrays: an xarray Dataset, made without asking whether arrays are Dask's.

Where Dask is installed, xarray loads it to look at the first array and the first label it is given: up to half a second
of every new process, for arrays that we know.
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
    import pandas as pd
    import xarray
    from xarray.indexes import PandasIndex

    def variable(name: str, given: Any) -> xarray.Variable:
        dims, values, *rest = given if isinstance(given, tuple) else (name, given)
        names = (dims,) if isinstance(dims, str) else tuple(dims)
        return xarray.Variable(names, np.asarray(values), rest[0] if rest else None, fastpath=True)

    placed = {name: variable(name, given) for name, given in coords.items()}
    indexes = {}
    for name, labels in placed.items():
        if labels.dims == (name,):
            # objects stay objects, as xarray has it, where pandas would look for a narrower type
            index = pd.Index(labels.values, dtype="object" if labels.dtype.kind == "O" else None)
            indexes[name] = PandasIndex(index, name, coord_dtype=labels.dtype)
            placed.update(indexes[name].create_variables({name: labels}))
    return xarray.Dataset(
        {name: variable(name, given) for name, given in data.items()},
        xarray.Coordinates(placed, indexes=indexes),
        dict(attrs),
    )
