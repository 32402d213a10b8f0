"""Gram matrices too large for memory: written to a Zarr store block by block, and taken up again where they stopped.

The store says what it is the result of. Beside it stands, until it is finished, a file with a line for every block that
is whole, written after the block. Until the last block the store is of kind "unfinished gram", which ``rgflow.load``
refuses.
"""

from __future__ import annotations

import json
import operator
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rgflow.errors import InputError, StoreError
from rgflow.files import needs_zarr, opened
from rgflow.gram.dataset import attributes, labelled
from rgflow.gram.inputs import Inputs
from rgflow.gram.pairs import prepared
from rgflow.gram.tables import Block, blocks
from rgflow.layers.stages import stages
from rgflow.memory import empty
from rgflow.network import Network
from rgflow.progress import progress_bar
from rgflow.threads import cores, hands
from rgflow.version import __version__

if TYPE_CHECKING:
    import xarray

WHAT = "computation"  # the attribute
UNFINISHED = "unfinished gram"


def stored(
    net: Network,
    given: Inputs,
    names: Sequence[str],
    layers: Sequence[int],
    alone: bool,
    path: str | os.PathLike[str],
    side: int,
    threads: int | None,
    progress: bool,
) -> xarray.Dataset:
    """Compute what is missing of the store at ``path``, and open it."""
    target = _target(path)
    what = {
        "network": net.to_json(),
        "inputs": given.digest(),
        "tensors": list(names),
        "layers": "last" if alone else list(layers),
        "block": side,
        "version": __version__,
    }
    try:
        errors = _begin(target, what, net, given, names, layers, alone, side)
        _compute(net, target, errors, given, names, layers, alone, side, threads, progress)
    except InputError:
        raise
    except OSError as error:
        raise StoreError(f"cannot write {target}: {error}; the same call goes on where it stopped") from error
    return opened(target)


def _target(path: str | os.PathLike[str]) -> Path:
    if not isinstance(path, (str, os.PathLike)) or not isinstance(os.fspath(path), str):
        raise InputError(f"path is {path!r}; give the name of a Zarr store as text or a Path")
    target = Path(path)
    if target.suffix != ".zarr":
        raise InputError(f"{target.name!r} ends in {target.suffix!r}; blocks are written to a store that ends in .zarr")
    needs_zarr()
    return target


def _begin(
    target: Path,
    what: dict[str, Any],
    net: Network,
    given: Inputs,
    names: Sequence[str],
    layers: Sequence[int],
    alone: bool,
    side: int,
) -> dict[tuple[int, int], NDArray[np.float64]]:
    """The blocks that are finished, by their corners, with their errors; a new store if nothing is there.

    Raises InputError if something else is there.
    """
    if not target.exists():
        _create(target, what, net, given, names, layers, alone, side)
    import zarr

    try:
        group = zarr.open_group(target, mode="r")
        before = json.loads(str(group.attrs.get(WHAT, "null")))
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"{target} exists and cannot be read as a Zarr store ({error}); choose another path"
        ) from error
    if not isinstance(before, dict):
        raise InputError(f"{target} exists and is no Gram matrix of rgflow; choose another path")
    different = [key for key in what if before.get(key) != what[key]]
    if different:
        raise InputError(
            f"{target} holds a Gram matrix that differs in: {', '.join(different)}; choose another path, or make the "
            "call that it belongs to"
        )
    if any(name not in group for name in (*names, "numerical_error")):
        raise StoreError(f"{target} is damaged: some of its arrays are missing; delete it and make the call again")
    finished = _finished(target)
    lines = finished.read_text(encoding="utf-8", errors="replace").split("\n")[:-1] if finished.exists() else []
    # What stands after the last line break was cut short; a line that is damaged tells of no block: it is found again.
    return dict(whole for whole in (_read(line, len(layers)) for line in lines) if whole is not None)


def _read(line: str, layers: int) -> tuple[tuple[int, int], NDArray[np.float64]] | None:
    """The corner and the errors (layers, 2) of a line, None if it holds something else."""
    try:
        i, j, rows = json.loads(line)
        errors = np.array(rows, np.float64)
        corner = operator.index(i), operator.index(j)
    except (TypeError, ValueError, RecursionError):
        return None
    return (corner, errors) if errors.shape == (layers, 2) and np.isfinite(errors).all() else None


