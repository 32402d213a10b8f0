r"""The class K* = 0: brackets as series in a kernel that decays.

At C_b = 0, C_W = 1/sigma'(0)^2 the kernel is moved by the non-linearity of sigma alone,

.. math:: K' = \langle\sigma\sigma\rangle_K / \sigma'(0)^2 = K + a_m K^{m+1} + \dots, \qquad
          \chi_\perp = 1 + b_m K^m + \dots,

so that K -> (-m a_m l)^{-1/m} and chi_perp -> 1 - p_perp/l with p_perp = b_m/(m a_m). Only the Taylor coefficients of
sigma at zero go in. Source: PDLT chapter 5 (m = 1).

A layer that keeps a part of the kernel itself, a = skip^2, leaves 1 - a to sigma: a_m and b_m come with 1 - a.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from typing import Any

from rgflow.activations import Activation
from rgflow.brackets.series import DIGITS, derivatives_at_zero, kernel_series
from rgflow.errors import NoClosedForm
from rgflow.universality.logarithms import is_zero
from rgflow.universality.numbers import Numbers

LENGTH = 16  # Taylor coefficients that choose the domain of an activation
MOST_FLAT = 6  # a_1 = ... = a_6 = 0: an activation as straight as this is refused


class VanishingKernel:
    """The flow of one activation at C_b = 0, C_W = (1 - kept)/sigma'(0)^2, as series in the kernel and in the depth.

    kept : a = skip^2 as a SymPy number below 1, 0 for layers without a skip.

    Raises NoClosedForm when the kernel does not decay as a power of the depth.
    """

    def __init__(self, activation: Activation, kept: Any = 0):
        from sympy import Integer

        self.activation = activation
        self.kept = kept if kept != 0 else Integer(0)
        value, self.slope = derivatives_at_zero(activation, 1)
        if value != 0 or self.slope == 0:
            raise NoClosedForm(
                f"{activation.name} has sigma(0) = {value}, sigma'(0) = {self.slope}: K* = 0 is no critical fixed point"
            )

    def derivatives(self, length: int) -> tuple[Any, ...]:
        """sigma^{(k)}(0)/sigma'(0) as SymPy numbers."""
        from sympy import Float, cancel

        found = derivatives_at_zero(self.activation, length)
        if any(c.has(Float) for c in found):
            return tuple((c / self.slope).evalf(DIGITS) for c in found)
        return tuple(c if c == 0 else cancel(c / self.slope) for c in found)

    @cached_property
    def numbers(self) -> Numbers:
        """The domain that holds the Taylor coefficients, and the m-th root of the kernel's amplitude."""
        symbols = sorted(self.kept.free_symbols, key=str)
        found = Numbers.of(self.derivatives(LENGTH), symbols)
        m, a = self._flatness(found)
        if symbols and (m > 1 or not found.exact):
            raise NoClosedForm(
                f"{self.activation.name} at a symbolic {symbols[0]}: its series is not rational in it; give a number"
            )
        if m > 1 and self.kept != 0:
            return Numbers.real()
        return found if m == 1 or found.root(-found.domain(m) * a, m) is not None else Numbers.real()

    def series(self, orders: Sequence[int], pending: int, count: int) -> list[Any]:
        """A bracket of sigma/sigma'(0) as a series in K, in the domain."""
        return self._series(self.numbers, orders, pending, count)

    def _series(self, numbers: Numbers, orders: Sequence[int], pending: int, count: int) -> list[Any]:
        length = max([0, *orders]) + pending + 2 * count
        return kernel_series([numbers.read(c) for c in self.derivatives(length)], orders, pending, count)

    @cached_property
    def left(self) -> Any:
        """1 - a, in the domain."""
        return self.numbers.domain.one - self.numbers.read(self.kept)

    def step(self, count: int) -> list[Any]:
        """The series of K' in K, in the domain."""
        found = self.series((0, 0), 0, count)
        if self.kept != 0:
            found = [c * self.left for c in found]
            found[1] = self.numbers.domain.one
        return found

    @cached_property
    def flatness(self) -> tuple[int, Any]:
        """(m, a_m): the first coefficient of K' = K + a_m K^{m+1} + ... that is not zero."""
        m, a = self._flatness(self.numbers)
        return m, a if self.kept == 0 else a * self.left

    def _flatness(self, numbers: Numbers) -> tuple[int, Any]:
        for m in range(1, MOST_FLAT + 1):
            a = self._series(numbers, (0, 0), 0, m + 2)[m + 1]
            if not is_zero(numbers.domain, a):
                return m, a
        raise NoClosedForm(
            f"<sigma sigma> of {self.activation.name} is linear in K to order {MOST_FLAT + 1}: "
            "the kernel does not decay as a power of the depth"
        )

    @cached_property
    def p_0(self) -> Fraction:
        """K ~ l^{-p_0}."""
        return Fraction(1, self.flatness[0])

    @cached_property
    def p_perpendicular(self) -> Any:
        """chi_perp = 1 - p_perp/l + ..., in the domain; NoClosedForm when chi_perp - 1 decays more slowly."""
        return self._approach(self.series((1, 1), 0, self.flatness[0] + 1))

    @cached_property
    def p_parallel(self) -> Any:
        """chi_parallel = <d^2[sigma sigma]>/(2 sigma'(0)^2) = 1 - p_parallel/l + ..., in the domain."""
        two = self.numbers.domain(2)
        return self._approach([c / two for c in self.series((0, 0), 2, self.flatness[0] + 1)])

    def _approach(self, susceptibility: Sequence[Any]) -> Any:
        """b_m/(m a_m) of 1 + b_m K^m, where K^m -> -1/(m a_m l)."""
        m, a = self._flatness(self.numbers)  # the susceptibility and the kernel both come with 1 - a
        domain = self.numbers.domain
        if any(not is_zero(domain, b) for b in susceptibility[1:m]):
            raise NoClosedForm(
                f"chi_perp of {self.activation.name} approaches 1 more slowly than 1/l: perturbations of the input do "
                "not follow a power of the depth"
            )
        return susceptibility[m] / (domain(m) * a)

    def number(self, element: Any) -> Any:
        """An element of the domain as a SymPy number, rational where it is."""
        return self.numbers.write(element)


