r"""Functions that Gaussian averages in closed form can digest: sums of atoms.

.. math:: \sum q\, u\, z^m e^{-a z^2/2 + b z} \prod_i \operatorname{erf}(c_i z)

with q rational and u, a, b, c exact constants; b is complex for a sine or cosine. erf with c = oo is sign(z).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from functools import cache
from typing import Any, NamedTuple, TypeAlias

import sympy as sp

Constant: TypeAlias = Any
"""An exact number of SymPy, like sqrt(2)/pi without its rational factor."""
Erfs: TypeAlias = tuple[tuple[Constant, int], ...]
"""Rates c > 0 of the error functions with their multiplicities, sorted."""

NIL, ONE, TWO = sp.Integer(0), sp.Integer(1), sp.Integer(2)
_SLOPE = 1 / sp.sqrt(sp.pi)


class NoRule(Exception):
    """A function or an average that the rules do not reach; the message says which."""


class Atom(NamedTuple):
    """u z^power exp(-decay z^2/2 + rate z) prod erf(c z)."""

    power: int = 0
    decay: Constant = NIL
    rate: Constant = NIL
    erfs: Erfs = ()
    constant: Constant = ONE


Atoms: TypeAlias = Mapping[Atom, Fraction]
Numbers: TypeAlias = Mapping[Constant, Fraction]
"""A constant: a sum of exact numbers with rational coefficients."""


# Exact constants ------------------------------------------------------------------------------------------------------


@cache
def split(value: Constant) -> tuple[Fraction, Constant]:
    """A constant as rational times the rest."""
    rational, rest = value.as_coeff_Mul(rational=True)
    return Fraction(int(rational.p), int(rational.q)), rest


@cache
def times(x: Constant, y: Constant) -> tuple[Fraction, Constant]:
    """The product of two constants as rational times the rest.

    >>> times(sp.sqrt(2), sp.sqrt(6))
    (Fraction(2, 1), sqrt(3))
    """
    return split(x * y)


@cache
def plus(x: Constant, y: Constant) -> Constant:
    """The sum of two constants."""
    return sp.expand(x + y)


@cache
def twice_square(c: Constant) -> Constant:
    """2 c^2: what the derivative of erf(cz) adds to a decay."""
    return sp.expand(2 * c**2)


@cache
def slope(c: Constant) -> tuple[Fraction, Constant]:
    """2 c / sqrt(pi), the slope of erf(cz) at zero."""
    return split(2 * c * _SLOPE)


def rational(value: Fraction) -> Constant:
    """A fraction as SymPy's."""
    return sp.Rational(value.numerator, value.denominator)


def numbers(value: Constant) -> dict[Constant, Fraction]:
    """A constant, as a sum of exact numbers."""
    out: dict[Constant, Fraction] = {}
    for term in sp.Add.make_args(sp.expand(value)):
        q, u = split(term)
        if q:
            out[u] = out.get(u, Fraction(0)) + q
    return out


# Error functions ------------------------------------------------------------------------------------------------------


@cache
def with_erfs(left: Erfs, right: Erfs) -> Erfs:
    """The product of error functions; sign(z)^2 is 1."""
    count = dict(left)
    for c, n in right:
        count[c] = count.get(c, 0) + n
    if sp.oo in count:
        count[sp.oo] %= 2
    return tuple(sorted(((c, n) for c, n in count.items() if n), key=lambda item: (float(item[0]), str(item[0]))))


@cache
def without(erfs: Erfs, c: Constant) -> Erfs:
    """One erf(cz) less."""
    return tuple((d, n - (d == c)) for d, n in erfs if n > (d == c))


def count(erfs: Erfs) -> int:
    """How many error functions, with multiplicity."""
    return sum(n for _, n in erfs)


SIGN: Erfs = ((sp.oo, 1),)


# Algebra --------------------------------------------------------------------------------------------------------------


def collect(terms: Iterable[tuple[Atom, Fraction]]) -> dict[Atom, Fraction]:
    """Like atoms added up, those that cancel left out."""
    out: dict[Atom, Fraction] = {}
    for atom, q in terms:
        out[atom] = out.get(atom, Fraction(0)) + q
    return {atom: q for atom, q in out.items() if q}


def total(*sums: Atoms, weights: tuple[int | Fraction, ...] | None = None) -> dict[Atom, Fraction]:
    """A weighted sum of sums of atoms."""
    weights = weights or (1,) * len(sums)
    return collect((atom, w * q) for w, one in zip(weights, sums, strict=True) for atom, q in one.items())


def product(left: Atoms, right: Atoms) -> dict[Atom, Fraction]:
    """The product of two sums of atoms."""

    def terms() -> Iterable[tuple[Atom, Fraction]]:
        for (m, a, b, erfs, u), p in left.items():
            for (n, c, d, more, v), q in right.items():
                r, w = times(u, v)
                yield Atom(m + n, plus(a, c), plus(b, d), with_erfs(erfs, more), w), p * q * r

    return collect(terms())


def derivative(atoms: Atoms) -> dict[Atom, Fraction]:
    """d/dz of smooth atoms.

    >>> derivative({Atom(power=2): Fraction(3)})
    {Atom(power=1, decay=0, rate=0, erfs=(), constant=1): Fraction(6, 1)}
    """

    def terms() -> Iterable[tuple[Atom, Fraction]]:
        for atom, q in atoms.items():
            m, a, b, erfs, u = atom
            if m:
                yield atom._replace(power=m - 1), q * m
            if a != 0:
                r, v = times(u, a)
                yield atom._replace(power=m + 1, constant=v), -q * r
            if b != 0:
                for part, x in numbers(b).items():
                    r, v = times(u, part)
                    yield atom._replace(constant=v), q * r * x
            for c, n in erfs:
                s, part = slope(c)
                r, v = times(u, part)
                yield Atom(m, plus(a, twice_square(c)), b, without(erfs, c), v), q * r * s * n

    return collect(terms())


def reflected(atoms: Atoms) -> dict[Atom, Fraction]:
    """The function of -z."""
    return {
        atom._replace(rate=-atom.rate): -q if (atom.power + count(atom.erfs)) % 2 else q for atom, q in atoms.items()
    }


def value(atoms: Atoms, point: Constant) -> dict[Constant, Fraction]:
    """The function at an exact point."""
    out: dict[Constant, Fraction] = {}
    for (m, a, b, erfs, u), q in atoms.items():
        if point == 0 and (m or erfs):
            continue
        there = u * sp.exp(-a * point**2 / 2 + b * point) * (point**m if m else ONE)
        for c, n in erfs:
            there *= sp.erf(c * point) ** n
        for v, r in numbers(there).items():
            out[v] = out.get(v, Fraction(0)) + q * r
    return {v: q for v, q in out.items() if q}