def _create(
    target: Path,
    what: dict[str, Any],
    net: Network,
    given: Inputs,
    names: Sequence[str],
    layers: Sequence[int],
    alone: bool,
    side: int,
) -> None:
    """An empty store, which appears under its name when it is whole."""
    import zarr

    part = target.with_name(f".{target.name}.{os.getpid()}")
    blank = {name: np.zeros((len(layers), 1, 1)) for name in names}
    ds = labelled(net, blank, np.full((len(layers), 2), np.nan), layers, alone).drop_vars(names)
    ds = ds.assign_attrs({"kind": UNFINISHED, WHAT: json.dumps(what)})
    # Format 2: the third has no settled way to store the names of coefficients.
    ds.to_zarr(part, mode="w", consolidated=False, zarr_format=2)
    group = zarr.open_group(part, mode="r+")
    n, m = (each.stop - each.start for each in (given.rows, given.columns))
    above: tuple[int, ...] = () if alone else (len(layers),)
    for name in names:
        array = group.create_array(
            name,
            shape=(*above, n, m),
            chunks=(*(1 for _ in above), min(side, n), min(side, m)),
            dtype="float64",
            fill_value=np.nan,
            compressors=None,
        )
        dims = [*(["layer"] if above else []), "sample0", "sample1"]
        array.attrs.update({"_ARRAY_DIMENSIONS": dims, **attributes(name)})
    _finished(target).unlink(missing_ok=True)
    try:
        os.rename(part, target)
    except OSError:
        shutil.rmtree(part)
        if not target.exists():
            raise  # not another process that began the same a moment ago


def _finished(target: Path) -> Path:
    """The file of blocks that are whole."""
    return target.with_name(f".{target.name}.finished")


def _compute(
    net: Network,
    target: Path,
    errors: dict[tuple[int, int], NDArray[np.float64]],
    given: Inputs,
    names: Sequence[str],
    layers: Sequence[int],
    alone: bool,
    side: int,
    threads: int | None,
    progress: bool,
) -> None:
    import zarr

    group = zarr.open_group(target, mode="r+")
    if group.attrs.get("kind") == "coefficients":
        return
    everything = list(blocks(given, side))
    pairs = prepared(net, stages(net), given, layers, "Theta" in names)
    missing = [each for each in everything if each.corner not in errors]
    work = sum(map(pairs.work, missing))
    with progress_bar(progress, "pairs of inputs", work) as advance, hands(threads or cores()) as start:
        for each in missing:
            n, m = each.rows.stop - each.rows.start, each.columns.stop - each.columns.start
            K = empty((len(layers), n, m))
            Theta = empty((len(layers), n, m) if pairs.tangent else (len(layers), 0, 0))
            found = pairs.block(each._replace(corner=(0, 0)), K, Theta, advance, start)
            for name, values in (("K", K), ("Theta", Theta)):
                if name in names:
                    _write(group[name], each, given, values, alone)
            _record(target, each, found)
            errors[each.corner] = found
    most = np.maximum(np.max([errors[each.corner] for each in everything], axis=0), pairs.diagonal_errors())
    rows = np.array([most[:, ("K", "Theta").index(name)] for name in names])
    array: Any = group["numerical_error"]
    array[...] = rows[:, 0] if alone else rows
    group.attrs["kind"] = "coefficients"
    _finished(target).unlink(missing_ok=True)


def _write(array: Any, block: Block, given: Inputs, values: NDArray[np.float64], alone: bool) -> None:
    here, there = block.local(given)
    found = values[0] if alone else values
    array[(..., here, there)] = found
    if given.square and not block.square:
        array[(..., there, here)] = np.swapaxes(found, -1, -2)


def _record(target: Path, block: Block, errors: NDArray[np.float64]) -> None:
    """Add a line for a block that is whole; a line that a crash cut short is cut off first."""
    line = json.dumps([*block.corner, errors.tolist()]) + "\n"
    with open(_finished(target), "a+b") as file:
        file.seek(0)
        whole = file.read().rfind(b"\n") + 1
        file.truncate(whole)
        file.write(line.encode())
        file.flush()
        os.fsync(file.fileno())