@lru_cache(maxsize=64)
def vanishing_kernel(activation: Activation, kept: Any = 0) -> VanishingKernel:
    """The series of one activation, in memory."""
    return VanishingKernel(activation, kept)


@dataclass(frozen=True)
class Rates:
    """Learning rates lambda_b l^{q + bias}, lambda_W l^{q + weight} at layer l; q in the domain of the activation."""

    q: Any
    bias: Fraction
    weight: Fraction


def rates_of(flow: VanishingKernel, kind: str) -> Rates:
    """Rates that give every layer an equal share of the tangent kernel ("equal"), or constant ones ("constant")."""
    domain = flow.numbers.domain
    if kind == "constant":
        return Rates(domain.one, Fraction(-1), Fraction(-1))
    x_b, _ = equal_share(domain(flow.p_0.numerator) / domain(flow.p_0.denominator), flow.p_perpendicular)
    # q takes what may be irrational: x_W = x_b + p_0 differs by a fraction
    return Rates(x_b + domain.one, Fraction(-1), Fraction(-1) + flow.p_0)


def equal_share(p_0: Any, p_perpendicular: Any) -> tuple[Any, Any]:
    """(x_b, x_W): rates lambda_b l^x_b, lambda_W l^x_W give every layer the same part of the tangent kernel.

    A layer's part is lambda_b + lambda_W <sigma sigma>, <sigma sigma> ~ l^{-p_0}, times all later chi_perp ~
    (l/L)^{p_perp}.
    """
    return -p_perpendicular, p_0 - p_perpendicular
