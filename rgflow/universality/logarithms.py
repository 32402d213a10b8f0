r"""Series in powers and logarithms of the depth, for layers far from the input.

.. math:: X(\ell) = \sum_{e, j} x_{e j}\, \ell^{e} (\ln \ell)^{j} + O(\ell^{c}), \qquad
          e \in \mathbb{Q},\ j = 0, 1, 2, \dots

Every series carries the exponent c up to which it is known (logarithms aside), so that no term is believed that the
input did not determine. Coefficients are elements of one SymPy polynomial ring.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from rgflow.errors import NoClosedForm

Place = tuple[Fraction, int]
"""Exponent of the layer, power of its logarithm."""

Coefficient = Any  # an element of a SymPy ring


@dataclass(frozen=True)
class LogSeries:
    """A truncated series in l^e ln^j(l).

    Attributes
    ----------
    terms : mapping of (e, j) to a coefficient that is not zero
    cut : Fraction
        What is left out is O(l^cut), times any power of the logarithm.

    >>> from sympy import QQ, ring
    >>> R, c = ring("c", QQ)
    >>> one_over_l = LogSeries.monomial(R.one, -1, Fraction(-4))
    >>> constant = LogSeries.monomial(c, 0, Fraction(-4))
    >>> product = (constant + one_over_l) * one_over_l
    >>> {(str(e), j): x for (e, j), x in product.terms.items()}, str(product.cut)
    ({('-1', 0): c, ('-2', 0): 1}, '-4')
    """

    terms: Mapping[Place, Coefficient]
    cut: Fraction

    @classmethod
    def monomial(cls, coefficient: Coefficient, exponent: Fraction | int, cut: Fraction) -> LogSeries:
        """coefficient * l^exponent."""
        return cls({(Fraction(exponent), 0): coefficient} if coefficient else {}, cut)

    @property
    def leading(self) -> Place | None:
        """The place of the largest term; None when every known one vanishes."""
        return max(self.terms, default=None)

    @property
    def degree(self) -> Fraction:
        """The largest exponent that may be present."""
        return self.leading[0] if self.leading else self.cut

    def __add__(self, other: LogSeries) -> LogSeries:
        cut = max(self.cut, other.cut)
        found = dict(self.terms)
        for place, coefficient in other.terms.items():
            found[place] = tidy(found[place] + coefficient) if place in found else coefficient
        return LogSeries({p: c for p, c in found.items() if p[0] > cut and c}, cut)

    def __mul__(self, other: LogSeries) -> LogSeries:
        cut = max(self.cut + other.degree, other.cut + self.degree)
        found: dict[Place, Coefficient] = {}
        for (e, j), x in self.terms.items():
            for (f, k), y in other.terms.items():
                if e + f > cut:
                    place = (e + f, j + k)
                    found[place] = found[place] + x * y if place in found else x * y
        return LogSeries({p: c for p, c in found.items() if c}, cut)

    def scaled(self, factor: Coefficient) -> LogSeries:
        """factor * X."""
        return LogSeries({p: factor * c for p, c in self.terms.items() if factor * c}, self.cut)

    def raised(self, exponent: Fraction) -> LogSeries:
        """l^exponent X."""
        return LogSeries({(e + exponent, j): c for (e, j), c in self.terms.items()}, self.cut + exponent)

    def truncated(self, cut: Fraction) -> LogSeries:
        """The same, known to O(l^cut) only."""
        cut = max(cut, self.cut)
        return LogSeries({p: c for p, c in self.terms.items() if p[0] > cut}, cut)

    def power(self, exponent: Fraction, of_leading: Coefficient, inverse: Coefficient) -> LogSeries:
        """X^exponent = x_0^exponent l^{e exponent} (1 + delta)^exponent by the binomial series.

        of_leading is x_0^exponent and inverse 1/x_0, for the leading coefficient x_0, which comes without logarithms.
        """
        assert self.leading is not None
        assert self.leading[1] == 0
        lead = self.leading[0]
        delta = LogSeries({(e - lead, j): c * inverse for (e, j), c in self.terms.items() if e < lead}, self.cut - lead)
        one = inverse.ring.one
        total = LogSeries.monomial(one, 0, delta.cut)
        term, binomial, k = total, Fraction(1), 0
        while delta.terms:
            binomial *= Fraction(exponent - k, k + 1)
            k += 1
            term = (term * delta).truncated(delta.cut)
            if not term.terms or not binomial:
                break
            total = total + term.scaled(one * as_domain(one.ring, binomial))
        return total.scaled(of_leading).raised(lead * exponent)


def as_domain(ring: Any, number: Fraction) -> Any:
    """A rational number as an element of the domain of a ring."""
    return ring.domain(number.numerator) / ring.domain(number.denominator)


def next_layer(ring: Any, place: Place, cut: Fraction) -> LogSeries:
    """(l + 1)^e ln^j(l + 1) as a series in l, by Taylor's theorem."""
    terms: dict[Place, Fraction] = {place: Fraction(1)}
    derivative: dict[Place, Fraction] = dict(terms)
    order = 0
    while derivative and place[0] - order > cut:
        order += 1
        following: dict[Place, Fraction] = {}
        for (e, j), c in derivative.items():  # d/dl of l^e ln^j
            for target, factor in (((e - 1, j), c * e), ((e - 1, j - 1), c * j)):
                if factor:
                    following[target] = following.get(target, Fraction(0)) + factor
        derivative = following
        for target, c in derivative.items():
            terms[target] = terms.get(target, Fraction(0)) + c / math.factorial(order)
    return LogSeries({p: ring.one * as_domain(ring, c) for p, c in terms.items() if c and p[0] > cut}, cut)


