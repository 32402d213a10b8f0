"""When to believe a prediction of order 1/n: measures of what the expansion takes to be small, and their limits."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

from rgflow.errors import DomainWarning

HALF = 0.5  # of a term of order 1/n relative to what it corrects: beyond, the next order is not small


class Measure(NamedTuple):
    """Something of which the expansion is made.

    Attributes
    ----------
    name : str
    value, limit : float
        It is doubted where value <= limit does not hold.
    meaning : str
        What it is the size of, as in "the tangent kernel's standard deviation relative to its mean".
    remedy : str
        What helps, or nothing.
    """

    name: str
    value: float
    limit: float
    meaning: str
    remedy: str = ""

    @property
    def doubt(self) -> str:
        """The sentence that says so, empty if there is no doubt."""
        if self.value <= self.limit:
            return ""
        help_ = f": {self.remedy}" if self.remedy else ""
        return f"{self.meaning} is {self.value:.2g}, beyond {self.limit:g}{help_}"


def judged(what: str, measures: Sequence[Measure], stacklevel: int) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Variables ``measure``, ``limit``, ``trusted`` and coordinate ``doubt`` of a result, and the text of its doubts.

    Warns with DomainWarning, for ``what``, if there is one.
    """
    doubts = "; ".join(filter(None, (measure.doubt for measure in measures)))
    if doubts:
        warnings.warn(f"{what} is not to be trusted here: {doubts}", DomainWarning, stacklevel=stacklevel + 1)
    variables: dict[str, Any] = {
        "measure": (
            ("doubt",),
            [measure.value for measure in measures],
            {"long_name": "what the expansion takes to be small"},
        ),
        "limit": (("doubt",), [measure.limit for measure in measures]),
        "trusted": ((), not doubts, {"long_name": "whether every measure is within its limit"}),
    }
    return variables, {"doubt": [measure.name for measure in measures]}, doubts
