"""What a live object looks like on a page: LaTeX for formulas, text for the rest."""

from __future__ import annotations

import re
from collections.abc import Mapping
from numbers import Number
from typing import Any


def latex_of(shown: Any) -> tuple[str, ...]:
    """The displayed formulas of what a row returns, one or more."""
    if hasattr(shown, "derived"):
        return latex_of(shown.derived())
    if hasattr(shown, "latex"):
        return (str(shown.latex()),)
    if isinstance(shown, Mapping):
        return tuple(rf"\text{{{_plain(key)}}}:\quad {line}" for key, v in shown.items() for line in latex_of(v))
    if isinstance(shown, tuple | list):
        return tuple(line for one in shown for line in latex_of(one))
    if hasattr(shown, "free_symbols"):
        import sympy

        return (str(sympy.latex(shown)),)
    if isinstance(shown, Number) or hasattr(shown, "dtype"):
        return (_number(shown),)
    return (rf"\text{{{_plain(shown)}}}",)


def _number(value: Any) -> str:
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list):
        return r",\; ".join(map(_number, value))
    text = str(value) if not isinstance(value, float) else f"{value:.10g}"
    mantissa, power, exponent = text.partition("e")
    return rf"{mantissa}\times 10^{{{int(exponent)}}}" if power else text


def _plain(value: Any) -> str:
    """Text inside of an equation."""
    return re.sub(r"([#$%&_{}])", r"\\\1", str(value))
