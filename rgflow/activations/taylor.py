"""Taylor recurrences: the coefficients of a composed function from those of its argument, to any order.

With u(z + t) = sum_k u_k t^k and y = f(u), a relation y' = w(u) u' gives k y_k = sum_{j=1}^{k} j u_j w_{k-j}. Every
function carries companions that are small where its own tail is small (sech^2 beside tanh, p = s(1 - s) beside the
sigmoid s, exp(-u^2) beside erf), so that derivatives keep their relative accuracy in exponential tails.

Source: A. Griewank and A. Walther, Evaluating Derivatives (2008), chapter 13.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from typing import TypeAlias

from rgflow.activations.formula import Add, Call, Mul, Node, Num, Pi, Pow, Z, has_z
from rgflow.activations.polynomials import polynomial
from rgflow.activations.program import Z_REF, Builder, Program, Value

Series: TypeAlias = list[Value]


@lru_cache(maxsize=512)
def program(piece: Node, order: int) -> Program:
    """The program from z to the derivatives of orders 0..order of a smooth normal formula."""
    builder = Builder()
    coefficients = polynomial(piece)
    if coefficients is not None:
        outputs = [_polynomial_derivative(builder, coefficients, k) for k in range(order + 1)]
    else:
        series = _Taylor(builder, order).of(piece)
        outputs = [builder.total([(float(math.factorial(k)), [value])]) for k, value in enumerate(series)]
    return Program.of(builder, outputs)


def _polynomial_derivative(builder: Builder, coefficients: tuple[Fraction, ...], k: int) -> Value:
    """Horner's rule for the k-th derivative; a lone power by repeated squaring."""
    left = [c * math.perm(m, k) for m, c in enumerate(coefficients)][k:]
    lowest = next((m for m, c in enumerate(left) if c), None)
    if lowest is None:
        return 0.0
    value: Value = float(left[-1])
    for c in reversed(left[lowest:-1]):
        value = builder.total([(1.0, [value, Z_REF]), (float(c), [])])
    return builder.total([(1.0, [value, _whole_power(builder, Z_REF, lowest)])])


