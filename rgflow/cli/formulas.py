"""Numbers, powers and long formulas for the eye: broken between terms, never inside an average."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import sympy

DIGITS = 6  # of numbers that are not short fractions
LONGEST = 9999  # the largest whole number in a fraction that is still read at a glance


def shown(expression: sympy.Expr, digits: int = DIGITS) -> Any:
    """The same expression for the eye: long numbers to a few digits, whole ones and short fractions as they are.

    >>> import sympy
    >>> print(shown(sympy.Float("4.904226206419724480", 30)), shown(sympy.Rational(2, 3)))
    4.90423 2/3
    """
    import sympy as sp

    numbers = expression.atoms(sp.Integer, sp.Rational)
    if not any(abs(x.p) > LONGEST or x.q > LONGEST for x in numbers) and not expression.has(sp.Float):
        return expression
    symbols = sorted(expression.free_symbols, key=str)
    if symbols and expression.is_polynomial(*symbols):
        polynomial = sp.Poly(expression, *symbols)
        expression = sp.Add(
            *(c * sp.prod(s**p for s, p in zip(symbols, powers, strict=True)) for powers, c in polynomial.terms())
        )
    rounded = expression.evalf(digits)
    return rounded.xreplace({x: sp.Integer(int(x)) for x in rounded.atoms(sp.Float) if float(x).is_integer()})


def number_text(value: sympy.Expr) -> str:
    """A whole number or a short fraction as it is, anything else to ten digits.

    >>> import sympy
    >>> number_text(sympy.Rational(14, 15)), number_text(sympy.Rational(100001, 70000))
    ('14/15', '1.428585714')
    """
    from rgflow.universality.printing import text_of

    return text_of(shown(value, 10))


def power_text(letter: str, exponent: Any) -> str:
    """A power of a letter as a factor; nothing for the power zero.

    >>> import sympy
    >>> [power_text("l", x) for x in (-1, 0, sympy.Integer(2), sympy.Rational(-1, 15))]
    [' / l', '', ' l^2', ' l^(-1/15)']
    """
    if exponent == 0:
        return ""
    if exponent in (1, -1):
        return f" {letter}" if exponent == 1 else f" / {letter}"
    number = number_text(exponent)
    return f" {letter}^{number if number.lstrip('-').isdigit() else f'({number})'}"


def terms(text: str) -> list[str]:
    """The terms of a sum, each with its sign; what stands between brackets stays whole.

    >>> terms("-2 a + b (c - d) - <σσ - 1>")
    ['- 2 a', '+ b (c - d)', '- <σσ - 1>']
    """
    first = "- " if text.startswith("-") else "+ "
    rest, depth, found = text.removeprefix("-"), 0, [first]
    for i, letter in enumerate(rest):
        depth += (letter in "(<[") - (letter in ")>]")
        if not depth and letter in "+-" and rest[i - 1 : i] == " " and rest[i + 1 : i + 2] == " ":
            found[-1] = found[-1].rstrip()
            found.append("")
        found[-1] += letter
    return found


def equation(left: str, sign: str, right: str, width: int) -> str:
    """``left sign right`` in at most ``width`` columns: one term per line where it does not fit into one.

    >>> print(equation("V(l)", "=", "5 k^2 (l - 1) + k (2 l - 1)", 24))
      V(l) =
        + 5 k^2 (l - 1)
        + k (2 l - 1)
    """
    line = f"  {left} {sign} {right}"
    if len(line) <= width:
        return line
    found = terms(right)
    if len(found) == 1 and not right.startswith("-"):
        found = [right]
    rows = [f"  {left} {sign}"]
    for term in found:
        rows += broken(term, max(width, 24), " " * 4, " " * 8)
    return "\n".join(rows)


def broken(term: str, width: int, first: str, following: str) -> list[str]:
    """A term in rows of at most ``width`` columns where it has such places: outside of as many brackets as possible.

    >>> broken("+ a (b + c) (d + <σσ - 1>)", 18, "", "  ")
    ['+ a (b + c)', '  (d + <σσ - 1>)']
    """
    rows, rest, indent = [], term, first
    while len(indent + rest) > width:
        places = [(depth, -at) for at, depth in _places(rest) if at <= width - len(indent)]
        late = [place for place in places if -place[1] > (width - len(indent)) // 3]
        if not places:
            break
        at = -min(late or places)[1]
        rows.append(indent + rest[:at])
        rest, indent = rest[at + 1 :], following
    return [*rows, indent + rest]


def _places(text: str) -> list[tuple[int, int]]:
    """Spaces where a row may end, and inside how many brackets: never in an average, never right behind a sign."""
    depth, average, found = 0, 0, []
    for at, letter in enumerate(text):
        depth += (letter in "([") - (letter in ")]")
        average += (letter == "<") - (letter == ">")
        if letter == " " and not average and at and text[at - 1] not in "+-":
            found.append((at, depth))
    return found


def hanging(label: str, text: str, width: int, column: int = 20) -> str:
    """A label in a column of its own, and text beside it that wraps under itself.

    >>> print(hanging("point", "C_b = 0, C_W = 1", 24, 8))
      point   C_b = 0, C_W =
              1
    """
    start = f"  {label}".ljust(column)
    return textwrap.fill(
        text,
        max(width, column + 20),
        initial_indent=start,
        subsequent_indent=" " * len(start),
        break_long_words=False,
        break_on_hyphens=False,
    )
