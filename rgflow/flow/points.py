"""Flows of one input at many points of hyperparameter space at once.

A bracket of one input is a function of the one number K, whatever the point: it is tabulated once, with a measured
error (:mod:`rgflow.brackets.in_kernel`), and a layer of a flow is then a few multiplications
(:mod:`rgflow.codegen.lanes`). Quadrature at every point and layer (:mod:`rgflow.codegen.batch`) is the other way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rgflow.algebra import System, Tensor
from rgflow.brackets.kinks import check_kinks
from rgflow.brackets.smooth import Entry
from rgflow.codegen.batch import batch_kernel
from rgflow.codegen.batch_layers import NOT_FINITE, OVERFLOWED, RAN_AWAY
from rgflow.codegen.lanes import BEYOND, GOOD, LANES, RUNS_AWAY
from rgflow.codegen.table import lower
from rgflow.derive.derive import closures
from rgflow.errors import InputError
from rgflow.flow.diagnostics import expansion_ratios
from rgflow.flow.orders import measures, requested
from rgflow.flow.tabulated import Tabulated
from rgflow.layers import forgets
from rgflow.layers.laws import value
from rgflow.layers.stages import stages
from rgflow.network import Network

Array = NDArray[np.float64]
Reported = tuple[Tensor | Entry, ...]
OVERFLOWS = 4  # a wanted number is not finite
METHODS, ERRORS = ("tabulated", "quadrature"), ("all", "sampled", "none")
SAMPLED = 16  # of so many blocks one has its errors found
_KERNEL = Tensor.named("K")
_SWEPT = {"C_b", "C_W", "lambda_b", "lambda_W"}


@dataclass(frozen=True, eq=False)
class Points:
    """Flows at P points, at the kept layers.

    Attributes
    ----------
    values, errors : {name: (S, P)}
        Coefficients and their absolute numerical errors; NaN where a flow could not be had. With sampled errors these
        are NaN where they were not found.
    expansion_ratio : {letter: (S, P)}
        Size of the next order in 1/n relative to the last, as :func:`rgflow.flow` gives it.
    brackets : {(orders, pending): (S, P)}
        The Gaussian averages that were asked for, of the layer below; NaN at layer 1, which no average has made.
    status : (P,)
        0 where all is well; see :meth:`reason`.
    """

    values: dict[str, Array]
    errors: dict[str, Array]
    expansion_ratio: dict[str, Array]
    brackets: dict[Entry, Array]
    status: NDArray[np.int64]
    beyond: str = ""

    def reason(self, status: int) -> str:
        """What a status means."""
        return {
            GOOD: "",
            RUNS_AWAY: "K is not finite, or negative: the flow runs away",
            BEYOND: f"the Gaussian averages at some layer cannot be had: {self.beyond}",
            OVERFLOWS: "a tensor overflows",
        }[status]


def suits(net: Network, points: Mapping[str, Any]) -> bool:
    """Whether :func:`flow_points` serves: one law for all layers, no past, and hyperparameters it knows."""
    through = stages(net)
    laws = {stage.law for stage in through}
    plain = len(through) == net.depth and len(laws) == 1 and all(map(forgets, laws))
    if not plain or through[0].law.intrinsic(*Tensor.named("V").pairs):
        return False
    known = {name for layer in net.layers for name in layer.hyperparameters()}
    return known == _SWEPT and set(points) <= known


def flow_points(
    net: Network,
    points: Mapping[str, Any],
    overlap: Any,
    *,
    tensors: Any = ("K", "V", "Theta"),
    order: int = 1,
    kinks: str = "error",
    layers: Sequence[int] | None = None,
    method: str = "tabulated",
    errors: str = "all",
    expansion: bool = True,
    brackets: Sequence[Entry] = (),
    threads: int = 1,
) -> Points:
    """Flow one input through a network at P points of hyperparameter space.

    Parameters
    ----------
    net : Network
        Layers of one kind without a past; its depth, widths and the hyperparameters that are not swept.
    points : mapping
        Name of a hyperparameter to its values (P,), the same in every layer.
    overlap : (P,) or number
        x.x/n_0, so that K = C_b + C_W overlap and Theta = lambda_b + lambda_W overlap in layer 1.
    tensors, order, kinks
        As for :func:`rgflow.flow`.
    layers : layers to keep, from 1; default all
    method : "tabulated" or "quadrature"
        Brackets from tables in K, or by quadrature at every point and layer: slower, and a second witness.
    errors : "all", "sampled" or "none"
        Of which points errors are found: all; one block of lanes in sixteen; none. They come from a second flow, which
        is displaced by the errors of the brackets, and a bound on what rounding leaves where terms cancel, and take
        about four times as long as the values. Those of quadrature are its distance from the tabulated flow, and the
        errors of that.
    expansion : bool
        Whether to flow what measures the expansion in 1/n besides (V, A, B).
    brackets : (orders, pending)
        Averages < d^pending prod sigma^(order) > of the layer below to return, among those of the recursions:
        chi_parallel is C_W/2 times ((0, 0), 2), chi_perpendicular C_W times ((1, 1), 0).
    threads : int

    Raises InputError for a network that :func:`suits` declines; OrderError, UnknownName, KinkError as a flow does.

    >>> import numpy as np
    >>> from rgflow.network import MLP
    >>> net = MLP.uniform(n_in=3, width=100, depth=4, activation="relu")
    >>> found = flow_points(net, {"C_W": np.array([1.0, 2.0])}, 0.5, tensors="V")
    >>> found.values["V"][:, 1].round(9).tolist(), found.status.tolist()
    ([0.0, 5.0, 10.0, 15.0], [0, 0])
    """
    if not suits(net, points):
        raise InputError(f"{net!r} cannot be flowed at many points at once; flow point by point")
    for name, given, known in (("method", method, METHODS), ("errors", errors, ERRORS)):
        if given not in known:
            raise InputError(f"{name} is {given!r}; it is {' or '.join(map(repr, known))}")
    wanted = requested(tensors, order)
    beside = measures(wanted, order) if expansion else ()
    law = stages(net)[-1].law
    system = closures([*wanted, *beside, _KERNEL], "one", [law])[law]
    check_kinks(system, net.activation, kinks)
    kept = list(range(1, net.depth + 1)) if layers is None else list(layers)
    reported: Reported = (*dict.fromkeys([*wanted, *beside]), *brackets)
    given_overlap, swept = np.asarray(overlap, np.float64), {k: np.asarray(x, np.float64) for k, x in points.items()}
    (count,) = np.broadcast_shapes((1,), given_overlap.shape, *(x.shape for x in swept.values()))
    every = {name: np.broadcast_to(x, (count,)) for name, x in swept.items()}
    table = Tabulated(net, lower(system), every, np.broadcast_to(given_overlap, (count,)))
    unknown = [entry for entry in brackets if entry not in table.entries]
    if unknown:
        raise InputError(f"brackets holds {unknown[0]!r}; these recursions have {', '.join(map(repr, table.entries))}")
    if method == "quadrature":
        values, status, beyond = _by_quadrature(net, system, table, reported, kept, threads)
        doubts = _distance(table, reported, kept, errors, threads, values)
    else:
        values, doubts, status, beyond = table.flow(reported, kept, errors == "all", threads)
        if errors == "sampled":
            doubts = _sampled(table, reported, kept, threads, values.shape)
    _lost(values[:, : len(wanted)], status)
    if status.any():
        values[:, :, status != GOOD] = np.nan
        doubts[:, :, status != GOOD] = np.nan
    return Points(
        {t.name: values[:, i] for i, t in enumerate(wanted)},
        {t.name: doubts[:, i] for i, t in enumerate(wanted)} if errors != "none" else {},
        _ratios(net, reported, values, kept, wanted) if expansion else {},
        {entry: values[:, reported.index(entry)] for entry in brackets},
        status,
        beyond,
    )


def _lost(values: Array, status: NDArray[np.int64]) -> None:
    """Mark points with a number that is not finite."""
    with np.errstate(over="ignore", invalid="ignore"):
        finite = np.isfinite(values.sum(axis=(0, 1)))  # one number that is not spoils the sum
    if not finite.all():
        status[(status == GOOD) & ~np.isfinite(values).all(axis=(0, 1))] = OVERFLOWS


def _sampled(table: Tabulated, reported: Reported, kept: list[int], threads: int, shape: tuple[int, ...]) -> Array:
    """Errors of one block in ``SAMPLED``, NaN elsewhere."""
    doubts = np.full(shape, np.nan)
    chosen = np.flatnonzero(np.arange(shape[2]) // LANES % SAMPLED == 0)
    doubts[:, :, chosen] = table.at(chosen).flow(reported, kept, True, threads)[1]
    return doubts


def _distance(
    table: Tabulated,
    reported: Reported,
    kept: list[int],
    errors: str,
    threads: int,
    values: Array,
) -> Array:
    """How far a flow by quadrature is from the tabulated one, and how wrong that may be; zero if nobody asks."""
    if errors == "none":
        return np.zeros(values.shape)
    doubts = np.full(values.shape, np.nan)
    step = SAMPLED if errors == "sampled" else 1
    chosen = np.flatnonzero(np.arange(values.shape[2]) // LANES % step == 0)
    other, error, _, _ = table.at(chosen).flow(reported, kept, True, threads)
    doubts[:, :, chosen] = np.abs(values[:, :, chosen] - other) + error
    return doubts


def _by_quadrature(
    net: Network,
    system: System,
    table: Tabulated,
    reported: Reported,
    kept: list[int],
    threads: int,
) -> tuple[Array, NDArray[np.int64], str]:
    """Values (S, W, P), status and why averages could not be had, by the kernel that integrates."""
    program = batch_kernel(system, net.activation)
    tensors, symbols = program.table.tensors, program.table.symbols
    first = table.first()
    begin = np.array([first[table.place[tensor]] for tensor in tensors])
    by_layer = [
        [
            *(value(net.layers[i], s, net.widths[i], net.widths[i + 1]) for s in symbols),
            net.widths[i] / net.widths[i - 1],
        ]
        for i in range(1, net.depth)
    ]
    later = sorted({layer for layer in kept if layer > 1})
    averages = [each for each in reported if not isinstance(each, Tensor)]
    found = program.run(begin, np.array(by_layer).T, table.points, later, threads=threads, brackets=bool(averages))
    values = np.empty((len(kept), len(reported), first.shape[1]))
    for slot, layer in enumerate(kept):
        for w, each in enumerate(reported):
            if isinstance(each, Tensor):
                t = tensors.index(each)
                values[slot, w] = begin[t] if layer == 1 else found.values[t, later.index(layer)]
            else:
                m = table.entries.index(each)
                values[slot, w] = np.nan if layer == 1 else found.brackets[m, later.index(layer)]
    meaning = {0: GOOD, RAN_AWAY: RUNS_AWAY, OVERFLOWED: OVERFLOWS, NOT_FINITE: BEYOND}
    status = np.array([meaning[code] for code in range(4)], np.int64)[found.code]
    return values, status, "an average is not finite, or K is beyond the reach of the quadrature"


def _ratios(
    net: Network, reported: Reported, values: Array, kept: list[int], wanted: tuple[Tensor, ...]
) -> dict[str, Array]:
    """Expansion ratios of every point: to the measure, kept layers and points are one long row of layers."""
    fan_in = np.array(net.fan_in, np.float64)[np.array(kept, np.int64) - 1]
    shape = values.shape[0], values.shape[2]
    flat = {each: values[:, i].reshape(-1) for i, each in enumerate(reported) if isinstance(each, Tensor)}
    found = expansion_ratios(flat, np.repeat(fan_in, shape[1]))
    letters = {tensor.letter for tensor in wanted}
    return {letter: np.asarray(ratio).reshape(shape) for letter, ratio in found.items() if letter in letters}
