"""Averages of derivatives of sigma over pairs of inputs, <s^(m)_a s^(p)_b>, as Hermite series for all pairs at once.

With H^m_k(K) = E[s^(m)(sqrt(K) g) he_k(g)], he_k orthonormal, and rho the correlation of the pair (Mehler's formula),

    <s^(m)_a s^(p)_b> = sum_k H^m_ak H^p_bk rho^k

What the series leaves out after M terms is below |rho|^M times the root of what Parseval's sums still lack.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rgflow.activations import Activation
from rgflow.gram.hermite import CUT, ENOUGH, FURTHEST, MOST_TERMS, NODES, Shape, basis

Floats = NDArray[np.float64]
EVERY = Shape(1, 0, 0.0)  # all powers, both signs of g
FEWEST_TERMS = 64
LEFT_OUT = 1e-12  # relative to the roots of <s^(m) s^(m)>: pairs beyond are not believed
IN_CACHE = 2**15  # pairs at a time


class Series(NamedTuple):
    """``values`` {(m, p): (N, N)}, and whether a pair is beyond them, (N, N)."""

    values: dict[tuple[int, int], Floats]
    beyond: NDArray[np.bool_]


class _Coefficients(NamedTuple):
    """H : (orders, N, terms). squares : (orders, N), <s^(m) s^(m)>."""

    H: Floats
    squares: Floats


def pair_averages(activation: Activation, K: Any, shapes: Sequence[tuple[int, int]]) -> Series | None:
    """At a kernel K (N, N) the averages (m, p), off the diagonal.

    None if sigma has kinks or no number of nodes resolves it.
    """
    if activation.kinks:
        return None
    own, places = np.unique(np.diagonal(K), return_inverse=True)
    root = np.sqrt(np.diagonal(K))
    size = np.outer(root, root)
    rho = np.clip(np.divide(K, size, out=np.zeros_like(size), where=size > 0), -1.0, 1.0)
    np.fill_diagonal(rho, 0.0)
    orders = max(max(shape) for shape in shapes)
    terms, rung = FEWEST_TERMS, 4
    while True:
        found, rung = _resolved(activation, own, orders, terms, rung)
        if found is None:
            return None
        rest = _rests(found)[:, places]
        doubt = np.maximum.reduce([np.sqrt(np.outer(rest[m], rest[p])) for m, p in shapes])
        beyond = np.abs(rho) ** terms * doubt > LEFT_OUT
        if terms == MOST_TERMS or not beyond.any():
            break
        terms *= 2
    H = found.H[:, places]
    return Series({(m, p): _summed(H[m], H[p], rho) for m, p in shapes}, beyond)


def _resolved(
    activation: Activation, K: Floats, orders: int, terms: int, rung: int
) -> tuple[_Coefficients | None, int]:
    """By the trapezoid rule, once a finer one agrees, and how fine it was."""
    coarse = None
    for at in range(rung, len(NODES)):
        fine = _coefficients(activation, K, orders, terms, NODES[at])
        if fine is None:
            break
        if coarse is not None:
            size = np.sqrt(fine.squares)
            drift = np.abs(fine.H - coarse.H).max(axis=2), np.abs(np.sqrt(coarse.squares) - size)
            if all((each <= ENOUGH * size).all() for each in drift):
                return fine, at - 1
        coarse = fine
    return None, rung


def _coefficients(activation: Activation, K: Floats, orders: int, terms: int, nodes: int) -> _Coefficients | None:
    root = np.sqrt(K)
    cut = CUT + 2 * activation.growth * float(root.max())
    if cut > FURTHEST:
        return None
    g, w, table = basis(terms, nodes, cut, EVERY)
    with np.errstate(all="ignore"):
        waves = activation.derivatives(root[:, None] * g, orders)
        return _Coefficients(waves @ (table * np.sqrt(np.arange(terms) + 1)), waves**2 @ w)


def _rests(found: _Coefficients) -> Floats:
    """What the terms leave of <s^(m) s^(m)>, relative to it, (orders, N)."""
    lacking = found.squares - (found.H**2).sum(axis=2)
    return np.asarray(np.divide(np.abs(lacking), found.squares, out=np.zeros_like(lacking), where=found.squares > 0))


def _summed(one: Floats, other: Floats, rho: Floats) -> Floats:
    """sum_k one_ak other_bk rho_ab^k; terms that add nothing anywhere are skipped."""
    largest = np.abs(one).max(axis=0) * np.abs(other).max(axis=0)
    highest = np.abs(rho).max(initial=0.0) ** np.arange(len(largest))
    wanted = np.flatnonzero(largest * highest > 1e-18 * largest.max(initial=0.0))
    total = np.zeros_like(rho)
    step = max(1, IN_CACHE // len(rho))
    for start in range(0, len(rho), step):
        rows = slice(start, start + step)
        x = rho[rows]
        power, at, sum_ = np.ones_like(x), 0, total[rows]
        gaps = {gap: x**gap for gap in set(np.diff(wanted, prepend=0).tolist())}
        for k in wanted:
            if k > at:
                power *= gaps[int(k) - at]
                at = int(k)
            sum_ += np.multiply.outer(one[rows, k], other[:, k]) * power
    return np.asarray(total)
