"""A row of the book: a function that types one formula of a paper, and compares it with what the engine derives.

    @row("pdlt/four_point_vertex", witness="tests/oracles/exact_brackets.py: exact averages of polynomials")
    def four_point_vertex():
        typed = C_W**2 * (E(s(1) * s(2) * s(3) * s(4)) - E(s(1) * s(2)) * E(s(3) * s(4))) + ...
        return Equation(V[1, 2, 3, 4], typed, SOURCES["V"])

The first argument is the paper and the id of the formula in ``list/``; one function may stand for one formula only.
The formula, typed by hand, is assigned to ``typed`` (or to names that begin so; a list, a dict, a lambda or an inner
function of that name will do); the function asserts that it equals what the engine gives, or returns Equations, which
are checked. What it returns is the live object that the book shows. A test alters coefficients of what is typed, one
at a time, and the function must fail.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def row(formula: str, *, witness: str) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    """Mark a function as the row of ``paper/id``; ``witness`` is what else checks the result, sharing no code."""

    def mark(function: Callable[[], Any]) -> Callable[[], Any]:
        function.row = (formula, witness)  # type: ignore[attr-defined]
        return function

    return mark


def checked(function: Callable[[], Any]) -> tuple[Any, ...]:
    """Run a row: what it shows, its equations checked."""
    found = function()
    shown = found if isinstance(found, tuple) else (found,)
    for one in shown:
        if hasattr(one, "check"):
            one.check()
    return shown


def check_rows(names: Mapping[str, Any]) -> None:
    """Check every row of a script, given its globals."""
    rows = [f for f in names.values() if isinstance(getattr(f, "row", None), tuple)]
    for function in rows:
        checked(function)
        print(f"{function.row[0]}: equal")
    print(f"{len(rows)} formulas of the papers, typed by hand, are equal to what is derived")
