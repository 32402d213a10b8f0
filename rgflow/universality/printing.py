"""Formulas in the layer as a line of text and as LaTeX, averages as the recursions print them."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from rgflow.algebra import Bracket, Tensor, Term, tex, text
from rgflow.errors import InputError

if TYPE_CHECKING:
    import sympy


def text_of(expression: sympy.Expr) -> str:
    """As ``5 k^2 (l - 1)``.

    >>> from sympy import symbols
    >>> k, l = symbols("k l")
    >>> text_of(5 * k**2 * (l - 1))
    '5 k^2 (l - 1)'
    >>> text_of(3 * 2**l)
    '3 x 2^l'
    """
    from sympy.printing.str import StrPrinter

    class Line(StrPrinter):
        def _print_Function(self, node: Any) -> str:
            if node.func.__name__ != "Bracket":
                return str(super()._print_Function(node))
            return text.sum_of([_read(node)], many=False)

    line = Line({"order": "lex"}).doprint(expression)
    return re.sub(r"(?<=\d)\*(?=\d)", " x ", str(line).replace("**", "^")).replace("*", " ")


def latex_of(expression: sympy.Expr) -> str:
    r"""As LaTeX, the layer written \ell."""
    from sympy import Symbol
    from sympy.printing.latex import LatexPrinter

    class Display(LatexPrinter):
        def _print_Function(self, node: Any, exp: str | None = None) -> str:
            if node.func.__name__ != "Bracket":
                return str(super()._print_Function(node, exp))
            inside = tex.equation(Tensor.named("K"), [_read(node)], many=False).split(" = ", 1)[1]
            return inside if exp is None else f"{inside}^{{{exp}}}"

    layer = {s: r"\ell" for s in expression.free_symbols if s.name == "l"}
    return str(Display({"symbol_names": layer | {Symbol("l"): r"\ell"}}).doprint(expression))


def shortened(expression: sympy.Expr) -> sympy.Expr:
    """With ten digits of every number that is not exact."""
    from sympy import Float

    short: sympy.Expr = expression.xreplace({x: x.n(10) for x in expression.atoms(Float)})
    return short


def leading_part(correction: sympy.Expr) -> tuple[sympy.Expr, sympy.Expr, int]:
    """(x, q, j) of a sum of terms x ln^j(l) / l^q of one power q: the highest logarithm."""
    import sympy as sp

    from rgflow.universality.exponentials import l

    found: dict[tuple[sympy.Expr, int], sympy.Expr] = {}
    for term in sp.Add.make_args(correction):
        x, rest = term.as_independent(l, as_Add=False)
        powers = dict(rest.as_powers_dict())
        place = (-powers.pop(l, sp.Integer(0)), int(powers.pop(sp.log(l), 0)))
        if any(base != 1 for base in powers):
            raise InputError(f"the correction {correction} is no sum of terms x log(l)**j / l**q")
        found[place] = found.get(place, sp.Integer(0)) + x
    q, j = min(found, key=lambda place: (place[0], -place[1]))
    return found[q, j], q, j


def size_of(correction: sympy.Expr) -> str:
    """Its size in words, as ``O(ln(l)/l) relative``; empty for none."""
    if correction == 0:
        return ""
    _, q, j = leading_part(correction)
    above = {0: "1", 1: "ln(l)"}.get(j, f"ln(l)^{j}") if j >= 0 else "1"
    below = "" if q == 0 else "/l" if q == 1 else f"/l^{q}" if q.is_Integer else f"/l^({q})"
    fewer = "" if j >= 0 else "/ln(l)" if j == -1 else f"/ln(l)^{-j}"
    return f"O({above}{below}{fewer}) relative"


def _read(node: Any) -> Term:
    """The average of a node ``Bracket(orders, m)``, as a term that is nothing else."""
    orders, pending = node.args
    bracket = Bracket(tuple((0, int(k)) for k in orders), int(pending))
    return Term(Fraction(1), (), 0, (), (bracket,))
