"""Closed forms from exact half powers of K, and from SymPy expressions, as the terms that a kernel runs."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from math import comb, gcd, lcm, pi, sqrt
from typing import Any

from rgflow.brackets.kernel_forms.summands import (
    UNIT,
    VARIABLE,
    Angle,
    Closed,
    ExponentialSum,
    Part,
    Polynomial,
    Summand,
)

HIGHEST = 40  # power of expm1

# From exact half powers -----------------------------------------------------------------------------------------------


def from_laurent(plain: dict[int, Fraction], rooted: dict[int, Fraction]) -> Closed:
    """The closed form of sum c K^(h/2) + sum c K^(h/2) / sqrt(2 pi).

    >>> from_laurent({2: Fraction(1, 2)}, {}).text
    'K/2'
    """
    terms, texts = [], []
    for row, root, mark in ((plain, 1.0, ""), (rooted, 1 / sqrt(2 * pi), "sqrt(2*pi)")):
        for parity in (0, 1):
            mine = {h: c for h, c in row.items() if h % 2 == parity}
            if not mine:
                continue
            least = min(mine)
            numerator = [float(mine.get(h, 0)) for h in range(least, max(mine) + 1, 2)]
            scale = numerator[0] if len(numerator) == 1 else 1.0
            powers = ((VARIABLE, least),) if least else ()
            terms.append(Summand(scale * root, tuple(c / scale for c in numerator), powers))
            texts += [_written(c, h, mark) for h, c in sorted(mine.items(), reverse=True)]
    text = " + ".join(texts).replace("+ -", "- ") or "0"
    return Closed(text, tuple(terms))


def _written(c: Fraction, halves: int, mark: str) -> str:
    above = [] if abs(c.numerator) == 1 and halves > 0 else [str(abs(c.numerator))]
    below = [str(c.denominator)] * (c.denominator != 1) + [mark] * bool(mark)
    power = {1: "sqrt(K)", 2: "K"}.get(abs(halves), f"K**{_half(abs(halves))}")
    if halves:
        (above if halves > 0 else below).append(power)
    shown = "*".join(above)
    if below:
        shown += "/" + ("*".join(below) if len(below) == 1 else f"({'*'.join(below)})")
    return f"-{shown}" if c < 0 else shown


def _half(halves: int) -> str:
    return f"({halves}/2)" if halves % 2 else str(halves // 2)


# From an expression ---------------------------------------------------------------------------------------------------


class Unwritable(Exception):
    """A closed form that no kernel writes: with W, or with functions that lose digits."""


def from_expression(expression: Any) -> Closed:
    """A closed form of :func:`rgflow.brackets.closed.closed_bracket` as terms.

    Raises Unwritable.
    """
    import sympy as sp

    if expression == 0:
        return Closed("0", ())
    terms: list[Summand] = []
    waves: dict[Any, Any] = {}
    for part in sorted(sp.Add.make_args(expression), key=sp.default_sort_key):
        rate = _pure_exponential(part)
        if rate is None:
            terms.append(_term(part))
        else:
            waves[rate[0]] = waves.get(rate[0], 0) + rate[1]
    return Closed(str(expression), (*terms, *_exponentials(waves)))


def _pure_exponential(part: Any) -> tuple[Any, Any] | None:
    """(rate, coefficient) of c exp(rate K), c a number; None for anything else."""
    import sympy as sp

    from rgflow.brackets.closed.symbols import K

    coefficient, rest = part.as_independent(K, as_Add=False)
    if rest == 1:
        return sp.Integer(0), coefficient
    if isinstance(rest, sp.exp):
        rate = rest.args[0] / K
        return (rate, coefficient) if rate.is_number else None
    return None


def _exponentials(waves: dict[Any, Any]) -> list[Part]:
    rates = sorted((rate for rate in waves if rate != 0), key=float)
    same_sign = all(float(r) > 0 for r in rates) or all(float(r) < 0 for r in rates)
    rational = all(r.is_Rational for r in rates) and all(c.is_Rational for c in waves.values())
    single = [
        Summand(_float(c), rate=_float(rate)) for rate, c in sorted(waves.items(), key=lambda item: float(item[0]))
    ]
    if len(waves) < 2 or len({term.constant > 0 for term in single}) < 2 or not rational or not same_sign:
        return list(single)
    exact = {_fraction(rate): _fraction(c) for rate, c in waves.items()}
    bottom = lcm(*(rate.denominator for rate in exact))
    g = Fraction(gcd(*(int(rate * bottom) for rate in exact)), bottom) * (1 if float(rates[0]) > 0 else -1)
    exact = {rate / g: c for rate, c in exact.items()}
    top = int(max(exact))
    if top > HIGHEST:
        return list(single)
    shifted = tuple(float(sum(c * comb(int(n), k) for n, c in exact.items())) for k in range(top + 1))
    return [ExponentialSum(float(g), tuple((int(n), float(c)) for n, c in sorted(exact.items())), shifted)]


def _term(part: Any) -> Summand:
    import sympy as sp

    from rgflow.brackets.closed.symbols import K

    constant: Any = sp.Integer(1)
    powers: dict[Polynomial, int] = {}
    numerator, angle, rate = UNIT, None, 0.0
    for factor in _factors(part):
        base, exponent = factor.as_base_exp()
        if not factor.has(K):
            constant *= factor
        elif isinstance(factor, sp.exp):
            rate += _float(factor.args[0] / K)
        elif isinstance(factor, sp.asin) and angle is None:
            angle = _angle(factor.args[0])
        elif base.is_polynomial(K) and (2 * exponent).is_Integer:
            coefficients = _coefficients(base)
            if min(coefficients) >= 0:
                powers[coefficients] = powers.get(coefficients, 0) + int(2 * exponent)
            elif exponent == 1 and numerator == UNIT:
                numerator = coefficients
            else:
                raise Unwritable(str(factor))
        else:
            raise Unwritable(str(factor))
    if angle is None and rate == 0:
        whole = [base for base, h in powers.items() if h == 2 and len(base) > 2]
        if numerator == UNIT and whole:
            numerator = whole[0]
            del powers[numerator]
    return Summand(_float(constant), numerator, tuple(sorted(powers.items())), angle, rate)


def _factors(part: Any) -> list[Any]:
    import sympy as sp

    if not part.is_Mul:
        return [part]
    return [factor for arg in sp.Mul.make_args(part) for factor in _factors(arg)]


@lru_cache(maxsize=1024)
def _coefficients(polynomial: Any) -> Polynomial:
    import sympy as sp

    from rgflow.brackets.closed.symbols import K

    found = sp.Poly(polynomial, K).all_coeffs()[::-1]
    return tuple(_float(c) for c in found)


@lru_cache(maxsize=1024)
def _angle(argument: Any) -> Angle:
    """arcsin x = arctan(x / sqrt(1 - x^2)), which keeps its digits also where x is nearly 1."""
    import sympy as sp

    from rgflow.brackets.closed.symbols import K

    above, below = sp.fraction(sp.together(argument**2))
    power = int(sp.degree(above, K)) if above.has(K) else 0
    square = sp.expand(above / K**power)
    rest = sp.expand(below - above)
    if square.has(K) or not square.is_positive or not rest.is_polynomial(K) or power % 2:
        raise Unwritable(str(argument))
    coefficients = _coefficients(rest)
    if min(coefficients) < 0 or not argument.subs(K, 1).is_positive:
        raise Unwritable(str(argument))
    return Angle(_float(sp.sqrt(square)), power // 2, ((coefficients, 1),))


def _fraction(number: Any) -> Fraction:
    return Fraction(int(number.p), int(number.q))


def _float(number: Any) -> float:
    value = number.evalf(25)
    if not value.is_Float and not value.is_Rational:
        raise Unwritable(str(number))
    return float(value)
