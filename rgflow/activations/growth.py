"""How fast a formula grows, whether it is even or odd, whether it oscillates: read off its tree.

Growth is found with intervals of signed logarithms, in which exp(z) at z = 2^40 is an ordinary number.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

from rgflow.activations.formula import Add, Call, Mul, Node, Num, Pi, Pow, Z, children, has_z, text, walk
from rgflow.activations.normal import normal
from rgflow.activations.values import rebuilt
from rgflow.errors import FormulaError

_ODD = frozenset({"tanh", "erf", "sin", "sinh", "atan", "asinh", "sign"})
_EVEN = frozenset({"cos", "cosh", "sech", "Abs"})
_BOUNDS = {"tanh": (-1.0, 1.0), "erf": (-1.0, 1.0), "sigmoid": (0.0, 1.0), "erfc": (0.0, 2.0)}
_FAR = 2.0**40


@dataclass(frozen=True, slots=True)
class _Log:
    """The number sign * exp(log)."""

    sign: int
    log: float

    @classmethod
    def of(cls, value: float) -> _Log:
        return cls(0, -math.inf) if value == 0 else cls(1 if value > 0 else -1, math.log(abs(value)))

    @property
    def value(self) -> float:
        return self.sign * (math.exp(self.log) if self.log < 709 else math.inf) if self.sign else 0.0

    @property
    def key(self) -> tuple[int, float]:
        return (self.sign, self.sign * self.log)

    def plus(self, other: _Log) -> _Log:
        if not self.sign or not other.sign:
            return self if self.sign else other
        big, small = (self, other) if self.log >= other.log else (other, self)
        ratio = math.exp(small.log - big.log) if math.isfinite(small.log - big.log) else 1.0
        factor = 1.0 + big.sign * small.sign * ratio
        return _Log(big.sign, big.log + math.log(factor)) if factor > 0 else _Log(0, -math.inf)

    def times(self, other: _Log) -> _Log:
        sign = self.sign * other.sign
        return _Log(sign, self.log + other.log) if sign else _Log(0, -math.inf)


_Span: TypeAlias = tuple[_Log, _Log]


def growth(pieces: tuple[Node, ...]) -> float:
    """g >= 0 with |sigma(z)| <= C |z|^m e^{g |z|} for some C and m.

    Raises
    ------
    FormulaError
        When sigma grows faster than every exponential, or oscillates exponentially fast: its averages over a Gaussian
        do not exist, or no quadrature reaches them.
    """
    rates = [0.0]
    for piece, side in ((pieces[0], -1.0), (pieces[-1], 1.0)):
        logs = [_largest(piece, side * far) for far in (_FAR / 4, _FAR / 2, _FAR)]
        before, after = (logs[1] - logs[0]) / (_FAR / 4), (logs[2] - logs[1]) / (_FAR / 2)
        if math.isnan(after) or after > max(1e-9, 1.001 * before + 1e-9):
            raise FormulaError(
                f"{text(piece)} grows faster than every exponential for z -> {'-' if side < 0 else ''}infinity, "
                "or its growth cannot be bounded; its averages over a Gaussian may not exist"
            )
        rates.append(round(after, 9) if after > 1e-9 else 0.0)
    return max(rates)


def _largest(piece: Node, z: float) -> float:
    low, high = _span(piece, z)
    return max([-1e300, *(end.log for end in (low, high) if end.sign)])


def _span(node: Node, z: float) -> _Span:
    match node:
        case Num(value):
            return _point(float(value))
        case Pi():
            return _point(math.pi)
        case Z():
            return _point(z)
        case Add(args):
            spans = [_span(arg, z) for arg in args]
            return functools.reduce(lambda a, b: (a[0].plus(b[0]), a[1].plus(b[1])), spans)
        case Mul(args):
            return functools.reduce(_product, [_span(arg, z) for arg in args])
        case Pow(base, exponent):
            return _power(_span(base, z), exponent.numerator / exponent.denominator)
        case Call(name, args):
            return _function(name, _span(args[0], z), node)
    raise AssertionError(node)


def _point(value: float) -> _Span:
    return _Log.of(value), _Log.of(value)


def _sorted(ends: list[_Log]) -> _Span:
    return min(ends, key=lambda end: end.key), max(ends, key=lambda end: end.key)


def _product(a: _Span, b: _Span) -> _Span:
    return _sorted([x.times(y) for x in a for y in b])


def _power(base: _Span, p: float) -> _Span:
    ends = []
    for end in base:
        if not end.sign:
            ends.append(_Log(0, -math.inf) if p > 0 else _Log(1, math.inf))
        else:
            ends.append(_Log(1 if p % 2 == 0 else end.sign, p * end.log))
    if base[0].sign * base[1].sign < 0:
        ends.append(_Log(0, -math.inf) if p > 0 else _Log(1, math.inf))
    return _sorted(ends)


def _function(name: str, u: _Span, node: Node) -> _Span:
    if name in ("sin", "cos"):
        if max(end.log for end in u) > 100 * math.log(_FAR):
            raise FormulaError(f"{text(node)} oscillates exponentially fast")
        return _Log(-1, 0.0), _Log(1, 0.0)
    if name in _BOUNDS:
        low, high = _BOUNDS[name]
        if name == "erfc":
            u = (u[1], u[0])
        return _sorted([_bounded(name, end.value, low, high) for end in u])
    if name in ("cosh", "sech"):
        sizes = [abs(end.value) for end in u] + ([0.0] if u[0].sign * u[1].sign < 0 else [])
        return _sorted([_Log(1, size if name == "cosh" else -size) for size in sizes])
    return _sorted([_monotone(name, end) for end in u])


def _bounded(name: str, u: float, low: float, high: float) -> _Log:
    """Bounded functions, with exponents of tails to leading order."""
    if name == "sigmoid":
        return _Log(1, min(0.0, u))
    if name == "erfc":
        return _Log(1, -u * u if u > 0 else math.log(2.0))
    return _Log.of(high if u > 0 else low if u < 0 else 0.0)


def _monotone(name: str, u: _Log) -> _Log:
    match name:
        case "exp":
            return _Log(1, u.value)
        case "expm1" | "sinh":
            big = _Log(1, u.value) if u.sign > 0 else _Log(-1, 0.0 if name == "expm1" else -u.value)
            return big if u.sign else u
        case "softplus":
            return u if u.value > 50 else _Log(1, u.value if u.value < -50 else math.log(math.log1p(math.exp(u.value))))
        case "log":
            return _Log.of(u.log) if u.sign > 0 else _Log(-1, math.inf)
        case "log1p":
            return _monotone("log", u.plus(_Log(1, 0.0)))
        case "asinh":
            if abs(u.value) < 1e-8:  # asinh(u) = u
                return u
            return _Log(u.sign, math.log(math.asinh(abs(u.value)) if u.log < 500 else u.log + math.log(2.0)))
        case "atan":
            return u if abs(u.value) < 1e-8 else _Log.of(math.atan(u.value))
    raise AssertionError(name)


def parity(node: Node) -> int:
    """+1 for an even formula, -1 for an odd one, 0 when its tree shows neither.

    >>> from rgflow.activations.parser import parse
    >>> parity(parse("z*tanh(z)")), parity(parse("z**3 - z")), parity(parse("exp(z)"))
    (1, -1, 0)
    """
    match node:
        case Z():
            return -1
        case _ if not has_z(node):
            return 1
        case Add(args):
            found = {parity(arg) for arg in args}
            return found.pop() if len(found) == 1 else 0
        case Mul(args):
            return math.prod(parity(arg) for arg in args)
        case Pow(base, exponent):
            inner = parity(base)
            return inner if inner != -1 or exponent.denominator != 1 else (1 if exponent % 2 == 0 else -1)
        case Call(name, args):
            seen = {parity(arg) for arg in args}
            if seen == {1} or (seen == {-1} and name in _EVEN):
                return 1
            return -1 if seen == {-1} and name in _ODD else 0
    return 0


def symmetry(kinks: tuple[float, ...], pieces: tuple[Node, ...]) -> int:
    """+1 when the pieces are even about z = 0, -1 when odd, 0 when their trees show neither."""
    found = parity(pieces[0]) if not kinks else 0
    if found or tuple(-kink + 0.0 for kink in reversed(kinks)) != kinks:
        return found
    mirrored = [normal(_mirrored(piece)) for piece in reversed(pieces)]
    if mirrored == list(pieces):
        return 1
    return -1 if [normal(Mul((Num(Fraction(-1)), piece))) for piece in mirrored] == list(pieces) else 0


def _mirrored(node: Node) -> Node:
    if isinstance(node, Z):
        return Mul((Num(Fraction(-1)), node))
    parts = children(node)
    return rebuilt(node, tuple(map(_mirrored, parts))) if parts else node


def oscillates(pieces: tuple[Node, ...]) -> bool:
    """Whether a sine or cosine of z stands in the formula."""
    return any(isinstance(part, Call) and part.name in ("sin", "cos") for piece in pieces for part in walk(piece))
