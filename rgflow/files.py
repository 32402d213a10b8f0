"""Save and load results with what they belong to: netCDF4 (through h5netcdf) or Zarr, nothing pickled."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rgflow.activations import activation
from rgflow.errors import InputError, RgflowError, StoreError
from rgflow.network import Network
from rgflow.network.transformer import Transformer

if TYPE_CHECKING:
    import xarray

# Kinds of results, by the description that they carry.
WITH_NETWORK = ("coefficients", "totals", "posterior", "trained", "information")
WITH_TRANSFORMER = ("transformer", "sampled transformer")
WITH_ACTIVATION = ("phase diagram", "variation", "variation diagram", "scaling family", "scaling web")
OF_ARRAYS = ("nearly kernel", "quadratic model", "best learning rates")
OF_MODELS = (
    "training", "parametrisation", "measured", "expected jacobian", "jacobian norm", "robustness", "decision cells",
    "fluctuations", "landscape",
)  # fmt: skip
KINDS = (*WITH_NETWORK, *WITH_TRANSFORMER, *WITH_ACTIVATION, *OF_ARRAYS, *OF_MODELS)
UNFINISHED = "unfinished_sweep"  # the group of a Zarr store that a sweep is still writing


def save(ds: xarray.Dataset, path: str | os.PathLike[str]) -> None:
    """Write a Dataset of rgflow to ``path``: a netCDF4 file (``.nc``), or a Zarr store (``.zarr``, extra ``zarr``).

    The result appears under its name only when it is whole; an interrupted or failed write leaves what stood there.

    Raises
    ------
    InputError
        If ``ds`` is not a result of rgflow, or ``path`` is not a name that ends in ``.nc`` or ``.zarr``.
    StoreError
        If the file cannot be written (no such directory, no permission, a full disk).
    """
    import xarray

    lacking = _lacking(ds) if isinstance(ds, xarray.Dataset) else f"a {type(ds).__name__}"
    if lacking:
        raise InputError(
            "save takes a Dataset that a function of rgflow returned, as rgflow.flow, sweep, sample, trained or "
            f"rgflow.nn.fit do; this is {lacking}"
        )
    target, zarr = _format(path)
    if zarr:
        needs_zarr()
    temporary = None
    try:
        temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
        part = temporary / target.name
        if zarr:
            # Format 2: the third has no settled way to store the names of coefficients.
            ds.to_zarr(part, mode="w", consolidated=False, zarr_format=2)
        else:
            ds.to_netcdf(part, engine="h5netcdf", invalid_netcdf=False)
        _replace(part, target, temporary / "before")
    except StoreError:
        raise
    except OSError as error:
        raise StoreError(f"cannot write {target}: {error.strerror or error}; what stood there is unchanged") from error
    finally:
        # A store that could not go back to its place is the user's only copy.
        if temporary is not None and not (temporary / "before").exists():
            shutil.rmtree(temporary, ignore_errors=True)


def load(path: str | os.PathLike[str]) -> xarray.Dataset:
    """Read a Dataset that :func:`save` wrote.

    ``rgflow.Network.from_json(ds.attrs["network"])`` is the network of a flow,
    ``rgflow.activation(ds.attrs["activation"])`` the activation of a phase diagram.

    Raises StoreError if the file is missing, truncated, not a result of rgflow or the store of a sweep that is not
    finished; InputError for names save refuses.
    """
    return _read(path, whole=True)


def opened(path: str | os.PathLike[str]) -> xarray.Dataset:
    """The same, of a Zarr store, with numbers that are read when they are used: for results beyond memory."""
    return _read(path, whole=False)


def _read(path: str | os.PathLike[str], whole: bool) -> xarray.Dataset:
    import xarray

    source, zarr = _format(path)
    if not source.exists():
        raise StoreError(f"{source} does not exist")
    if zarr:
        needs_zarr()
        if (source / UNFINISHED).exists():
            raise StoreError(
                f"{source} holds a sweep that is not finished; call rgflow.sweep as before, and it goes on"
            )
    try:
        if zarr:
            found: xarray.Dataset = xarray.open_zarr(source, consolidated=False, chunks=None)
            if whole:
                found = found.load()
        else:
            with xarray.open_dataset(source, engine="h5netcdf") as opened:
                found = opened.load()
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise StoreError(f"{source} cannot be read: {error}; it is truncated, or not from rgflow.save") from error
    lacking = _lacking(found)
    if lacking:
        raise StoreError(f"{source} is not a result of rgflow: it is {lacking}")
    found.attrs = {name: _plain(value) for name, value in found.attrs.items()}
    return found


def _lacking(ds: xarray.Dataset) -> str | None:
    """Why a Dataset is not a result of rgflow, or None if it is one: what save refuses, load refuses."""
    if ds.attrs.get("kind") not in KINDS:
        return f"a Dataset of kind {ds.attrs.get('kind')!r}, not {' or '.join(map(repr, KINDS))}"
    if ds.attrs["kind"] in (*OF_ARRAYS, *OF_MODELS):
        return None
    if ds.attrs["kind"] in WITH_ACTIVATION:
        try:
            activation(ds.attrs.get("activation"))
        except RgflowError as error:
            return f"a Dataset whose activation cannot be read ({error})"
        return None
    name, described = ("transformer", Transformer) if ds.attrs["kind"] in WITH_TRANSFORMER else ("network", Network)
    if name not in ds.attrs:
        return f"a Dataset without its {name}"
    try:
        described.from_json(ds.attrs[name])
    except RgflowError as error:
        return f"a Dataset whose {name} cannot be read ({error})"
    return None


def _replace(part: Path, target: Path, before: Path) -> None:
    """Put ``part`` in the place of ``target``; if that fails, what stood there stands there again.

    A directory cannot be replaced in one step: the old one waits as ``before``.
    """
    if not part.is_dir() or not target.is_dir():
        os.replace(part, target)
        return
    try:
        os.replace(target, before)
        os.replace(part, target)
    except BaseException:
        try:
            if before.exists() and not target.exists():
                os.replace(before, target)
        except OSError as error:
            raise StoreError(f"cannot write {target}; what stood there is kept as {before}") from error
        raise
    shutil.rmtree(before, ignore_errors=True)


def _format(path: str | os.PathLike[str]) -> tuple[Path, bool]:
    if not isinstance(path, (str, os.PathLike)) or not isinstance(os.fspath(path), str):
        raise InputError(f"path is {path!r}; give the name of a file as text or a Path")
    target = Path(path)
    if target.suffix not in (".nc", ".zarr"):
        raise InputError(f"{target.name!r} ends in {target.suffix!r}; give a name that ends in .nc (netCDF4) or .zarr")
    return target, target.suffix == ".zarr"


def needs_zarr() -> None:
    """StoreError without the package zarr."""
    try:
        import zarr  # noqa: F401
    except ImportError:
        raise StoreError("Zarr stores need the extra: pip install 'rgflow[zarr]'; or save to a .nc file") from None


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
