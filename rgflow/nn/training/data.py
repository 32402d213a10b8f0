"""Digits to train on: scikit-learn's small ones, which come with it, and MNIST from files that the user has."""

from __future__ import annotations

import gzip
import os
import zipfile
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rgflow.errors import InputError, StoreError
from rgflow.seeds import seed_sequence

VARIABLE = "RGFLOW_MNIST"
_NAMES = (("train", "images"), ("train", "labels"), ("t10k", "images"), ("t10k", "labels"))
_ARRAYS = (("X", "Y", "x", "y"), ("x_train", "y_train", "x_test", "y_test"))
_HOW = (
    f"give path=, or set {VARIABLE}, to an .npz file with the arrays {', '.join(_ARRAYS[1])} (Keras's mnist.npz) or "
    "X, Y, x, y, or to a folder with the four IDX files train-images-idx3-ubyte, train-labels-idx1-ubyte, "
    "t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte (also .gz); rgflow downloads nothing"
)


@dataclass(frozen=True, eq=False)
class Data:
    """Examples to learn from and examples to test with.

    Attributes
    ----------
    X, X_test : Tensor, shape (examples, ...)
        Inputs.
    y, y_test : Tensor, shape (examples,)
        Classes 0..classes-1 (int64); or targets of any shape (examples, ...) in Data of one's own.
    classes : int
        Number of classes; 0 where targets are no classes.
    name : str
        Where they come from.
    """

    X: Tensor
    y: Tensor
    X_test: Tensor
    y_test: Tensor
    classes: int = 0
    name: str = ""

    def __post_init__(self) -> None:
        for x, y in (("X", "y"), ("X_test", "y_test")):
            inputs, targets = getattr(self, x), getattr(self, y)
            for name, given in ((x, inputs), (y, targets)):
                if not isinstance(given, Tensor) or given.ndim == 0:
                    raise InputError(f"{name} of Data is {given!r:.60}; give a tensor with one row per example")
            if len(inputs) != len(targets):
                raise InputError(f"Data has {len(inputs)} rows of {x} and {len(targets)} of {y}; give as many")
        if not len(self.X):
            raise InputError("Data has no examples to train on (X has no rows)")

    def to(self, device: Any = None, dtype: torch.dtype | None = None) -> Data:
        """The same on another device; inputs, and targets that are no classes, in another floating dtype."""
        X, y, X_test, y_test = (_moved(t, device, dtype) for t in (self.X, self.y, self.X_test, self.y_test))
        return replace(self, X=X, y=y, X_test=X_test, y_test=y_test)

    def images(self) -> Data:
        """The same with square pictures of shape (examples, 1, side, side), for convolutions."""
        side = round(self.X[0].numel() ** 0.5)
        if side * side != self.X[0].numel():
            raise InputError(f"inputs have shape {tuple(self.X.shape[1:])}, which is no square picture")
        return replace(
            self, X=self.X.reshape(-1, 1, side, side), X_test=self.X_test.reshape(self.X_test.shape[0], 1, side, side)
        )


def _moved(given: Tensor, device: Any, dtype: torch.dtype | None) -> Tensor:
    return given.to(device=device, dtype=dtype if given.is_floating_point() else None)


def digits(test: float = 0.2, seed: Any = 0, dtype: torch.dtype = torch.float32) -> Data:
    """Scikit-learn's 1797 handwritten digits of 8 x 8 pixels: they come with it, nothing is downloaded.

    Parameters
    ----------
    test : float
        The fraction kept for testing, in (0, 1).
    seed : int, SeedSequence or Generator
        Which ones those are.
    dtype : torch.dtype
        Of the inputs.

    Returns
    -------
    Data
        Inputs of 64 pixels, shifted and scaled by one pair of numbers so that the pixels of the training set have
        mean 0 and variance 1; classes 0..9.

    Examples
    --------
    >>> import rgflow as rg
    >>> data = rg.nn.digits()
    >>> tuple(data.X.shape), tuple(data.X_test.shape), data.classes
    ((1438, 64), (359, 64), 10)

    Notes
    -----
    The test part of the "Optical Recognition of Handwritten Digits" of the UCI repository (Alpaydin, Kaynak, 1998).
    """
    from sklearn.datasets import load_digits

    _floating(dtype)
    if isinstance(test, bool) or not isinstance(test, (int, float)) or not 0 < test < 1:
        raise InputError(f"test is {test!r}; it must be a fraction between 0 and 1")
    pixels, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(seed_sequence(seed)).permutation(len(pixels))
    kept = min(max(round(test * len(pixels)), 1), len(pixels) - 1)
    rest, first = order[kept:], order[:kept]
    pixels = (pixels - pixels[rest].mean()) / pixels[rest].std()
    return _data((pixels[rest], labels[rest]), (pixels[first], labels[first]), dtype, "scikit-learn digits")


