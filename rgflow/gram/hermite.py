"""Averages over one input for all inputs of a stage, and the Hermite coefficients that give those over pairs.

With B_k(K) = E[sigma'(sqrt(K) g) he_k(g)], he_k orthonormal, and rho the correlation of the pair (Mehler's formula),

    <s'_a s'_b> = sum_k B_ak B_bk rho^k,      <s_a s_b> = <s_a> <s_b> + K_ab sum_k B_ak B_bk rho^k / (k + 1)

The coefficients of sigma' instead of sigma keep all digits at small kernels. Of an odd sigma the even k remain, of an
even one the odd k, and of one that is even but for a straight line (gelu, softplus) k = 0 and the odd ones.

B_k is found by the trapezoid rule in g, accepted when a finer one agrees.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rgflow.activations import Activation
from rgflow.errors import AccuracyError

Floats = NDArray[np.float64]
EPSILON = float(np.finfo(np.float64).eps)
MOST_TERMS = 1024
NEGLIGIBLE = 2.0**-54  # of <s' s'>: the rest of a series
CUT = 12.5  # he_k(g) phi(g) is below sqrt(phi(g)), which vanishes there, for every k
FURTHEST = 36.0  # beyond, weights and polynomials leave the range of floats
NODES = tuple(round(8 * 2 ** (n / 2)) for n in range(2, 18))  # on each side of zero
AGREED, ENOUGH, USELESS = 1e-15, 1e-13, 1e-10  # of two rules: rounding; if more nodes do not help; refused


class Shape(NamedTuple):
    """Which powers the series holds: k = step m + odd, besides <s'>^2 = slope^2 at k = 0 if ``odd``."""

    step: int
    odd: int
    slope: float

    def powers(self, terms: int) -> NDArray[np.int64]:
        return self.step * np.arange(terms) + self.odd


@lru_cache(maxsize=256)
def shape(activation: Activation) -> Shape:
    """Whether sigma' is even, or odd but for a constant; seen at many points and checked wherever nodes fall."""
    z = np.concatenate([np.geomspace(1e-3, 30.0, 97), np.linspace(0.03, 11.3, 101)])
    with np.errstate(all="ignore"):
        right, left = (activation.derivatives(sign * z, 1)[1] for sign in (1.0, -1.0))
    slope = float(activation.derivatives(0.0, 1)[1])
    size = 8 * EPSILON * (np.abs(right) + np.abs(left) + abs(slope))
    if not np.isfinite(right).all() or not np.isfinite(left).all():
        return Shape(*{-1: (2, 0, 0.0), 1: (2, 1, slope)}.get(activation.parity, (1, 0, 0.0)))
    if (np.abs(right - left) <= size).all():
        return Shape(2, 0, 0.0)
    if (np.abs(right + left - 2 * slope) <= size).all():
        return Shape(2, 1, slope)
    return Shape(1, 0, 0.0)


class Single(NamedTuple):
    """Averages over one input, (G,) each, at kernels K (G,).

    mean, square : <s>, <s s>. slope, answer : <s' s'>, and d<s s>/dK = <s' s'> + <s s''>. second, third : <s''^2>,
    <s'''^2>. B : (G, terms), B_k/sqrt(k + 1).
    """

    mean: Floats
    square: Floats
    slope: Floats
    answer: Floats
    second: Floats
    third: Floats
    B: Floats


def direct(activation: Activation, K: Floats, terms: int, nodes: int, full: bool = True) -> Single:
    """By the trapezoid rule with ``nodes`` on each side of zero, common to all K; ``full``: with second and third."""
    form = shape(activation)
    root = np.sqrt(K)
    cut = CUT + 2 * activation.growth * float(root.max())
    if cut > FURTHEST:
        raise AccuracyError(
            f"Gaussian averages of {activation.name} at K = {K.max():.6g} overflow in double precision; "
            "use smaller inputs or C_W"
        )
    g, w, table = basis(terms, nodes, cut, form)
    with np.errstate(all="ignore"):
        found = activation.derivatives(root[:, None] * g, 3 if full else 1)
    s, s1 = found[:2]
    s2, s3 = found[2:] if full else (np.zeros_like(s), np.zeros_like(s))
    if form.step == 1:  # both signs of g
        constant = np.zeros_like(root)
        even = s
        waves = s1
    elif form.odd:
        constant = np.zeros_like(root)
        even = s - form.slope * root[:, None] * g
        waves = s1 - form.slope
    else:
        constant = np.full_like(root, float(activation(0.0)))
        even = None
        waves = s1
    mean = constant if even is None else even @ w
    if form.odd:
        square = (even * even) @ w + form.slope**2 * K
        slope = (waves * waves) @ w + form.slope**2
        bend = (even * s2) @ w  # s'' is even: the odd part of s meets nothing
    else:
        square = (s - constant[:, None]) ** 2 @ w + constant**2
        slope = (s1 * s1) @ w
        bend = ((s - constant[:, None]) * s2) @ w
    return Single(mean, square, slope, slope + bend, (s2 * s2) @ w, (s3 * s3) @ w, waves @ table)


