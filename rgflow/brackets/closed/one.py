r"""Averages of distributions over one Gaussian variable: what lies between the kinks, beyond them, and on them.

On a half line, with :math:`\tilde K = K/(1+aK)`, by parts as on the whole line but for the boundary term

.. math:: H(m) = \tilde K\Big[(m-1) H(m{-}2) + b H(m{-}1) + c^{m-1} e^{-ac^2/2+bc}\, p_K(c)\Big], \qquad
          H(m) = \langle z^m e^{-az^2/2+bz}\, \theta(z-c) \rangle_K
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from math import factorial

import sympy as sp

from rgflow.brackets.closed.atoms import (
    NIL,
    ONE,
    SIGN,
    Atom,
    Atoms,
    Constant,
    NoRule,
    numbers,
    product,
    reflected,
    total,
)
from rgflow.brackets.closed.covariances import Variance
from rgflow.brackets.closed.distributions import Distribution
from rgflow.brackets.closed.form import NONE, Form, Powers, accumulate, as_product, join, power, single
from rgflow.brackets.closed.integrals import integral, shown, wave

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
        accumulate(out, integral(K, (m,), (a,), (b,), (erfs,)), {u: q})
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
            raise NoRule(f"on one side of a kink stands {shown((erfs,)) if erfs else 'a sine or cosine'}")
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
