"""Open the store of a sweep: make it, go on with it, or find it finished; refuse what is none, or of another sweep."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from rgflow.errors import InputError, StoreError
from rgflow.files import UNFINISHED, needs_zarr
from rgflow.sweeps import disk
from rgflow.sweeps.layout import Variable
from rgflow.sweeps.store import Store

if TYPE_CHECKING:
    import xarray

TOLD = "sweep"  # the attribute of a result that tells what was asked


def open_store(
    path: str | os.PathLike[str],
    told: dict[str, Any],
    fixed_seed: bool,
    block: Callable[[], tuple[int, ...]],
    empty: Callable[[], tuple[xarray.Dataset, Sequence[tuple[Variable, tuple[int, ...], dict[str, Any]]]]],
) -> Store:
    """The store of a sweep at a path: made, gone on with, or found finished.

    Parameters
    ----------
    told : dict
        What is asked. With ``fixed_seed`` false its seed is a proposal, and that of an existing store is taken.
    block : function
        Shape of the blocks of a new store.
    empty : function of that shape
        The coordinates and attributes of the result, and for each variable its chunks and attributes.

    Raises
    ------
    InputError
        For a name that does not end in .zarr.
    StoreError
        If something else stands there, the store is damaged, another process writes it, or it cannot be written.
    """
    target = _target(path)
    needs_zarr()
    with disk.told(target):
        if not target.exists():
            _make(target, told, block(), empty)
    found, lock = _read(target)
    try:
        _compare(target, found["told"], told, fixed_seed)
        if lock is not None:
            _complete(target, [variable.name for variable, _, _ in empty()[1]])
        return Store(target, found["told"], tuple(found["block"]), lock)
    except BaseException:
        if lock is not None:
            lock.close()
        raise


def _target(path: Any) -> Path:
    if not isinstance(path, (str, os.PathLike)) or not isinstance(os.fspath(path), str):
        raise InputError(f"path is {path!r}; give the name of a Zarr store as text or a Path")
    target = Path(path)
    if "\0" in str(target):
        raise InputError(f"path is {str(path)!r}; names of files hold no zero bytes")
    if target.suffix != ".zarr":
        raise InputError(
            f"path is {str(path)!r}; a sweep that can be gone on with is a Zarr store, NAME.zarr (without path= the "
            "result is in memory, and rgflow.save writes it to a .nc file)"
        )
    return target


def _make(
    target: Path,
    told: dict[str, Any],
    block: tuple[int, ...],
    empty: Callable[[], tuple[xarray.Dataset, Sequence[tuple[Variable, tuple[int, ...], dict[str, Any]]]]],
) -> None:
    """Make the store beside its place; if another process was faster, its store stands."""
    import zarr

    aside = Path(tempfile.mkdtemp(dir=target.absolute().parent, prefix=f".{target.name}."))
    try:
        part = aside / target.name
        ds, arrays = empty()
        ds.to_zarr(part, mode="w", consolidated=False, zarr_format=2)
        group = zarr.open_group(str(part), mode="r+", zarr_format=2)
        for variable, chunks, attributes in arrays:
            group.create_array(
                variable.name,
                shape=variable.sizes,
                chunks=chunks,
                dtype=variable.dtype,
                fill_value=float("nan") if variable.dtype == "f8" else None,
                attributes={"_ARRAY_DIMENSIONS": list(variable.dims), **attributes},
            )
        group.create_group(UNFINISHED)
        folder = part / UNFINISHED
        (folder / "done").mkdir()
        (folder / "lock").touch()
        (folder / "request.json").write_text(json.dumps({"told": told, "block": list(block)}, indent=1))
        for file in part.rglob("*"):
            disk.settle(file)
        try:
            os.rename(part, target)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
        disk.settle(target.absolute().parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _read(target: Path) -> tuple[dict[str, Any], IO[bytes] | None]:
    """What a store says it is, and its lock; None for one that is finished."""
    folder = target / UNFINISHED
    try:
        if not folder.is_dir():
            attributes = json.loads((target / ".zattrs").read_bytes())
            return {"told": json.loads(attributes[TOLD]), "block": ()}, None
        lock = _locked(folder / "lock", target)
    except StoreError:
        raise
    except (OSError, ValueError, KeyError, TypeError):
        raise StoreError(f"{target} is not a sweep of rgflow; give another path, or remove what stands there") from None
    try:
        if not folder.is_dir():  # another process finished it meanwhile
            lock.close()
            return _read(target)
        found = json.loads((folder / "request.json").read_bytes())
        if not isinstance(found["told"], dict) or not all(isinstance(n, int) and n > 0 for n in found["block"]):
            raise ValueError
        return found, lock
    except (OSError, ValueError, KeyError, TypeError):
        lock.close()
        raise StoreError(f"{folder / 'request.json'} is damaged; remove {target} and start again") from None


def _complete(target: Path, names: Sequence[str]) -> None:
    """StoreError where a part has gone that a sweep would miss only at its end."""
    parts = [".zgroup", ".zattrs", f"{UNFINISHED}/done", *(f"{name}/.zarray" for name in names)]
    missing = [part for part in parts if not (target / part).exists()]
    if missing:
        raise StoreError(f"{target} is damaged, {missing[0]} is missing; remove it and start again")


def _locked(file: Path, target: Path) -> IO[bytes]:
    """Hold the lock; the system lets go of it when the process ends, however it ends."""
    try:
        import fcntl
    except ImportError:  # no such locks: two processes would compute the same twice, and the same numbers
        return file.open("ab")
    handle = file.open("ab")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.close()
        raise StoreError(f"{target} is being written by another sweep; wait for it, or give another path") from None
    except OSError as error:
        handle.close()
        raise StoreError(f"{target} cannot be locked ({error.strerror}); write to a disk of this machine") from None
    return handle


def _compare(target: Path, there: dict[str, Any], asked: dict[str, Any], fixed_seed: bool) -> None:
    """StoreError that names what differs between two sweeps."""
    ignored = set() if fixed_seed else {"seed"}
    differ = [
        name for name in dict.fromkeys([*there, *asked]) if name not in ignored and there.get(name) != asked.get(name)
    ]
    if differ:
        told = "; ".join(f"{name}: there {_short(there.get(name))}, asked {_short(asked.get(name))}" for name in differ)
        raise StoreError(f"{target} holds another sweep ({told}); give another path, or remove it")


def _short(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
