r"""Averages of atoms over one Gaussian variable.

With :math:`\tilde K = K/(1+aK)` and J(m, a, b, S) the average of z^m e^{-az^2/2+bz} prod_S erf(c z), S a multiset,

.. math:: J(m,a,b,S) = \tilde K\Big[(m-1) J(m{-}2,a,b,S) + b J(m{-}1,a,b,S)
          + \sum_{c \in S} \tfrac{2c}{\sqrt\pi} J(m{-}1,a+2c^2,b,S{-}c)\Big]

by parts, down to m = 0: a Gaussian integral, an arcsine for two error functions, W_{2m} for 2m equal ones. On a half
line the same with the boundary term. sign(z) is erf(cz) at c = oo, its derivative 2 delta(z).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from math import factorial
from typing import Any

import sympy as sp

from rgflow.brackets.closed.atoms import (
    NIL,
    ONE,
    SIGN,
    Atom,
    Atoms,
    Constant,
    Erfs,
    NoRule,
    count,
    numbers,
    plus,
    product,
    reflected,
    slope,
    total,
    twice_square,
    without,
)
from rgflow.brackets.closed.distributions import Distribution
from rgflow.brackets.closed.erf_moments import W
from rgflow.brackets.closed.form import NONE, Form, Powers, accumulate, as_product, join, power, single


class Variance(ABC):
    """A variance K, hashable: how powers of K and of 1 + aK are written."""

    @abstractmethod
    def own(self, halves: int) -> Powers:
        """K^(halves/2)."""

    @abstractmethod
    def plus(self, a: Constant, halves: int) -> Powers:
        """(1 + aK)^(halves/2)."""


class Single(Variance):
    """The variance that is one symbol.

    >>> K = Single(sp.Symbol("K", positive=True))
    >>> sorted(K.plus(ONE, -1))
    [(K + 1, -1)]
    """

    def __init__(self, symbol: Any):
        self.symbol = symbol

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Single) and other.symbol == self.symbol

    def __hash__(self) -> int:
        return hash(self.symbol)

    def own(self, halves: int) -> Powers:
        """K^(halves/2)."""
        return power(self.symbol, halves)

    def plus(self, a: Constant, halves: int) -> Powers:
        """(1 + aK)^(halves/2)."""
        return power(1 + a * self.symbol, halves)


# The whole line -------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=16384)
def line(K: Variance, m: int, a: Constant, b: Constant, erfs: Erfs) -> Form:
    """< z^m e^{-az^2/2+bz} prod erf(cz) >_K."""
    if b == 0 and (m + count(erfs)) % 2:
        return {}
    if m == 0:
        return _bottom(K, a, b, erfs)
    out: Form = {}
    tilted = join(K.own(2), K.plus(a, -2))
    if m > 1:
        accumulate(out, line(K, m - 2, a, b, erfs), {ONE: Fraction(m - 1)}, tilted)
    if b != 0:
        accumulate(out, line(K, m - 1, a, b, erfs), numbers(b), tilted)
    for c, n in erfs:
        rest = without(erfs, c)
        if c == sp.oo:
            if m == 1 and not rest:
                accumulate(out, single(K.own(-1), sp.sqrt(2 / sp.pi)), {ONE: Fraction(1)}, tilted)
            continue
        q, u = slope(c)
        accumulate(out, line(K, m - 1, plus(a, twice_square(c)), b, rest), {u: q * n}, tilted)
    return out


def _bottom(K: Variance, a: Constant, b: Constant, erfs: Erfs) -> Form:
    front = K.plus(a, -1)
    half = as_product(join(K.own(2), K.plus(a, -2))) / 2
    tilt = wave(front, [(b**2, half)] if b != 0 else [])
    rates = [c for c, n in erfs for _ in range(n)]
    # sign(z) is c = oo: 2c K/(1 + 2c^2 K)^(1/2) is (2K)^(1/2)
    parts = [K.own(-1) if c == sp.oo else K.plus(plus(a, twice_square(c)), -1) for c in rates]
    sizes = [1 / sp.sqrt(2) if c == sp.oo else c for c in rates]
    if not rates:
        return tilt
    if b != 0:
        if len(rates) > 1:
            raise NoRule(f"{shown(erfs)} meets an exponential, sine or cosine")
        return shifted(tilt, [(b, sizes[0] * as_product(join(K.own(2), K.plus(a, -1), *parts)))])
    if len(rates) == 2:
        angle = sp.asin(sp.Mul(2, *sizes) * as_product(join(K.own(2), *parts)))
        return single(join(front, power(angle, 2)), 2 / sp.pi)
    if len(erfs) == 1:
        c, n = erfs[0]
        node = W(n, c**2 * 2 * half)
        return single(join(front, power(node, 2)), ONE)
    raise NoRule(f"the average of {shown(erfs)} is no arcsine and no W_2m")


def wave(front: Powers, exponent: Sequence[tuple[Constant, Any]]) -> Form:
    """front * exp(sum of constant * expression), a complex exponent as cosine and sine."""
    parts = [(sp.expand(square).as_real_imag(), half) for square, half in exponent]
    size = join(front, power(sp.exp(sp.Add(*(real * half for (real, _), half in parts))), 2))
    angle = sp.Add(*(imaginary * half for (_, imaginary), half in parts))
    if angle == 0:
        return {(size, ONE): Fraction(1)}
    sign = -1 if angle.could_extract_minus_sign() else 1
    cosine, sine = (join(size, power(function(sign * angle), 2)) for function in (sp.cos, sp.sin))
    return {(cosine, ONE): Fraction(1), (sine, sp.I): Fraction(sign)}


def shifted(tilt: Form, shift: Sequence[tuple[Constant, Any]]) -> Form:
    """tilt * erf(sum of constant * expression), the constants all real or all imaginary."""
    parts = [(constant.as_real_imag(), factor) for constant, factor in shift]
    real, imaginary = (sp.Add(*(pair[i] * factor for pair, factor in parts)) for i in (0, 1))
    if real != 0 and imaginary != 0:
        raise NoRule("an error function (or a kink) meets a sine times an exponential")
    argument = real if imaginary == 0 else imaginary
    sign = -1 if argument.could_extract_minus_sign() else 1
    node = (sp.erf if imaginary == 0 else sp.erfi)(sign * argument)
    out: Form = {}
    accumulate(out, tilt, {ONE if imaginary == 0 else sp.I: Fraction(sign)}, power(node, 2) if argument != 0 else NONE)
    return out if argument != 0 else {}


def shown(erfs: Erfs) -> str:
    """A product of error functions in plain text."""
    names = [("sign(z)" if c == sp.oo else f"erf({c * sp.Symbol('z')})", n) for c, n in erfs]
    return " ".join(name + (f"^{n}" if n > 1 else "") for name, n in names)


# The half line --------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def half_line(K: Variance, m: int, a: Constant, b: Constant, edge: Constant) -> Form:
    """< z^m e^{-az^2/2+bz} Heaviside(z - edge) >_K, edge >= 0, b real."""
    tilted = join(K.own(2), K.plus(a, -2))
    if m == 0:
        spread = as_product(tilted)
        start = sp.erfc((edge - b * spread) / sp.sqrt(2 * spread))
        out: Form = {}
        accumulate(out, wave(join(K.plus(a, -1), power(start, 2)), [(b**2, spread / 2)]), {ONE: Fraction(1, 2)})
        return out
    out = {}
    if m > 1:
        accumulate(out, half_line(K, m - 2, a, b, edge), {ONE: Fraction(m - 1)}, tilted)
    if b != 0:
        accumulate(out, half_line(K, m - 1, a, b, edge), numbers(b), tilted)
    if m == 1 or edge != 0:
        there = sp.exp(b * edge - a * edge**2 / 2) * edge ** (m - 1) / sp.sqrt(2 * sp.pi)
        accumulate(out, {(join(K.own(-1), _density(K, edge)), ONE): Fraction(1)}, numbers(there), tilted)
    return out


def _density(K: Variance, edge: Constant) -> Powers:
    return power(sp.exp(-(edge**2) / 2 / as_product(K.own(2))), 2) if edge != 0 else NONE


# Distributions --------------------------------------------------------------------------------------------------------


def signed(f: Distribution) -> dict[Atom, Fraction]:
    """A function whose only kink is at 0 as atoms with sign(z)."""
    if not f.kinks:
        return dict(f.pieces[0])
    left, right = f.pieces
    half = Fraction(1, 2)
    step = total(right, left, weights=(half, -half))
    return total(left, step, product(step, {Atom(erfs=SIGN): Fraction(1)}))


def average(f: Distribution, K: Variance) -> Form:
    """< f >_K."""
    below = sum(bool(kink < 0) for kink in f.kinks)
    centre = NIL in f.kinks
    left, right = dict(f.pieces[below]), dict(f.pieces[below + centre])
    out: Form = {}
    if centre:
        # an exponential on one side only: its half line keeps the digits that 1 - erf would lose
        for atom in [x for x in {**left, **right} if left.get(x) != right.get(x) and _one_sided(x)]:
            _add_half(out, {atom: right.pop(atom, Fraction(0))}, K, NIL)
            _add_half(out, reflected({atom: left.pop(atom, Fraction(0))}), K, NIL)
    whole = signed(Distribution((NIL,) * centre, (left, right)[: 1 + centre], ((),) * centre))
    for (m, a, b, erfs, u), q in whole.items():
        _refuse_growth(a)
        accumulate(out, line(K, m, a, b, erfs), {u: q})
    for place, kink in enumerate(f.kinks):
        if kink > 0:
            _add_half(out, total(f.pieces[place + 1], f.pieces[place], weights=(1, -1)), K, kink)
        elif kink < 0:
            _add_half(out, reflected(total(f.pieces[place], f.pieces[place + 1], weights=(1, -1))), K, -kink)
        for j, weight in enumerate(f.deltas[place]):
            accumulate(out, delta(K, j, kink), weight)
    return out


def _one_sided(atom: Atom) -> bool:
    return bool(atom.rate != 0 and atom.rate.is_real and not atom.erfs)


def _refuse_growth(a: Constant) -> None:
    if not a.is_nonnegative:
        raise NoRule(f"exp(-({a}) z^2/2) does not decay")


def _add_half(out: Form, atoms: Atoms, K: Variance, edge: Constant) -> None:
    for (m, a, b, erfs, u), q in atoms.items():
        if not q:
            continue
        _refuse_growth(a)
        if erfs or not b.is_real:
            raise NoRule(f"on one side of a kink stands {shown(erfs) if erfs else 'a sine or cosine'}")
        accumulate(out, half_line(K, m, a, b, edge), {u: q})


@lru_cache(maxsize=1024)
def delta(K: Variance, order: int, kink: Constant) -> Form:
    """< delta^{(j)}(z - c) >_K = He_j(c/sqrt K) p(c) / K^{j/2}."""
    out: Form = {}
    density = join(K.own(-1), _density(K, kink))
    for i in range(order // 2 + 1):
        rest = order - 2 * i
        if rest and kink == 0:
            continue
        weight = Fraction((-1) ** i * factorial(order), factorial(i) * 2**i * factorial(rest))
        there = single(join(density, K.own(2 * i - 2 * order)), kink**rest / sp.sqrt(2 * sp.pi))
        accumulate(out, there, {ONE: weight})
    return out
