r"""Averages of atoms over one Gaussian variable, over two correlated ones, and without erf over any number.

With D = diag(a), :math:`\tilde K = K(1+DK)^{-1}` and :math:`\Delta = \det(1+DK)`, by parts

.. math:: \langle z_i\, g \rangle = \sum_j \tilde K_{ij} \langle \partial_j g \rangle
          + (\tilde K b)_i \langle g \rangle, \qquad \langle 1 \rangle = \Delta^{-1/2} e^{b \cdot \tilde K b/2}

where the derivative of erf(cz) is :math:`\tfrac{2c}{\sqrt\pi}` and raises the decay a by 2c^2. What remains are a
Gaussian integral, W_{2m} for 2m equal error functions, and for two

.. math:: \langle \operatorname{erf}(c z_i) \operatorname{erf}(d z_j) \rangle = \Delta^{-1/2}\, \tfrac{2}{\pi} \arcsin
          \frac{2 c d\, \Delta \tilde K_{ij}}{\sqrt{\Delta(a + 2c^2 e_i)\, \Delta(a + 2d^2 e_j)}}

sign(z) is c = oo: with it the last line is the arc-cosine family, and its derivative 2 delta(z) fixes one variable at
zero and leaves the other, if there is one, with the variance det K / K_ii.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any

import sympy as sp

from rgflow.brackets.closed.atoms import (
    ONE,
    Constant,
    Erfs,
    NoRule,
    count,
    numbers,
    plus,
    slope,
    twice_square,
    without,
)
from rgflow.brackets.closed.covariances import Covariance, Decays
from rgflow.brackets.closed.erf_moments import W
from rgflow.brackets.closed.form import NONE, Form, Powers, accumulate, as_product, join, power, single


@lru_cache(maxsize=65536)
def integral(K: Covariance, m: tuple[int, ...], a: Decays, b: tuple[Constant, ...], erfs: tuple[Erfs, ...]) -> Form:
    """< prod_i z_i^m_i e^{-a_i z_i^2/2 + b_i z_i} prod erf(c z_i) >_K.

    >>> from rgflow.brackets.closed.covariances import Kernel
    >>> integral(Kernel(2), (1, 1), (0, 0), (0, 0), ((), ()))
    {(frozenset({(K12, 2)}), 1): Fraction(1, 1)}
    """
    if not any(x != 0 for x in b) and (sum(m) + sum(map(count, erfs))) % 2:
        return {}
    i = next((i for i, n in enumerate(m) if n), None)
    if i is None:
        return _bottom(K, a, b, erfs)
    out: Form = {}
    lower = _changed(m, i, m[i] - 1)
    for j in range(K.size):
        tilted = K.tilted(i, j, a)
        if lower[j]:
            rest = integral(K, _changed(lower, j, lower[j] - 1), a, b, erfs)
            accumulate(out, rest, {ONE: Fraction(lower[j])}, tilted)
        if b[j] != 0:
            accumulate(out, integral(K, lower, a, b, erfs), numbers(b[j]), tilted)
        for c, n in erfs[j]:
            left = _changed(erfs, j, without(erfs[j], c))
            if c == sp.oo:
                if not lower[j] and not left[j]:
                    # 2 delta(z_j)
                    fixed = _fixed(K, j, lower, a, b, left)
                    accumulate(out, fixed, numbers(sp.sqrt(2 / sp.pi)), join(tilted, K.diagonal(j, -1)))
                continue
            q, u = slope(c)
            steeper = _changed(a, j, plus(a[j], twice_square(c)))
            accumulate(out, integral(K, lower, steeper, b, left), {u: q * n}, tilted)
    return out


def _changed(row: tuple[Any, ...], place: int, value: Any) -> tuple[Any, ...]:
    return (*row[:place], value, *row[place + 1 :])


def _fixed(K: Covariance, j: int, *columns: tuple[Any, ...]) -> Form:
    """The average of the rest at z_j = 0."""
    other = K.conditional(j)
    return integral(other, *(column[1 - j : 2 - j] for column in columns)) if other else {(NONE, ONE): Fraction(1)}


def _bottom(K: Covariance, a: Decays, b: tuple[Constant, ...], erfs: tuple[Erfs, ...]) -> Form:
    """Without powers of z."""
    front = K.determinant(a, -1)
    rates = [(i, c) for i, row in enumerate(erfs) for c, n in row for _ in range(n)]
    live = [i for i, x in enumerate(b) if x != 0]
    tilt = wave(front, [(b[i] * b[j], as_product(K.tilted(i, j, a)) / 2) for i in live for j in live])
    if not rates:
        return tilt
    parts = [K.wider(i, c, a) for i, c in rates]
    # at c = oo the factor 2c/(2c^2)^(1/2) is 2^(1/2)
    sizes = [1 / sp.sqrt(2) if c == sp.oo else c for _, c in rates]
    if live:
        if len(rates) > 1:
            raise NoRule(f"{shown(erfs)} meets an exponential, sine or cosine")
        i = rates[0][0]
        outer = join(front, *parts)
        return _shifted(tilt, [(b[j], sizes[0] * as_product(join(K.minor(i, j, a), outer))) for j in live])
    if len(rates) == 2:
        (i, _), (j, _) = rates
        angle = sp.asin(sp.Mul(2, *sizes) * as_product(join(K.minor(i, j, a), *parts)))
        return single(join(front, power(angle, 2)), 2 / sp.pi)
    if len(set(rates)) == 1:
        i, c = rates[0]
        node = W(len(rates), c**2 * as_product(K.tilted(i, i, a)))
        return single(join(front, power(node, 2)), ONE)
    raise NoRule(f"the average of {len(rates)} error functions, {shown(erfs)}, is no arcsine and no W_2m")


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


def _shifted(tilt: Form, shift: Sequence[tuple[Constant, Any]]) -> Form:
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


def shown(erfs: tuple[Erfs, ...]) -> str:
    """A product of error functions in plain text.

    >>> shown((((sp.Integer(2), 3),), ((sp.oo, 1),)))
    'erf(2*z1)^3 sign(z2)'
    """
    names = []
    for i, row in enumerate(erfs, 1):
        z = sp.Symbol("z" if len(erfs) == 1 else f"z{i}")
        names += [(f"sign({z})" if c == sp.oo else f"erf({c * z})", n) for c, n in row]
    return " ".join(name + (f"^{n}" if n > 1 else "") for name, n in names)
