"""The tree of a formula in z: five kinds of node, their printed text and what may be written in them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

from rgflow.errors import FormulaError

FUNCTIONS: dict[str, str] = {
    "exp": "exponential",
    "log": "natural logarithm, of a positive argument",
    "log1p": "log(1 + u), accurate for small u",
    "expm1": "exp(u) - 1, accurate for small u",
    "sqrt": "square root, of a positive argument",
    "tanh": "hyperbolic tangent",
    "sigmoid": "1/(1 + exp(-u))",
    "softplus": "log(1 + exp(u))",
    "erf": "error function 2/sqrt(pi) int_0^u exp(-t**2) dt",
    "erfc": "1 - erf(u), accurate for large u",
    "sin": "sine",
    "cos": "cosine",
    "sinh": "hyperbolic sine",
    "cosh": "hyperbolic cosine",
    "atan": "arc tangent",
    "asinh": "inverse hyperbolic sine",
    "Abs": "absolute value (a kink where u changes sign); also abs",
    "Max": "larger of two or more arguments (a kink where they cross); also max",
    "Min": "smaller of two or more arguments (a kink where they cross); also min",
    "Heaviside": "1 for u > 0, 0 for u < 0 (a jump)",
    "sign": "1 for u > 0, -1 for u < 0 (a jump)",
    "relu": "Max(u, 0)",
}
"""Functions that a formula text may call, with their meaning."""

SWITCHES = frozenset({"Abs", "Max", "Min", "Heaviside", "sign", "relu"})
"""Functions that are smooth only between the zeros of their arguments."""

LARGEST_EXPONENT = 100
LARGEST_NUMBER_BITS = 1000


@dataclass(frozen=True, slots=True)
class Num:
    """An exact rational number."""

    value: Fraction


@dataclass(frozen=True, slots=True)
class Pi:
    """The number pi."""


@dataclass(frozen=True, slots=True)
class Z:
    """The variable of every formula, the preactivation z."""


@dataclass(frozen=True, slots=True)
class Add:
    """A sum of two or more terms."""

    args: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Mul:
    """A product of two or more factors."""

    args: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Pow:
    """A rational power; the base is positive on the line unless the exponent is an integer."""

    base: Node
    exponent: Fraction


@dataclass(frozen=True, slots=True)
class Call:
    """One of :data:`FUNCTIONS` (or sech, which normalisation introduces for 1/cosh)."""

    name: str
    args: tuple[Node, ...]


Node: TypeAlias = Num | Pi | Z | Add | Mul | Pow | Call

ZERO, ONE = Num(Fraction(0)), Num(Fraction(1))


def number(value: int | Fraction) -> Num:
    """A number as a node; refused when too long for a formula or outside the range of floats."""
    value = Fraction(value)
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > LARGEST_NUMBER_BITS:
        raise FormulaError("a number of the formula is outside 1e-300..1e300; scale it")
    return Num(value)


def children(node: Node) -> tuple[Node, ...]:
    """The nodes directly below a node."""
    if isinstance(node, Add | Mul | Call):
        return node.args
    return (node.base,) if isinstance(node, Pow) else ()


def walk(node: Node) -> Iterator[Node]:
    """All nodes of a tree, those below before those above, left to right."""
    for child in children(node):
        yield from walk(child)
    yield node


def has_z(node: Node) -> bool:
    """Whether the tree depends on z."""
    return any(isinstance(part, Z) for part in walk(node))


def power(base: Node, exponent: Node) -> Node:
    """base**exponent; an exponent that is not a rational number becomes exp(exponent*log(base)).

    An even power under a root is the power of the absolute value: sqrt(z**2) is Abs(z).
    """
    if not isinstance(exponent, Num):
        return Call("exp", (multiply(exponent, Call("log", (base,))),))
    p = exponent.value
    if abs(p) > LARGEST_EXPONENT:
        raise FormulaError(f"the exponent {_short(p)} is beyond +-{LARGEST_EXPONENT}")
    if isinstance(base, Num):
        if base.value == 0 and p <= 0:
            raise FormulaError(f"0**({p}) is not a number")
        if p.denominator == 1:
            size = max(base.value.numerator.bit_length(), base.value.denominator.bit_length())
            if size * abs(p) > 2 * LARGEST_NUMBER_BITS:
                raise FormulaError(f"{_short(base.value)}**{p} is outside 1e-300..1e300")
            return number(base.value ** int(p))
    if p == 1 or p == 0:
        return base if p else ONE
    if isinstance(base, Pow) and base.exponent % 2 == 0 and p.denominator % 2 == 0:
        return power(Call("Abs", (base.base,)), number(base.exponent * p))
    return Pow(base, p)


def add(*terms: Node) -> Node:
    """A sum, flattened, without zeros; numbers alone are added up."""
    flat = [part for term in terms for part in (term.args if isinstance(term, Add) else (term,)) if part != ZERO]
    if all(isinstance(part, Num) for part in flat):
        return number(sum((part.value for part in flat if isinstance(part, Num)), Fraction(0)))
    return Add(tuple(flat)) if len(flat) > 1 else flat[0]


def multiply(*factors: Node) -> Node:
    """A product, flattened, with its numbers gathered in front."""
    flat = [part for factor in factors for part in (factor.args if isinstance(factor, Mul) else (factor,))]
    value = math.prod((part.value for part in flat if isinstance(part, Num)), start=Fraction(1))
    rest = [part for part in flat if not isinstance(part, Num)]
    if not rest or (value == 0 and not any(map(has_z, rest))):
        return number(value)
    front = [] if value == 1 else [number(value)]
    return rest[0] if not front and len(rest) == 1 else Mul((*front, *rest))


def text(node: Node) -> str:
    """The formula as text that the parser reads back to an equal tree.

    >>> from rgflow.activations.parser import parse
    >>> text(parse("z^3 - z/2"))
    'z**3 - z/2'
    """
    match node:
        case Num(value):
            return _number_text(value)
        case Pi():
            return "pi"
        case Z():
            return "z"
        case Add(args):
            parts = [text(part) for part in args]
            out = parts[0]
            for part in parts[1:]:
                out += f" - {part[1:]}" if part.startswith("-") else f" + {part}"
            return out
        case Mul(args):
            return _product_text(args)
        case Pow(base, exponent):
            if exponent == Fraction(1, 2):
                return f"sqrt({text(base)})"
            if exponent < 0:
                return _product_text((node,))
            shown = str(exponent) if exponent.denominator == 1 else f"({exponent})"
            return f"{_atom(base)}**{shown}"
        case Call(name, args):
            if name == "sech":
                return f"(1/cosh({text(args[0])}))"
            return f"{name}({', '.join(map(text, args))})"


def _product_text(factors: tuple[Node, ...]) -> str:
    over, under, sign = [], [], ""
    for factor in factors:
        if isinstance(factor, Num):
            sign = "-" if factor.value < 0 else ""
            shown = _number_text(abs(factor.value))
            top, _, bottom = shown.partition("/")
            over += [top] if top != "1" else []
            under += [bottom] if bottom else []
        elif isinstance(factor, Pow) and factor.exponent < 0:
            inverse = factor.base if factor.exponent == -1 else Pow(factor.base, -factor.exponent)
            under.append(_atom(inverse, power=True))
        else:
            over.append(_atom(factor, power=True))
    top = "*".join(over) or "1"
    return sign + (top if not under else top + "".join(f"/{part}" for part in under))


def _atom(node: Node, power: bool = False) -> str:
    """Text that may stand as a base of a power, or (power) as a factor of a product."""
    shown = text(node)
    match node:
        case Z() | Pi() | Call():
            closed = True
        case Pow(_, exponent):
            closed = exponent == Fraction(1, 2) or (power and exponent > 0)
        case _:
            closed = shown.isdigit()
    return shown if closed else f"({shown})"


def _number_text(value: Fraction) -> str:
    if value.denominator > 100:
        decimal = repr(float(value))
        if Fraction(decimal) == value:
            return decimal
    return str(value)


def _short(value: Fraction) -> str:
    shown = str(value)
    return shown if len(shown) < 20 else f"{shown[:17]}..."
