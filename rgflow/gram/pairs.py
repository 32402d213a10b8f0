"""Blocks of pairs through all stages, on several threads, and what no series gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rgflow.activations import Activation
from rgflow.errors import AccuracyError, InputError
from rgflow.gram.arcs import arcs
from rgflow.gram.hermite import EPSILON, shape
from rgflow.gram.inputs import Inputs
from rgflow.gram.kernels import LANES, ROWS, pairs_by_angles, pairs_by_arcs, pairs_by_series, room
from rgflow.gram.lines import Lines, lines
from rgflow.gram.one_by_one import PAIRS, by_quadrature
from rgflow.gram.single import ANGLES, ARCS, LOST, QUADRATURE, SERIES, Alone, alone, route
from rgflow.gram.tables import Block, Tables, tables
from rgflow.layers.stages import Stage
from rgflow.network import Network
from rgflow.threads import Start, Wait, finished

Floats = NDArray[np.float64]
FLOW_PAIRS = {SERIES: pairs_by_series, ANGLES: pairs_by_angles, ARCS: pairs_by_arcs}
TILE = 512  # rows and columns of overlaps: a product of matrices large enough to run at full speed
PANEL = 128  # rows of overlaps at a time


def prepared(net: Network, through: Sequence[Stage], given: Inputs, layers: Sequence[int], tangent: bool) -> Pairs:
    """All that pairs need: lines, and every input alone through all stages.

    Raises AccuracyError for a flow that runs away.
    """
    ends = [t for t, stage in enumerate(through) if stage.last]
    kept = tuple(ends[layer - 1] for layer in layers)
    recursion = lines(through[: kept[-1] + 1])
    for t in kept:
        if not recursion.cuts[t]:
            raise InputError(f"stages beyond layer {through[t].layer} read below it; keep layers='last' alone")
    one = alone(net.activation, recursion, given.own)
    if tangent:
        _refuse_standing_on_a_kink(net, recursion, one)
    return Pairs(net.activation, recursion, one, given, kept, tangent)


def _refuse_standing_on_a_kink(net: Network, recursion: Lines, one: Alone) -> None:
    """AccuracyError where Theta needs sigma' of an input without variance at a kink at zero."""
    if 0.0 not in net.activation.kinks:
        return
    for t in np.flatnonzero(recursion.averaged[:-1]):
        still = np.flatnonzero(one.K[t] == 0)
        if still.size:
            raise AccuracyError(
                f"input {still[0]} has no variance at layer {recursion.layers[t]} and sits on the kink of "
                f"{net.activation.name} at 0.0, where sigma' jumps; use C_b > 0, drop that input or ask tensors='K'"
            )


