"""Averages of piecewise smooth functions: nested Gauss-Legendre between the kinks."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rgflow.activations import Activation
from rgflow.brackets.covariance import EPSILON, pivot_orders, square_root
from rgflow.brackets.leibniz import Polynomial, evaluate, highest_order
from rgflow.brackets.nested import BUDGET, contract, plan
from rgflow.brackets.rules import Rule, point, segments
from rgflow.brackets.traits import traits

Array = NDArray[np.float64]
_NODES = (20, 30, 45, 68, 100, 150, 225, 340, 500)
_MOST_POINTS = {1: 1 << 16, 2: 2_000_000, 3: 30_000_000, 4: 100_000_000}
_GRADES = (3.0, 10.0, 40.0, 160.0)
_SHARP = 0.4
_PANELS = (1.0, 6.0, 36.0, 216.0)
_WIDE = 2.0
_CELL = 0.25
_LOOKUP = 8
_TAIL, _FALL, _FAR = 9.0, 40.0, 38.0  # deviations of the bell; e^-40 is nothing; beyond 38 a density is zero


def split_averages(
    activation: Activation,
    mean: Array,
    covariance: Array,
    loss: Array,
    products: Sequence[tuple[Polynomial, ...]],
    factors: int,
    tolerance: float,
) -> tuple[Array, Array, Array]:
    """Values, errors and absolute integrals (G, M) of products of piecewise smooth one-input functions.

    Each axis is split where its own function has a kink, given the outer nodes, and where a later function has one
    that the later axes hardly smooth (nearly equal inputs).

    Parameters
    ----------
    mean, covariance : (G, d), (G, d, d)
    loss : (G, d)
        Digits that conditioning has cost, as K_uu / variance; carried into the error.
    """
    count = mean.shape[0]
    out = (np.zeros((count, len(products))), np.zeros((count, len(products))), np.zeros((count, len(products))))
    orders = pivot_orders(covariance)
    for permutation in np.unique(orders, axis=0):
        members = np.nonzero((orders == permutation).all(axis=1))[0]
        found = _refined(
            activation,
            mean[np.ix_(members, permutation)],
            covariance[np.ix_(members, permutation, permutation)],
            [tuple(row[u] for u in permutation) for row in products],
            factors,
            tolerance,
        )
        for target, source in zip(out, found, strict=True):
            target[members] = source
    worst = np.where(np.isfinite(loss), loss, 1.0).max(axis=1, initial=1.0)
    out[1][...] += 4 * EPSILON * worst[:, None] * out[2]
    return out


def _refined(
    activation: Activation,
    mean: Array,
    covariance: Array,
    products: Sequence[tuple[Polynomial, ...]],
    factors: int,
    tolerance: float,
) -> tuple[Array, Array, Array]:
    count, size = mean.shape
    work = plan(products)
    L, loss = square_root(covariance)
    trait = traits(activation)
    cut = math.sqrt(69 + 4 * trait.power * factors) + trait.growth * factors * np.abs(L).sum(axis=1)
    bell, cut = cut, np.maximum(cut, _beyond_kinks(activation, L[:, 0], mean)) if size == 1 else cut
    value, error, absolute = (np.zeros((count, len(products))) for _ in range(3))
    left = np.arange(count)
    for attempt, n in enumerate(_NODES):
        counts = [_Breaks(activation, L, mean, k).count for k in range(size)]
        points = math.prod(n * c for c in counts[:2])
        if size > 2:
            points *= math.prod(n * c for c in counts[2:-1]) * _LOOKUP
        if attempt and points > _MOST_POINTS[size]:
            break
        length = max(1, BUDGET // points)
        for start in range(0, left.size, length):
            part = left[start : start + length]
            rules = [_rule(activation, L[part], mean[part], cut[part], k, n) for k in range(size)]
            width = np.minimum(_CELL, 0.5 * L[part, -1, -1]) if size > 2 else None
            found = contract(activation.derivatives, L[part], mean[part], work, rules, True, width)
            for target, source in zip((value, error, absolute), found, strict=True):
                target[part] = source.T
        left = left[(error[left] > tolerance * absolute[left]).any(axis=1)]
        if not left.size:
            break
    seen = _of_pairs(covariance, L, loss).max(axis=1)
    error += EPSILON * _conditioning(activation, mean, covariance, seen, bell, products, absolute)
    return value, error, absolute


def _beyond_kinks(activation: Activation, deviation: Array, mean: Array) -> Array:
    """How far the axis must reach to see what lies beyond each kink, which may be all there is to see.

    For a mean of zero: after conditioning, what lies that far is nothing beside the other terms.
    """
    farthest = np.zeros_like(mean)
    for c in activation.kinks:
        away = np.abs(c - mean)
        farthest = np.maximum(farthest, np.divide(away, deviation, out=np.zeros_like(mean), where=deviation > 0))
    with np.errstate(divide="ignore"):
        tail = np.minimum(_TAIL, _FALL / farthest)  # from u deviations on the density falls as exp(-u t)
    return np.where((farthest > 0) & (mean == 0), np.minimum(farthest + tail, _FAR), 0.0)


def _conditioning(
    activation: Activation,
    mean: Array,
    covariance: Array,
    loss: Array,
    cut: Array,
    products: Sequence[tuple[Polynomial, ...]],
    absolute: Array,
) -> Array:
    """Change of the averages (G, M) when K changes by a rounding error, in units of it.

    Nearly equal inputs see it as sqrt(loss), measured by the size prod <|h_u|^d>^{1/d} of the functions (Hoelder): two
    jumps that nearly coincide. Nearly opposite ones see it as loss, measured by the small average itself.
    """
    size = mean.shape[1]
    bound = np.ones_like(absolute)
    for u in range(size):
        polynomials = tuple(dict.fromkeys(row[u] for row in products))
        deviation = np.sqrt(covariance[:, u, u])[:, None, None]
        breaks = _Breaks(activation, deviation, mean[:, u : u + 1], 0)
        t, w = segments(breaks, cut.max(axis=1), 20, breaks.count).nodes([mean[:, u : u + 1]])
        z = mean[:, u, None, None, None] + deviation[..., None] * t
        values = np.abs(evaluate(polynomials, activation.derivatives(z, highest_order(polynomials))))
        norms = (w * values**size).sum(axis=(-1, -2, -3)) ** (1 / size)
        for m, row in enumerate(products):
            bound[:, m] *= norms[polynomials.index(row[u])]
    loss = loss[:, None]
    change: Array = 16 * absolute + 4 * np.minimum(np.sqrt(loss) * bound, loss * absolute)
    return change


def _of_pairs(covariance: Array, L: Array, loss: Array) -> Array:
    """The loss (G, d), where an input that is a function of two earlier ones and more is known from its pairs alone.

    d/dK_ab puts a delta function on the jumps of a and b, and their pair is what makes it large; that the plane of a
    third jump then holds where those of two others meet costs nothing.
    """
    own = np.einsum("gii->gi", covariance)
    product = own[:, :, None] * own[:, None, :]
    left = np.abs(product - covariance**2)
    near = np.divide(product, left, out=np.full_like(product, np.inf), where=left > 0)
    near[:, np.eye(own.shape[1], dtype=bool)] = 1.0
    nearest = np.where(product > 0, near, 1.0).max(axis=2)
    dependent = (np.einsum("gii->gi", L) == 0) & (np.arange(own.shape[1]) > 1)
    return np.where(dependent, nearest, loss)


def _rule(activation: Activation, L: Array, mean: Array, cut: Array, k: int, n: int) -> Rule:
    if not L[:, k:, k].any():
        return point()
    breaks = _Breaks(activation, L, mean, k)
    return segments(breaks, cut[:, k], n, breaks.count)


class _Breaks:
    """Where axis k is split, given the means of its own and the later inputs at the outer nodes.

    The own kink is at (c - mu_k)/L_kk; pieces that are not polynomials live on the scale z = 1, so panels grow from
    there. A later input j has its kink at (c - mu_j)/L_jk, smoothed over (deviation left to the later axes)/|L_jk|: if
    that is small, breakpoints surround it in growing distances.
    """

    def __init__(self, activation: Activation, L: Array, mean: Array, k: int):
        plain = all(piece is not None for piece in activation.piece_polynomials)
        self.kinks = activation.kinks if plain else tuple(sorted({*activation.kinks, 0.0}))
        self.L, self.k = L, k
        size = L.shape[1]
        largest = float(L[:, k, k].max(initial=0.0))
        self.panels = [] if plain else [g for g in _PANELS if g < 8 * largest and largest > _WIDE]
        self.later: list[tuple[int, Array]] = []
        for j in range(k + 1, size):
            rest = np.sqrt((L[:, j, k + 1 :] ** 2).sum(axis=1))
            width = np.divide(rest, np.abs(L[:, j, k]), out=np.full(rest.shape, np.inf), where=L[:, j, k] != 0)
            if (width < _SHARP).any():
                self.later.append((j, width))
        self.grades = [g for g in _GRADES if any((width * g < 2).any() for _, width in self.later)]
        # about a common centre all kinks at 0 fall on one point of the first axis
        self.merged = k == 0 and not mean.any() and self.kinks == (0.0,)
        per_later = 2 * len(self.grades) + (0 if self.merged else 1)
        # an axis that reaches for a distant kink is split where the bell ends, so that few nodes do not miss it
        self.bell = (-_TAIL, _TAIL) if size == 1 and any(self.kinks) else ()
        self.count = 1 + len(self.bell) + len(self.kinks) * (1 + 2 * len(self.panels) + len(self.later) * per_later)

    def __call__(self, offsets: list[Array]) -> Array:
        found: list[Array] = []
        own = self.L[:, self.k, self.k]
        for c in self.kinks:
            found += [_place(c + shift - offsets[0], own) for shift in (0.0, *self.panels, *(-p for p in self.panels))]
            for j, width in self.later:
                centre = _place(c - offsets[j - self.k], self.L[:, j, self.k])
                if not self.merged:
                    found.append(centre)
                spread = np.where(np.isfinite(width), width, 0.0)[:, None]
                for grade in self.grades:
                    found += [centre - grade * spread, centre + grade * spread]
        found += [np.full(found[0].shape, place) for place in self.bell]
        return np.sort(np.stack(found, axis=-1), axis=-1)


def _place(distance: Array, slope: Array) -> Array:
    """distance / slope with the sign kept; a function that does not vary along the axis has its kink out of reach."""
    slope = np.broadcast_to(slope[:, None], distance.shape)
    place: Array = np.divide(distance, slope, out=np.full(distance.shape, 1e3), where=slope != 0)
    return place
