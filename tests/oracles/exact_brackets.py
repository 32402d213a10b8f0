r"""Exact brackets <D^pending prod_i sigma^{(k_i)}(z_{a_i})>_K for activations whose brackets are rational.

``one(orders, pending)`` and ``many(factors, pend)`` are the evaluators that :mod:`sources.pdlt` takes: orders are
written derivatives, pending ones act on the whole product (of one sample, when there are many).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import factorial

from oracles.polynomial_networks import Number
from oracles.product_law import slope_moment
from oracles.series import Series, multiply

Sample = Hashable


def differentiate(polynomial: Sequence[Number], times: int = 1) -> Series:
    """The coefficients of a derivative.

    >>> [int(c) for c in differentiate((5, 0, 3), 1)]
    [0, 6]
    """
    out = tuple(Fraction(c) for c in polynomial)
    for _ in range(times):
        out = tuple(i * c for i, c in enumerate(out))[1:] or (Fraction(0),)
    return out


@dataclass
class PolynomialBrackets:
    """Brackets of a polynomial activation; ``kernel[a, b]`` is the covariance of the samples a, b (symmetric)."""

    sigma: Sequence[Number]
    kernel: Mapping[tuple[Sample, Sample], Number]
    _cache: dict[object, Fraction] = field(default_factory=dict, repr=False)

    @classmethod
    def single(cls, sigma: Sequence[Number], kernel: Number) -> PolynomialBrackets:
        """One sample, called 0."""
        return cls(sigma, {(0, 0): kernel})

    def one(self, orders: Sequence[int], pending: int = 0) -> Fraction:
        """<d^pending prod sigma^{(k)}> for the sample called 0."""
        return self.many([(0, order) for order in orders], [0] * pending)

    def many(self, factors: Sequence[tuple[Sample, int]], pend: Sequence[Sample] = ()) -> Fraction:
        """<prod over pend of d/dz_a, of prod over factors of sigma^{(k)}(z_a)>; d/dz_a meets all factors of a."""
        samples = sorted({a for a, _ in factors} | set(pend), key=repr)
        functions: list[Series] = []
        for sample in samples:
            product: Series = (Fraction(1),)
            for a, order in factors:
                if a == sample:
                    product = multiply(product, differentiate(self.sigma, order))
            functions.append(differentiate(product, list(pend).count(sample)))
        key = (tuple(samples), tuple(functions))
        if key not in self._cache:
            self._cache[key] = self._expand(samples, functions, [])
        return self._cache[key]

    def _expand(self, samples: Sequence[Sample], functions: Sequence[Series], powers: list[int]) -> Fraction:
        if len(powers) == len(functions):
            return self._isserlis(tuple(samples), tuple(powers))
        row = functions[len(powers)]
        return sum((c * self._expand(samples, functions, [*powers, p]) for p, c in enumerate(row) if c), Fraction(0))

    def _isserlis(self, samples: tuple[Sample, ...], powers: tuple[int, ...]) -> Fraction:
        """E[prod z_a^{p_a}]: pair the first z with every other one."""
        if sum(powers) % 2:
            return Fraction(0)
        first = next((i for i, p in enumerate(powers) if p), None)
        if first is None:
            return Fraction(1)
        key = (samples, powers)
        if key not in self._cache:
            left = [p - (i == first) for i, p in enumerate(powers)]
            total = Fraction(0)
            for j, p in enumerate(left):
                if p:
                    rest = tuple(q - (i == j) for i, q in enumerate(left))
                    total += p * Fraction(self.kernel[samples[first], samples[j]]) * self._isserlis(samples, rest)
            self._cache[key] = total
        return self._cache[key]


@dataclass(frozen=True)
class ScaleInvariantBrackets:
    """One-input brackets of sigma(z) = a_+ z, a_- z; written second and higher derivatives are zero almost everywhere.

    Pending derivatives act exactly, through <d^m f> = <He_m(z/sqrt K) f> K^{-m/2}.
    """

    slopes: tuple[Number, Number]
    kernel: Number

    def one(self, orders: Sequence[int], pending: int = 0) -> Fraction:
        """<d^pending prod sigma^{(k)}>.

        >>> ScaleInvariantBrackets((1, 0), 2).one((0, 0), 2)      # d^2 (z^2 / 2 on average) = 1
        Fraction(1, 1)
        """
        if any(order > 1 for order in orders):
            return Fraction(0)
        degree = sum(order == 0 for order in orders)
        if (degree + pending) % 2:
            raise ValueError(f"<d^{pending} of degree {degree}> is not rational")
        hermite = Fraction(0)  # E[He_pending(u) u^degree]
        for j in range(pending // 2 + 1):
            c = Fraction((-1) ** j * factorial(pending), factorial(j) * 2**j * factorial(pending - 2 * j))
            hermite += c * _gaussian_moment(degree + pending - 2 * j)
        return slope_moment(self.slopes, len(orders)) * hermite * Fraction(self.kernel) ** ((degree - pending) // 2)


def _gaussian_moment(power: int) -> int:
    out = 1
    for odd in range(1, power, 2):
        out *= odd
    return out