def binomial_shift(ring: Any, exponent: Any, cut: Fraction) -> LogSeries:
    """(1 + 1/l)^exponent for an exponent in the domain of the ring."""
    terms, coefficient, k = {}, ring.domain.one, 0
    while Fraction(-k) > cut:
        if coefficient:
            terms[Fraction(-k), 0] = ring.one * coefficient
        coefficient = coefficient * (exponent - ring.domain(k)) / ring.domain(k + 1)
        k += 1
    return LogSeries(terms, cut)


def solve_difference(
    transport: LogSeries,
    source: LogSeries,
    constant: Coefficient,
    rational: Callable[[Any], Fraction | None],
) -> LogSeries:
    """The solution of X(l + 1) = T(l) X(l) + S(l) with T = 1 - tau/l + ..., term by term from the largest down.

    The operator sends x l^e ln^j to x l^{e-1} ((e + tau) ln^j + j ln^{j-1}) + ..., so that a source term s l^{e-1} ln^j
    needs x = s/(e + tau), or at resonance x = s/(j + 1) with one more logarithm.

    Parameters
    ----------
    transport, source : LogSeries
        T and S.
    constant : ring element
        The symbol that multiplies the solution of the homogeneous equation, l^{-tau}: only the layers near the input
        determine it.
    rational : function
        A domain element as a Fraction, or None when it is not a rational number.
    """
    ring = constant.ring
    one, rate = (Fraction(0), 0), (Fraction(-1), 0)
    minus_tau = domain_part(ring, transport.terms.get(rate))
    marginal = transport.terms.get(one) == ring.one and all(p in (one, rate) or p[0] < -1 for p in transport.terms)
    if not marginal:
        raise NoClosedForm(
            "from layer to layer a tensor is not multiplied by 1 - tau/l + ...: no power law; flow instead"
        )
    free = rational(minus_tau)
    top = source.degree + 1 if free is None else max(source.degree + 1, free)
    floor = max(source.cut, top + transport.cut)  # of what is known of the equation; one more of the solution
    solution: dict[Place, Coefficient] = {}
    residual = dict(source.truncated(floor).terms)

    def take(place: Place, x: Coefficient) -> None:
        """Put x l^e ln^j into the solution and what the operator makes of it out of the residual."""
        solution[place] = solution[place] + x if place in solution else x
        stays = LogSeries({place: ring.one}, floor) * transport
        for target, c in (next_layer(ring, place, floor) + stays.scaled(-ring.one)).terms.items():
            residual[target] = tidy(residual.get(target, ring.zero) - c * x)
            if not residual[target]:
                del residual[target]

    if free is not None and free > floor + 1:
        take((free, 0), constant)
    while residual:
        e, j = max(residual)
        s = residual[e, j]
        factor = as_domain(ring, e + 1) - minus_tau
        if is_zero(ring.domain, factor):
            take((e + 1, j + 1), s * as_domain(ring, Fraction(1, j + 1)))
        else:
            take((e + 1, j), s * (ring.domain.one / factor))
        residual.pop((e, j), None)  # gone but for rounding
    return LogSeries({p: c for p, c in solution.items() if c}, floor + 1)


def domain_part(ring: Any, element: Coefficient | None) -> Any:
    """The constant of a ring element that is a constant."""
    if element is None:
        return ring.domain.zero
    if not element.is_ground:
        raise NoClosedForm("the power by which a tensor falls would depend on learning rates or on c; flow instead")
    return element.coeff(1) if element else ring.domain.zero


def is_zero(domain: Any, element: Any) -> bool:
    """Exactly zero, or for real numbers below the digits that are kept."""
    return bool(abs(element) < 1e-25) if domain.is_RealField else not element


def tidy(element: Coefficient) -> Coefficient:
    """A ring element without the coefficients that are zero but for the rounding of real numbers."""
    domain = element.ring.domain
    if not domain.is_RealField:
        return element
    return element.ring.from_dict({m: c for m, c in element.terms() if not is_zero(domain, c)})
