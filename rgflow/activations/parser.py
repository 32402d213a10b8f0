"""From text to the tree of a formula, by a whitelist over Python's syntax tree; nothing is ever evaluated."""

from __future__ import annotations

import ast
import difflib
import math
import warnings
from collections.abc import Mapping
from fractions import Fraction

from rgflow.activations.formula import FUNCTIONS, Call, Node, Num, Pi, Z, add, multiply, number, power
from rgflow.errors import FormulaError

LONGEST_TEXT = 2000
DEEPEST_NESTING = 100

_ALIASES = {"abs": "Abs", "max": "Max", "min": "Min"}
_MINUS_ONE = Num(Fraction(-1))


def parse(formula: str, parameters: Mapping[str, Fraction] | None = None) -> Node:
    """The tree of a formula text in z.

    Allowed are the functions of :data:`rgflow.activations.FUNCTIONS`, numbers, ``pi``, ``z``, the names in
    ``parameters``, parentheses and ``+ - * / ** ^`` (``^`` is the power).

    Raises
    ------
    FormulaError
        For anything else: attributes, subscripts, strings, other names and calls, numbers beyond 1e300, exponents
        beyond 100, nesting deeper than 100.

    >>> parse("2*z")
    Mul(args=(Num(value=Fraction(2, 1)), Z()))
    """
    if len(formula) > LONGEST_TEXT:
        raise FormulaError(f"the formula has {len(formula)} characters; at most {LONGEST_TEXT} are read")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            body = ast.parse(formula.strip().replace("^", "**"), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = getattr(error, "msg", None) or str(error) or type(error).__name__
        raise FormulaError(f"{_shown(formula)} is not a formula in z: {reason}") from None
    try:
        return _Reader(formula, dict(parameters or {})).read(body, 0)
    except FormulaError as error:
        raise FormulaError(f"{_shown(formula)}: {error}") from None


class _Reader:
    """Walks the syntax tree of one formula text."""

    def __init__(self, formula: str, parameters: dict[str, Fraction]):
        self.formula = formula
        self.parameters = parameters

    def read(self, node: ast.expr, depth: int) -> Node:
        if depth > DEEPEST_NESTING:
            raise FormulaError(f"nested deeper than {DEEPEST_NESTING}")
        match node:
            case ast.Constant(value=value):
                return _constant(value)
            case ast.Name(id=name):
                return self.name(name)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return multiply(_MINUS_ONE, self.read(operand, depth + 1))
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self.read(operand, depth + 1)
            case ast.BinOp(left=left, op=operator, right=right):
                return _binary(self.read(left, depth + 1), operator, self.read(right, depth + 1))
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
                return self.call(name, [self.read(arg, depth + 1) for arg in args])
            case ast.Call(func=ast.Name(id=name)):
                raise FormulaError(f"{name} takes no named arguments")
        raise FormulaError(f"{_describe(node)} is not allowed in a formula")

    def name(self, name: str) -> Node:
        if name in ("z", "pi"):
            return Z() if name == "z" else Pi()
        if name in self.parameters:
            return number(self.parameters[name])
        if _ALIASES.get(name, name) in FUNCTIONS:
            raise FormulaError(f"{name} needs an argument: {name}(z)")
        raise FormulaError(f"unknown name {name!r}; the variable is z, the constant is pi{_hint(name)}")

    def call(self, name: str, args: list[Node]) -> Node:
        name = _ALIASES.get(name, name)
        if name not in FUNCTIONS:
            raise FormulaError(f"unknown function {name!r}{_hint(name) or '; known: ' + ', '.join(FUNCTIONS)}")
        if name in ("Max", "Min"):
            if len(args) < 2:
                raise FormulaError(f"{name} takes two or more arguments, got {len(args)}")
            out = args[0]
            for arg in args[1:]:
                out = Call(name, (out, arg))
            return out
        if len(args) != 1:
            raise FormulaError(f"{name} takes one argument, got {len(args)}")
        return power(args[0], Num(Fraction(1, 2))) if name == "sqrt" else Call(name, (args[0],))


def _binary(a: Node, operator: ast.operator, b: Node) -> Node:
    match operator:
        case ast.Add():
            return add(a, b)
        case ast.Sub():
            return add(a, multiply(_MINUS_ONE, b))
        case ast.Mult():
            return multiply(a, b)
        case ast.Div():
            return multiply(a, power(b, _MINUS_ONE))
        case ast.Pow():
            return power(a, b)
    raise FormulaError(f"the operator {type(operator).__name__} is not allowed; write + - * / ** ^")


def _constant(value: object) -> Node:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise FormulaError(f"{value!r} is not a real number")
    if isinstance(value, float):
        if not math.isfinite(value):
            raise FormulaError("a number of the formula is outside 1e-300..1e300; scale it")
        return number(Fraction(repr(value)))  # the shortest decimal: 0.1 means 1/10
    return number(value)


def _hint(name: str) -> str:
    near = difflib.get_close_matches(name, [*FUNCTIONS, *_ALIASES], n=2)
    return f"; did you mean {' or '.join(near)}?" if near else ""


def _describe(node: ast.expr) -> str:
    kinds = {
        ast.Attribute: "attribute access",
        ast.Subscript: "a subscript",
        ast.Call: "a call of something that is not a function name",
        ast.Lambda: "a lambda",
        ast.Compare: "a comparison",
        ast.BoolOp: "a boolean operation",
        ast.IfExp: "a conditional",
        ast.Tuple: "a tuple",
        ast.JoinedStr: "a string",
    }
    return kinds.get(type(node), type(node).__name__)


def _shown(formula: str) -> str:
    return repr(formula if len(formula) <= 60 else formula[:57] + "...")
