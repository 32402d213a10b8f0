r"""A product of written derivatives with its pending ones, exactly: atoms between the kinks and deltas at them.

.. math:: \partial f = f'\big|_{\rm branches} + \sum_c [f]_c\, \delta(z-c)
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache, lru_cache

import sympy as sp

from rgflow.activations import Activation
from rgflow.brackets.closed.atoms import (
    Atom,
    Atoms,
    Constant,
    NoRule,
    Numbers,
    derivative,
    product,
    total,
    value,
)
from rgflow.brackets.closed.read import read


@dataclass(frozen=True)
class Distribution:
    """A piecewise smooth function plus derivatives of delta functions.

    Attributes
    ----------
    kinks : tuple of exact numbers, sorted
    pieces : tuple of sums of atoms, len(kinks) + 1 of them
    deltas : for each kink, the coefficients of delta, delta', ...
    """

    kinks: tuple[Constant, ...]
    pieces: tuple[Atoms, ...]
    deltas: tuple[tuple[Numbers, ...], ...]

    def derivative(self) -> Distribution:
        """The derivative, jumps included."""
        deltas = []
        for place, kink in enumerate(self.kinks):
            step = value(total(self.pieces[place + 1], self.pieces[place], weights=(1, -1)), kink)
            row: tuple[Numbers, ...] = (step, *self.deltas[place])
            deltas.append(row if any(row) else ())
        return Distribution(self.kinks, tuple(map(derivative, self.pieces)), tuple(deltas))

    @property
    def smooth_part(self) -> Distribution:
        """The same without its deltas."""
        return Distribution(self.kinks, self.pieces, ((),) * len(self.kinks))


@lru_cache(maxsize=1024)
def distribution(activation: Activation, orders: tuple[int, ...], pending: int) -> Distribution:
    """d^pending prod sigma^{(k)}: written derivatives are those of the branches, pending ones those of distributions.

    >>> from rgflow.activations import activation
    >>> distribution(activation("relu"), (1,), 1).deltas
    (({1: Fraction(1, 1)},),)
    """
    if pending:
        return distribution(activation, orders, pending - 1).derivative()
    kinks = exact_kinks(activation)
    pieces = []
    for place in range(len(kinks) + 1):
        out: Atoms = {Atom(): Fraction(1)}
        for order in orders:
            out = product(out, _written(activation, place, order))
        pieces.append(out)
    return Distribution(kinks, tuple(pieces), ((),) * len(kinks))


@lru_cache(maxsize=1024)
def _written(activation: Activation, place: int, order: int) -> Atoms:
    if order:
        return derivative(_written(activation, place, order - 1))
    return read(activation.pieces[place])


@cache
def exact_kinks(activation: Activation) -> tuple[Constant, ...]:
    """The kinks as rational numbers.

    Raises
    ------
    NoRule
        For a kink that no short fraction is.
    """
    out = []
    for place, kink in enumerate(activation.kinks):
        kink = float(kink)
        simple = Fraction(kink).limit_denominator(1000)
        if float(simple) != kink:
            simple = Fraction(repr(kink))
        short = len(str(simple.numerator).lstrip("-")) <= 15
        exact = sp.Rational(simple.numerator, simple.denominator)
        jump = value(total(*(read(p) for p in activation.pieces[place : place + 2]), weights=(1, -1)), exact)
        size = abs(float(sum(sp.Rational(q.numerator, q.denominator) * u for u, q in jump.items())))
        if not short or (jump and size < 1e-9):
            raise NoRule(f"the kink at z = {kink!r} is not a short fraction")
        out.append(exact)
    return tuple(out)
