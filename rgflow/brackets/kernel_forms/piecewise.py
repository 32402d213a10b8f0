r"""Brackets of piecewise polynomials with no kink but 0, exactly and without computer algebra.

.. math:: \langle z^k \theta(z) \rangle_K = \frac{(k-1)!!}{2}\, K^{k/2} \text{ (k even)}, \quad
          \frac{(k-1)!!}{\sqrt{2\pi}}\, K^{k/2} \text{ (k odd)}, \qquad
          \langle \delta^{(j)} \rangle_K = (-1)^{j/2} \frac{(j-1)!!}{\sqrt{2\pi}}\, K^{-(j+1)/2} \text{ (j even)}

:mod:`rgflow.brackets.closed` gives the same; these few activations are so common that a kernel should not wait for
SymPy.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import zip_longest
from math import prod
from typing import TypeAlias

from rgflow.activations import Activation

Coefficients: TypeAlias = tuple[Fraction, ...]
Laurent: TypeAlias = dict[int, Fraction]
"""Coefficients of K^(h/2), by h."""


def is_piecewise_polynomial(activation: Activation) -> bool:
    """Whether :func:`piecewise_average` knows its brackets."""
    return activation.kinks in ((), (0.0,)) and all(piece is not None for piece in activation.piece_polynomials)


def piecewise_average(activation: Activation, orders: tuple[int, ...], pending: int) -> tuple[Laurent, Laurent]:
    """< d^pending prod sigma^{(k)} >_K as two sums of half powers of K, the second to be divided by sqrt(2 pi).

    Written derivatives are those of the branches, pending ones those of distributions.

    >>> from rgflow.activations import activation
    >>> piecewise_average(activation("relu"), (0, 0), 0)
    ({2: Fraction(1, 2)}, {})
    >>> piecewise_average(activation("relu"), (1,), 1)
    ({}, {-1: Fraction(1, 1)})
    """
    pieces = [piece or () for piece in activation.piece_polynomials]
    left, right = (_product(piece, orders) for piece in (pieces[0], pieces[-1]))
    deltas: list[Fraction] = []
    for _ in range(pending):
        deltas = [_at_zero(right) - _at_zero(left), *deltas]
        left, right = _derivative(left), _derivative(right)
    plain: Laurent = {}
    rooted: Laurent = {}
    for k, (low, high) in enumerate(zip_longest(left, right, fillvalue=Fraction(0))):
        out, weight = (rooted, high - low) if k % 2 else (plain, (high + low) / 2)
        out[k] = out.get(k, Fraction(0)) + weight * _double_factorial(k - 1)
    for j, weight in enumerate(deltas):
        if j % 2 == 0:
            rooted[-j - 1] = rooted.get(-j - 1, Fraction(0)) + (-1) ** (j // 2) * weight * _double_factorial(j - 1)
    return _without_zeros(plain), _without_zeros(rooted)


def _product(piece: Coefficients, orders: tuple[int, ...]) -> Coefficients:
    out: Coefficients = (Fraction(1),)
    for order in orders:
        factor = piece
        for _ in range(order):
            factor = _derivative(factor)
        row = [Fraction(0)] * max(0, len(out) + len(factor) - 1)
        for i, a in enumerate(out):
            for j, b in enumerate(factor):
                row[i + j] += a * b
        out = tuple(row)
    return out


def _derivative(piece: Coefficients) -> Coefficients:
    return tuple(k * c for k, c in enumerate(piece))[1:]


def _at_zero(piece: Coefficients) -> Fraction:
    return piece[0] if piece else Fraction(0)


def _double_factorial(n: int) -> int:
    return prod(range(n, 0, -2))


def _without_zeros(row: Laurent) -> Laurent:
    return {h: c for h, c in sorted(row.items()) if c}