def _whole_power(builder: Builder, base: Value, exponent: int) -> Value:
    if exponent < 2:
        return base if exponent else 1.0
    half = _whole_power(builder, base, exponent // 2)
    square = builder.total([(1.0, [half, half])])
    return builder.total([(1.0, [square, base])]) if exponent % 2 else square


class _Taylor:
    """Series of the nodes of one formula, through one builder that shares equal steps."""

    def __init__(self, builder: Builder, order: int):
        self.b = builder
        self.order = order

    def of(self, node: Node) -> Series:
        """Coefficients 0..order of a node."""
        match node:
            case Num() | Pi():
                return self.constant(_constant(node))
            case Z():
                line: Series = [Z_REF, 1.0, *self.constant(0.0)]
                return line[: self.order + 1]
            case _ if not has_z(node):
                return self.constant(_constant(node))
            case Add(args):
                rows = [self.of(arg) for arg in args]
                return [self.b.total([(1.0, [value]) for value in column]) for column in zip(*rows, strict=True)]
            case Mul(args):
                front = math.prod(_constant(arg) for arg in args if not has_z(arg))
                out: Series | None = None
                for arg in args:
                    if has_z(arg):
                        out = self.of(arg) if out is None else self.product(out, self.of(arg))
                return [self.b.total([(front, [value])]) for value in out or ()]
            case Pow(base, exponent):
                return self.power(self.of(base), exponent)
            case Call(name, args):
                return self.call(name, self.of(args[0]))
        raise AssertionError(node)

    def constant(self, value: float) -> Series:
        return [value, *[0.0] * self.order]

    # Rules

    def product(self, a: Series, b: Series) -> Series:
        return [self.b.total([(1.0, [a[j], b[k - j]]) for j in range(k + 1)]) for k in range(min(len(a), len(b)))]

    def driven(self, u: Series, w: Sequence[Value], k: int, scale: float = 1.0) -> Value:
        """Coefficient k of y where y' = scale w u': scale/k sum_j j u_j w_{k-j}."""
        return self.b.total([(scale * j / k, [u[j], w[k - j]]) for j in range(1, k + 1)])

    def integral(self, start: Value, u: Series, w: Sequence[Value], scale: float = 1.0) -> Series:
        """y with y_0 = start and y' = scale w u'."""
        return [start, *(self.driven(u, w, k, scale) for k in range(1, self.order + 1))]

    def at(self, a: Sequence[Value], b: Sequence[Value], k: int) -> Value:
        """Coefficient k of a product."""
        return self.b.total([(1.0, [a[j], b[k - j]]) for j in range(k + 1)])

    def power(self, u: Series, exponent: Fraction) -> Series:
        """y = u**p: whole positive powers by squaring, others by k u_0 y_k = sum_j (p j - (k - j)) u_j y_{k-j}."""
        if exponent.denominator == 1 and exponent > 0:
            return self.squared(u, int(exponent))
        p = float(exponent)
        if exponent == Fraction(1, 2):
            start = self.b.call("sqrt", u[0])
        elif exponent.denominator == 1:
            start = self.b.divide(1.0, _whole_power(self.b, u[0], -int(exponent)))
        elif exponent == Fraction(-1, 2):
            start = self.b.divide(1.0, self.b.call("sqrt", u[0]))
        else:
            start = self.b.call("pow", u[0], p)
        y: Series = [start]
        for k in range(1, self.order + 1):
            terms = [(p * j / k - (k - j) / k, [u[j], y[k - j]]) for j in range(1, k + 1)]
            y.append(self.b.divide(self.b.total(terms), u[0]))
        return y

    def squared(self, u: Series, exponent: int) -> Series:
        if exponent == 1:
            return u
        half = self.squared(u, exponent // 2)
        square = self.product(half, half)
        return self.product(square, u) if exponent % 2 else square

    # Functions

    def call(self, name: str, u: Series) -> Series:
        rule = getattr(self, f"_{name}")
        return rule(u)  # type: ignore[no-any-return]

    def _exp(self, u: Series, start: Value | None = None) -> Series:
        y: Series = [self.b.call("exp", u[0]) if start is None else start]
        for k in range(1, self.order + 1):
            y.append(self.driven(u, y, k))
        return y

    def _expm1(self, u: Series) -> Series:
        return [self.b.call("expm1", u[0]), *self._exp(u)[1:]]

    def _log(self, u: Series, start: Value | None = None) -> Series:
        y: Series = [self.b.call("log", u[0]) if start is None else start]
        for k in range(1, self.order + 1):
            terms: list[tuple[float, Sequence[Value]]] = [(1.0, [u[k]])]
            terms += [(-j / k, [y[j], u[k - j]]) for j in range(1, k)]
            y.append(self.b.divide(self.b.total(terms), u[0]))
        return y

    def _log1p(self, u: Series) -> Series:
        shifted = self.b.total([(1.0, [u[0]]), (1.0, [])])
        return self._log([shifted, *u[1:]], start=self.b.call("log1p", u[0]))

    def _tanh(self, u: Series) -> Series:
        decay = self.b.call("decay", self.b.total([(2.0, [u[0]])]))
        t: Series = [self.b.call("tanh", u[0])]
        s: Series = [self.b.total([(4.0, [self.b.call("bump", decay)])])]  # sech^2
        ts: Series = []
        for k in range(1, self.order + 1):
            ts.append(self.at(t, s, k - 1))
            t.append(self.driven(u, s, k))
            s.append(self.driven(u, ts, k, -2.0))
        return t

    def _sech(self, u: Series) -> Series:
        t = self._tanh(u)
        y: Series = [self.b.call("sech", self.b.call("decay", u[0]))]
        ty: Series = []
        for k in range(1, self.order + 1):
            ty.append(self.at(t, y, k - 1))
            y.append(self.driven(u, ty, k, -1.0))
        return y

    def _sigmoid(self, u: Series) -> Series:
        decay = self.b.call("decay", u[0])
        s: Series = [self.b.call("rise", u[0], decay)]
        h: Series = [self.b.call("tanh", self.b.total([(0.5, [u[0]])]))]  # 2 s - 1
        p: Series = [self.b.call("bump", decay)]  # s (1 - s)
        hp: Series = []
        for k in range(1, self.order + 1):
            hp.append(self.at(h, p, k - 1))
            s.append(self.driven(u, p, k))
            h.append(self.b.total([(2.0, [s[k]])]))
            p.append(self.driven(u, hp, k, -1.0))
        return s

    def _softplus(self, u: Series) -> Series:
        start = self.b.call("ramp", u[0], self.b.call("decay", u[0]))
        return self.integral(start, u, self._sigmoid(u))

    def _gauss(self, u: Series) -> Series:
        """exp(-u^2)."""
        square = self.product(u, u)
        return self._exp([self.b.total([(-1.0, [value])]) for value in square], start=self.b.call("gauss", u[0]))

    def _erf(self, u: Series) -> Series:
        return self.integral(self.b.call("erf", u[0]), u, self._gauss(u), 2.0 / math.sqrt(math.pi))

    def _erfc(self, u: Series) -> Series:
        return self.integral(self.b.call("erfc", u[0]), u, self._gauss(u), -2.0 / math.sqrt(math.pi))

    def _sin(self, u: Series) -> Series:
        return self.pair(u, "sin", "cos", -1.0)[0]

    def _cos(self, u: Series) -> Series:
        return self.pair(u, "sin", "cos", -1.0)[1]

    def _sinh(self, u: Series) -> Series:
        return self.pair(u, "sinh", "cosh", 1.0)[0]

    def _cosh(self, u: Series) -> Series:
        return self.pair(u, "sinh", "cosh", 1.0)[1]

    def pair(self, u: Series, first: str, second: str, sign: float) -> tuple[Series, Series]:
        """x' = y u', y' = sign x u': sine with cosine, or their hyperbolic kin."""
        x: Series = [self.b.call(first, u[0])]
        y: Series = [self.b.call(second, u[0])]
        for k in range(1, self.order + 1):
            dx, dy = self.driven(u, y, k), self.driven(u, x, k, sign)
            x.append(dx)
            y.append(dy)
        return x, y

    def _atan(self, u: Series) -> Series:
        return self.integral(self.b.call("atan", u[0]), u, self.power(self.one_plus_square(u), Fraction(-1)))

    def _asinh(self, u: Series) -> Series:
        return self.integral(self.b.call("asinh", u[0]), u, self.power(self.one_plus_square(u), Fraction(-1, 2)))

    def one_plus_square(self, u: Series) -> Series:
        square = self.product(u, u)
        return [self.b.total([(1.0, [square[0]]), (1.0, [])]), *square[1:]]


def _constant(node: Node) -> float:
    """The float of a tree without z."""
    match node:
        case Num(value):
            return float(value)
        case Pi():
            return math.pi
        case Add(args):
            return math.fsum(_constant(arg) for arg in args)
        case Mul(args):
            return math.prod(_constant(arg) for arg in args)
        case Pow(base, exponent):
            inner = _constant(base)
            return math.sqrt(inner) if exponent == Fraction(1, 2) else inner ** float(exponent)
        case Call(name, args):
            builder = Builder()
            (only,) = _Taylor(builder, 0).call(name, [_constant(args[0])])
            assert isinstance(only, float)
            return only
    raise AssertionError(node)
