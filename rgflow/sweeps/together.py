"""Points together: one input through networks that differ by the numbers of their layers alone.

Axes of numbers (C_b, C_W, lambda_b, lambda_W, the first kernel) are one long row of points for every network that the
other axes make, flowed in lanes; see :func:`rgflow.flow.points.flow_points`. Points side by side share polynomials, so
that their last digits depend on their neighbours: the row is always cut at the same places, however the grid is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rgflow.codegen.lanes import BEYOND, LANES
from rgflow.errors import RgflowError
from rgflow.flow.points import SAMPLED, Points, flow_points, suits
from rgflow.network import Network
from rgflow.network.inputs import given
from rgflow.sweeps.axes import FIRST_KERNEL, VECTOR
from rgflow.sweeps.request import Request
from rgflow.sweeps.single import flowed, lasting
from rgflow.sweeps.status import BEYOND_ACCURACY, GOOD, OUTSIDE_DOMAIN, RUNS_AWAY, Reason, Reasons, code, first, where

Floats = NDArray[np.float64]
Places = NDArray[np.intp]
# What rounding leaves of a vanishing input; as rgflow.network.inputs has it for one input.
_SLACK = 16 * np.finfo(float).eps


@lru_cache(maxsize=8)
def suitable(request: Request) -> bool:
    """Whether a sweep is one of flows of one input without a past."""
    one = request.first_kernel is None or request.first_kernel.ndim == 0
    if request.closure != "full" or request.samples or not one:
        return False
    names = [axis.name for axis in request.grid if axis.name in VECTOR and axis.name != FIRST_KERNEL]
    try:
        return suits(request.network(request.at(0)), dict.fromkeys(names, 0.0))
    except RgflowError:
        return False  # the point itself will say why


def together(
    request: Request,
    points: Places,
    depth: int | None,
    layers: Sequence[int] | None,
    arrays: dict[str, NDArray[Any]],
    stopped: Callable[[], bool],
) -> Reasons:
    """Fill the rows of ``arrays``, one for every point; returns why some have none."""
    found: list[Reasons] = []
    for row in _rows(request, points):
        if stopped():
            break
        try:
            net = request.network(row.fixed, depth)
            found.append(_flow(request, net, points, row, layers or (net.depth,), arrays))
        except RgflowError as error:
            if lasting(request, error):
                raise
            arrays["status"][row.places] = code(error)
            point = int(points[row.places[0]])
            found.append({code(error): Reason(point, type(error).__name__, where(request.at(point), str(error)))})
    return first(found)


@dataclass(frozen=True, eq=False)
class Row:
    """Points of one network.

    places : where they stand among all points. fixed : the values that make the network. lanes_of_all : the points of
    the grid, counted for this network, that are flowed. moving : their numbers. lanes : places of ours among these.
    """

    places: Places
    fixed: dict[str, float]
    lanes_of_all: Places
    moving: dict[str, Floats]
    lanes: Places

    @property
    def count(self) -> int:
        """Lanes."""
        return self.lanes_of_all.size


def _rows(request: Request, points: Places) -> Iterator[Row]:
    places = dict(
        zip(
            (axis.name for axis in request.grid),
            np.unravel_index(points, request.shape) if request.shape else (),
            strict=True,
        )
    )
    outer = [axis for axis in request.grid if axis.name not in VECTOR]
    inner = [axis for axis in request.grid if axis.name in VECTOR]
    key, number = _number(outer, places, len(points)), _number(inner, places, len(points))
    for network in np.unique(key):
        here = np.flatnonzero(key == network)
        fixed = {axis.name: axis.values[places[axis.name][here[0]]] for axis in outer}
        lanes = _whole_lanes(number[here], int(np.prod([len(axis.values) for axis in inner], dtype=int)))
        yield Row(here, fixed, lanes, _values(inner, lanes), np.searchsorted(lanes, number[here]))


def _number(axes: list[Any], places: dict[str, Places], count: int) -> Places:
    """The number of every point among the combinations of some axes."""
    if not axes:
        return np.zeros(count, np.intp)
    shape = [len(axis.values) for axis in axes]
    return np.asarray(np.ravel_multi_index([places[axis.name] for axis in axes], shape), np.intp)


def _whole_lanes(numbers: Places, total: int) -> Places:
    """All points of the blocks of lanes in which some points stand, in order."""
    starts = np.unique(numbers // LANES) * LANES
    every = (starts[:, None] + np.arange(LANES)).reshape(-1)
    return np.asarray(every[every < total], np.intp)


def _values(axes: list[Any], numbers: Places) -> dict[str, Floats]:
    if not axes:
        return {}
    places = np.unravel_index(numbers, [len(axis.values) for axis in axes])
    return {axis.name: np.array(axis.values)[place] for axis, place in zip(axes, places, strict=True)}


def _flow(
    request: Request,
    net: Network,
    points: Places,
    row: Row,
    layers: Sequence[int],
    arrays: dict[str, NDArray[Any]],
) -> Reasons:
    overlap, outside = _overlaps(request, net, row)
    overlap = np.where(outside, 0.0, overlap)
    found = _points(request, net, row.moving, overlap, layers, "all" if request.errors == "all" else "none")
    _fill(request, found, row, arrays)
    if request.errors == "sampled":
        _sampled_errors(request, net, row, overlap, layers, arrays["numerical_error"])
    reasons: Reasons = {}
    status = np.where(outside, -1, found.status)[row.lanes]
    for value in np.unique(status[status != GOOD]):
        at = row.places[status == value]
        ours = {-1: OUTSIDE_DOMAIN, BEYOND: BEYOND_ACCURACY}.get(int(value), RUNS_AWAY)
        arrays["status"][at] = ours
        for name in arrays.keys() - {"status"}:
            arrays[name][at] = np.nan
        point = int(points[at].min())
        words = "no input has this first kernel" if value < 0 else found.reason(int(value))
        reasons = first([reasons, {ours: _said(request, net.depth, point, words)}])
    return reasons


def _points(
    request: Request,
    net: Network,
    moving: dict[str, Floats],
    overlap: Floats,
    layers: Sequence[int],
    errors: str,
) -> Points:
    return flow_points(
        net,
        {name: values for name, values in moving.items() if name != FIRST_KERNEL},
        overlap,
        tensors=request.wanted,
        order=request.order,
        kinks=request.kinks,
        layers=layers,
        method="tabulated" if request.method == "auto" else request.method,
        errors=errors,
    )


def _sampled_errors(
    request: Request, net: Network, row: Row, overlap: Floats, layers: Sequence[int], errors: Floats
) -> None:
    """Errors of one block of lanes in SAMPLED, counted in the whole grid."""
    chosen = np.flatnonzero(row.lanes_of_all // LANES % SAMPLED == 0)
    if not chosen.size:
        return
    moving = {name: values[chosen] for name, values in row.moving.items()}
    found = _points(request, net, moving, overlap[chosen], layers, "all")
    back = np.full(row.count, -1)
    back[chosen] = np.arange(chosen.size)
    here = back[row.lanes]
    for i, name in enumerate(request.names):
        errors[row.places[here >= 0], i] = found.errors[name].T[here[here >= 0]]


def _overlaps(request: Request, net: Network, row: Row) -> tuple[Floats, NDArray[np.bool_]]:
    """x.x/n_0 of every lane, and where no input has it."""
    if request.inputs is not None:
        overlap = np.full(row.count, given(net, request.inputs).overlap[0, 0])
        return overlap, np.zeros(row.count, np.bool_)
    layer = net.layers[0]
    C_b, C_W = (row.moving.get(name, np.full(row.count, layer.value(name))) for name in ("C_b", "C_W"))
    fixed = request.first_kernel
    kernel = row.moving[FIRST_KERNEL] if fixed is None else np.full(row.count, float(fixed))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        overlap = (kernel - C_b) / C_W
        slack = _SLACK * np.maximum(np.abs(kernel), C_b)
        outside = ~(np.isfinite(overlap) & (kernel >= -slack) & (overlap >= -slack / C_W))
    return np.maximum(overlap, 0.0), outside


def _said(request: Request, depth: int, point: int, words: str) -> Reason:
    """What a point says when it is flowed alone, since that names its layer and its numbers; else these words."""
    values = request.at(point)
    try:
        net = request.network(values, None if request.net.depth == depth or "depth" in values else depth)
        flowed(request, net, values)
    except RgflowError as error:
        return Reason(point, type(error).__name__, where(values, str(error)))
    return Reason(point, "AccuracyError", where(values, words))


def _fill(request: Request, found: Points, row: Row, arrays: dict[str, NDArray[Any]]) -> None:
    """From (layers, lanes) to rows of points."""
    for i, name in enumerate(request.names):
        arrays[name][row.places] = found.values[name].T[row.lanes]
        if found.errors:
            arrays["numerical_error"][row.places, i] = found.errors[name].T[row.lanes]
    for i, letter in enumerate(request.letters):
        arrays["expansion_ratio"][row.places, i] = found.expansion_ratio[letter].T[row.lanes]
