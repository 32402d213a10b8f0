"""Blocks of a Gram matrix, and the tables of single inputs that their pairs read, a few stages at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rgflow.gram.inputs import Inputs
from rgflow.gram.kernels import LANES
from rgflow.gram.lines import Lines
from rgflow.gram.single import Alone

Floats = NDArray[np.float64]
TABLES = 40 * 2**20  # bytes of Hermite coefficients at a time


class Block(NamedTuple):
    """Rows and columns, as places among all inputs, and the corner of the matrix where they go."""

    rows: slice
    columns: slice
    corner: tuple[int, int]

    @property
    def square(self) -> bool:
        return self.rows == self.columns

    @property
    def place(self) -> tuple[slice, slice]:
        """Where it goes."""
        i, j = self.corner
        return slice(i, i + self.rows.stop - self.rows.start), slice(j, j + self.columns.stop - self.columns.start)

    def local(self, given: Inputs) -> tuple[slice, slice]:
        """Rows and columns as places in the whole matrix."""
        i, j = given.rows.start, given.columns.start
        rows, columns = self.rows, self.columns
        return slice(rows.start - i, rows.stop - i), slice(columns.start - j, columns.stop - j)


def blocks(given: Inputs, side: int) -> Iterator[Block]:
    """The blocks of a matrix: of a symmetric one those on and above the diagonal."""
    for i in range(given.rows.start, given.rows.stop, side):
        for j in range(i if given.square else given.columns.start, given.columns.stop, side):
            rows, columns = slice(i, min(i + side, given.rows.stop)), slice(j, min(j + side, given.columns.stop))
            yield Block(rows, columns, (i - given.rows.start, j - given.columns.start))


class Tables(NamedTuple):
    """Of the stages c0..c1 what ``flow_pairs`` reads of the inputs of rows and columns.

    rows, columns : (1/sqrt(K_aa), <s_a>, B), see there. starts, rests : of B, and of the tails of its series
    """

    stages: tuple[int, int]
    rows: tuple[Floats, Floats, Floats]
    columns: tuple[Floats, Floats, Floats]
    starts: NDArray[np.int64]
    rests: Floats


def tables(lines: Lines, alone: Alone, kept: Sequence[int], block: Block, arcs: bool) -> Iterator[Tables]:
    """Tables of consecutive stages, few enough for memory, ending where stages are kept."""
    width = padded(block.rows) + (0 if block.square else padded(block.columns))
    start, last = 0, kept[-1]
    while start < last:
        stop, size = start, 0
        while stop < last:
            following = next(t for t in range(stop + 1, last + 1) if lines.cuts[t] or t in kept)
            size += 8 * width * sum(_terms(alone, t) for t in range(stop, following))
            if size > TABLES and stop > start:
                break
            stop = following
            if stop in kept:
                break
        yield _table(alone, block, start, stop, arcs)
        start = stop


def _terms(alone: Alone, stage: int) -> int:
    found = alone.averages[stage]
    return 0 if found is None else found.terms


def _table(alone: Alone, block: Block, start: int, stop: int, arcs: bool) -> Tables:
    terms = [_terms(alone, t) for t in range(start, stop)]
    starts = np.concatenate([[0], np.cumsum([*terms, 0])]).astype(np.int64)
    rests = np.zeros(starts[-1] + stop - start + 2)
    for i, t in enumerate(range(start, stop)):
        found = alone.averages[t]
        if found is not None:
            rests[starts[i] + i : starts[i + 1] + i + 1] = found.rests
    rows = _side(alone, block.rows, start, stop, starts, arcs)
    columns = rows if block.square else _side(alone, block.columns, start, stop, starts, arcs)
    return Tables((start, stop), rows, columns, starts, rests)


def _side(alone: Alone, inputs: slice, start: int, stop: int, starts: Any, arcs: bool) -> tuple[Floats, Floats, Floats]:
    """1/sqrt(K_aa) (``arcs``: K_aa), <s_a> and B of the inputs at stages start..stop, padded to whole chunks."""
    width, count = padded(inputs), inputs.stop - inputs.start
    inverse, mean = np.zeros((stop - start + 1, width)), np.zeros((stop - start + 1, width))
    K = alone.K[start : stop + 1, inputs]
    if arcs:
        inverse[:, :count] = K
    else:
        np.divide(1.0, np.sqrt(K), out=inverse[:, :count], where=K > 0)
    mean[:, :count] = alone.mean[start : stop + 1, inputs]
    B = np.zeros((int(starts[-1]), width))
    for i in range(stop - start):
        found = alone.averages[start + i]
        if found is not None:
            found.scaled(K[i], inputs, B[starts[i] : starts[i + 1], :count])
    return inverse, mean, B


def padded(inputs: slice) -> int:
    """How many columns whole chunks of lanes take."""
    return int(-(-(inputs.stop - inputs.start) // LANES) * LANES)
