"""Results as sums of power products, added exactly and written as readable SymPy expressions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from math import gcd, lcm
from typing import Any, TypeAlias

import sympy as sp

from rgflow.brackets.closed.atoms import Constant, Numbers, numbers, rational, split, times

Powers: TypeAlias = frozenset[tuple[Any, int]]
"""A product of powers: (base, twice its exponent)."""
Form: TypeAlias = dict[tuple[Powers, Constant], Fraction]

NONE: Powers = frozenset()


def power(base: Any, halves: int) -> Powers:
    """base^(halves/2)."""
    return frozenset(((base, halves),)) if halves and base != 1 else NONE


def join(*factors: Powers) -> Powers:
    """The product of power products.

    >>> K = sp.Symbol("K", positive=True)
    >>> join(power(K, 3), power(K, -1), power(1 + K, 0))
    frozenset({(K, 2)})
    """
    factors = tuple(factor for factor in factors if factor)
    if len(factors) < 2:
        return factors[0] if factors else NONE
    out = dict(factors[0])
    for factor in factors[1:]:
        for base, halves in factor:
            out[base] = out.get(base, 0) + halves
    return frozenset((base, halves) for base, halves in out.items() if halves)


def single(powers: Powers, value: Constant) -> Form:
    """One term: a power product times a constant.

    >>> single(NONE, 3 * sp.sqrt(2) / 5)
    {(frozenset(), sqrt(2)): Fraction(3, 5)}
    """
    q, u = split(value)
    return {(powers, u): q}


def accumulate(
    out: Form, form: Mapping[tuple[Powers, Constant], Fraction], weight: Numbers, powers: Powers = NONE
) -> None:
    """out += weight * powers * form, in place."""
    for (own, u), q in form.items():
        merged = join(own, powers)
        for v, w in weight.items():
            r, constant = times(u, v)
            key = (merged, constant)
            new = out.get(key, Fraction(0)) + q * w * r
            if new:
                out[key] = new
            else:
                del out[key]


def as_product(powers: Iterable[tuple[Any, int]]) -> Any:
    """A power product as an expression."""
    return sp.Mul(*(base ** sp.Rational(halves, 2) for base, halves in powers))


def as_expression(form: Form, variable: Any = None) -> Any:
    """The sum as an expression: terms with the same roots and functions share one fraction.

    Parameters
    ----------
    form : Form
    variable : Symbol, optional
        With one variable, numerators are polynomials in it and common factors 1 + a K cancel.

    >>> K, one = sp.Symbol("K", positive=True), sp.Integer(1)
    >>> terms = {(power(K, 2), one): Fraction(1, 2), (power(K, 4), one): Fraction(1, 2)}
    >>> as_expression(terms, K)
    K*(K + 1)/2
    """
    form = _real(form)
    groups: dict[tuple[Powers, Constant], list[tuple[dict[Any, int], Fraction]]] = {}
    for (powers, u), q in form.items():
        # integer powers of sums and symbols go into the fraction, roots and functions stay outside
        inner = {base: _whole(halves) for base, halves in powers if _rational_base(base)}
        outer = frozenset(
            (base, halves - (2 * inner[base] if base in inner else 0))
            for base, halves in powers
            if halves != 2 * inner.get(base, 0)
        )
        groups.setdefault((outer, u), []).append(({b: e for b, e in inner.items() if e}, q))
    return sp.Add(*(_group(outer, u, terms, variable) for (outer, u), terms in groups.items()))


def _real(form: Form) -> Form:
    """The same sum with real constants: averages of real functions are real, so that the real parts suffice."""
    if not any(u.has(sp.I) for _, u in form):
        return form
    out: Form = {}
    for (powers, u), q in form.items():
        accumulate(out, {(powers, sp.Integer(1)): q}, numbers(u.as_real_imag()[0]))
    return out


def _whole(halves: int) -> int:
    """The integer part of halves/2, toward zero, so that 1/sqrt stays 1/sqrt."""
    return halves // 2 if halves > 0 else -(-halves // 2)


def _rational_base(base: Any) -> bool:
    return bool(base.is_Symbol or base.is_Add)


def _group(outer: Powers, u: Constant, terms: list[tuple[dict[Any, int], Fraction]], variable: Any) -> Any:
    bases = {base for inner, _ in terms for base in inner}
    least = {base: min(inner.get(base, 0) for inner, _ in terms) for base in bases}
    rest = [({b: e - least[b] for b in bases if (e := inner.get(b, 0)) != least[b]}, q) for inner, q in terms]
    content, numerator = Fraction(1), None
    if variable is not None and len(rest) > 1:
        numerator = _polynomial(rest, variable, least)
    if numerator is None:
        content = _content([q for _, q in rest])
        numerator = sp.Add(*(sp.Mul(rational(q / content), *(b**e for b, e in inner.items())) for inner, q in rest))
    front = as_product([*((b, 2 * e) for b, e in least.items() if e), *outer])
    return sp.Mul(rational(content) * u, front, numerator)


def _content(values: list[Fraction]) -> Fraction:
    """The greatest common factor, with the sign of the first value."""
    top, bottom = values[0].numerator, values[0].denominator
    for value in values[1:]:
        top, bottom = gcd(top, value.numerator), lcm(bottom, value.denominator)
    out = Fraction(abs(top), bottom)
    return out if all(v > 0 for v in values) or any(v > 0 for v in values) else -out


def _polynomial(rest: list[tuple[dict[Any, int], Fraction]], variable: Any, least: dict[Any, int]) -> Any:
    """The numerator as a polynomial, divided by what it shares with the denominator; None if it is not rational."""
    slopes: dict[Any, Fraction] = {}
    for base in {*least, *(b for inner, _ in rest for b in inner)} - {variable}:
        slope = sp.expand(base - 1) / variable
        if not slope.is_Rational:
            return None
        slopes[base] = Fraction(int(slope.p), int(slope.q))
    out = _expanded(rest, variable, slopes)
    while out and not out[-1]:
        out.pop()
    if not out:
        return sp.Integer(0)
    while not out[0]:
        out.pop(0)
        least[variable] = least.get(variable, 0) + 1
    for base, slope in slopes.items():
        while len(out) > 1 and (shorter := _divided(out, slope)) is not None:
            out = shorter
            least[base] = least.get(base, 0) + 1
    content = _content([x for x in out if x])
    polynomial = sp.Add(*(rational(x / content) * variable**i for i, x in enumerate(out) if x))
    # unevaluated: SymPy would multiply a number into a sum
    return sp.Mul(rational(content), polynomial, evaluate=not polynomial.is_Add)


def _expanded(
    rest: list[tuple[dict[Any, int], Fraction]], variable: Any, slopes: dict[Any, Fraction]
) -> list[Fraction]:
    """sum q K^p prod (1 + slope K)^e by powers of K: Horner in one base after the other, in integers."""
    bases = list(slopes)
    scaled = []
    for inner, q in rest:
        exponents = tuple(inner.get(base, 0) for base in bases)
        for base, e in zip(bases, exponents, strict=True):
            q /= slopes[base].denominator ** e
        scaled.append((exponents, inner.get(variable, 0), q))
    bottom = lcm(*(q.denominator for _, _, q in scaled))
    table: dict[tuple[int, ...], list[int]] = {}
    for exponents, p, q in scaled:
        _add(table.setdefault(exponents, []), [0] * p + [int(q * bottom)])
    while bases:
        slope = slopes[bases.pop()]
        columns: dict[tuple[int, ...], dict[int, list[int]]] = {}
        for exponents, row in table.items():
            columns.setdefault(exponents[:-1], {})[exponents[-1]] = row
        table = {}
        for exponents, column in columns.items():
            total: list[int] = []
            for e in range(max(column), -1, -1):
                shifted = [0, *(slope.numerator * x for x in total)]
                total = [slope.denominator * x for x in total]
                _add(total, shifted)
                _add(total, column.get(e, []))
            table[exponents] = total
    return [Fraction(x, bottom) for x in table[()]]


def _add(row: list[int], other: list[int]) -> None:
    row += [0] * (len(other) - len(row))
    for i, x in enumerate(other):
        row[i] += x


def _divided(polynomial: list[Fraction], slope: Fraction) -> list[Fraction] | None:
    """polynomial / (1 + slope K), or None if that is not a polynomial."""
    out, carry = [], Fraction(0)
    for x in polynomial:
        carry = x - slope * carry
        out.append(carry)
    return out[:-1] if not out[-1] else None
