"""The numbers of one block of a grid: a pure function of the request and the block, wherever it runs.

Networks that differ by the numbers of their layers alone are flowed together (:mod:`rgflow.sweeps.together`), others
one by one, or drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rgflow.errors import RgflowError
from rgflow.flow.diagnostics import BOUND
from rgflow.sweeps.layout import DTYPES, Block, Variable, variables
from rgflow.sweeps.request import Request
from rgflow.sweeps.single import one_by_one
from rgflow.sweeps.status import BEYOND_ACCURACY, GOOD, Reasons, first
from rgflow.sweeps.together import suitable, together

Arrays = dict[str, NDArray[Any]]


class Stopped(RgflowError):
    """A block that was given up because the sweep was interrupted."""


@dataclass(frozen=True, eq=False)
class Found:
    """Numbers of a block, (points, *inner) of every variable, and the first point of every failure."""

    arrays: Arrays
    reasons: Reasons = field(default_factory=dict)


def never() -> bool:
    """Nobody asks to stop."""
    return False


def compute(request: Request, block: Block, stopped: Callable[[], bool] = never) -> Found:
    """Everything wanted at the points of a block; NaN and a status where a point fails."""
    points = block.points(request.shape)
    if not request.by_layers:
        return _flowed(request, points, None, request.layers, stopped)
    depths = request.layers
    assert depths is not None
    return _by_depth(request, points, depths, stopped)


def batched(request: Request) -> bool:
    """Whether the points of a row are flowed together."""
    return not request.sampled and suitable(request)


def empty(request: Request, points: int, kept: int) -> Arrays:
    """NaN for every number of so many points, with so many layers kept."""

    def sizes(variable: Variable) -> list[int]:
        return [kept if dim == "kept" else size for dim, size in variable.inner]

    found: Arrays = {v.name: np.full((points, *sizes(v)), np.nan) for v in variables(request) if v.name not in DTYPES}
    return found | {"status": np.zeros(points, np.int8)}


def _flowed(
    request: Request,
    points: NDArray[np.intp],
    depth: int | None,
    layers: Sequence[int] | None,
    stopped: Callable[[], bool],
) -> Found:
    """Networks of one depth (None: that of the request), the given layers of each."""
    arrays = empty(request, len(points), 1 if layers is None else len(layers))
    route = together if batched(request) else one_by_one
    reasons = route(request, points, depth, layers, arrays, stopped)
    if route is together and request.method == "auto" and not stopped():
        reasons = _singly(request, points, depth, layers, arrays, reasons, stopped)
    if stopped():
        raise Stopped("interrupted")
    if request.every_layer and request.letters:
        arrays["trusted_layers"] = _trusted(arrays["expansion_ratio"])
    return Found(arrays, reasons)


def _singly(
    request: Request,
    points: NDArray[np.intp],
    depth: int | None,
    layers: Sequence[int] | None,
    arrays: Arrays,
    reasons: Reasons,
    stopped: Callable[[], bool],
) -> Reasons:
    """Once more, each by itself, the points whose averages the tables do not hold: a flow has more ways to them."""
    lost = np.flatnonzero(arrays["status"] == BEYOND_ACCURACY)
    if not lost.size:
        return reasons
    part = empty(request, lost.size, 1 if layers is None else len(layers))
    again = one_by_one(request, points[lost], depth, layers, part, stopped)
    for name, values in part.items():
        arrays[name][lost] = values
    return first([{code: reason for code, reason in reasons.items() if code != BEYOND_ACCURACY}, again])


def _trusted(ratio: NDArray[Any]) -> NDArray[np.int64]:
    """The last layer up to which the ratio (points, letters, layers) stays below the bound; 0 where there is none."""
    beyond = ~(ratio <= BOUND)
    return np.asarray(np.where(beyond.any(axis=-1), beyond.argmax(axis=-1), ratio.shape[-1]), np.int64)


def _by_depth(
    request: Request, points: NDArray[np.intp], depths: tuple[int, ...], stopped: Callable[[], bool]
) -> Found:
    """Depths as layers of the deepest network; where that one fails, the depth up to which it does not, by halves."""
    found = _flowed(request, points, depths[-1], depths, stopped)
    status = np.repeat(found.arrays["status"][:, None], len(depths), axis=1)
    arrays = found.arrays | {"status": status}
    bad = np.flatnonzero(status[:, 0] != GOOD)
    if len(depths) == 1 or not bad.size:
        return Found(arrays, found.reasons)
    middle = len(depths) // 2
    below = _by_depth(request, points[bad], depths[:middle], stopped)
    _insert(arrays, below.arrays, bad, 0)
    reasons = [found.reasons, below.reasons]
    deeper = np.flatnonzero(below.arrays["status"][:, -1] == GOOD)
    if middle < len(depths) - 1 and deeper.size:
        above = _by_depth(request, points[bad[deeper]], depths[middle:-1], stopped)
        _insert(arrays, above.arrays, bad[deeper], middle)
        reasons.append(above.reasons)
    return Found(arrays, first(reasons))


def _insert(arrays: Arrays, part: Arrays, rows: NDArray[np.intp], start: int) -> None:
    """Put the layers of some points in their place; the layers are the axis after names."""
    for name, values in part.items():
        at = 2 if name in ("numerical_error", "expansion_ratio") else 1
        target = np.moveaxis(arrays[name], at, 1)  # a view
        source = np.moveaxis(values, at, 1)
        target[rows, start : start + source.shape[1]] = source
