"""Formulas in the depth as a line of text and as LaTeX."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

DIGITS = 10


@lru_cache(maxsize=1)
def depth_symbol() -> Any:
    """l, the number of blocks so far."""
    from sympy import Symbol

    return Symbol("l", positive=True)


def text_of(expression: Any) -> str:
    """As ``5 k^2/(3 l)``; ten digits of what is not exact.

    >>> from sympy import log, sqrt
    >>> l = depth_symbol()
    >>> text_of(3 * l**2 / 2), text_of(sqrt(l) * log(l)), text_of(l ** (1 - l))
    ('3 l^2/2', 'sqrt(l) ln(l)', 'l^(1 - l)')
    """
    from sympy import sstr

    line = sstr(_short(expression)).replace("**", "^").replace("*", " ")
    return str(line).replace("log(", "ln(")


def latex_of(expression: Any) -> str:
    r"""As LaTeX, the depth written \ell."""
    from sympy import latex

    return str(latex(_short(expression), symbol_names={depth_symbol(): r"\ell"}, ln_notation=True))


def _short(expression: Any) -> Any:
    from sympy import Float

    return expression.xreplace({x: x.n(DIGITS) for x in expression.atoms(Float)})
