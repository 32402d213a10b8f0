"""Small questions that every room asks of what a user gave: is it a whole number, is it a rule for kinks."""

from __future__ import annotations

from numbers import Integral
from typing import Any, Literal

from rgflow.errors import InputError

Kinks = Literal["error", "almost_everywhere"]


def whole(name: str, value: Any, least: int) -> int:
    """An integer of at least ``least``, Python's or NumPy's; True, 2.0 and "2" are none.

    Raises InputError that names the argument, its value and what it must be.

    >>> whole("order", 2, 0)
    2
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise InputError(f"{name} is {value!r}; it must be an integer of at least {least}")
    return int(value)


def kinks_rule(value: Any) -> Kinks:
    """What derivatives of an activation mean at its kinks: "error" or "almost_everywhere"; InputError otherwise.

    >>> kinks_rule("error")
    'error'
    """
    if isinstance(value, str):
        if value == "error":
            return "error"
        if value == "almost_everywhere":
            return "almost_everywhere"
    raise InputError(f"kinks is {value!r}; it must be 'error' or 'almost_everywhere'")
