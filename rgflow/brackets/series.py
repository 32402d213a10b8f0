r"""Brackets as series in the kernel, without integration.

.. math:: \Big\langle \partial^m \prod_i \sigma^{(k_i)} \Big\rangle_K = \sum_j \frac{K^j}{2^j\, j!}\, f^{(m + 2j)}(0),
          \qquad f = \prod_i \sigma^{(k_i)}

The derivatives of sigma at zero come from its formula, by series of compositions: exactly where they are built from
rationals, roots and pi, else (tanh(1/2), exp(1)) to sixty digits. For an activation with a kink away from zero the
series misses terms that are exponentially small in 1/K.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any

from rgflow.activations import Activation
from rgflow.activations.formula import Add, Call, Mul, Node, Pow, Z, has_z
from rgflow.errors import NoClosedForm

Coefficients = list[Any]

DIGITS = 60
ZERO = 1e-45  # a number of sixty digits below this is zero


def derivatives_at_zero(activation: Activation, order: int) -> tuple[Any, ...]:
    """sigma(0), sigma'(0), ..., sigma^{(order)}(0) as SymPy numbers, exact or of sixty digits.

    Raises NoClosedForm for an activation with a kink at zero.

    >>> from rgflow.activations import activation
    >>> derivatives_at_zero(activation("tanh"), 5)
    (0, 1, 0, -2, 0, 16)
    """
    if 0.0 in activation.kinks:
        raise NoClosedForm(f"{activation.name} has a kink at 0, and so no series there")
    piece = activation.pieces[sum(kink < 0 for kink in activation.kinks)]
    top = 1
    while top < order:  # few different lengths, so that the cache is met
        top = 2 * top + 1
    return _derivatives(piece, top)[: order + 1]


@lru_cache(maxsize=256)
def _derivatives(piece: Node, order: int) -> tuple[Any, ...]:
    found = [_number(c * math.factorial(k)) for k, c in enumerate(_series(piece, order + 1))]
    return tuple(c * 0 if c.is_Float and abs(c) < ZERO else c for c in found)


def kernel_series(derivatives: Sequence[Any], orders: Sequence[int], pending: int, count: int) -> Coefficients:
    """Coefficients of K^0, ..., K^{count-1} of a bracket.

    Parameters
    ----------
    derivatives : sequence of numbers of any exact kind, with their own arithmetic
        sigma^{(k)}(0) up to max(orders) + pending + 2 count - 2.
    orders, pending : the bracket

    >>> from sympy import Integer
    >>> kernel_series([Integer(n) for n in (0, 1, 0, -2, 0, 16, 0)], (0, 0), 0, 3)
    [0, 1, -2]
    """
    length = pending + 2 * count - 1
    product: Coefficients = [derivatives[0] * 0 + 1]
    for k in orders:
        factor = [derivatives[k + p] / math.factorial(p) for p in range(length)]
        product = _times(product, factor, length)
    product += [derivatives[0] * 0] * (length - len(product))
    return [
        product[pending + 2 * j] * math.factorial(pending + 2 * j) / (2**j * math.factorial(j)) for j in range(count)
    ]


# Series of formulas ---------------------------------------------------------------------------------------------------


def _series(node: Node, length: int) -> Coefficients:
    """Taylor coefficients at z = 0 of a smooth formula."""
    import sympy

    from rgflow.activations.convert import to_sympy

    zero = [sympy.Integer(0)] * length
    if not has_z(node):
        return [_number(to_sympy(node)), *zero[1:]]
    match node:
        case Z():
            return [sympy.Integer(0), sympy.Integer(1), *zero][:length]
        case Add(args):
            return [sympy.Add(*column) for column in zip(*(_series(arg, length) for arg in args), strict=True)]
        case Mul(args):
            out = [sympy.Integer(1), *zero[1:]]
            for arg in args:
                out = _times(out, _series(arg, length), length)
            return out
        case Pow(base, exponent):
            inner = _series(base, length)
            if exponent.denominator == 1 and exponent > 0:
                out = [sympy.Integer(1), *zero[1:]]
                for _ in range(int(exponent)):
                    out = _times(out, inner, length)
                return out
            return _composed(_binomial(inner[0], exponent, length), inner, length)
        case Call(name, (argument,)):
            inner = _series(argument, length)
            return _composed(_outer(name, inner[0], length), inner, length)
    raise AssertionError(node)


def _outer(name: str, at: Any, length: int) -> Coefficients:
    """Taylor coefficients of a named function about a number, mostly from the equation that its derivative solves."""
    if name not in _RULES:
        raise NoClosedForm(f"{name} has no rule for its Taylor series; {', '.join(_RULES)} have one")
    return _RULES[name](at, _number(_function(name)(at)), length)


def _binomial(base: Any, power: Fraction, length: int) -> Coefficients:
    """(base + x)^power."""
    import sympy

    exponent = sympy.Rational(power.numerator, power.denominator)
    return [sympy.binomial(exponent, k) * base ** (exponent - k) for k in range(length)]


def _square(at: Any, sign: int, length: int) -> Coefficients:
    """sign * x^2 about a number."""
    import sympy

    return [sign * at**2, 2 * sign * at, sympy.Integer(sign), *[sympy.Integer(0)] * length][:length]


def _square_power(at: Any, power: Fraction, length: int) -> Coefficients:
    """(1 + x^2)^power about a number."""
    square = _square(at, 1, length)
    return _composed(_binomial(1 + square[0], power, length), square, length)


def _bell(at: Any, sign: int, length: int) -> Coefficients:
    """sign * 2 exp(-x^2)/sqrt(pi) about a number."""
    import sympy

    square = _square(at, -1, length)
    return [2 * sign / sympy.sqrt(sympy.pi) * c for c in _composed(_outer("exp", square[0], length), square, length)]


def _cycle(name: str, at: Any, length: int) -> Coefficients:
    """A function that is its own fourth derivative."""
    import sympy

    x = sympy.Symbol("x")
    rows = [sympy.diff(getattr(sympy, name)(x), x, k).subs(x, at) for k in range(4)]
    return [rows[k % 4] / math.factorial(k) for k in range(length)]


def _inverse_cosh(at: Any, length: int) -> Coefficients:
    cosh = _outer("cosh", at, length)
    return _composed(_binomial(cosh[0], Fraction(-1), length), cosh, length)


def _riccati(value: Any, constant: int, linear: int, length: int) -> Coefficients:
    """y' = constant + linear y - y^2: each coefficient of y' needs those of y up to the same order only."""
    out = [value]
    for k in range(length - 1):
        slope = constant * (k == 0) + linear * out[k] - sum(out[i] * out[k - i] for i in range(k + 1))
        out.append(_number(slope / (k + 1)))
    return out


def _integral(value: Any, slope: Coefficients) -> Coefficients:
    return [value, *(c / (k + 1) for k, c in enumerate(slope[:-1]))]


_RULES: dict[str, Callable[[Any, Any, int], Coefficients]] = {
    "exp": lambda at, value, n: [value / math.factorial(k) for k in range(n)],
    "expm1": lambda at, value, n: [value, *_outer("exp", at, n)[1:]],
    "sin": lambda at, value, n: _cycle("sin", at, n),
    "cos": lambda at, value, n: _cycle("cos", at, n),
    "sinh": lambda at, value, n: _cycle("sinh", at, n),
    "cosh": lambda at, value, n: _cycle("cosh", at, n),
    "tanh": lambda at, value, n: _riccati(value, 1, 0, n),
    "sigmoid": lambda at, value, n: _riccati(value, 0, 1, n),
    "softplus": lambda at, value, n: _integral(value, _outer("sigmoid", at, n)),
    "sech": lambda at, value, n: _inverse_cosh(at, n),
    "erf": lambda at, value, n: _integral(value, _bell(at, 1, n)),
    "erfc": lambda at, value, n: _integral(value, _bell(at, -1, n)),
    "log": lambda at, value, n: _integral(value, _binomial(at, Fraction(-1), n)),
    "log1p": lambda at, value, n: _integral(value, _binomial(1 + at, Fraction(-1), n)),
    "atan": lambda at, value, n: _integral(value, _square_power(at, Fraction(-1), n)),
    "asinh": lambda at, value, n: _integral(value, _square_power(at, Fraction(-1, 2), n)),
    "sqrt": lambda at, value, n: _binomial(at, Fraction(1, 2), n),
}
"""(number, value there, length) -> Taylor coefficients."""


def _function(name: str) -> Any:
    """The named function of a SymPy number."""
    import sympy

    from rgflow.activations.convert import to_sympy

    z = sympy.Symbol("z", real=True)
    return lambda at: to_sympy(Call(name, (Z(),))).subs(z, at)


def _composed(outer: Coefficients, inner: Coefficients, length: int) -> Coefficients:
    """sum_k outer_k (u - u_0)^k by Horner's rule."""
    shifted = [inner[0] * 0, *inner[1:]]
    out = [outer[-1], *[inner[0] * 0] * (length - 1)]
    for c in reversed(outer[:-1]):
        out = _times(out, shifted, length)
        out[0] = out[0] + c
    return out


def _times(a: Coefficients, b: Coefficients, length: int) -> Coefficients:
    out = [a[0] * 0] * length
    for i, x in enumerate(a[:length]):
        if x != 0:
            for j, y in enumerate(b[: length - i]):
                if y != 0:
                    out[i + j] = out[i + j] + x * y
    return out


def _number(value: Any) -> Any:
    """A number with its products multiplied out, so that equal ones look alike; digits if it is no simple one."""
    import sympy

    if value.is_Rational:
        return value
    plain = value.atoms() <= {sympy.pi} | value.atoms(sympy.Rational) and not value.has(sympy.Function, sympy.exp)
    return sympy.expand(value) if plain else value.evalf(DIGITS)
