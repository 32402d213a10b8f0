"""Truncated power series in x = 1/n with rational coefficients, and polynomials: tuples of Fractions, low to high."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from math import comb

Series = tuple[Fraction, ...]

CUMULANT_NAMES = {1: "K", 2: "V", 3: "V6"}
"""Names of the tensors that are cumulants of the conditional variance alone; level k > 3 is called V{2k}."""


def add(*terms: Sequence[Fraction]) -> Series:
    """Sum, as long as the longest term."""
    out = [Fraction(0)] * max(len(term) for term in terms)
    for term in terms:
        for i, value in enumerate(term):
            out[i] += value
    return tuple(out)


def scale(factor: Fraction | int, term: Sequence[Fraction]) -> Series:
    """factor * term."""
    return tuple(factor * value for value in term)


def multiply(a: Sequence[Fraction], b: Sequence[Fraction], order: int | None = None) -> Series:
    """Product, cut after x^order; None keeps everything.

    >>> [str(c) for c in multiply((Fraction(1), Fraction(1)), (Fraction(1), Fraction(-1)), 1)]
    ['1', '0']
    """
    length = len(a) + len(b) - 1
    if order is not None:
        length = min(length, order + 1)
    out = [Fraction(0)] * length
    for i, left in enumerate(a[:length]):
        if left:
            for j, right in enumerate(b[: length - i]):
                out[i + j] += left * right
    return tuple(out)


def power(base: Sequence[Fraction], exponent: int, order: int | None = None) -> Series:
    """base^exponent, cut after x^order."""
    out: Series = (Fraction(1),)
    for _ in range(exponent):
        out = multiply(out, base, order)
    return out


def evaluate(term: Sequence[Fraction], x: Fraction | int) -> Fraction:
    """The value of a whole (uncut) polynomial at x."""
    out = Fraction(0)
    for value in reversed(term):
        out = out * x + value
    return out


def coefficient(term: Sequence[Fraction], power_of_x: int) -> Fraction:
    """The coefficient of x^power_of_x (zero beyond the end of a whole polynomial)."""
    return term[power_of_x] if power_of_x < len(term) else Fraction(0)


def cumulants(moments: Sequence[Series], order: int | None = None) -> list[Series]:
    """kappa_1..kappa_k from the moments E[g^0]..E[g^k]: kappa_k = M_k - sum_j C(k-1, j-1) kappa_j M_{k-j}."""
    out: list[Series] = [(Fraction(0),)]
    for k in range(1, len(moments)):
        known = [scale(-comb(k - 1, j - 1), multiply(out[j], moments[k - j], order)) for j in range(1, k)]
        out.append(add(moments[k], *known))
    return out[1:]


def named_coefficients(kappas: Iterable[Series], width: Fraction | int, order: int) -> dict[str, Fraction]:
    """Coefficients in 1/n_{l-1} of the totals n_{l-1}^{k-1} kappa_k, where n_{l-1} = width * n and x = 1/n.

    Level k is known to 1/n_{l-1}^{order - k + 1}; names are K, K_1, ..., V, V_1, ..., V6, ....
    """
    out: dict[str, Fraction] = {}
    for k, kappa in enumerate(kappas, start=1):
        if any(kappa[: k - 1]):
            raise ArithmeticError(f"the cumulant of level {k} is larger than n^{1 - k}; the moments are wrong")
        name = CUMULANT_NAMES.get(k, f"V{2 * k}")
        for q in range(order - k + 2):
            out[name if q == 0 else f"{name}_{q}"] = coefficient(kappa, k - 1 + q) * Fraction(width) ** (k - 1 + q)
    return out
