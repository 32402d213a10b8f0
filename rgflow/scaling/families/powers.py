r"""Powers of n under power counting: a product adds them, a sum takes the largest.

A power may depend on one symbol s in [0, 1]. A sum of terms n^{x_i + y_i s} then has the power max_i (x_i + y_i s),
which is held as its upper envelope on [0, 1]: two powers are equal if and only if they are equal for every s. Affine
functions are compared at the two ends of the interval.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from rgflow.errors import InputError

Line = tuple[Fraction, Fraction]
ZERO, ONE = Fraction(0), Fraction(1)


@dataclass(frozen=True)
class Power:
    """max over lines of (x + y s), for 0 <= s <= 1; no line at all is minus infinity, the power of what is zero.

    >>> rising, flat = Power.of(Fraction(-1), Fraction(1)), Power.of(Fraction(-1, 2))
    >>> (rising + flat).lines, (rising | flat).at(0), (rising | flat).at(1)
    (((Fraction(-3, 2), Fraction(1, 1)),), Fraction(-1, 2), Fraction(0, 1))
    """

    lines: tuple[Line, ...] = ()

    @classmethod
    def of(cls, constant: Fraction | int, slope: Fraction | int = 0) -> Power:
        """x + y s."""
        return cls(((Fraction(constant), Fraction(slope)),))

    @classmethod
    def read(cls, value: Any) -> Power:
        """From a Fraction or a SymPy expression affine in one symbol."""
        if isinstance(value, (int, Fraction)):
            return cls.of(value)
        (symbol,) = value.free_symbols
        slope = value.coeff(symbol, 1)
        rest = value - slope * symbol
        rest = rest.expand()
        return cls.of(Fraction(int(rest.p), int(rest.q)), Fraction(int(slope.p), int(slope.q)))

    @property
    def zero(self) -> bool:
        """Whether it is the power of zero."""
        return not self.lines

    def __add__(self, other: Power | Fraction | int) -> Power:
        """Of a product."""
        if not isinstance(other, Power):
            other = Power.of(other)
        return Power(_envelope((a[0] + b[0], a[1] + b[1]) for a in self.lines for b in other.lines))

    def __or__(self, other: Power) -> Power:
        """Of a sum."""
        return Power(_envelope((*self.lines, *other.lines)))

    def __mul__(self, times: Fraction | int) -> Power:
        """Of a power: n^x to the ``times``."""
        if times == 0:
            return NOTHING_TO_ADD
        if times < 0 and len(self.lines) != 1:
            raise InputError(f"1/n^({self}): a reciprocal of a sum whose largest term depends on s; give s a number")
        return Power(_envelope((times * x, times * y) for x, y in self.lines))

    __rmul__ = __mul__

    def __sub__(self, other: Power | Fraction | int) -> Power:
        """Of a ratio."""
        return self + (other * -1 if isinstance(other, Power) else -other)

    def at(self, s: Fraction | int) -> Fraction:
        """Its value at an s; InputError for the power of zero."""
        if self.zero:
            raise InputError("what is zero has no power of n")
        return max(x + y * s for x, y in self.lines)

    def at_most(self, bound: Fraction | int) -> bool:
        """Whether it is at most a bound for every s; a maximum of lines is largest at the ends."""
        return self.zero or max(self.at(ZERO), self.at(ONE)) <= bound

    def is_everywhere(self, value: Fraction | int) -> bool:
        """Whether it is one number for every s."""
        return self.lines == ((Fraction(value), ZERO),)

    def value(self, symbol: Any = None) -> Any:
        """A Fraction, or a SymPy expression in the symbol; None for the power of zero."""
        if self.zero:
            return None
        if len(self.lines) == 1 and self.lines[0][1] == 0:
            return self.lines[0][0]
        import sympy as sp

        s = sp.Symbol("s", nonnegative=True) if symbol is None else symbol
        terms = [
            sp.Rational(x.numerator, x.denominator) + sp.Rational(y.numerator, y.denominator) * s for x, y in self.lines
        ]
        return terms[0] if len(terms) == 1 else sp.Max(*terms)

    def __str__(self) -> str:
        texts = [_text(*line) for line in self.lines]
        return texts[0] if len(texts) == 1 else f"max({', '.join(texts)})" if texts else "-oo"


NOTHING = Power()
"""The power of zero."""
NOTHING_TO_ADD = Power.of(0)
"""The power of what does not depend on n."""


def largest(powers: Iterable[Power]) -> Power:
    """Of a sum of many terms."""
    return Power(_envelope(line for power in powers for line in power.lines))


def _envelope(lines: Iterable[Line]) -> tuple[Line, ...]:
    """The lines that are largest somewhere in [0, 1], by slope; each on an interval that is not a point."""
    steepest: dict[Fraction, Fraction] = {}
    for x, y in lines:
        steepest[y] = max(x, steepest.get(y, x))
    by_slope = sorted((y, x) for y, x in steepest.items())
    kept = [(x, y) for y, x in by_slope if _largest_somewhere(x, y, by_slope)]
    return tuple(kept)


def _largest_somewhere(x: Fraction, y: Fraction, lines: list[tuple[Fraction, Fraction]]) -> bool:
    low, high = ZERO, ONE
    for slope, start in lines:
        if slope == y:
            continue
        meet = (start - x) / (y - slope)  # x + y s >= start + slope s
        if y > slope:
            low = max(low, meet)
        else:
            high = min(high, meet)
    return low < high


def _text(x: Fraction, y: Fraction) -> str:
    """x + y s over one denominator: -(1 - s)/2, s/2 - 1."""
    if not y:
        return str(x)
    slope = "s" if y == 1 else "-s" if y == -1 else f"{y.numerator} s" if y.denominator == 1 else ""
    if not slope:
        head = "" if y.numerator == 1 else "-" if y.numerator == -1 else f"{y.numerator} "
        slope = f"{head}s/{y.denominator}"
    if not x:
        return slope
    return f"{slope} + {x}" if x > 0 else f"{slope} - {-x}"


def between_zero_and_one(s: Any, symbol: Any, default: tuple[Fraction, ...]) -> tuple[Fraction, ...]:
    """Values of a family's symbol: those given, or the default; a family without symbol has one, which does not count.

    Raises InputError for values outside of [0, 1], and for values of a symbol that is not there.
    """
    if symbol is None:
        if s is not None:
            raise InputError(f"s is {s!r}, and this family has no symbol; leave it out")
        return (ZERO,)
    if s is None:
        return default
    try:
        found = tuple(Fraction(repr(float(v))) for v in (s if isinstance(s, Iterable) else (s,)))
    except (TypeError, ValueError):
        found = ()
    if not found or not all(0 <= v <= 1 for v in found):
        raise InputError(f"s is {s!r}; give one or more numbers from 0 to 1")
    return found
