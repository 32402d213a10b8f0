"""Formulas to SymPy and back, node by node; no text is parsed or evaluated on the way."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import sympy

from rgflow.activations.formula import Add, Call, Mul, Node, Num, Pi, Pow, Z, add, multiply, number, power
from rgflow.errors import FormulaError

_TO_SYMPY = {
    "exp": sympy.exp,
    "log": sympy.log,
    "tanh": sympy.tanh,
    "erf": sympy.erf,
    "erfc": sympy.erfc,
    "sin": sympy.sin,
    "cos": sympy.cos,
    "sinh": sympy.sinh,
    "cosh": sympy.cosh,
    "atan": sympy.atan,
    "asinh": sympy.asinh,
    "Abs": sympy.Abs,
    "Max": sympy.Max,
    "Min": sympy.Min,
    "Heaviside": sympy.Heaviside,
    "sign": sympy.sign,
}
_FROM_SYMPY = {function: name for name, function in _TO_SYMPY.items()}
_COMPOSED = {
    "log1p": lambda u: sympy.log(1 + u),
    "expm1": lambda u: sympy.exp(u) - 1,
    "sigmoid": lambda u: 1 / (1 + sympy.exp(-u)),
    "softplus": lambda u: sympy.log(1 + sympy.exp(u)),
    "relu": lambda u: sympy.Max(u, 0),
    "sech": lambda u: 1 / sympy.cosh(u),
}


def to_sympy(formula: Node) -> Any:
    """The SymPy expression of a formula, in ``Symbol("z", real=True)``."""
    match formula:
        case Num(value):
            return sympy.Rational(value.numerator, value.denominator)
        case Pi():
            return sympy.pi
        case Z():
            return sympy.Symbol("z", real=True)
        case Add(args):
            return sympy.Add(*map(to_sympy, args))
        case Mul(args):
            return sympy.Mul(*map(to_sympy, args))
        case Pow(base, exponent):
            return to_sympy(base) ** sympy.Rational(exponent.numerator, exponent.denominator)
        case Call(name, args):
            function = _TO_SYMPY.get(name) or _COMPOSED[name]
            return function(*map(to_sympy, args))
    raise AssertionError(formula)


def from_sympy(expression: sympy.Basic) -> Node:
    """The formula of a SymPy expression in one symbol, whatever the symbol's name.

    Raises
    ------
    FormulaError
        For several symbols or none, and for functions that a formula cannot hold.

    >>> from rgflow.activations.formula import text
    >>> x = sympy.Symbol("x")
    >>> text(from_sympy(x * sympy.tanh(x)))
    'z*tanh(z)'
    """
    symbols = sorted(map(str, expression.free_symbols))
    if len(symbols) != 1:
        shown = ", ".join(symbols) or "none"
        raise FormulaError(f"{expression} must depend on exactly one symbol; it has: {shown}")
    return _read(expression)


def _read(part: Any) -> Node:
    if isinstance(part, sympy.Symbol):
        return Z()
    if isinstance(part, sympy.Rational):
        return number(Fraction(int(part.p), int(part.q)))
    if isinstance(part, sympy.Float) and part.is_finite:
        return number(Fraction(repr(float(part))))
    if part is sympy.pi:
        return Pi()
    if part is sympy.E:
        return Call("exp", (number(1),))
    if isinstance(part, sympy.Add):
        return add(*map(_read, part.args))
    if isinstance(part, sympy.Mul):
        return multiply(*map(_read, part.args))
    if isinstance(part, sympy.exp):
        return Call("exp", (_read(part.args[0]),))
    if isinstance(part, sympy.Pow):
        return power(_read(part.base), _read(part.exp))
    name = _FROM_SYMPY.get(part.func)
    if name in ("Max", "Min"):
        args = [_read(arg) for arg in part.args]
        out = args[0]
        for arg in args[1:]:
            out = Call(name, (out, arg))
        return out
    if name is not None and (name == "Heaviside" or len(part.args) == 1):
        return Call(name, (_read(part.args[0]),))
    known = ", ".join(sorted(_TO_SYMPY))
    if isinstance(part, sympy.Piecewise):
        s = min(map(str, part.free_symbols), default="z")
        raise FormulaError(
            f"{part} cannot stand in an activation; write its pieces with Max, Min, Abs or Heaviside: "
            f"Piecewise(({s}, {s} > 0), (0, True)) is Max({s}, 0)"
        )
    raise FormulaError(f"{part} cannot stand in an activation; SymPy's {known}, sums, products and powers can")
