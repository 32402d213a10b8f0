"""Averages over the later half of a run whose length is not known, in constant memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rgflow.checks import whole
from rgflow.errors import InputError

Array = NDArray[np.float64]


class HalfRunning:
    """Means of numbers x_1, x_2, ... over t0 < t' <= t, t0 = floor(t/2): the first half is thrown away as transient.

    All later halves would need all numbers. Kept are sums over blocks of equal size, at most ``blocks`` of them; when
    they are full, neighbours are joined and blocks become twice as long. Up to ``blocks`` numbers t0 is exact; later
    it is rounded to the end of a block, which moves it by at most t / ``blocks``.

    Parameters
    ----------
    columns : int
        Numbers that come at a time.
    blocks : int
        Even; memory is ``blocks`` times ``columns`` floats.

    >>> mean = HalfRunning(1)
    >>> for x in (9.0, 7.0, 1.0, 2.0, 3.0):
    ...     mean.add([x])
    >>> mean.start, mean.mean().tolist()
    (2, [2.0])
    """

    def __init__(self, columns: int, blocks: int = 4096):
        if whole("blocks", blocks, 2) % 2:
            raise InputError(f"blocks is {blocks}; it must be even, so that they can be joined in pairs")
        self.sums: Array = np.zeros((blocks, columns))
        self.count = 0
        self.size = 1

    def add(self, values: Any) -> None:
        """The next numbers, one for each column."""
        blocks = len(self.sums)
        if self.count == blocks * self.size:
            self.sums[: blocks // 2] = self.sums[0::2] + self.sums[1::2]
            self.sums[blocks // 2 :] = 0.0
            self.size *= 2
        self.sums[self.count // self.size] += values
        self.count += 1

    @property
    def start(self) -> int:
        """t0: how many of the first numbers are left out; floor(t/2), or the end of a block nearest to it."""
        return self._first_block() * self.size

    def _first_block(self) -> int:
        return (self.count // 2 + self.size // 2) // self.size

    def mean(self) -> Array:
        """The means over the later half, shape (columns,); NaN if there is nothing yet."""
        if not self.count:
            return np.full(self.sums.shape[1], np.nan)
        with np.errstate(all="ignore"):
            total: Array = self.sums[self._first_block() :].sum(axis=0)
        return total / (self.count - self.start)

    def batch_means(self, batches: int) -> Array | None:
        """Means over ``batches`` equal pieces of the later half, shape (batches, columns); None if it is too short.

        What does not fill a piece is left out at the beginning; so is a block that is not full yet, at the end.
        """
        end = self.count // self.size
        each = (end - self._first_block()) // batches
        if each < 1:
            return None
        pieces = self.sums[end - each * batches : end].reshape(batches, each, -1)
        means: Array = pieces.sum(axis=1) / (each * self.size)
        return means

    def reset(self) -> None:
        """Forget everything."""
        self.sums[:] = 0.0
        self.count, self.size = 0, 1

    def state_dict(self) -> dict[str, Any]:
        """Everything, for a checkpoint."""
        return {"sums": self.sums.copy(), "count": self.count, "size": self.size}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """What :meth:`state_dict` returned; InputError for one with other columns or blocks."""
        if state["sums"].shape != self.sums.shape:
            shapes = f"{state['sums'].shape}, here {self.sums.shape}"
            raise InputError(f"the state has (blocks, columns) {shapes}; make the monitor with the same")
        self.sums = np.array(state["sums"], dtype=np.float64)
        self.count, self.size = int(state["count"]), int(state["size"])


def ratio_error(pieces: Array | None, rule: str = "batch_means", draws: int = 400) -> float:
    """Standard error of (mean of column 0) / (mean of column 1) from means over pieces of a run.

    "batch_means": the spread of the residuals L - ratio * R of the pieces, to first order in them. "bootstrap": the
    spread of the ratio over ``draws`` sets of as many pieces drawn with replacement (always the same draws). Pieces
    must be longer than correlations last. NaN for fewer than two pieces.

    >>> ratio_error(np.array([[1.0, 1.0], [3.0, 1.0]]))
    1.0
    """
    if rule not in ("batch_means", "bootstrap"):
        raise InputError(f"rule is {rule!r}; it must be 'batch_means' or 'bootstrap'")
    if pieces is None or len(pieces) < 2:
        return float("nan")
    left, right = pieces[:, 0], pieces[:, 1]
    with np.errstate(all="ignore"):  # a run that explodes has no error
        if rule == "bootstrap":
            chosen = np.random.default_rng(0).integers(len(pieces), size=(draws, len(pieces)))
            return float(np.std(left[chosen].mean(axis=1) / right[chosen].mean(axis=1), ddof=1))
        residual = left - left.mean() / right.mean() * right
        return float(np.std(residual, ddof=1) / np.sqrt(len(pieces)) / abs(right.mean()))


def mean_error(pieces: Array | None) -> Array | None:
    """Standard errors of the means of columns from means over pieces; None for fewer than two."""
    if pieces is None or len(pieces) < 2:
        return None
    with np.errstate(all="ignore"):
        found: Array = np.std(pieces, axis=0, ddof=1) / np.sqrt(len(pieces))
    return found
