"""Save and load results with the network they belong to: netCDF4 (through h5netcdf) or Zarr, nothing pickled."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rgflow.errors import InputError, StoreError
from rgflow.network import MLP

if TYPE_CHECKING:
    import xarray

KINDS = ("coefficients", "totals")


def save(ds: xarray.Dataset, path: str | os.PathLike[str]) -> None:
    """Write a Dataset of rgflow to ``path``: a netCDF4 file (``.nc``), or a Zarr store (``.zarr``, extra ``zarr``).

    The result appears under its name only when it is whole; an interrupted or failed write leaves what stood there.

    Raises
    ------
    InputError
        If ``ds`` is not a result of rgflow, or the ending of the name is neither ``.nc`` nor ``.zarr``.
    StoreError
        If the file cannot be written (no such directory, no permission, a full disk).
    """
    import xarray

    if not isinstance(ds, xarray.Dataset) or ds.attrs.get("kind") not in KINDS:
        raise InputError("save takes a Dataset that rgflow.flow, total or sample returned")
    target, zarr = _format(path)
    temporary = None
    try:
        temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
        part = temporary / target.name
        if zarr:
            _zarr()
            ds.to_zarr(part, mode="w", consolidated=False)
            if target.is_dir():
                os.replace(target, temporary / "before")
        else:
            ds.to_netcdf(part, engine="h5netcdf", invalid_netcdf=False)
        os.replace(part, target)
    except OSError as error:
        raise StoreError(f"cannot write {target}: {error.strerror or error}; what stood there is unchanged") from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def load(path: str | os.PathLike[str]) -> xarray.Dataset:
    """Read a Dataset that :func:`save` wrote; ``rgflow.MLP.from_json(ds.attrs["network"])`` is its network.

    Raises StoreError if the file is missing, truncated or not a result of rgflow.
    """
    import xarray

    source, zarr = _format(path)
    if not source.exists():
        raise StoreError(f"{source} does not exist")
    try:
        if zarr:
            _zarr()
            found: xarray.Dataset = xarray.open_zarr(source, consolidated=False).load()
        else:
            with xarray.open_dataset(source, engine="h5netcdf") as opened:
                found = opened.load()
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise StoreError(f"{source} cannot be read: {error}; it is truncated, or not from rgflow.save") from error
    if found.attrs.get("kind") not in KINDS or "network" not in found.attrs:
        raise StoreError(f"{source} is not a result of rgflow (no kind and network among its attributes)")
    MLP.from_json(str(found.attrs["network"]))
    found.attrs = {name: _plain(value) for name, value in found.attrs.items()}
    return found


def _format(path: str | os.PathLike[str]) -> tuple[Path, bool]:
    target = Path(path)
    if target.suffix not in (".nc", ".zarr"):
        raise InputError(f"{target.name!r} ends in {target.suffix!r}; give a name that ends in .nc (netCDF4) or .zarr")
    return target, target.suffix == ".zarr"


def _zarr() -> None:
    try:
        import zarr  # noqa: F401
    except ImportError:
        raise StoreError("Zarr stores need the extra: pip install 'rgflow[zarr]'; or save to a .nc file") from None


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
