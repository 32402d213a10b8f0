"""Honest clocks: two or more programs in turn, in one run; medians of ratios with their spread.

A single time says little of a machine that others use, too. What is compared here runs in the same process or beside
it, A B, B A, A B, .., on the same processors; each round gives one ratio; the median of the rounds is the result.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

BUSY = 1.15  # wall time over processor time, on one thread, above which another program was in the way
SHORTEST = 0.02  # seconds: what is shorter is called several times in a row


@dataclass(frozen=True)
class Spent:
    """Seconds of one piece of work: on the wall, and of the processors; 0 where these are not known."""

    wall: float
    cpu: float = 0.0

    def __truediv__(self, parts: float) -> Spent:
        return Spent(self.wall / parts, self.cpu / parts)


Work = Callable[[], Spent]


@dataclass(frozen=True)
class Spread:
    """A median with the smallest and the largest value.

    >>> Spread.of([3.0, 1.0, 2.0])
    Spread(median=2.0, low=1.0, high=3.0)
    """

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(median(values), min(values), max(values))

    def __mul__(self, factor: float) -> Spread:
        return Spread(self.median * factor, self.low * factor, self.high * factor)


def spent(call: Callable[[], Any]) -> Spent:
    """The time of one call."""
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return Spent(time.perf_counter() - wall, time.process_time() - cpu)


def repeated(call: Callable[[], Any], least: float = SHORTEST) -> Work:
    """Work that calls as often as the clock needs, warm, and tells the time of one call."""
    call()
    once = spent(call).wall
    calls = max(1, int(least / max(once, 1e-7)))

    def several() -> None:
        for _ in range(calls):
            call()

    return lambda: spent(several) / calls


def in_turn(works: Sequence[Work], rounds: int, threads: int = 1) -> list[list[Spent]]:
    """Rounds of all works in turn, every other round backwards, so that a drift of the machine favours none.

    On one thread, a round in which other programs had the processor is measured again, at most ``rounds`` times.
    """
    kept: list[list[Spent]] = []
    spare = rounds
    while len(kept) < rounds:
        order = list(range(len(works)))[:: -1 if len(kept) % 2 else 1]
        times = {which: works[which]() for which in order}
        if spare and threads == 1 and any(_disturbed(time) for time in times.values()):
            spare -= 1
            continue
        kept.append([times[which] for which in range(len(works))])
    return kept


def _disturbed(time: Spent) -> bool:
    return time.cpu > 0 and time.wall > BUSY * time.cpu + 1e-3


def ratios(rounds: Sequence[Sequence[Spent]], over: int = 1, under: int = 0) -> Spread:
    """How many times as long the second takes as the first, round by round."""
    return Spread.of([times[over].wall / times[under].wall for times in rounds])


def seconds(rounds: Sequence[Sequence[Spent]], which: int) -> float:
    """The median of one of them."""
    return median(times[which].wall for times in rounds)
