"""Checkpoints: nested state_dicts in one HDF5 file, written whole or not at all, checked when read, never pickled."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tempfile
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rgflow.errors import InputError, StoreError

FORMAT = "rgflow checkpoint"
VERSION = 1
_BYTES = {torch.bfloat16, *(getattr(torch, name) for name in dir(torch) if name.startswith("float8_"))}
_DTYPES = {str(found): found for found in vars(torch).values() if isinstance(found, torch.dtype)}
_MAPS: dict[str, type] = {"dict": dict, "ordered dict": OrderedDict, "counter": Counter}
_LISTS: dict[str, type] = {"list": list, "tuple": tuple}
_UNREADABLE = (OSError, KeyError, ValueError, TypeError, RuntimeError, UnicodeDecodeError)


def save_checkpoint(state: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Write nested state to one file, which :func:`load_checkpoint` reads back bit by bit.

    The file appears under its name only when it is whole: an interrupted write, a full disk or a second process that
    writes at the same time leaves either the old file or a whole new one. The file is made in memory first, so that a
    disk that fails cannot leave the HDF5 library with half a file.

    Parameters
    ----------
    state : mapping
        Text to state: what ``state_dict()`` of modules, optimizers and schedulers returns, and anything nested of
        mappings (dict, OrderedDict, Counter; keys are text, integers, booleans or None), lists and tuples, holding
        tensors of any dtype on any device, NumPy arrays of numbers, text, integers of any size, floats, complex
        numbers, booleans, None, torch dtypes and devices.
    path : path
        Of the HDF5 file; a symbolic link keeps pointing to it.

    Raises
    ------
    InputError
        For what cannot be kept (a function, an object of a class of one's own, a sparse or quantized tensor), named
        by its place in the state.
    StoreError
        If the file cannot be written; what stood there is unchanged.

    Examples
    --------
    >>> import os, tempfile, torch, rgflow as rg
    >>> model = torch.nn.Linear(2, 1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.h5")
    ...     rg.nn.save_checkpoint({"model": model.state_dict(), "epoch": 3}, path)
    ...     found = rg.nn.load_checkpoint(path)
    >>> found["epoch"], torch.equal(found["model"]["weight"], model.weight)
    (3, True)
    """
    import h5py

    if not isinstance(state, Mapping):
        raise InputError(f'state is a {type(state).__name__}; give a mapping, {{"model": model.state_dict(), ...}}')
    target = _path(path)
    whole = io.BytesIO()
    seen = hashlib.sha256()
    with h5py.File(whole, "w") as file:
        file.attrs["format"] = FORMAT
        file.attrs["version"] = VERSION
        _write(file.create_group("state"), state, "state", seen)
        file.attrs["sha256"] = seen.hexdigest()
    temporary = None
    try:
        temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
        part = temporary / target.name
        with open(part, "wb") as out:
            out.write(whole.getbuffer())
            out.flush()
            os.fsync(out.fileno())
        os.replace(part, target)
    except OSError as error:
        raise StoreError(f"cannot write {target}: {error.strerror or error}; what stood there is unchanged") from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def load_checkpoint(path: str | os.PathLike[str], *, device: Any = "cpu") -> dict[str, Any]:
    """The state that :func:`save_checkpoint` wrote, bit by bit, with tensors on ``device``.

    Raises
    ------
    StoreError
        If the file is missing, truncated, changed since it was written (its SHA-256 is kept inside), written by
        something else, or by a newer rgflow. Nothing on disk is touched.

    Notes
    -----
    The file is ordinary HDF5: ``h5dump``, ``h5py`` and their like read it. Tensors of dtypes that NumPy lacks
    (bfloat16, the eight-bit floats) stand there as bytes.
    """
    import h5py

    source = _path(path)
    if not source.exists():
        raise StoreError(f"{source} does not exist")
    try:
        with h5py.File(source, "r") as file:
            if file.attrs.get("format") != FORMAT:
                raise StoreError(f"{source} is not a checkpoint of rgflow; save_checkpoint writes them")
            version = int(file.attrs["version"])
            if version > VERSION:
                raise StoreError(
                    f"{source} is of version {version}, this rgflow reads up to {VERSION}; install a newer rgflow"
                )
            seen = hashlib.sha256()
            found: dict[str, Any] = _read(file["state"], torch.device(device), seen)
            if file.attrs["sha256"] != seen.hexdigest():
                raise StoreError(f"{source} is damaged: its contents differ from what was written")
    except StoreError:
        raise
    except _UNREADABLE as error:
        raise StoreError(f"{source} cannot be read: {error}; it is truncated, or no checkpoint") from error
    return found


def _path(path: Any) -> Path:
    if not isinstance(path, (str, os.PathLike)) or not isinstance(os.fspath(path), str) or not os.fspath(path):
        raise InputError(f"path is {path!r}; give the name of a file as text or a Path")
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise InputError(f"{target} is a directory; give the name of a file")
    return target


# Every node is a group with a "kind"; children are numbered, so that keys may hold any character.


def _write(node: Any, value: Any, place: str, seen: Any) -> None:
    kind, children, leaf = _parts(value, place)
    node.attrs["kind"] = kind
    seen.update(f"{kind}\n".encode())
    if leaf is not None:
        node.create_dataset("value", data=leaf)
        seen.update(f"{leaf.dtype.str}{leaf.shape}\n".encode() + leaf.tobytes())
    for number, (key, child) in enumerate(children):
        below = node.create_group(f"{number:08d}")
        below.attrs["key"] = key
        seen.update(f"{key}\n".encode())
        _write(below, child, f"{place}[{key}]", seen)
    seen.update(b"end\n")


