"""Numbers and grids as a person types them: ``0.1``, ``1/3``, ``symbolic``, ``0.5:3:200``."""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rgflow.errors import InputError

MOST = 2000  # points of a grid: a mistyped count is noticed before the work


def exact(option: str, text: str | None, signed: bool = False) -> Fraction | Literal["symbolic"] | None:
    """A decimal or a fraction as the rational number that it is, or the word ``symbolic``.

    >>> exact("--C-W", "0.1"), exact("--C-W", "1/3"), exact("--C-W", "symbolic")
    (Fraction(1, 10), Fraction(1, 3), 'symbolic')
    """
    if text is None:
        return None
    if text.strip() == "symbolic":
        return "symbolic"
    try:
        found = Fraction(text.strip())
    except (ValueError, ZeroDivisionError):
        raise InputError(f"{option} is {text!r}; give a number, a fraction such as 1/3, or 'symbolic'") from None
    if found < 0 and not signed:
        raise InputError(f"{option} is {text!r}; it must not be negative")
    return found


def grid(option: str, text: str | None) -> NDArray[np.float64] | None:
    """``start:stop:count``, both ends included.

    >>> grid("--C-W", "0.5:2:4").tolist()
    [0.5, 1.0, 1.5, 2.0]
    """
    if text is None:
        return None
    wanted = "give start:stop:count, as 0.5:3:200"
    try:
        start, stop, count = text.split(":")
        low, high, number = float(start), float(stop), int(count)
    except ValueError:
        raise InputError(f"{option} is {text!r}; {wanted}") from None
    if not (np.isfinite([low, high]).all() and 0 <= low < high):
        raise InputError(f"{option} is {text!r}; start must be smaller than stop, both finite and not negative")
    if not 2 <= number <= MOST:
        raise InputError(f"{option} is {text!r}; the count must be between 2 and {MOST}")
    return np.linspace(low, high, number)


def values(option: str, text: str, signed: bool = False) -> NDArray[np.float64] | float:
    """Values of an axis: ``start:stop:count``, both ends included, a list with commas, or one number (no axis).

    >>> values("--C-W", "1,2,4").tolist(), values("--C-W", "2"), values("--depth", "2:8:4").tolist()
    ([1.0, 2.0, 4.0], 2.0, [2.0, 4.0, 6.0, 8.0])
    """
    try:
        if ":" not in text:
            found = np.array([float(part) for part in text.split(",")])
        else:
            start, stop, number = text.split(":")
            if not 2 <= int(number) <= MOST:
                raise InputError(f"{option} is {text!r}; the count must be between 2 and {MOST}")
            found = np.linspace(float(start), float(stop), int(number))
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        wanted = "a number, several with commas, or start:stop:count, as 0.5:3:200"
        raise InputError(f"{option} is {text!r}; give {wanted}") from None
    if not np.isfinite(found).all() or (not signed and found.min() < 0):
        raise InputError(f"{option} is {text!r}; values must be finite{'' if signed else ' and not negative'}")
    return float(found[0]) if found.size == 1 and ":" not in text else found
