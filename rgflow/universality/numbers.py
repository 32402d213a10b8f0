"""The numbers of an asymptotic solution: exact where the activation allows it, else real to fifty digits.

The Taylor coefficients of sigma, divided by sigma'(0), are rational (tanh, sin, erf), or rational in the square root of
pi (erf(z) + z/10), or any real numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

DIGITS = 50
BITS = 200
SHOWN = 20  # digits of a real number that leaves the calculation
LARGEST_DENOMINATOR, CLOSE = 10_000, 1e-25  # a real number this close to such a fraction is one


def simplest(value: Any) -> Any:
    """A SymPy number as it is, or as the rational that its fifty digits are."""
    from sympy import Abs, Rational

    if not value.is_Float:
        return value
    near = Fraction(float(value)).limit_denominator(LARGEST_DENOMINATOR)
    rational = Rational(near.numerator, near.denominator)
    return rational if Abs(value - rational) < CLOSE else value


@dataclass(frozen=True)
class Numbers:
    """A SymPy domain with the way in and out.

    Attributes
    ----------
    domain : SymPy domain
        QQ, QQ(sqrt pi), or real numbers.
    exact : bool
    """

    domain: Any
    exact: bool
    root_pi: Any = None

    @classmethod
    def of(cls, values: Sequence[Any], symbols: Sequence[Any] = ()) -> Numbers:
        """The simplest domain that holds these SymPy numbers, and rational functions of symbols if it is exact."""
        from sympy import QQ, Symbol

        if all(value.is_Rational for value in values):
            return cls(QQ.frac_field(*symbols) if symbols else QQ, True)
        if any(value.is_Float for value in values):
            return cls.real()
        root = Symbol("g", positive=True)
        field = cls(QQ.frac_field(root, *symbols), True, root)
        try:
            for value in values:
                field.read(value)
        except ValueError:
            return cls.real()
        return field

    @classmethod
    def real(cls) -> Numbers:
        """Real numbers to fifty digits."""
        from sympy import RealField

        return cls(RealField(prec=BITS), False)

    def read(self, value: Any) -> Any:
        """A SymPy number as an element; ValueError when the domain does not hold it."""
        from sympy import pi, together
        from sympy.polys.polyerrors import CoercionFailed, GeneratorsError, GeneratorsNeeded

        if not self.exact:
            return self.domain.from_sympy(value.evalf(DIGITS))
        shown = value if self.root_pi is None else together(value.subs(pi, self.root_pi**2))
        try:
            return self.domain.from_sympy(shown)
        except (CoercionFailed, GeneratorsError, GeneratorsNeeded) as error:
            raise ValueError(str(value)) from error

    def rational(self, element: Any) -> Fraction | None:
        """An element as a Fraction if it is a rational number, else None."""
        if self.domain.is_RealField:
            near = Fraction(float(element)).limit_denominator(LARGEST_DENOMINATOR)
            close = abs(element - self.domain(near.numerator) / self.domain(near.denominator)) < CLOSE
            return near if close else None
        value = self.write(element)
        return Fraction(int(value.p), int(value.q)) if value.is_Rational else None

    def write(self, element: Any) -> Any:
        """An element as a SymPy number, rational where it is."""
        from sympy import Rational, pi, sqrt

        if self.domain.is_RealField:
            found = self.rational(element)
            real = self.domain.to_sympy(element).n(SHOWN)
            return real if found is None else Rational(found.numerator, found.denominator)
        value = self.domain.to_sympy(element)
        return value if self.root_pi is None else value.subs(self.root_pi, sqrt(pi))

    def root(self, element: Any, m: int) -> Any:
        """The positive m-th root of a positive element, or None where the domain does not hold it."""
        from sympy import Rational

        if m == 1:
            return element
        try:
            return self.read(self.write(element) ** Rational(1, m))
        except ValueError:
            return None

    def polynomial(self, element: Any) -> Any:
        """An element of a polynomial ring over the domain as a SymPy expression."""
        from sympy import Add, Mul, pi, sqrt

        if self.domain.is_RealField:
            symbols = element.ring.symbols
            powers = ((Mul(*(s**n for s, n in zip(symbols, m, strict=True))), c) for m, c in element.terms())
            return Add(*(self.write(c) * monomial for monomial, c in powers))
        value = element.as_expr()
        return value if self.root_pi is None else value.subs(self.root_pi, sqrt(pi))
