"""One line of the table: what was measured, beside whom, and what was promised."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rgflow.bench.clock import Spread


@dataclass(frozen=True)
class Row:
    """One result.

    Attributes
    ----------
    subject : str
        What it belongs to ("kernels", "grid", ..).
    what : str
        The task.
    value, low, high : float
        Median and spread of the number in ``unit``: "times" is how many times as long the other takes.
    unit : str
    threads : int
    promise : float or None
        What the value must at least be ("times") or at most (any other unit, and where ``most`` is set).
    beside : str
        Whom it is compared with.
    seconds, seconds_beside : float or None
        Median times.
    error, error_beside : float or None
        Relative errors against the reference that ``note`` names.
    note : str
        How it was measured.
    skipped : str
        Why there is no number.
    label : str
        A few words for the picture, in which only rows with such words are drawn.
    """

    subject: str
    what: str
    value: float = 0.0
    low: float = 0.0
    high: float = 0.0
    unit: str = "times"
    threads: int = 1
    promise: float | None = None
    beside: str = ""
    seconds: float | None = None
    seconds_beside: float | None = None
    error: float | None = None
    error_beside: float | None = None
    note: str = ""
    skipped: str = ""
    label: str = ""

    @property
    def kept(self) -> bool | None:
        """Whether the promise is kept; None without one.

        >>> Row("x", "y", 5.0, promise=4.0).kept, Row("x", "y", 5.0, unit="s", promise=4.0).kept
        (True, False)
        """
        if self.promise is None or self.skipped:
            return None
        return self.value >= self.promise if self.unit == "times" else self.value <= self.promise

    def to_json(self) -> str:
        """One line; :meth:`from_json` reads it."""
        return json.dumps({key: value for key, value in asdict(self).items() if value not in ("", None)})

    @classmethod
    def from_json(cls, line: str) -> Row:
        return cls(**json.loads(line))


def as_json(rows: Sequence[Row], machine: Mapping[str, str]) -> str:
    """All rows and the machine as one document."""
    return json.dumps({"machine": dict(machine), "rows": [asdict(row) for row in rows]}, indent=1) + "\n"


def row(subject: str, what: str, spread: Spread, **more: Any) -> Row:
    """A Row from a Spread."""
    return Row(subject, what, spread.median, spread.low, spread.high, **more)


def number(value: float | None, digits: int = 3) -> str:
    """A number for people: three digits, no needless exponent.

    >>> number(0.000123), number(1234567.0), number(12.345), number(None)
    ('1.2e-04', '1.2e+06', '12.3', '')
    """
    if value is None:
        return ""
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:.{digits}g}" if abs(value) < 1000 else f"{value:.0f}"
    return f"{value:.1e}"


def duration(value: float | None) -> str:
    """Seconds in the unit that suits them.

    >>> duration(0.0123), duration(3e-7), duration(75.0), duration(None)
    ('12.3 ms', '300 ns', '75 s', '')
    """
    if value is None:
        return ""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value / 1e-9:.3g} ns"
