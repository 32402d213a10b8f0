"""Small questions that every room asks of what a user gave: a whole number, a positive one, a rule for kinks."""

from __future__ import annotations

from math import isfinite
from numbers import Integral, Real
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


def positive(name: str, value: Any) -> float:
    """A finite number above 0; InputError that names it otherwise.

    >>> positive("time", 2)
    2.0
    """
    found = _number(value)
    if found is None or not found > 0:
        raise InputError(f"{name} is {value!r}; it must be a finite number above 0")
    return found


def not_negative(name: str, value: Any) -> float:
    """A finite number of at least 0; InputError that names it otherwise."""
    found = _number(value)
    if found is None or not found >= 0:
        raise InputError(f"{name} is {value!r}; it must be a finite number, 0 or above")
    return found


def _number(value: Any) -> float | None:
    """A finite float, or None for what is no real number (a bool is none)."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if isfinite(found) else None


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
