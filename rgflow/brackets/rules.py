r"""One-dimensional rules for Gaussian averages, each with the sums that tell its own error.

A rule turns a standard normal average into a weighted sum, and adds *probes*: the same sum against the fastest
oscillation that the rule can see (``fine``) and against one of half that frequency (``half``).

Trapezoid (smooth functions): <f> = h sum_j f(t_j) phi(t_j). The even and the odd nodes are the rule of step 2h and
its shift by h; their mean is the value and half their difference, h sum_j (-1)^j f phi, is the error of either: the
aliased frequency pi/h, of which the value itself only sees the double.

Gauss-Legendre (piecewise smooth functions, one segment between kinks): the last Legendre coefficients that n nodes
resolve; the value itself is wrong by coefficients beyond degree 2n.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_DIGITS = 26.7  # -log(1e-11 / 4): what the extrapolated estimate of a first attempt should reach
_ASYMPTOTIC = 1e-3  # the law of the error is only trusted once the probes are this small
_UNRESOLVED = 0.03  # probes as large as this say that the rule has not seen the function: the error may be everything
_STRIP = 1.5  # distance of the nearest singularity of sigma from the real line, as for tanh; only a first guess


@dataclass(frozen=True)
class Rule:
    """Nodes and weights of standard normal averages with S segments of n nodes.

    nodes(offsets) -> t, w, each broadcastable to (G, P, S, n); offsets is a list of (G, P) arrays: the means of this
    and the later inputs, given the nodes of the earlier axes.
    probes : (n, 1 + columns). The first column is 1; the groups name the others.
    groups : (first column, last column + 1, frequency as a part of the highest), the last group at one half.
    exact : no error of its own. ends : nodes next to the cut. cut : largest |t|.
    """

    nodes: Callable[[list[Array]], tuple[Array, Array]]
    probes: Array
    groups: tuple[tuple[int, int, float], ...]
    size: int
    exact: bool = False
    ends: tuple[int, ...] = ()
    cut: float = 0.0

    def sums(self, weighted: Array, extrapolate: bool) -> tuple[Array, Array, Array]:
        """Value, error and absolute sum of the terms, (..., S, n) -> three times (...).

        One probe may vanish by its phase, so its neighbours in frequency stand in for it, at the decay that they
        have themselves reached: total (A/total)^{1/frequency}. With ``extrapolate`` the error of the value is taken
        from its law: halving the step gains at least as much as the last halving did (times a safety of 4); else it is
        the error of the rule of double step.
        """
        found = weighted @ self.probes
        value = found[..., 0].sum(axis=-1)
        total = np.abs(weighted).sum(axis=-1)
        if self.exact:
            return value, np.zeros_like(value), total.sum(axis=-1)
        floor = np.maximum(total, 1e-300)
        parts = [np.minimum(np.sqrt((found[..., a:b] ** 2).sum(axis=-1)) / floor, 1.0) for a, b, _ in self.groups]
        fine = parts[0]
        for part, (_, _, frequency) in zip(parts[1:-1], self.groups[1:-1], strict=True):
            fine = np.maximum(fine, part ** (1 / frequency) if frequency < 1 else part)
        if extrapolate:
            half = parts[-1]
            gain = np.divide(4 * fine, half, out=np.ones_like(fine), where=half > 4 * fine)
            fine = fine * np.where(fine < _ASYMPTOTIC, gain, 1.0)
        fine = np.where(fine > _UNRESOLVED, 2.0, fine)
        error = (fine * total).sum(axis=-1)
        for end in self.ends:  # what the cut leaves out is less than the last term
            error = error + np.abs(weighted[..., 0, end])
        return value, error, total.sum(axis=-1)


def point() -> Rule:
    """The rule of a variable that does not vary: one node at 0."""
    one = np.ones((1, 1, 1, 1))
    return Rule(lambda offsets: (0 * one, one), np.ones((1, 1)), (), 1, exact=True)


def hermite(degree: int) -> Rule:
    """Gauss-Hermite, exact for polynomials of that degree."""
    t, w = np.polynomial.hermite_e.hermegauss(degree // 2 + 1)
    t, w = t[None, None, None], (w / w.sum())[None, None, None]
    return Rule(lambda offsets: (t, w), np.ones((t.size, 1)), (), t.size, exact=True, cut=float(t.max()))


def trapezoid(scale: Array, cut: Array, step: Array, sinh: bool, even: bool) -> Rule:
    """z = scale t: nodes t = j h, or t = c sinh(j h) with c = 1/max(1, scale), |t| <= cut.

    Parameters
    ----------
    scale, cut, step : (G,)
        ``step`` is the greatest h allowed; the number of nodes is that of the most demanding element.
    even : bool
        The integrand is even: only t >= 0, with doubled weights.
    """
    c = 1 / np.maximum(1.0, scale)
    span = np.arcsinh(cut / c) if sinh else cut
    count = max(2, math.ceil(float((span / step).max())))
    h = span[:, None] / count
    j = np.arange(0 if even else -count, count + 1)
    s = h * j
    t = c[:, None] * np.sinh(s) if sinh else s
    slope = c[:, None] * np.cosh(s) if sinh else 1.0
    w = h * slope * np.exp(-0.5 * t * t) / math.sqrt(2 * math.pi)
    if even:
        w = w * np.where(j == 0, 1.0, 2.0)
    t, w = t[:, None, None, :], w[:, None, None, :]
    columns, groups = [np.ones(j.size), np.where(j % 2, -1.0, 1.0)], [(1, 2, 1.0)]
    for frequency in (0.875, 0.75, 0.5):
        start = len(columns)
        columns.append(np.cos(np.pi * frequency * j))
        if not even:
            columns.append(np.sin(np.pi * frequency * j))
        groups.append((start, len(columns), frequency))
    ends = (-1,) if even else (0, -1)
    probes = np.column_stack(columns)
    return Rule(lambda offsets: (t, w), probes, tuple(groups), j.size, ends=ends, cut=float(cut.max()))


def first_step(scale: Array) -> Array:
    """Step of the plain trapezoid rule whose extrapolated error should be near 1e-11 for z = scale t.

    The size of the aliased frequency w is min_y exp(y^2/2 - w y), 0 <= y <= strip/scale; twice its logarithm at pi/h
    less that at pi/2h is the logarithm of the estimate.
    """
    reach = _STRIP / np.maximum(scale, 1e-300)

    def size(w: Array) -> Array:
        y = np.minimum(w, reach)
        return y * y / 2 - w * y

    low, high = np.full(scale.shape, 1e-5), np.full(scale.shape, 0.6)
    for _ in range(40):
        middle = 0.5 * (low + high)
        good = 2 * size(np.pi / middle) - size(np.pi / (2 * middle)) < -_DIGITS
        low, high = np.where(good, middle, low), np.where(good, high, middle)
    return low


@lru_cache(maxsize=64)
def gauss_legendre(n: int) -> tuple[Array, Array]:
    """Nodes and weights on [-1, 1], by Newton's method in extended precision.

    NumPy's own lose two digits of the weights near the ends, where integrands that are cut at a kink have their mass.
    """
    x = np.cos(np.pi * (np.arange(n, 0, -1, dtype=np.longdouble) - 0.25) / (n + 0.5))
    slope = np.ones_like(x)
    for _ in range(8):
        before, here = np.ones_like(x), x.copy()
        for k in range(2, n + 1):
            before, here = here, ((2 * k - 1) * x * here - (k - 1) * before) / k
        slope = n * (x * here - before) / (x * x - 1)
        x = x - here / slope
    w = 2 / ((1 - x * x) * slope * slope)
    x, w = 0.5 * (x - x[::-1]), 0.5 * (w + w[::-1])
    return x.astype(np.float64), w.astype(np.float64)


@lru_cache(maxsize=64)
def legendre(n: int) -> tuple[Array, Array, Array, tuple[tuple[int, int, float], ...]]:
    """Nodes and weights on [-1, 1], probes (n, 7) and their groups.

    A probe of degree k gives (2k+1) sum w f P_k, twice the Legendre coefficient of that degree.
    """
    x, w = gauss_legendre(n)
    table = np.polynomial.legendre.legvander(x, n - 1)
    degrees = [n - 1, n - 2, n - 3, n - 4, n // 2, n // 2 - 1]
    columns = [np.ones(n), *[(2 * k + 1) * table[:, k] for k in degrees]]
    groups = ((1, 2, 1.0), (2, 3, 1.0), (3, 4, 1.0), (4, 5, 1.0), (5, 7, 0.5))
    return x, w, np.column_stack(columns), groups


def segments(breaks: Callable[[list[Array]], Array], cut: Array, n: int, count: int) -> Rule:
    """Gauss-Legendre between breakpoints that depend on the outer nodes.

    breaks(offsets) -> (G, P, count - 1) breakpoints in t, sorted; clipped to [-cut, cut] here.
    """
    x, v, probes, groups = legendre(n)

    def nodes(offsets: list[Array]) -> tuple[Array, Array]:
        inner = breaks(offsets)
        bound = np.broadcast_to(cut[:, None, None], (*inner.shape[:2], 1))
        edges = np.concatenate([-bound, np.clip(inner, -bound, bound), bound], axis=-1)
        middle, half = 0.5 * (edges[..., 1:] + edges[..., :-1]), 0.5 * (edges[..., 1:] - edges[..., :-1])
        t = middle[..., None] + half[..., None] * x
        w = half[..., None] * v * np.exp(-0.5 * t * t) / math.sqrt(2 * math.pi)
        return t, w

    return Rule(nodes, probes, groups, n * count, cut=float(cut.max()))
