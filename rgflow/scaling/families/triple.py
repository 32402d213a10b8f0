r"""ABC: how one group of parameters goes with the width n.

.. math:: W = n^{-a} w, \qquad w_0 \sim n^{-b} N(0, s^2), \qquad \text{rate of } w: \eta\, n^{-c}

Only two combinations are seen by outputs: the standard deviation n^{-(a+b)} of the initial W and how fast W moves,
which is n^{-(2a+c)} per unit of dE/dW for gradient descent and n^{-(a+c)} for Adam, whose steps do not grow with the
gradient.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import isfinite
from numbers import Rational, Real
from typing import Any

from rgflow.errors import InputError

GROUPS = ("input", "hidden", "output")
OPTIMIZERS = ("sgd", "adam")


def exact(name: str, value: Any) -> Any:
    """A Fraction, or a SymPy expression that is affine in one symbol; InputError otherwise.

    >>> exact("a", 0.5), exact("a", "3/4")
    (Fraction(1, 2), Fraction(3, 4))
    """
    if isinstance(value, bool):
        raise InputError(f"{name} is {value!r}; give a number such as 1/2, or a SymPy expression in s")
    if isinstance(value, Rational):
        return Fraction(int(value.numerator), int(value.denominator))
    if isinstance(value, Real) and isfinite(value):
        return Fraction(repr(float(value)))
    if isinstance(value, str):
        try:
            return Fraction(value.replace(" ", ""))
        except (ValueError, ZeroDivisionError):
            raise InputError(f"{name} is {value!r}; give a number such as 1/2, or a SymPy expression in s") from None
    symbols = getattr(value, "free_symbols", None)
    if symbols is None:
        raise InputError(f"{name} is {value!r}; give a number such as 1/2, or a SymPy expression in s")
    if not symbols:
        if not value.is_Rational:
            raise InputError(f"{name} is {value!r}; exponents are rational numbers, such as 1/2")
        return Fraction(int(value.p), int(value.q))
    import sympy as sp

    (symbol, *others) = symbols
    slope = sp.diff(value, symbol)
    rest = sp.expand(value - slope * symbol)
    if others or not slope.is_Rational or not rest.is_Rational:
        raise InputError(f"{name} is {value!r}; exponents are affine in one symbol, with rational coefficients")
    return sp.expand(value)


@dataclass(frozen=True)
class ABC:
    """The three exponents of a group of parameters.

    Attributes
    ----------
    a, b, c : Fraction, or SymPy expression affine in one symbol s, 0 <= s <= 1
        Multiplier n^-a, initial standard deviation n^-b, learning rate n^-c.

    >>> ABC("1/2", 0, 0).std_power, ABC("1/2", 0, 0).rate_power()
    (Fraction(-1, 2), Fraction(-1, 1))
    """

    a: Any = Fraction(0)
    b: Any = Fraction(0)
    c: Any = Fraction(0)

    def __post_init__(self) -> None:
        for name in ("a", "b", "c"):
            object.__setattr__(self, name, exact(name, getattr(self, name)))

    @property
    def std_power(self) -> Any:
        """Power of n of the standard deviation of the initial W."""
        return tidy(-(self.a + self.b))

    def rate_power(self, optimizer: str = "sgd") -> Any:
        """Power of n of the learning rate of W itself."""
        return tidy(-(self.c + self._multiplicity(optimizer) * self.a))

    def gauge(self, theta: Any, optimizer: str = "sgd") -> ABC:
        """The same W from another multiplier: (a + t, b - t, c - 2t), for Adam (a + t, b - t, c - t)."""
        t = exact("theta", theta)
        return ABC(tidy(self.a + t), tidy(self.b - t), tidy(self.c - self._multiplicity(optimizer) * t))

    @staticmethod
    def _multiplicity(optimizer: str) -> int:
        return 2 if optimizer == "sgd" else 1

    def __str__(self) -> str:
        return f"({self.a}, {self.b}, {self.c})"


class ByGroup(dict[str, Any]):
    """A mapping that can be hashed; it is written once."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(tuple(sorted((key, str(value)) for key, value in self.items())))

    def _closed(self, *_: Any, **__: Any) -> Any:
        raise TypeError("a family is not changed in place; dataclasses.replace makes another")

    def __reduce__(self) -> Any:
        return ByGroup, (dict(self),)

    __setitem__ = __delitem__ = update = pop = popitem = clear = setdefault = _closed


def tidy(value: Any) -> Any:
    """A Fraction where an expression is a number; SymPy expressions expanded."""
    return exact("exponent", value) if not isinstance(value, Fraction) else value


def symbolic(name: str, value: Any) -> Any:
    """A SymPy number or expression from a number or an expression; InputError for anything else, text above all."""
    import sympy as sp

    if isinstance(value, sp.Expr):
        return value
    if not isinstance(value, Real):
        raise InputError(f"{name} is {value!r}; give a number or a SymPy expression")
    found = exact(name, value)
    return sp.Rational(found.numerator, found.denominator)
