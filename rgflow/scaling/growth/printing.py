"""Formulas in the depth as a line of text and as LaTeX."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

DIGITS = 10
LONGEST = 10_000  # denominators beyond are printed as decimals


@lru_cache(maxsize=1)
def depth_symbol() -> Any:
    """l, the number of blocks so far."""
    from sympy import Symbol

    return Symbol("l", positive=True)


def text_of(expression: Any, digits: int = DIGITS) -> str:
    """As ``5 k^2/(3 l)``; ten digits, or as many as asked, of what is not exact.

    >>> from sympy import log, sqrt
    >>> l = depth_symbol()
    >>> text_of(3 * l**2 / 2), text_of(sqrt(l) * log(l)), text_of(l ** (1 - l))
    ('3 l^2/2', 'sqrt(l) ln(l)', 'l^(1 - l)')
    """
    from sympy import sstr

    line = sstr(_short(expression, digits)).replace("**", "^").replace("*", " ")
    return str(line).replace("log(", "ln(")


def latex_of(expression: Any) -> str:
    r"""As LaTeX, the depth written \ell."""
    from sympy import latex

    return str(latex(_short(expression), symbol_names={depth_symbol(): r"\ell"}, ln_notation=True))


def _short(expression: Any, digits: int = DIGITS) -> Any:
    from sympy import Float, Pow, Rational

    long = {x for x in expression.atoms(Rational) if max(abs(x.p), x.q) > LONGEST and x.q > 1}
    long |= {x for x in expression.atoms(Pow) if x.is_number and x.base.is_Integer and abs(x.base) > LONGEST}
    return expression.xreplace({x: x.n(digits) for x in expression.atoms(Float) | long})