@dataclass(frozen=True, eq=False)
class Pairs:
    """K and Theta of pairs of inputs.

    Attributes
    ----------
    inputs : all inputs, of rows and of columns
    kept : stages to keep, rising
    tangent : whether Theta is wanted
    """

    activation: Activation
    lines: Lines
    alone: Alone
    inputs: Inputs
    kept: tuple[int, ...]
    tangent: bool

    def block(
        self,
        block: Block,
        K: Floats,
        Theta: Floats,
        advance: Callable[[int], None],
        start: Start,
        begun: Sequence[Sequence[Wait]] = (),
    ) -> Floats:
        """Fill the block of K and Theta, (kept, n, m) matrices; Theta is (kept, 0, 0) if it is not wanted.

        Returns bounds on the error, (kept, 2). Of a square block all is written.
        start : of ``rgflow.threads.hands``. begun : the :func:`overlaps` in K[0], if these are
        """
        begun = list(begun or overlaps(self.inputs, block, K[0], start))
        rows, columns = block.rows, block.columns
        n, m = rows.stop - rows.start, columns.stop - columns.start
        errors, beyond = np.zeros((2, n, -(-m // LANES))), np.zeros(n, np.int64)
        largest = np.zeros((len(self.kept), 2))
        by_series = route(self.activation) != QUADRATURE
        two_slopes = route(self.activation) == ANGLES
        errors[0] = 8 * EPSILON if two_slopes else 4 * EPSILON * self.alone.sizes[0, 0]
        errors[1] = 4 * EPSILON * self.alone.sizes[0, 1]
        if self.kept[0] == 0 or not by_series:
            finished([wait for panel in begun for wait in panel])
            begun = [[] for _ in begun]
        if self.kept[0] == 0:
            self._first(block, K[0], Theta[0])
        if by_series:
            at = 0
            if self.kept[0] == 0:
                largest[0] = self._largest(errors, 0)
            for part in tables(self.lines, self.alone, self.kept, block, route(self.activation) == ARCS):
                here = next(i for i, t in enumerate(self.kept) if t >= part.stages[1])
                task = _Task(self, block, part, K, Theta, errors, beyond, (at, here), advance, [])
                for panel in reversed(range(len(begun))):  # the last first: other threads began with the first
                    finished(begun[panel])
                    begun[panel] = []
                    finished([start(task.run, each) for each in _parts(panel, n)])
                at = here
                if self.kept[here] == part.stages[1]:
                    largest[here] = self._largest(errors, part.stages[1])
        largest = np.maximum(largest, self._finish(block, K, Theta, beyond if by_series else None, advance))
        for stage, (of_K, of_Theta) in zip(self.kept, largest, strict=True):
            self._refuse_lost(float(of_K), float(of_Theta), stage)
        return largest

    def work(self, block: Block) -> int:
        """What ``block`` advances by in all."""
        n, m = block.rows.stop - block.rows.start, block.columns.stop - block.columns.start
        if route(self.activation) != QUADRATURE:
            return int(n * m * self.kept[-1])
        equal = len(_equal(self.inputs.labels[block.rows], self.inputs.labels[block.columns])[0])
        return int((n * m - equal) // (2 if block.square else 1))

    def diagonal_errors(self) -> Floats:
        """Of inputs alone, (kept, 2)."""
        kept = list(self.kept)
        return np.stack([self.alone.K_error[kept].max(axis=1), self.alone.Theta_error[kept].max(axis=1)], axis=1)

    def _largest(self, errors: Floats, stage: int) -> tuple[float, float]:
        of_K, of_Theta, size = float(errors[0].max()), float(errors[1].max()), self.alone.sizes[stage]
        if route(self.activation) == ANGLES:
            of_K = float(size[0] * (of_K + size[5]))
        self._refuse_lost(of_K, of_Theta, stage)
        return of_K, of_Theta

    def _refuse_lost(self, of_K: float, of_Theta: float, stage: int) -> None:
        """AccuracyError for an error as large as K; one that is no number any more has passed all sizes."""
        if not of_K <= LOST * float(self.alone.sizes[stage, 0]) or not np.isfinite(of_Theta):
            raise AccuracyError(
                f"the numerical error of K, {of_K:.1e}, has grown to its size at layer {self.lines.layers[stage]}: "
                f"the flow of {self.activation.name} runs away; choose other hyperparameters or fewer layers"
            )

    def _first(self, block: Block, K: Floats, Theta: Floats) -> None:
        """The first stage, where it is kept, in place of overlaps."""
        C_b, C_W, lambda_b, lambda_W = self.lines.first
        K = K[block.place]
        if block.square:
            for rows, columns in (tile for panel in _tiles(block) for tile in panel):
                K[columns, rows] = K[rows, columns].T
        K /= self.inputs.divisor
        if self.tangent:
            Theta = Theta[block.place]
            np.multiply(K, lambda_W, out=Theta)
            Theta += lambda_b
        K *= C_W
        K += C_b

    def _finish(self, block: Block, K: Floats, Theta: Floats, beyond: Any, advance: Callable[[int], None]) -> Floats:
        """Pairs without a series, and equal inputs; errors (kept, 2) of the former."""
        (i, j), rows, columns = block.corner, block.rows, block.columns
        errors = np.zeros((len(self.kept), 2))
        matrices = (K, Theta)[: 1 + self.tangent]
        for part in _panels(rows.stop - rows.start):
            a, b = self._left(block, part, K, beyond)
            for start in range(0, len(a), PAIRS):
                one, other = a[start : start + PAIRS], b[start : start + PAIRS]
                x, y = one + rows.start, other + columns.start
                found = by_quadrature(
                    self.activation, self.lines, self.alone, x, y, self.inputs.between(x, y), self.kept
                )
                wrong = (found.K_error, found.Theta_error)
                for which, (matrix, values) in enumerate(zip(matrices, (found.K, found.Theta), strict=False)):
                    matrix[:, i + one, j + other] = values
                    if block.square:
                        matrix[:, i + other, j + one] = values
                    errors[:, which] = np.maximum(errors[:, which], wrong[which].max(axis=1))
                if beyond is None:
                    advance(len(one))
        here, there = self.inputs.labels[rows], self.inputs.labels[columns]
        equal = _equal(here, there)
        for matrix, diagonal in zip(matrices, (self.alone.K, self.alone.Theta), strict=False):
            for k, t in enumerate(self.kept):
                matrix[k, i + equal[0], j + equal[1]] = diagonal[t, here[equal[0]]]
        return errors

    def _left(self, block: Block, part: slice, K: Floats, beyond: Any) -> tuple[Any, Any]:
        """Pairs of some rows that are still to be found: all, or where the series was too long."""
        (i, j), columns = block.corner, block.columns
        if beyond is not None and not beyond[part].any():
            return np.zeros(0, np.intp), np.zeros(0, np.intp)
        view = K[-1, i + part.start : i + part.stop, j : j + columns.stop - columns.start]
        here, there = self.inputs.labels[block.rows][part], self.inputs.labels[columns]
        wanted = np.ones(view.shape, np.bool_) if beyond is None else np.isnan(view)
        wanted &= here[:, None] != there[None, :]
        a, b = np.nonzero(wanted)
        a = a + part.start
        if block.square:
            a, b = a[a < b], b[a < b]
        return a, b


class _Task(NamedTuple):
    """Some rows of a block through the stages of a table; ``rooms`` are those to work in that no thread uses."""

    pairs: Pairs
    block: Block
    tables: Tables
    K: Floats
    Theta: Floats
    errors: Floats
    beyond: Any
    kept: tuple[int, int]
    advance: Callable[[int], None]
    rooms: list[Any]

    def run(self, rows: tuple[int, int]) -> None:
        pairs, block, (start, stop) = self.pairs, self.block, self.tables.stages
        before, here = self.kept
        (i, j), n = block.corner, block.columns.stop - block.columns.start
        stages = slice(start, stop + 1)
        closed, form = _ways(pairs.activation)
        (inverse_r, mean_r, B_r), (inverse_c, mean_c, B_c) = self.tables.rows, self.tables.columns
        space = self._room()
        FLOW_PAIRS[route(pairs.activation)](
            closed,
            np.array([pairs.inputs.divisor, *pairs.lines.first] if start == 0 < pairs.kept[0] else [], np.float64),
            self.K[before],
            self.Theta[before],
            self.K[here],
            self.Theta[here],
            np.array([i, j], np.int64),
            block.square and stop == pairs.kept[here],
            self.errors,
            self.beyond,
            np.array(rows, np.int64),
            block.square,
            pairs.inputs.labels[block.rows],
            pairs.inputs.labels[block.columns],
            inverse_r,
            inverse_c,
            mean_r,
            mean_c,
            B_r,
            B_c,
            self.tables.starts,
            self.tables.rests,
            form,
            pairs.alone.sizes[stages],
            pairs.lines.constants[stages],
            pairs.lines.coefficients[stages],
            pairs.lines.averaged[stages],
            space,
        )
        self.rooms.append(space)
        self.advance(int((rows[1] - rows[0]) * n * (stop - start)))

    def _room(self) -> Any:
        try:
            return self.rooms.pop()
        except IndexError:
            return room(self.pairs.lines.coefficients.shape[1], self.tables.starts)


def _ways(activation: Activation) -> tuple[Floats, Floats]:
    """``closed`` and ``shape`` of flow_pairs."""
    slopes = activation.slopes
    if slopes is not None:
        return np.array([0.0, ((slopes[0] + slopes[1]) / 2) ** 2, ((slopes[1] - slopes[0]) / 2) ** 2]), np.zeros(3)
    if activation in arcs():
        return np.array([1.0 + arcs().index(activation)]), np.zeros(3)
    step, odd, slope = shape(activation)
    return np.zeros(0), np.array([step, odd, slope**2])


def overlaps(given: Inputs, block: Block, K: Floats, start: Start) -> list[list[Wait]]:
    """Begin to put n x.x' in place of the block of K, of a square one beyond the diagonal alone.

    Returns what waits for the tiles of each TILE of rows.
    """
    of, beside, place = block.rows.start, block.columns.start, K[block.place]
    return [
        [
            start(
                given.overlap,
                slice(of + rows.start, of + rows.stop),
                slice(beside + columns.start, beside + columns.stop),
                place[rows, columns],
            )
            for rows, columns in panel
        ]
        for panel in _tiles(block)
    ]


def _tiles(block: Block) -> list[list[tuple[slice, slice]]]:
    """Tiles of each TILE of rows of a block, of a square one those on and above the diagonal.

    Of a tile on the diagonal NumPy computes half.
    """
    n, m = block.rows.stop - block.rows.start, block.columns.stop - block.columns.start
    return [
        [(slice(i, min(i + TILE, n)), slice(j, min(j + TILE, m))) for j in range(i if block.square else 0, m, TILE)]
        for i in range(0, n, TILE)
    ]


def _panels(rows: int) -> list[slice]:
    return [slice(start, min(start + PANEL, rows)) for start in range(0, rows, PANEL)]


def _parts(panel: int, rows: int) -> list[tuple[int, int]]:
    """Ranges of the rows of a TILE for threads to take in turn, each a small share of the pairs, however many take."""
    size = 4 * ROWS
    stop = min((panel + 1) * TILE, rows)
    return [(start, min(start + size, stop)) for start in range(panel * TILE, stop, size)]


def _equal(here: Any, there: Any) -> tuple[Any, Any]:
    """All pairs of equal labels."""
    order = np.argsort(there, kind="stable")
    left, right = (np.searchsorted(there[order], here, side) for side in ("left", "right"))
    count = right - left
    a = np.repeat(np.arange(len(here)), count)
    within = np.arange(len(a)) - np.repeat(np.cumsum(count) - count, count)
    return a, order[np.repeat(left, count) + within]
