"""Averages over one input for every input of a stage: those of similar kernels are interpolated together.

Averages are analytic in sqrt(K) for Re sqrt(K) > 0, so that few Chebyshev points in sqrt(K) give them, to rounding, for
any number of inputs whose kernels lie within a factor of four.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from rgflow.activations import Activation
from rgflow.gram.hermite import EPSILON, NEGLIGIBLE, NODES, Resolved, Single, direct, relative, resolve, rests

Floats = NDArray[np.float64]
Places = NDArray[np.intp]
BAND = 4.0  # kernels within this ratio go together
POINTS = (6, 8, 12, 16, 24, 32)
INTERPOLATED = 1e-15  # the last Chebyshev coefficients, relative to the averages
STEP = 4  # terms of a series come in fours
TOGETHER = 1024  # inputs at a time, where they are not interpolated


@dataclass(frozen=True, eq=False)
class Band:
    """Inputs of similar kernels.

    table : (points, terms), B_k/sqrt(k + 1): at the kernels themselves (``own``), or Chebyshev coefficients over
    sqrt(K) from ``low`` to ``high``. places : for every input of the stage its row, with ``own``.
    """

    table: Floats
    own: bool
    low: float
    high: float

    def scaled(self, K: Floats, places: Places) -> Floats:
        """The coefficients of inputs with kernels K, (terms, n)."""
        if self.own:
            return self.table[places].T
        return self.table.T @ chebyshev(np.sqrt(K), self.low, self.high, len(self.table))


@dataclass(frozen=True, eq=False)
class Averages:
    """What a stage knows of its inputs alone; arrays (N,) over them.

    mean, square, slope, answer : see ``Single``
    second, third : the largest of <s''^2> and <s'''^2>
    rests : (terms + 1,), the largest rest of <s' s'> after so many terms, relative to it
    error : of all these, relative to <s s> and <s' s'>
    """

    mean: Floats
    square: Floats
    slope: Floats
    answer: Floats
    second: float
    third: float
    rests: Floats
    error: float
    bands: tuple[Band, ...]
    band: Places
    place: Places

    @property
    def terms(self) -> int:
        return len(self.rests) - 1

    def scaled(self, K: Floats, inputs: slice, out: Floats) -> None:
        """B_k/sqrt(k + 1) of the inputs, whose kernels are K, into ``out`` (terms, n), zero so far."""
        band, place = self.band[inputs], self.place[inputs]
        if len(self.bands) == 1:
            out[:] = self.bands[0].scaled(K, place)
            return
        for number, each in enumerate(self.bands):
            of = np.flatnonzero(band == number)
            if of.size:
                out[:, of] = each.scaled(K[of], place[of])


def averages(activation: Activation, K: Floats, hint: Resolved | None) -> tuple[Averages, Resolved]:
    """All averages over one input at kernels K (N,); ``hint`` is what the last stage took."""
    order = np.argsort(K, kind="stable")
    ordered = K[order]
    alone = np.zeros((4, len(K)))
    number, place = np.zeros(len(K), np.intp), np.zeros(len(K), np.intp)
    found: list[tuple[Floats, bool, float, float, Floats]] = []
    start, error, second, third = 0, 0.0, 0.0, 0.0
    top = resolve(activation, float(ordered[-1]), hint)
    while start < len(K):
        stop = int(np.searchsorted(ordered, BAND * ordered[start], side="right"))
        members = order[start:stop]
        rule = top if stop == len(K) else resolve(activation, float(ordered[stop - 1]), top)
        number[members] = len(found)
        rest, (bend, twist), table, own, doubt, values, places = _band(activation, K[members], rule)
        alone[:, members] = values
        place[members] = places
        low, high = np.sqrt(ordered[start]), np.sqrt(ordered[stop - 1])
        found.append((table, own, float(low), float(high), rest))
        error = max(error, doubt + rule.drift)
        second, third = max(second, bend), max(third, twist)
        start = stop
    needed = max(_terms(rest) for *_, rest in found)
    rest = np.max([_padded(rest, needed + 1) for *_, rest in found], axis=0)
    bands = tuple(Band(_padded(table, needed), own, low, high) for table, own, low, high, _ in found)
    answer = Averages(alone[0], alone[1], alone[2], alone[3], second, third, rest, error, bands, number, place)
    most = 32
    while most < min(needed, top.terms):
        most *= 2
    points = 0 if bands[-1].own else len(bands[-1].table)
    # Fewer terms oscillate less: the next stage tries fewer nodes.
    rung = max(NODES.index(top.nodes) - (most < top.terms), 0)
    return answer, Resolved(NODES[rung], most, 0.0, points)


def _band(
    activation: Activation, K: Floats, rule: Resolved
) -> tuple[Floats, tuple[float, float], Floats, bool, float, Floats, Places]:
    """At kernels K: rests, the largest <s''^2> and <s'''^2>, B, whether at K itself, its error, averages, places."""
    unique, places = np.unique(K, return_inverse=True)
    places = np.asarray(places, np.intp)
    low, high = float(np.sqrt(unique[0])), float(np.sqrt(unique[-1]))
    for count in POINTS[POINTS.index(rule.points) if rule.points else 2 :]:
        if len(unique) <= 2 * count:
            break
        points = (low + high) / 2 + (high - low) / 2 * np.cos(np.pi * (np.arange(count) + 0.5) / count)
        single = direct(activation, points**2, rule.terms, rule.nodes)
        stack = np.stack([single.mean, single.square, single.slope, single.answer])
        size = np.stack([np.sqrt(single.square), single.square, single.slope, single.slope]).min(axis=1)
        series, table = stack @ _transform(count).T, _transform(count) @ single.B
        last = np.abs(series[:, -2:]).max(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            doubt = float(max(relative(last, size).max(), relative(np.abs(table[-2:]).max(), np.sqrt(size[2])).max()))
        if doubt <= INTERPOLATED:
            values = series @ chebyshev(np.sqrt(K), low, high, count)
            return *_largest(activation, single), table, False, doubt + 2 * EPSILON, values, places
    # A part of the inputs at a time, and no more terms than count: sigma at all nodes of all inputs would fill memory.
    averaged, tables = np.empty((4, len(unique))), []
    known: list[tuple[Floats, tuple[float, float]]] = []
    for start in range(0, len(unique), TOGETHER):
        part = slice(start, start + TOGETHER)
        single = direct(activation, unique[part], rule.terms, rule.nodes)
        averaged[:, part] = single.mean, single.square, single.slope, single.answer
        known.append(_largest(activation, single))
        tables.append(single.B[:, : _terms(known[-1][0])].copy())
    rest = np.max([each for each, _ in known], axis=0)
    table = np.concatenate([_padded(each, _terms(rest)) for each in tables])
    bend, twist = np.max([each for _, each in known], axis=0)
    return rest, (float(bend), float(twist)), table, True, 2 * EPSILON, averaged[:, places], places


def _largest(activation: Activation, single: Single) -> tuple[Floats, tuple[float, float]]:
    """Of all inputs: rests, and <s''^2> and <s'''^2>."""
    return rests(activation, single).max(axis=0), (float(single.second.max()), float(single.third.max()))


def chebyshev(root: Floats, low: float, high: float, number: int) -> Floats:
    """T_0, .., T_{number - 1} at the inputs, (number, n)."""
    x = (2 * root - low - high) / (high - low)
    found = np.empty((number, len(root)))
    found[0], found[1] = 1.0, x
    for k in range(2, number):
        np.multiply(2 * x, found[k - 1], out=found[k])
        found[k] -= found[k - 2]
    return found


@lru_cache(maxsize=16)
def _transform(number: int) -> Floats:
    """From values at the Chebyshev points to coefficients."""
    k = np.arange(number)
    found = 2 / number * np.cos(np.pi * np.outer(k, k + 0.5) / number)
    found[0] /= 2
    return np.asarray(found)


def _terms(rest: Floats) -> int:
    """How many terms leave nothing, or all there are; a multiple of four."""
    enough = np.flatnonzero(rest <= NEGLIGIBLE)
    number = int(enough[0]) if enough.size else len(rest) - 1
    return max(STEP, -(-number // STEP) * STEP)


def _padded(array: Floats, length: int) -> Floats:
    """Cut, or continued: a table by zeros, rests by the last."""
    if array.ndim == 1:
        return np.concatenate([array[:length], np.full(max(0, length - len(array)), array[-1])])
    found = np.zeros((len(array), length))
    found[:, : array.shape[1]] = array[:, :length]
    return found