def mnist(
    path: str | os.PathLike[str] | None = None,
    *,
    normalise: bool | tuple[float, float] = True,
    dtype: torch.dtype = torch.float32,
) -> Data:
    """The 60000 + 10000 digits of MNIST, from files that the user has; nothing is downloaded.

    Parameters
    ----------
    path : path, optional
        An ``.npz`` file, or a folder with the four IDX files (plain or ``.gz``). Without it, what the environment
        variable ``RGFLOW_MNIST`` names.
    normalise : bool or (mean, width)
        True: all pixels shifted and scaled by one pair of numbers so that those of the training set have mean 0 and
        variance 1. False: from 0 to 1. A pair: (pixel - mean) / width of pixels from 0 to 1, as (0.1307, 0.3081).
    dtype : torch.dtype
        Of the inputs.

    Returns
    -------
    Data
        Inputs of 784 pixels, row by row; classes 0..9.

    Raises
    ------
    InputError
        If no path is known; the message says which files will do.
    StoreError
        If the files are missing, damaged or something else.
    """
    _floating(dtype)
    shift = _normalisation(normalise)
    given = path if path is not None else os.environ.get(VARIABLE) or None
    if given is None:
        raise InputError(f"mnist has no path; {_HOW}")
    if not isinstance(given, (str, os.PathLike)) or not isinstance(os.fspath(given), str):
        raise InputError(f"path is {given!r}; {_HOW}")
    source = Path(given)
    if not source.exists():
        raise StoreError(f"{source} does not exist; {_HOW}")
    try:
        arrays = _idx_files(source) if source.is_dir() else _npz(source)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, KeyError) as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(f"{source} cannot be read as MNIST: {error}; {_HOW}") from error
    X, Y, x, y = _checked(arrays, source)
    if shift is None:
        shift = (float(X.mean(dtype=np.float64)) / 255, float(X.std(dtype=np.float64)) / 255)
    # 256 values, looked up: the pictures never stand in memory as doubles unless that was asked for
    values = ((np.arange(256) / 255 - shift[0]) / shift[1]).astype(np.float64 if dtype == torch.float64 else np.float32)
    return _data((values[X], Y), (values[x], y), dtype, "MNIST")


def _data(train: tuple[Any, Any], test: tuple[Any, Any], dtype: torch.dtype, name: str) -> Data:
    def part(pixels: Any, labels: Any) -> tuple[Tensor, Tensor]:
        return torch.from_numpy(pixels).to(dtype), torch.tensor(labels, dtype=torch.int64)

    return Data(*part(*train), *part(*test), classes=10, name=name)


def _floating(dtype: Any) -> None:
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise InputError(f"dtype is {dtype!r}; inputs take a floating dtype of torch, torch.float32 say")


def _normalisation(normalise: Any) -> tuple[float, float] | None:
    """(mean, width) of pixels from 0 to 1, or None for those of the training set."""
    if isinstance(normalise, bool):
        return None if normalise else (0.0, 1.0)
    try:
        mean, width = (float(number) for number in normalise)
    except (TypeError, ValueError):
        mean, width = np.nan, np.nan
    if not (isfinite(mean) and isfinite(width) and width > 0):
        raise InputError(f"normalise is {normalise!r}; give True, False or a pair (mean, width above 0)")
    return mean, width


def _npz(source: Path) -> list[NDArray[Any]]:
    if not zipfile.is_zipfile(source):
        raise StoreError(f"{source} is no .npz archive; {_HOW}")
    with np.load(source, allow_pickle=False) as found:
        for names in _ARRAYS:
            if set(names) <= set(found.files):
                return [found[name] for name in names]
        raise StoreError(f"{source} holds {', '.join(found.files) or 'nothing'}; {_HOW}")


def _idx_files(folder: Path) -> list[NDArray[Any]]:
    arrays = []
    for part, what in _NAMES:
        rank = 3 if what == "images" else 1
        names = [f"{part}-{what}{dot}idx{rank}-ubyte{end}" for dot in "-." for end in ("", ".gz")]
        there = [folder / name for name in names if (folder / name).is_file()]
        if not there:
            raise StoreError(f"{folder} has no {names[0]}; {_HOW}")
        arrays.append(_idx(there[0], rank))
    return arrays


def _idx(path: Path, rank: int) -> NDArray[Any]:
    """The array of an IDX file: two zero bytes, 8 for bytes, the rank, big-endian lengths, the bytes."""
    with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
        raw = file.read()
    header = 4 + 4 * rank
    if raw[:4] != bytes([0, 0, 8, rank]) or len(raw) < header:
        raise StoreError(f"{path} is not an IDX file of bytes with {rank} dims")
    shape = [int(length) for length in np.frombuffer(raw[4:header], dtype=">u4")]
    if len(raw) - header != np.prod(shape, dtype=np.int64):
        raise StoreError(f"{path} is truncated: {len(raw) - header} bytes for an array of shape {tuple(shape)}")
    return np.frombuffer(raw[header:], dtype=np.uint8).reshape(shape)


def _checked(arrays: list[NDArray[Any]], source: Path) -> list[NDArray[Any]]:
    for pixels, labels in (arrays[:2], arrays[2:]):
        if pixels.dtype != np.uint8 or pixels.ndim < 2 or pixels[:1].size != 784:
            raise StoreError(
                f"{source} has pictures of {pixels.dtype} and shape {pixels.shape}; MNIST has 784 bytes each"
            )
        if labels.shape != pixels.shape[:1] or labels.dtype.kind not in "iu" or not len(labels):
            raise StoreError(
                f"{source} has {len(pixels)} pictures and labels of shape {labels.shape}; give one for each"
            )
        if labels.min() < 0 or labels.max() > 9:
            raise StoreError(f"{source} has labels from {labels.min()} to {labels.max()}; digits go from 0 to 9")
    return [array.reshape(len(array), -1) if array.ndim > 1 else array for array in arrays]