@lru_cache(maxsize=64)
def basis(terms: int, nodes: int, cut: float, form: Shape) -> tuple[Floats, Floats, Floats]:
    """Nodes g, weights and weights times he_k/sqrt(k + 1), (nodes, terms), of the trapezoid rule on |g| <= cut."""
    h = cut / nodes
    g = h * np.arange(nodes + 1) if form.step == 2 else h * np.arange(-nodes, nodes + 1)
    w = h * np.exp(-0.5 * g * g) / math.sqrt(2 * math.pi)
    if form.step == 2:
        w[1:] *= 2.0
    powers = form.powers(terms)
    table = np.empty((g.size, terms))
    before, here = np.zeros_like(g), np.ones_like(g)
    with np.errstate(all="ignore"):
        for k in range(int(powers[-1]) + 1):
            if (k - form.odd) % form.step == 0 and k >= form.odd:
                table[:, (k - form.odd) // form.step] = w * here / math.sqrt(k + 1)
            before, here = here, (g * here - math.sqrt(k) * before) / math.sqrt(k + 1)
    return np.asarray(g), np.asarray(w), table


class Resolved(NamedTuple):
    """A rule that serves all kernels up to one.

    nodes : on each side. terms : of the series. drift : what a finer rule would change. points : where interpolation
    should try first
    """

    nodes: int
    terms: int
    drift: float
    points: int = 0


def resolve(activation: Activation, K: float, hint: Resolved | None = None) -> Resolved:
    """Nodes and terms for kernels up to K, starting near those of ``hint``.

    Raises AccuracyError if no number of nodes resolves sigma.
    """
    at = np.array([K])
    terms = 32 if hint is None else hint.terms
    rung = 2 if hint is None else min(NODES.index(hint.nodes), len(NODES) - 2)
    best: Resolved | None = None
    coarse = direct(activation, at, terms, NODES[rung], False)
    taken = coarse
    while True:
        fine = direct(activation, at, terms, NODES[rung + 1], False)
        drift = _distance(coarse, fine)
        if best is None or drift < best.drift / 2:
            best, taken = Resolved(NODES[rung], terms, drift, 0 if hint is None else hint.points), coarse
        elif best.drift <= ENOUGH:
            break
        if drift <= AGREED or rung + 2 == len(NODES):
            break
        rung, coarse = rung + 1, fine
    if not best.drift <= USELESS:
        raise AccuracyError(
            f"Gaussian averages of {activation.name} at K = {K:.6g} are not resolved by {NODES[-1]} nodes "
            f"({best.drift:.1e}); use smaller inputs or C_W"
        )
    if terms < MOST_TERMS and not _complete(activation, taken):
        return resolve(activation, K, best._replace(terms=2 * terms))
    return best


def _distance(one: Single, other: Single) -> float:
    """The largest difference, relative to <s s> and <s' s'>."""
    with np.errstate(all="ignore"):
        parts = [
            relative(one.mean - other.mean, np.sqrt(other.square)),
            relative(one.square - other.square, other.square),
            relative(one.slope - other.slope, other.slope),
            relative(np.abs(one.B - other.B).max(axis=1), np.sqrt(other.slope)),
        ]
    found = max(float(part.max()) for part in parts)
    return found if np.isfinite(found) else np.inf


def relative(difference: Floats, size: Floats) -> Floats:
    """|difference| / size; no difference is none, whatever the size."""
    return np.where(difference == 0, 0.0, np.abs(difference) / size)


def rests(activation: Activation, single: Single) -> Floats:
    """What the series leaves of <s' s'> after m terms, relative to it, (G, terms + 1)."""
    form = shape(activation)
    powers = form.powers(single.B.shape[1])
    squares = single.B**2 * (powers + 1)
    found = np.zeros((len(squares), len(powers) + 1))
    found[:, :-1] = np.cumsum(squares[:, ::-1], axis=1)[:, ::-1]
    # Parseval: what no term holds, unless it is rounding
    lacking = single.slope - form.slope**2 - found[:, 0]
    found += np.where(lacking > ENOUGH * single.slope, lacking, 0.0)[:, None]
    return np.divide(found, single.slope[:, None], out=np.zeros_like(found), where=single.slope[:, None] > 0)


def _complete(activation: Activation, single: Single) -> bool:
    """Whether the last eighth of the terms, and what is beyond, is negligible."""
    rest = rests(activation, single)[0]
    return bool(rest[-1 - len(rest) // 8] <= NEGLIGIBLE)
