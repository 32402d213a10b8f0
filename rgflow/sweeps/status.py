"""Why a point of a sweep has no numbers: a few codes, and the words of the first point of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import rgflow.errors
from rgflow.errors import AccuracyError, InputError, RgflowError, UnknownName

GOOD, RUNS_AWAY, BEYOND_ACCURACY, OUTSIDE_DOMAIN, REFUSED = range(5)
MEANINGS = ("good", "runs_away", "beyond_accuracy", "outside_domain", "refused")


class Reason(NamedTuple):
    """The number of a point, the class of its error, and what it said."""

    point: int
    error: str
    text: str

    def raised(self) -> RgflowError:
        """The error again."""
        kind = getattr(rgflow.errors, self.error, RgflowError)
        if kind is UnknownName:
            return RgflowError(self.text)
        found: RgflowError = kind(self.text)
        return found


Reasons = dict[int, Reason]


def code(error: RgflowError) -> int:
    """The status of a point with this error."""
    if isinstance(error, InputError):
        return OUTSIDE_DOMAIN
    if isinstance(error, AccuracyError):
        text = str(error)
        away = any(word in text for word in ("runs away", "is not finite", "overflow"))
        return RUNS_AWAY if away else BEYOND_ACCURACY
    return REFUSED


def first(several: Iterable[Mapping[int, Reason]]) -> Reasons:
    """The first point of every code, whoever found it."""
    found: Reasons = {}
    for reasons in several:
        for status, reason in reasons.items():
            if status not in found or reason.point < found[status].point:
                found[status] = reason
    return dict(sorted(found.items()))


def where(values: Mapping[str, float], text: str) -> str:
    """A reason with the point that it is about.

    >>> where({"C_W": 3.0, "C_b": 0.0}, "the flow runs away")
    'C_W = 3, C_b = 0: the flow runs away'
    """
    place = ", ".join(f"{name} = {value:.6g}" for name, value in values.items())
    return f"{place}: {text}" if place else text
