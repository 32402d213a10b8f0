"""Formulas in the layer as a line of text and as LaTeX, averages as the recursions print them."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from rgflow.algebra import Bracket, Tensor, Term, tex, text

if TYPE_CHECKING:
    import sympy


def text_of(expression: sympy.Expr) -> str:
    """As ``5 k^2 (l - 1)``.

    >>> from sympy import symbols
    >>> k, l = symbols("k l")
    >>> text_of(5 * k**2 * (l - 1))
    '5 k^2 (l - 1)'
    >>> text_of(3 * 2 ** (-l))
    '3 x 2^(-l)'
    """
    from sympy.printing.str import StrPrinter

    class Line(StrPrinter):  # type: ignore[misc]
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

    class Display(LatexPrinter):  # type: ignore[misc]
        def _print_Function(self, node: Any, exp: str | None = None) -> str:
            if node.func.__name__ != "Bracket":
                return str(super()._print_Function(node, exp))
            inside = tex.equation(Tensor.named("K"), [_read(node)], many=False).split(" = ", 1)[1]
            return inside if exp is None else f"{inside}^{{{exp}}}"

    layer = {s: r"\ell" for s in expression.free_symbols if s.name == "l"}
    return str(Display({"symbol_names": layer | {Symbol("l"): r"\ell"}}).doprint(expression))


def _read(node: Any) -> Term:
    """The average of a node ``Bracket(orders, m)``, as a term that is nothing else."""
    orders, pending = node.args
    bracket = Bracket(tuple((0, int(k)) for k in orders), int(pending))
    return Term(Fraction(1), (), 0, (), (bracket,))
