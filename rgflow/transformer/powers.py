"""Monomials n^a M^b n_patch^c n_out^d B^e, with rational exponents: how something scales with a transformer's sizes."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from rgflow.network.transformer import Transformer

SIZES = ("n", "M", "n_patch", "n_out", "B")  # width, hidden over width, entries of a patch, outputs, blocks


@dataclass(frozen=True)
class Power:
    """A monomial in the sizes.

    >>> n = Power.of("n")
    >>> print(n**-1 * (n**-1 * Power.of("M") ** -1) ** Fraction(1, 2))
    n^(-3/2) M^(-1/2)
    """

    exponents: tuple[Fraction, ...] = (Fraction(0),) * len(SIZES)

    @classmethod
    def of(cls, size: str) -> Power:
        """A size by itself."""
        return cls(tuple(Fraction(size == name) for name in SIZES))

    def exponent(self, size: str) -> Fraction:
        return self.exponents[SIZES.index(size)]

    def value(self, net: Transformer) -> float:
        """The monomial at the sizes of a transformer."""
        sizes = (net.width, net.M, net.n_in, net.n_out, max(len(net.blocks), 1))
        found = 1.0
        for size, exponent in zip(sizes, self.exponents, strict=True):
            found *= float(size) ** float(exponent)
        return found

    def __mul__(self, other: Power) -> Power:
        return Power(tuple(a + b for a, b in zip(self.exponents, other.exponents, strict=True)))

    def __pow__(self, exponent: Fraction | int) -> Power:
        return Power(tuple(a * exponent for a in self.exponents))

    def __truediv__(self, other: Power) -> Power:
        return self * other**-1

    def __str__(self) -> str:
        parts = []
        for size, exponent in zip(SIZES, self.exponents, strict=True):
            if exponent:
                plain = exponent.denominator == 1 and exponent >= 0
                parts.append(size if exponent == 1 else f"{size}^{exponent}" if plain else f"{size}^({exponent})")
        return " ".join(parts) or "1"
