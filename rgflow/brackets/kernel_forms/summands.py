r"""Closed forms as a kernel runs them: sums of products of elementary numbers, with a bound on their rounding.

.. math:: \sum c\, p(K) \prod_i q_i(K)^{h_i/2} \arctan\!\Big(a K^j \prod_i r_i(K)^{-1/2}\Big) e^{\rho K},
          \qquad \sum_j c_j e^{n_j g K} = \sum_k d_k\, \operatorname{expm1}(gK)^k

with polynomials q, r that have no negative coefficient. Relative rounding of such a term, cancellation within p aside,
is at most its number of operations times half an epsilon. The second kind sums exponentials whose rates have a common
measure g, also where they cancel at small K.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
Polynomial: TypeAlias = tuple[float, ...]
"""Coefficients in K, low to high."""
HalfPowers: TypeAlias = tuple[tuple[Polynomial, int], ...]
"""Polynomials without negative coefficients, each with twice its exponent."""

UNIT: Polynomial = (1.0,)
VARIABLE: Polynomial = (0.0, 1.0)
PER_WEIGHT = 16  # operations of half an epsilon each: the 8 epsilon that a flow allows to the size of a bracket


@dataclass(frozen=True)
class Angle:
    """arctan(scale * K^power / prod base^(halves/2))."""

    scale: float
    power: int
    below: HalfPowers


class Rounded(ABC):
    """What is added up, with a bound on its rounding."""

    @property
    @abstractmethod
    def operations(self) -> int:
        """How many roundings may add up, each of half an epsilon."""

    def weight(self, parts: int) -> float:
        """Its rounding, that of the sum of so many parts included, in units of the 8 epsilon that a flow allows."""
        return max(1.0, (self.operations + parts) / PER_WEIGHT)


@dataclass(frozen=True)
class Summand(Rounded):
    """constant * numerator * prod base^(halves/2) * angle * exp(rate K).

    >>> half = Summand(0.5, powers=((VARIABLE, 2),))  # K/2
    >>> half.values(np.array([3.0]))[0].tolist(), half.operations, half.weight(1)
    ([1.5], 9, 1.0)
    """

    constant: float
    numerator: Polynomial = UNIT
    powers: HalfPowers = ()
    angle: Angle | None = None
    rate: float = 0.0

    @property
    def mixed(self) -> bool:
        """Whether the numerator may cancel."""
        return min(self.numerator) < 0 < max(self.numerator)

    @property
    def operations(self) -> int:
        """How many roundings may add up, each of half an epsilon."""
        count = 2 + 2 * len(self.numerator) + _roundings(self.powers)
        if self.angle is not None:
            count += 6 + self.angle.power + _roundings(self.angle.below)
        return count + (4 if self.rate else 0)

    @property
    def signs(self) -> set[bool]:
        """Signs that it takes."""
        return {self.constant * c > 0 for c in self.numerator if c}

    def values(self, K: Array, parts: int = 1) -> tuple[Array, Array]:
        """Value and size at many K > 0, one of so many parts."""
        common = self.constant * _product(self.powers, K)
        if self.angle is not None:
            common = common * np.arctan(self.angle.scale * K**self.angle.power / _product(self.angle.below, K))
        common = common * np.exp(self.rate * K)
        weight = self.weight(parts) + abs(self.rate) * K / 8
        size = np.abs(common) * np.polyval(np.abs(self.numerator[::-1]), K)
        return common * np.polyval(self.numerator[::-1], K), weight * size


@dataclass(frozen=True)
class ExponentialSum(Rounded):
    """sum_j c_j exp(n_j g K): as it stands, or by powers of expm1(g K), whichever cancels less.

    Attributes
    ----------
    rate : float
        g, of either sign.
    plain : tuple of (n_j >= 0, c_j)
    shifted : Polynomial
        d_k.

    >>> twice_the_sine_squared = ExponentialSum(-2.0, ((0, 1.0), (1, -1.0)), (0.0, -1.0))  # 1 - exp(-2K)
    >>> twice_the_sine_squared.values(np.array([1e-20]))[0].tolist()
    [2e-20]
    """

    rate: float
    plain: tuple[tuple[int, float], ...]
    shifted: Polynomial

    @property
    def operations(self) -> int:
        """How many roundings may add up, each of half an epsilon; those of the exponents come on top."""
        return 4 + 4 * len(self.shifted)

    @property
    def signs(self) -> set[bool]:
        """Both: nothing is known."""
        return {True, False}

    def values(self, K: Array, parts: int = 1) -> tuple[Array, Array]:
        """Value and size at many K > 0, one of so many parts."""
        y = np.expm1(self.rate * K)
        shifted = np.polyval(self.shifted[::-1], y)
        size = np.polyval(np.abs(self.shifted[::-1]), np.abs(y)) * (1 + max(self.rate, 0.0) * K)
        powers = [(c * np.exp(n * self.rate * K), 1 + n * abs(self.rate) * K / 8) for n, c in self.plain]
        plain = sum((x for x, _ in powers), np.zeros_like(K))
        plain_size = sum((abs(x) * w for x, w in powers), np.zeros_like(K))
        better = plain_size < size
        return np.where(better, plain, shifted), self.weight(parts) * np.where(better, plain_size, size)


Part: TypeAlias = Summand | ExponentialSum


@dataclass(frozen=True)
class Closed:
    """A bracket in closed form: how it is written, and what is added up; no parts is exactly zero."""

    text: str
    parts: tuple[Part, ...]

    @property
    def one_signed(self) -> bool:
        """Whether no two parts cancel at any K."""
        return len(set[bool]().union(*(part.signs for part in self.parts))) < 2

    @property
    def diverges(self) -> bool:
        """Whether a part divides by a power of K."""
        terms = [part for part in self.parts if isinstance(part, Summand)]
        return any(base[0] == 0 and halves < 0 for term in terms for base, halves in term.powers)

    def values(self, K: Array) -> tuple[Array, Array]:
        """Value and size at many K > 0."""
        found = [part.values(K, len(self.parts)) for part in self.parts]
        zero = np.zeros_like(K)
        return sum((value for value, _ in found), zero), sum((size for _, size in found), zero)


def _roundings(powers: HalfPowers) -> int:
    return sum(2 * (len(base) - 1) * (abs(h) + 1) // 2 + (abs(h) + 1) // 2 + 1 + h % 2 for base, h in powers)


def _product(powers: HalfPowers, K: Array) -> Array:
    out = np.ones_like(K)
    for base, halves in powers:
        out = out * np.polyval(base[::-1], K) ** (halves / 2)
    return out


def total_operations(parts: Sequence[Part]) -> int:
    """What a closed form costs, in operations."""
    return sum(part.operations for part in parts)