def _parts(value: Any, place: str) -> tuple[str, list[tuple[str, Any]], np.ndarray[Any, Any] | None]:
    """Kind, children with their keys as text, and the array of a leaf."""
    if value is None:
        return "none", [], None
    if isinstance(value, torch.Tensor):
        return _tensor(value, place)
    if isinstance(value, np.ndarray | np.generic):
        if value.dtype.kind not in "biufc":
            raise InputError(f"{place} is an array of {value.dtype}; a checkpoint keeps arrays of numbers")
        return ("array" if isinstance(value, np.ndarray) else "scalar"), [], np.array(value, order="C")
    text = _text(value)
    if text is not None:
        return text[0], [], np.frombuffer(text[1].encode("utf-8", "surrogatepass"), dtype=np.uint8)
    for kind, made in _LISTS.items():
        if type(value) is made:
            items: Any = value
            return kind, [(str(number), child) for number, child in enumerate(items)], None
    for kind, made in _MAPS.items():
        if type(value) is made:
            mapping: Any = value
            children = [(_key(key, place), child) for key, child in mapping.items()]
            if hasattr(mapping, "_metadata"):  # the versions that module.state_dict() carries along
                return "module state", [("items", OrderedDict(mapping)), ("metadata", dict(mapping._metadata))], None
            return kind, children, None
    raise InputError(
        f"{place} is a {type(value).__name__}; a checkpoint keeps tensors, arrays, numbers, text, None, "
        "and mappings, lists and tuples of them"
    )


def _tensor(value: torch.Tensor, place: str) -> tuple[str, list[tuple[str, Any]], np.ndarray[Any, Any]]:
    if value.layout != torch.strided or value.is_quantized or value.device.type == "meta":
        raise InputError(
            f"{place} is a {value.layout} tensor on {value.device}; a checkpoint keeps dense ones with data"
        )
    kept = value.detach().resolve_conj().resolve_neg().cpu().contiguous()
    if kept.dtype in _BYTES:
        flat = kept.reshape(-1).view(torch.uint8).numpy()
        return "tensor bytes", [("dtype", str(kept.dtype)), ("shape", list(kept.shape))], flat
    try:
        return "tensor", [], kept.numpy()
    except TypeError as error:
        raise InputError(f"{place} is a tensor of {value.dtype}, which NumPy lacks; convert it first") from error


def _text(value: Any) -> tuple[str, str] | None:
    """Kind and text of what is kept as text, exactly: floats as hexadecimal digits."""
    if isinstance(value, torch.dtype | torch.device):
        return ("dtype" if isinstance(value, torch.dtype) else "device"), str(value)
    plain = {str: str, bool: str, int: hex, float: float.hex, complex: lambda z: f"{z.real.hex()} {z.imag.hex()}"}
    for made, write in plain.items():
        if type(value) is made:
            return made.__name__, write(value)  # type: ignore[operator]
    return None


def _key(key: Any, place: str) -> str:
    if key is None or type(key) in (str, int, bool):
        return json.dumps(key)
    raise InputError(f"{place} has the key {key!r}; keys of a checkpoint are text, integers, booleans or None")


def _read(node: Any, device: torch.device, seen: Any) -> Any:
    kind = str(node.attrs["kind"])
    seen.update(f"{kind}\n".encode())
    leaf = None
    if "value" in node:
        leaf = np.asarray(node["value"][()])
        seen.update(f"{leaf.dtype.str}{leaf.shape}\n".encode() + leaf.tobytes())
    children = []
    for name in sorted(set(node) - {"value"}):
        key = str(node[name].attrs["key"])
        seen.update(f"{key}\n".encode())
        children.append((key, _read(node[name], device, seen)))
    seen.update(b"end\n")
    return _whole(kind, children, leaf, device)


def _whole(kind: str, children: list[tuple[str, Any]], leaf: Any, device: torch.device) -> Any:
    if kind == "none":
        return None
    if kind in _LISTS:
        return _LISTS[kind](child for _, child in children)
    if kind in _MAPS:
        return _MAPS[kind]({json.loads(key): child for key, child in children})
    if kind == "module state":
        parts = dict(children)
        parts["items"]._metadata = OrderedDict(parts["metadata"])
        return parts["items"]
    if kind == "tensor":
        return torch.from_numpy(np.array(leaf)).to(device)
    if kind == "tensor bytes":
        parts = dict(children)
        made = torch.empty(parts["shape"], dtype=_DTYPES[parts["dtype"]])
        if made.numel():  # what is empty cannot be seen as bytes
            made.reshape(-1).view(torch.uint8).copy_(torch.from_numpy(np.array(leaf)))
        return made.to(device)
    if kind in ("array", "scalar"):
        return np.array(leaf) if kind == "array" else leaf[()]
    if kind not in _READ:
        raise StoreError(f"a checkpoint with a {kind!r}, which this rgflow does not know; install a newer rgflow")
    return _READ[kind](leaf.tobytes().decode("utf-8", "surrogatepass"))


_READ: dict[str, Callable[[str], Any]] = {
    "str": str,
    "bool": lambda text: text == "True",
    "int": lambda text: int(text, 16),
    "float": float.fromhex,
    "complex": lambda text: complex(*(float.fromhex(part) for part in text.split())),
    "dtype": lambda text: _DTYPES[text],
    "device": torch.device,
}
