"""Formulas typed on a page beside formulas that the engine writes: equal as functions of symbols of the same names.

Symbols of an engine know more (that C_W is not negative, say) than those of a page, and two symbols of one name are
then different; ``plain`` forgets it. ``equal`` expands the difference; what does not vanish at once is evaluated at
two points of many digits, where two different analytic functions do not agree.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import sympy as sp

import rgflow as rg

DIGITS = 30


def plain(expression: Any) -> sp.Expr:
    """With symbols that are known by name, and as positive, only."""
    expression = sp.Integer(0) + expression
    return expression.xreplace({x: sp.Symbol(x.name, positive=True) for x in expression.free_symbols})


def equal(found: Any, typed: Any, what: str) -> None:
    """AssertionError unless two expressions are equal."""
    difference = sp.expand(plain(found) - plain(typed))
    if difference == 0:
        return
    symbols = sorted(difference.free_symbols, key=str)
    for shift in (1, 2):
        # no two symbols alike, and none a round number
        at = {x: sp.Rational(11 + 7 * i + shift, 17 + 3 * i) for i, x in enumerate(symbols)}
        value = difference.subs(at).evalf(DIGITS, maxn=300)
        size = max([sp.Integer(1), *(abs(term.subs(at).evalf(8)) for term in sp.Add.make_args(difference))])
        assert abs(value) < size * sp.Rational(10) ** (4 - DIGITS), f"{what}: typed {typed}, derived {found}"


def average(polynomial: sp.Expr, z: sp.Symbol, K: sp.Expr) -> sp.Expr:
    """<polynomial>_K, from <z^2m> = (2m - 1)!! K^m.

    >>> z, K = sp.symbols("z K")
    >>> average(z**4 + z, z, K)
    3*K**2
    """
    terms = sp.Poly(polynomial, z).terms()
    return sp.expand(sum(c * sp.factorial2(power - 1) * K ** (power // 2) for (power,), c in terms if power % 2 == 0))


@cache
def coefficient(name: str, letter: str, activation: str) -> sp.Expr:
    """What multiplies one letter of layer l in the closed form of a recursion of one input, equal widths."""
    step = plain(rg.closed_form(rg.derive(name), activation)).subs(sp.Symbol("r", positive=True), 1)
    return sp.expand(step).coeff(sp.Symbol(letter, positive=True), 1)
