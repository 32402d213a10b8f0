"""Formulas that are polynomials of z: exact coefficients, and back to a tree."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from functools import reduce
from itertools import zip_longest
from typing import TypeAlias

from rgflow.activations.formula import LARGEST_EXPONENT, ONE, ZERO, Add, Mul, Node, Num, Pow, Z, has_z, number
from rgflow.activations.values import value_at
from rgflow.errors import FormulaError

Coefficients: TypeAlias = tuple[Fraction, ...]
Join: TypeAlias = Callable[[Coefficients, Coefficients], Coefficients]


def polynomial(node: Node) -> tuple[Fraction, ...] | None:
    """Rational coefficients, low to high, of a tree that is a polynomial of z as it is written; else None."""
    match node:
        case Num(value):
            return (value,) if value else ()
        case Z():
            return (Fraction(0), Fraction(1))
        case Add(args):
            return _combine(args, _plus)
        case Mul(args):
            return _combine(args, _times)
        case Pow(base, exponent) if exponent.denominator == 1 and exponent > 0:
            inner = polynomial(base)
            return None if inner is None else reduce(_times, (inner,) * int(exponent))
    return None


def slope(node: Node) -> float | None:
    """a of a normal tree that is a z with a constant a, rational or not; else None.

    >>> from rgflow.activations.parser import parse
    >>> slope(parse("sqrt(2)*z")), slope(parse("z + 1"))
    (1.4142135623730951, None)
    """
    match node:
        case Num(value) if value == 0:
            return 0.0
        case Z():
            return 1.0
        case Add(args):
            found = [slope(arg) for arg in args]
            known = [a for a in found if a is not None]
            return math.fsum(known) if len(known) == len(found) else None
        case Mul(args):
            factors = [value_at(arg, 0.0) for arg in args if not has_z(arg)]
            rest = [arg for arg in args if has_z(arg)]
            inner = slope(rest[0]) if len(rest) == 1 else None
            return None if inner is None else math.prod(factors) * inner
    return None


def from_polynomial(coefficients: tuple[Fraction, ...]) -> Node:
    """The normal tree of a polynomial: a sum of rising powers."""
    powers: list[Node] = [ONE, Z(), *(Pow(Z(), Fraction(k)) for k in range(2, len(coefficients)))]
    terms: list[Node] = [
        number(c) if k == 0 else powers[k] if c == 1 else Mul((number(c), powers[k]))
        for k, c in enumerate(coefficients)
        if c
    ]
    return Add(tuple(terms)) if len(terms) > 1 else terms[0] if terms else ZERO


def _combine(nodes: tuple[Node, ...], join: Join) -> Coefficients | None:
    parts = [polynomial(node) for node in nodes]
    known = [part for part in parts if part is not None]
    return reduce(join, known) if len(known) == len(parts) else None


def _plus(a: Coefficients, b: Coefficients) -> Coefficients:
    return _trim([x + y for x, y in zip_longest(a, b, fillvalue=Fraction(0))])


def _times(a: Coefficients, b: Coefficients) -> Coefficients:
    if max(len(a) + len(b) - 2, 0) > LARGEST_EXPONENT:
        raise FormulaError(f"a polynomial of degree beyond {LARGEST_EXPONENT}")
    out = [Fraction(0)] * (len(a) + len(b) - 1 if a and b else 0)
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            out[i + j] += x * y
    return _trim(out)


def _trim(coefficients: list[Fraction]) -> Coefficients:
    while coefficients and coefficients[-1] == 0:
        coefficients.pop()
    return tuple(coefficients)
