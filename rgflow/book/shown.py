"""What a live object looks like on a page: formulas and numbers as LaTeX, with their names; the rest as text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from numbers import Number
from typing import Any, NamedTuple


class Line(NamedTuple):
    """A displayed line: a name ("" for none), and LaTeX, or plain text where there is nothing to set."""

    name: str
    latex: str
    text: str = ""

    def as_latex(self) -> str:
        """All of it as one equation."""
        right = self.latex or rf"\text{{{_plain(self.text)}}}"
        return rf"\text{{{_plain(self.name)}}}:\quad {right}" if self.name else right


def lines_of(shown: Any, name: str = "") -> tuple[Line, ...]:
    """The lines of what a row returns, one or more."""
    if hasattr(shown, "derived"):
        return lines_of(shown.derived(), name)
    if hasattr(shown, "latex"):
        return (Line(name, str(shown.latex())),)
    if isinstance(shown, Mapping):
        return tuple(line for key, value in shown.items() for line in lines_of(value, str(key)))
    if isinstance(shown, tuple | list):
        if shown and all(_is_number(one) for one in shown):
            return (Line(name, r",\; ".join(map(_number, shown))),)
        return tuple(line for one in shown for line in lines_of(one, name))
    if _is_number(shown):
        return (Line(name, _number(shown)),)
    if hasattr(shown, "free_symbols"):
        import sympy

        return (Line(name, str(sympy.latex(shown))),)
    return (Line(name, "", str(shown)),)


def _is_number(value: Any) -> bool:
    return (isinstance(value, Number) or hasattr(value, "dtype")) and not isinstance(value, bool)


def _number(value: Any) -> str:
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list):
        return r",\; ".join(map(_number, value))
    if isinstance(value, float):
        mantissa, power, exponent = f"{value:.10g}".partition("e")
        text = rf"{mantissa}\times 10^{{{int(exponent)}}}" if power else mantissa
    else:
        text = re.sub(r"^(-?)(\d+)/(\d+)$", r"\1\\frac{\2}{\3}", str(value))
    return "{" + text + "}" if text.startswith("-") else text  # in braces a minus is a sign, not an operation


def _plain(value: str) -> str:
    """Text inside of an equation."""
    return re.sub(r"([#$%&_{}])", r"\\\1", value).replace("^", r"\textasciicircum ")
