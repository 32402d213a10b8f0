"""What becomes of a family at infinite width: unstable, lazy, learning features, marginal, frozen.

unstable
    some signal, or the output, grows with n within a few steps.
learns features
    the output moves by order one, and so do the signals of a hidden layer.
lazy
    the output moves by order one while no hidden layer does: the tangent kernel of the start decides everything.
marginal
    the output does not move at any fixed number of steps, but hidden signals change by as much as they are, or more.
frozen
    neither moves: the start is a stationary point.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from rgflow.scaling.families.powers import Power
from rgflow.scaling.families.training import Signals

UNSTABLE, FEATURES, LAZY, MARGINAL, FROZEN = "unstable", "learns features", "lazy", "marginal", "frozen"
REGIMES = (UNSTABLE, FEATURES, LAZY, MARGINAL, FROZEN)


@dataclass(frozen=True)
class Part:
    """A part of 0 <= s <= 1 with one regime; ``first`` and ``last`` say whether its ends belong to it."""

    low: Fraction
    first: bool
    high: Fraction
    last: bool
    regime: str

    def where(self, symbol: str) -> str:
        """As text: ``0 <= s < 1``, ``s = 1``."""
        if self.low == self.high:
            return f"{symbol} = {self.low}"
        return f"{self.low} {'<=' if self.first else '<'} {symbol} {'<=' if self.last else '<'} {self.high}"


def regimes(history: Sequence[Signals]) -> tuple[Part, ...]:
    """The regime on every part of 0 <= s <= 1."""
    places = _breaks(history)
    merged: list[Part] = []
    for i, place in enumerate(places):
        pieces = [Part(place, True, place, True, regime_at(history, place))]
        if i + 1 < len(places):
            there = regime_at(history, (place + places[i + 1]) / 2)
            pieces.append(Part(place, False, places[i + 1], False, there))
        for part in pieces:
            if merged and merged[-1].regime == part.regime:
                merged[-1] = replace(merged[-1], high=part.high, last=part.last)
            else:
                merged.append(part)
    return tuple(merged)


def regime_at(history: Sequence[Signals], s: Fraction) -> str:
    """The regime at one s."""
    if any(_at(size, s) > 0 for signals in history for size in signals.size):
        return UNSTABLE
    start, end = history[0], history[-1]
    if _at(end.change[-1], s) >= 0:
        return FEATURES if any(_at(change, s) >= 0 for change in end.change[:-1]) else LAZY
    hidden = zip(end.change[:-1], start.size[:-1], strict=True)
    return MARGINAL if any(_at(change, s) >= _at(size, s) for change, size in hidden) else FROZEN


def _at(power: Power, s: Fraction) -> Fraction | float:
    return float("-inf") if power.zero else power.at(s)


def _breaks(history: Sequence[Signals]) -> list[Fraction]:
    """Where a power, or a difference of two, may change its sign."""
    start, end = history[0], history[-1]
    lines = {line for signals in history for size in signals.size for line in size.lines}
    lines |= {line for change in end.change for line in change.lines}
    for change, size in zip(end.change, start.size, strict=True):
        lines |= {(a[0] - b[0], a[1] - b[1]) for a in change.lines for b in size.lines}
    found = {-x / y for x, y in lines if y}
    return sorted({Fraction(0), Fraction(1), *(s for s in found if 0 < s < 1)})
