"""Where numbers stand: the variables of a result, their dimensions, and the blocks that a grid is cut into."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rgflow.sweeps.request import Request

DTYPES = {"status": "i1", "trusted_layers": "i8"}  # the others are numbers that may be missing
AIM = 2**20  # numbers of a block: some MB
LAYERS = 2**22  # points times layers of a block: tenths of a microsecond each
LEAST = 1024  # points of a block below which there is more to do about them than with them
SHARE = 4  # blocks for every worker, so that none waits for the last
SLOW = 16  # points of a block where each is a flow of its own


@dataclass(frozen=True)
class Variable:
    """A variable of a result.

    inner : (dimension, size) of what every point holds: "kept" layers, names, samples. dims, sizes : of the result.
    """

    name: str
    inner: tuple[tuple[str, int], ...]
    dims: tuple[str, ...]
    sizes: tuple[int, ...]
    dtype: str = "f8"

    def whole(self) -> NDArray[Any]:
        """An array of the result's shape: NaN, or 0 of what is counted."""
        return np.full(self.sizes, np.nan if self.dtype == "f8" else 0, self.dtype)


def variables(request: Request) -> tuple[Variable, ...]:
    """Everything that a sweep finds, in the order of a result."""
    kept = ("kept", request.kept_count)
    found = []
    for tensor in request.wanted:
        samples = [(f"sample{i}", request.samples) for i in range(request.arguments(tensor))]
        found += [(name, (kept, *samples)) for name in _spelled(request, tensor.name)]
    if not request.sampled:
        found.append(("numerical_error", (("coefficient", len(request.wanted)), kept)))
    if request.letters:
        found.append(("expansion_ratio", (("letter", len(request.letters)), kept)))
    if request.every_layer and request.letters:
        found.append(("trusted_layers", (("letter", len(request.letters)),)))
    # where depths are layers, the deep ones may fail alone
    found.append(("status", (kept,) if request.by_layers else ()))
    return tuple(_variable(request, name, inner) for name, inner in found)


def _spelled(request: Request, name: str) -> tuple[str, ...]:
    return (name, f"{name}_se") if request.sampled else (name,)


def _variable(request: Request, name: str, inner: tuple[tuple[str, int], ...]) -> Variable:
    """Names come first, then layers, the axes in their order, and samples."""
    sizes = {axis.name: len(axis.values) for axis in request.axes}
    names = [dim for dim, _ in inner]
    before = [dim for dim in names if dim in ("coefficient", "letter")]
    layer = ["layer"] if "kept" in names and request.layer_dim else []
    after = [dim for dim in names if dim.startswith("sample")]
    sizes |= {**dict(inner), "layer": request.kept_count}
    dims = (*before, *layer, *(axis.name for axis in request.axes), *after)
    return Variable(name, inner, dims, tuple(sizes[dim] for dim in dims), DTYPES.get(name, "f8"))


@dataclass(frozen=True)
class Block:
    """A box of the grid: its number, and for every axis of the grid where it starts and stops."""

    number: int
    bounds: tuple[tuple[int, int], ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Points along each axis."""
        return tuple(stop - start for start, stop in self.bounds)

    @property
    def size(self) -> int:
        """Points."""
        return prod(self.shape)

    def points(self, shape: tuple[int, ...]) -> NDArray[np.intp]:
        """Their numbers in a grid of that shape, in order."""
        if not shape:
            return np.zeros(1, np.intp)
        ranges = np.ix_(*(np.arange(start, stop) for start, stop in self.bounds))
        return np.asarray(np.ravel_multi_index(ranges, shape), np.intp).reshape(-1)

    def place(self, request: Request, variable: Variable) -> tuple[slice, ...]:
        """Where its numbers stand in a variable of the result."""
        where = {axis.name: slice(*bound) for axis, bound in zip(request.grid, self.bounds, strict=True)}
        return tuple(where.get(dim, slice(None)) for dim in variable.dims)

    def arranged(self, request: Request, variable: Variable, values: NDArray[Any]) -> NDArray[Any]:
        """Numbers (points, *inner) as they stand there."""
        names = [axis.name for axis in request.grid] + [dim for dim, _ in variable.inner]
        array = values.reshape((*self.shape, *(size for _, size in variable.inner)))
        if "kept" in names:
            at = names.index("kept")
            if request.by_layers:
                names[at] = "depth"
                depths = next(axis.values for axis in request.axes if axis.name == "depth")
                ascending = {depth: i for i, depth in enumerate(sorted(depths))}
                array = np.take(array, [ascending[depth] for depth in depths], axis=at)
            elif request.layer_dim:
                names[at] = "layer"
            else:
                names.pop(at)
                array = array.squeeze(at)
        return array.transpose([names.index(dim) for dim in variable.dims])


def cut(shape: tuple[int, ...], points: int) -> tuple[int, ...]:
    """The shape of blocks of at most that many points: whole rows of the last axes first, so that neighbours along them
    stand together.

    >>> cut((5, 100, 200), 1000), cut((5, 100, 200), 50), cut((), 10)
    ((1, 5, 200), (1, 1, 50), ())
    """
    found: list[int] = []
    for size in reversed(shape):
        here = min(size, max(1, points))
        found.append(-(-size // -(-size // here)))  # blocks of nearly equal size
        points //= size if here == size else points + 1
    return tuple(reversed(found))


def blocks(shape: tuple[int, ...], block: tuple[int, ...]) -> Iterator[Block]:
    """The boxes that tile a grid, in order."""
    starts = (range(0, size, step) for size, step in zip(shape, block, strict=True))
    for number, corner in enumerate(product(*starts)):
        stops = (min(start + step, size) for start, step, size in zip(corner, block, shape, strict=True))
        yield Block(number, tuple(zip(corner, stops, strict=True)))


def physical_memory() -> float:
    """Bytes of memory of this machine; infinite where the system does not say."""
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError, OSError):  # pragma: no cover
        return float("inf")


def default_points(request: Request, batched: bool, workers: int) -> int:
    """Points of a block: at most AIM numbers, a fraction of a second, and some blocks for every worker."""
    if request.sampled:
        return 1
    numbers = sum(prod(size for _, size in variable.inner) for variable in variables(request))
    most, share = max(1, AIM // numbers), -(-request.points // (SHARE * workers))
    if not batched:
        return min(most, SLOW, share)
    return min(most, max(LEAST, LAYERS // request.net.depth), max(LEAST, share))
