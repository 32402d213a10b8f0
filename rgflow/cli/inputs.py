"""Inputs from files, from a kernel value, or two digits: read, checked, described in a line."""

from __future__ import annotations

import csv
import gzip
import zipfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rgflow.errors import InputError, StoreError

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Given:
    """What the network is shown: inputs, or the kernel of the first layer."""

    inputs: Floats | None
    first_kernel: float | Floats | None
    n_in: int
    text: str


def given(file: str | None, first_kernel: str | None, width: int) -> Given:
    """The inputs of a file, the kernel of layer 1 (a number, or rows as in "1,0.5;0.5,1"), or by default two digits.

    Raises
    ------
    InputError
        If both are given, or the values are not a finite array of one or two dimensions.
    StoreError
        If the file is missing or cannot be read.
    """
    if file is not None and first_kernel is not None:
        raise InputError("give one of --inputs and --first-kernel")
    if file is not None:
        x = read(file)
        count = 1 if x.ndim == 1 else len(x)
        return Given(x, None, x.shape[-1], f"{count} input{'s' * (count > 1)} of dimension {x.shape[-1]} from {file}")
    if first_kernel is not None:
        kernel = _kernel(first_kernel)
        return Given(None, kernel, width, f"kernel of the first layer K = {first_kernel.strip()}")
    x = two_digits()
    text = "a 0 and a 1 of scikit-learn's digits (64 pixels), scaled to x·x/n_0 = 1; "
    return Given(x, None, x.shape[1], text + f"overlap x·x'/n_0 = {x[0] @ x[1] / x.shape[1]:.3f}")


def two_digits() -> Floats:
    """The first 0 and the first 1 of scikit-learn's digits, each scaled to x.x/n_0 = 1: an array (2, 64).

    Only the data file is read: importing scikit-learn takes longer than the flow.
    """
    first: dict[int, list[float]] = {}
    spec = find_spec("sklearn")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        try:
            with gzip.open(Path(folder) / "datasets" / "data" / "digits.csv.gz", "rt", encoding="ascii") as rows:
                for row in rows:
                    *pixels, digit = (float(value) for value in row.split(","))
                    first.setdefault(int(digit), pixels)
                    if 0 in first and 1 in first:
                        break
        except (OSError, ValueError, EOFError):
            first.clear()
    if not {0, 1} <= first.keys() or {len(first[0]), len(first[1])} != {64}:
        first = _load_digits()
    x = np.array([first[0], first[1]], np.float64)
    scaled: Floats = x / np.sqrt(np.mean(x**2, axis=1, keepdims=True))
    return scaled


def _load_digits() -> dict[int, list[float]]:
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise InputError("the default inputs need scikit-learn; give --inputs or --first-kernel") from None
    images, digits = load_digits(return_X_y=True)
    return {digit: images[int(np.flatnonzero(digits == digit)[0])].tolist() for digit in (0, 1)}


def read(name: str) -> Floats:
    """The array of a .npy, .npz (FILE.npz:KEY if it holds several) or .csv file, (N, n_0) or (n_0,), checked."""
    text, _, key = name.rpartition(":") if ".npz:" in name else (name, "", "")
    path = Path(text)
    readers = {".npy": _npy, ".npz": _npz, ".csv": _csv}
    if path.suffix.lower() not in readers:
        raise InputError(f"{path.name!r} ends in {path.suffix!r}; inputs are read from .npy, .npz and .csv files")
    if not path.is_file():
        raise StoreError(f"{path} {'is a directory' if path.is_dir() else 'does not exist'}; give a file of inputs")
    try:
        array = readers[path.suffix.lower()](path, key)
    except PermissionError:
        raise StoreError(f"{path} cannot be read: permission denied") from None
    return _checked(path, array)


def _npy(path: Path, key: str) -> Any:
    try:
        with path.open("rb") as file:
            array = np.load(file, allow_pickle=False)
    except PermissionError:
        raise
    except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise _unreadable(path, error) from None
    if not isinstance(array, np.ndarray):
        raise InputError(f"{path} holds an archive, not one array; name it .npz")
    return array


def _npz(path: Path, key: str) -> Any:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            names = getattr(archive, "files", [])
            if not key and len(names) == 1:
                key = names[0]
            if key not in names:
                which = "is empty" if not names else f"holds {', '.join(names)}"
                said = f"has no {key!r}" if key else "needs the name of one array"
                raise InputError(f"{path} {which} and {said}: give {path}:KEY")
            return archive[key]
    except (InputError, PermissionError):
        raise
    except (ValueError, EOFError, OSError, KeyError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> InputError:
    if "allow_pickle" in str(error):
        said = "holds Python objects, or is no NumPy file; rgflow never unpickles: save floats with numpy.save"
        return InputError(f"{path} {said}")
    return InputError(f"{path} is not a whole NumPy file ({error})")


def _csv(path: Path, key: str) -> Any:
    """Comma-separated numbers, one input per line; a first line without any number is a header."""
    rows: list[list[float]] = []
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            for line, row in enumerate(csv.reader(file), start=1):
                if not any(field.strip() for field in row) or (line == 1 and not any(map(_is_number, row))):
                    continue
                rows.append([_number(path, line, column, field) for column, field in enumerate(row, start=1)])
                if len(rows[-1]) != len(rows[0]):
                    raise InputError(f"{path}, line {line}: {len(row)} numbers where the first line has {len(rows[0])}")
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is not a CSV file of text ({error})") from None
    if not rows:
        raise InputError(f"{path} holds no numbers; give one input per line, separated by commas")
    return np.array(rows)


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _number(path: Path, line: int, column: int, field: str) -> float:
    if not _is_number(field):
        raise InputError(f"{path}, line {line}, column {column}: {field.strip()!r} is not a number")
    return float(field)


def _checked(path: Path, array: Any) -> Floats:
    if array.dtype.kind not in "fiub":
        raise InputError(f"{path} holds {array.dtype} values; inputs are real numbers")
    if array.ndim not in (1, 2) or array.size == 0:
        raise InputError(f"{path} has shape {array.shape}; inputs have shape (N, n_0), or (n_0,) for one")
    x: Floats = array.astype(np.float64)
    bad = np.argwhere(~np.isfinite(x))
    if len(bad):
        where = ", ".join(str(i + 1) for i in bad[0])
        raise InputError(f"{path} holds {x[tuple(bad[0])]} at position ({where}); every value must be finite")
    return x


def _kernel(text: str) -> float | Floats:
    try:
        rows = [[float(value) for value in row.split(",")] for row in text.split(";")]
    except ValueError:
        raise InputError(f"--first-kernel is {text!r}; give a number, or rows as in '1,0.5;0.5,1'") from None
    if len(rows) == 1 and len(rows[0]) == 1:
        return rows[0][0]
    if any(len(row) != len(rows) for row in rows):
        raise InputError(f"--first-kernel {text!r} is not square; give N rows of N numbers, as in '1,0.5;0.5,1'")
    return np.array(rows)
