r"""Nodes and weights that serve many kernels at once: one rule for all K of a band, with its error measured.

A smooth sigma takes the trapezoid rule at the middles of its cells, z = sqrt(K) u with u = c sinh t (u = t for a sigma
that oscillates, grows exponentially or is a polynomial); c, the cut and the number of nodes are the cheapest with which
every average of the band keeps the tolerance. A kinked sigma takes Gauss-Legendre on each of its pieces: with the only
kink at 0 nodes are shared as well, others move with K and the rule holds places on the pieces.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from rgflow.activations import Activation
from rgflow.brackets import growth_rate, least_nodes
from rgflow.brackets.jumps import branch_function
from rgflow.brackets.leibniz import Polynomial, evaluate, highest_order
from rgflow.brackets.rules import gauss_legendre
from rgflow.brackets.smooth import Entry
from rgflow.brackets.traits import traits
from rgflow.errors import AccuracyError

LOWEST, FACTOR = 0.25, 4.0  # the first band ends there; each further one is so much wider
MOST_BANDS = 100
ROUNDING = 16 * np.finfo(float).eps  # of sums with vector functions, relative to the absolute integral
USELESS = 1e-6  # what no number should be built on
MOST_NODES, MOST_GAUSS = 2048, 192
# Kernels at which rules are tried, as parts of the largest, which needs most nodes; the phase of an error turns with K.
_TRIED = np.array([1.0, 0.9, 0.8, 0.65, 0.5, 0.4, 0.3, 0.2, 0.1, 0.04, 0.02, 0.01, 5e-3, 2e-3, 5e-4, 1e-4, 1e-6, 1e-9])
_BETWEEN = 2.0  # safety: the error between these kernels, relative to the largest at them; 1.5 was met at 200 kernels
_DENSITY = 1 / math.sqrt(2 * math.pi)
_STRETCHES = (2.0, 1.4, 1.0)
_CUTS = (1.0, 1.07, 1.14)


@dataclass(frozen=True)
class Band:
    """A rule for 0 <= K <= top.

    pieces : for each smooth piece nodes and weights: u and its Gaussian weight, or (kinks away from 0) places between 0
    and 1 on the piece and their weights. doubt : (M,) largest error at the kernels tried, relative to the absolute
    integral, rounding included.
    """

    top: float
    pieces: tuple[tuple[Any, Any], ...]
    doubt: Any


def moves(activation: Activation) -> bool:
    """Whether nodes depend on K point by point, since a kink lies elsewhere than at 0."""
    return any(kink != 0.0 for kink in activation.kinks)


def plain(activation: Activation) -> bool:
    """Whether nodes are equally spaced in z/sqrt(K)."""
    return activation.oscillating or activation.growth > 0 or activation.polynomial is not None


def scale_free(activation: Activation) -> bool:
    """Whether the pieces are polynomials, which know no scale."""
    return all(piece is not None for piece in activation.piece_polynomials)


def reach(activation: Activation) -> float:
    """The kink farthest from 0."""
    return max((abs(kink) for kink in activation.kinks), default=0.0)


@lru_cache(maxsize=1024)
def band(activation: Activation, parity: int, entries: tuple[Entry, ...], number: int, tolerance: float) -> Band | None:
    """The rule of a band, the cheapest found; None where averages overflow or no rule reaches 1e-6.

    Parameters
    ----------
    parity : int
        That of the activation (equal ones may know it or not, as they are spelt).
    entries : tuple of (sorted orders, pending), none of them odd
    number : int
        0 for K <= 1/4, then each 4 times wider.
    tolerance : float
        Relative to the absolute integral.
    """
    try:
        return _Search(activation, entries, LOWEST * FACTOR**number, tolerance).best()
    except AccuracyError:
        return None


@dataclass(frozen=True)
class Rules:
    """Bands 0..B-1 as arrays: tops (B,), starts (B, pieces + 1), nodes u, weights w; limit, the largest K allowed."""

    tops: Any
    starts: Any
    u: Any
    w: Any
    limit: float
    doubt: Any


def bands(top: float) -> int:
    """The number of bands up to a kernel."""
    count = 1
    while LOWEST * FACTOR ** (count - 1) < top and count < MOST_BANDS:
        count += 1
    return count


@lru_cache(maxsize=256)
def rules_of(
    activation: Activation,
    parity: int,
    summed: tuple[Entry, ...],
    entries: tuple[Entry, ...],
    count: int,
    tolerance: float,
) -> Rules:
    """The first so many bands, or those that can be had; the brackets are ``summed`` among ``entries``.

    Equal activations may know their parity or not, as they are spelt: it is part of the key.
    """
    found = list[Band]()
    for number in range(count if summed else 0):
        rule = band(activation, parity, summed, number, tolerance)
        if rule is None:
            break
        found.append(rule)
    limit = (
        LOWEST * FACTOR ** (MOST_BANDS - 1) if len(found) == count or not summed else found[-1].top if found else 0.0
    )
    parts = [part for rule in found for part in rule.pieces]
    ends = np.concatenate([[0], np.cumsum([len(u) for u, _ in parts])]).astype(np.int64)
    pieces = len(activation.pieces)
    starts = np.array([ends[i * pieces : (i + 1) * pieces + 1] for i in range(len(found))], np.int64)
    doubt = np.full(len(entries), ROUNDING)
    worst = np.max([rule.doubt for rule in found], axis=0) if found else ()
    doubt[[entries.index(entry) for entry in summed]] = worst
    return Rules(
        np.array([rule.top for rule in found]),
        starts.reshape(len(found), pieces + 1),
        np.concatenate([u for u, _ in parts]) if parts else np.zeros(1),
        np.concatenate([w for _, w in parts]) if parts else np.zeros(1),
        limit,
        doubt,
    )


class _Search:
    """Rules for one band, compared with one of many nodes at kernels of the band."""

    def __init__(self, activation: Activation, entries: Sequence[Entry], top: float, tolerance: float):
        self.activation, self.entries, self.top = activation, entries, top
        self.most = MOST_GAUSS if activation.kinks else MOST_NODES
        self.tolerance = max(tolerance / _BETWEEN, ROUNDING)
        self.polynomials = tuple(branch_function(activation, *entry) for entry in entries)
        self.order = highest_order(self.polynomials)
        self.kernels = top * _TRIED
        factors = max((len(orders) for orders, _ in entries), default=0)
        self.spread = 4 * traits(activation).power * factors
        self.shift = growth_rate(activation, entries) * math.sqrt(top)
        with np.errstate(all="ignore"):
            self.value, self.size = self._reference()

    def best(self) -> Band | None:
        """The cheapest rule within the tolerance, else the best of the largest."""
        if not np.isfinite(self.value).all():
            return None
        found: tuple[int, float, float] | None = None
        for stretch, cut in self._shapes():
            count = self._count(stretch, cut, self.most if found is None else found[0] - 1)
            if count is not None:
                found = (count, stretch, cut)
        chosen = found or (min(self.most, 512), 1.0, self._cut(1.14))
        miss = self._miss(*chosen)
        doubt = _BETWEEN * miss.max(axis=0) + ROUNDING
        if not doubt.max(initial=0.0) <= USELESS:
            return None
        return Band(self.top, self.pieces(*chosen), doubt)

    def _shapes(self) -> Iterator[tuple[float, float]]:
        for stretch in (1.0,) if plain(self.activation) else _STRETCHES:
            for cut in _CUTS:
                yield stretch, self._cut(cut)

    def _cut(self, factor: float) -> float:
        return factor * math.sqrt(2 * math.log(1 / self.tolerance) + self.spread) + self.shift

    def _count(self, stretch: float, cut: float, most: int) -> int | None:
        """The smallest number of nodes within the tolerance, at most so many; None if there is none."""

        def good(count: int) -> bool:
            return bool((self._miss(count, stretch, cut) <= self.tolerance).all())

        low, high = 4, min(most, 16)
        while not good(high):
            if high >= most:
                return None
            low, high = high, min(most, high + max(4, high // 2))
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if good(middle) else (middle, high)
        return high

    def _reference(self) -> tuple[Any, Any]:
        cut = math.sqrt(81 + self.spread) + self.shift
        count = max(96, int(2 * least_nodes(self.activation, self.entries, self.top)))
        value, size = self._averages(count, 1.0, cut)
        while count < 2 * self.most:
            count *= 2
            before, (value, size) = value, self._averages(count, 1.0, cut)
            if not np.isfinite(value).all() or (np.abs(value - before) <= 0.1 * self.tolerance * size).all():
                break
        return value, size

    def _miss(self, count: int, stretch: float, cut: float) -> Any:
        with np.errstate(all="ignore"):
            value, _ = self._averages(count, stretch, cut)
            return np.abs(value - self.value) / np.where(self.size > 0, self.size, 1.0)

    def _averages(self, count: int, stretch: float, cut: float) -> tuple[Any, Any]:
        """Averages (kernels, M) and the integrals of their absolute terms."""
        value, size = (np.zeros((len(self.kernels), len(self.entries))) for _ in range(2))
        positive: tuple[Polynomial, ...] = tuple(tuple((abs(c), m) for c, m in p) for p in self.polynomials)
        root = np.sqrt(self.kernels)[:, None]
        for piece, (places, weights) in enumerate(self.pieces(count, stretch, cut)):
            if moves(self.activation):
                u, weights = self._moved(piece, root, places, weights)
            else:
                u = places[None, :]
            table = self.activation.piece_derivatives(piece, root * u, self.order)
            value += (evaluate(self.polynomials, table) * weights).sum(axis=-1).T
            size += (evaluate(positive, np.abs(table)) * weights).sum(axis=-1).T
        return value, size

    def pieces(self, count: int, stretch: float, cut: float) -> tuple[tuple[Any, Any], ...]:
        """Nodes and weights of each smooth piece; for an even or odd smooth sigma the positive half, doubled."""
        root = math.sqrt(self.top)
        c = stretch if scale_free(self.activation) else stretch / max(1.0, root)
        if moves(self.activation):
            x, w = gauss_legendre(count)
            return tuple(((0.5 + 0.5 * x), 0.5 * w) for _ in self.activation.pieces)
        if self.activation.kinks:
            x, w = gauss_legendre(count)
            end = math.asinh(cut / c)
            u, weight = _weighted(c, 0.5 * end * (1 + x), 0.5 * end * w)
            return (-u[::-1], weight[::-1]), (u, weight)
        half = bool(self.activation.parity)
        end = cut if plain(self.activation) else math.asinh(cut / c)
        t = (np.arange(count) + 0.5) * (end / count)
        if plain(self.activation):
            u, weight = t, _DENSITY * end / count * np.exp(-0.5 * t * t)
        else:
            u, weight = _weighted(c, t, np.full(count, end / count))
        if half:
            return ((u, 2 * weight),)
        return ((np.concatenate([-u[::-1], u]), np.concatenate([weight[::-1], weight])),)

    def _moved(self, piece: int, root: Any, places: Any, weights: Any) -> tuple[Any, Any]:
        c = np.ones_like(root) if scale_free(self.activation) else 1 / np.maximum(1.0, root)
        low, high = span(self.activation, self.entries, piece, root, c)
        t = low + (high - low) * places
        return _weighted(c, t, (high - low) * weights)


def _weighted(c: Any, t: Any, weights: Any) -> tuple[Any, Any]:
    """u = c sinh t, and the weights of a standard normal average."""
    u = c * np.sinh(t)
    return u, _DENSITY * weights * c * np.cosh(t) * np.exp(-0.5 * u * u)


def span(activation: Activation, entries: Sequence[Entry], piece: int, root: Any, c: Any) -> tuple[Any, Any]:
    """Where a piece begins and ends in t, cut at what no average of these entries sees."""
    cut, growth, far = cuts(activation, entries)
    end = cut + growth * root
    if far:
        end = np.maximum(end, np.minimum(far / root + np.minimum(9.0, 40.0 * root / far), 38.0))
    kinks = activation.kinks
    low = -end if piece == 0 else np.clip(kinks[piece - 1] / root, -end, end)
    high = end if piece == len(kinks) else np.clip(kinks[piece] / root, -end, end)
    return np.arcsinh(low / c), np.arcsinh(high / c)


def cuts(activation: Activation, entries: Sequence[Entry]) -> tuple[float, float, float]:
    """The cut in u, its growth with sqrt(K), and the farthest kink."""
    factors = max((len(orders) for orders, _ in entries), default=0)
    cut = math.sqrt(max(81.0, 69 + 4 * traits(activation).power * factors))
    return cut, growth_rate(activation, entries), reach(activation)
