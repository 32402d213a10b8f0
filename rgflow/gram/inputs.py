"""The inputs of a Gram matrix: their overlaps x.x'/n_0 a block at a time, and which of them are equal."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rgflow.errors import InputError
from rgflow.network import Network
from rgflow.network.inputs import finite, given

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
EPSILON = float(np.finfo(np.float64).eps)
_EQUAL = 4 * EPSILON  # as in network/inputs.py: the same input, computed in two ways


@dataclass(frozen=True, eq=False)
class Inputs:
    """All inputs, those of rows and then those of columns if these are others.

    Attributes
    ----------
    points : (N, n_0), or None
    kernel : (M, M) overlaps of different inputs, if they and not inputs were given
    place : (N,), the place of each input among those
    labels : (N,), the first input equal to each
    rows, columns : which of them
    own : (N,), x.x/n_0 of every input
    """

    points: Floats | None
    kernel: Floats | None
    place: Labels
    labels: Labels
    rows: slice
    columns: slice
    own: Floats

    @property
    def square(self) -> bool:
        return self.rows == self.columns

    def overlap(self, rows: slice, columns: slice, out: Floats) -> None:
        """n x.x'/n_0 of a block into ``out``, n = ``divisor``."""
        if self.points is not None:
            np.matmul(self.points[rows], self.points[columns].T, out=out)
            return
        assert self.kernel is not None
        out[:] = self.kernel[np.ix_(self.place[rows], self.place[columns])]

    @property
    def divisor(self) -> float:
        return 1.0 if self.points is None else float(self.points.shape[1])

    def between(self, a: Any, b: Any) -> Floats:
        """x.x'/n_0 of pairs."""
        if self.points is not None:
            return np.asarray(np.einsum("ai,ai->a", self.points[a], self.points[b]) / self.points.shape[1])
        assert self.kernel is not None
        return np.asarray(self.kernel[self.place[a], self.place[b]])

    def digest(self) -> str:
        """A fingerprint of the numbers."""
        found = hashlib.sha256()
        for array in (self.points, self.kernel, self.place):
            if array is not None:
                found.update(repr(array.shape).encode())
                found.update(np.ascontiguousarray(array).data)
        found.update(repr((self.rows, self.columns)).encode())
        return found.hexdigest()


def of_kernel(kernel: Floats, place: Any = None) -> Inputs:
    """Inputs known by the overlaps of those that differ."""
    place = np.arange(len(kernel)) if place is None else np.asarray(place, np.int64)
    _, first, back = np.unique(place, return_index=True, return_inverse=True)
    every = slice(0, len(place))
    own = np.asarray(np.diagonal(kernel)[place])
    return Inputs(None, kernel, place.astype(np.int64), first[back].astype(np.int64), every, every, own)


def read(net: Network, inputs: Any, others: Any, first_kernel: Any) -> Inputs:
    """Validate what the user gave, as :func:`rgflow.flow` does.

    Raises InputError.
    """
    if first_kernel is not None or inputs is None:
        if others is not None:
            raise InputError("others= needs inputs= (an array (N, n_0)); first_kernel holds one set of inputs")
        found = given(net, inputs, first_kernel)
        return of_kernel(found.overlap, found.place)
    points, squares = _points(net, "inputs", inputs)
    count = len(points)
    rows = columns = slice(0, count)
    if others is not None:
        more, their_squares = _points(net, "others", others)
        points, squares = np.concatenate([points, more]), np.concatenate([squares, their_squares])
        columns = slice(count, len(points))
    labels = alike(points, squares)
    return Inputs(points, None, np.arange(len(points)), labels, rows, columns, squares / points.shape[1])


def _points(net: Network, name: str, values: Any) -> tuple[Floats, Floats]:
    """Validated inputs, and x.x of each; an array of floats is not copied."""
    n_0 = net.widths[0]
    x, squares = _plain(values, n_0) or (None, None)
    if x is None or squares is None:
        x = finite(name, values)
        x = x[None, :] if x.ndim == 1 else x
        if x.ndim != 2 or x.shape[1] != n_0:
            raise InputError(
                f"{name} has shape {np.shape(values)}; the network takes (N, {n_0}) with N >= 1, or ({n_0},)"
            )
        with np.errstate(over="ignore"):
            squares = np.einsum("ai,ai->a", x, x)
    first = net.layers[0]
    with np.errstate(over="ignore"):
        most = float(squares.max()) / n_0
        entering = most, first.value("C_W") * most, first.value("lambda_W") * most
    for what, value in zip(("x.x'/n_0", "K of layer 1", "Theta of layer 1"), entering, strict=True):
        if not np.isfinite(value):
            raise InputError(f"{name} holds values so large that {what} overflows; rescale them")
    return np.ascontiguousarray(x), squares


def _plain(values: Any, n_0: int) -> tuple[Floats, Floats] | None:
    """The usual case, for which x.x tells that all is finite; None if it is not."""
    if type(values) is not np.ndarray or values.dtype != np.float64 or values.ndim != 2 or values.shape[1] != n_0:
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        squares = np.einsum("ai,ai->a", values, values)
    return (values, squares) if len(values) and np.isfinite(squares).all() else None


def alike(points: Floats, squares: Floats) -> Labels:
    """For each input the first that equals it in every entry, to rounding at the scale of the largest.

    Equal inputs stand next to each other in the order of one random projection, so that no N x N comparison is needed.
    squares : (N,), x.x, whose root bounds the largest entry
    """
    labels = np.arange(len(points))
    direction = np.random.default_rng(0).standard_normal(points.shape[1])
    shadow = points @ direction
    window = 4 * EPSILON * (points.shape[1] + 4) * np.sqrt(squares) * np.abs(direction).sum()
    order = np.argsort(shadow, kind="stable")
    sorted_shadow = shadow[order]
    near = sorted_shadow[1:] - sorted_shadow[:-1] <= window[order[1:]]
    for at in 1 + np.flatnonzero(near):
        a = order[at]
        size = np.abs(points[a]).max()
        before = at - 1
        while before >= 0 and shadow[a] - shadow[order[before]] <= window[a]:
            b = order[before]
            if np.abs(points[a] - points[b]).max() <= _EQUAL * size:
                labels[max(a, b)] = min(labels[a], labels[b])
                labels[a] = labels[b] = min(labels[a], labels[b])
                break
            before -= 1
    return labels.astype(np.int64)
