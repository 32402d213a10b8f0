"""The plain value of a formula as it is written, switches included; rebuilding a node from new children."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from rgflow.activations.formula import Add, Call, Mul, Node, Num, Pi, Pow, Z
from rgflow.activations.program import PRIMITIVES, Array

_SPECIAL: dict[str, Callable[..., Any]] = {
    "sigmoid": lambda u: np.where(u >= 0, 1.0, np.exp(-np.abs(u))) / (1.0 + np.exp(-np.abs(u))),
    "softplus": lambda u: np.maximum(u, 0.0) + np.log1p(np.exp(-np.abs(u))),
    "sech": lambda u: 1.0 / np.cosh(u),
    "Abs": np.abs,
    "Max": np.maximum,
    "Min": np.minimum,
    "Heaviside": lambda u: np.heaviside(u, 0.5),
    "sign": np.sign,
    "relu": lambda u: np.maximum(u, 0.0),
}


def values(node: Node, z: Array) -> Array:
    """The formula at every z; NaN where it is not real, without warnings."""
    with np.errstate(all="ignore"):
        return np.asarray(np.broadcast_to(_value(node, np.asarray(z, dtype=np.float64)), np.shape(z)))


def value_at(node: Node, z: float) -> float:
    """The formula at one point."""
    return float(values(node, np.float64(z)))  # type: ignore[arg-type]


def _value(node: Node, z: Any) -> Any:
    match node:
        case Num(value):
            return np.float64(float(value))
        case Pi():
            return np.float64(np.pi)
        case Z():
            return z
        case Add(args):
            return sum((_value(arg, z) for arg in args[1:]), start=_value(args[0], z))
        case Mul(args):
            return functools.reduce(np.multiply, [_value(arg, z) for arg in args])
        case Pow(base, exponent):
            inner = _value(base, z)
            return np.sqrt(inner) if exponent * 2 == 1 else np.power(inner, float(exponent))
        case Call(name, args):
            function = _SPECIAL.get(name) or PRIMITIVES[name][1]
            return function(*(_value(arg, z) for arg in args))
    raise AssertionError(node)


def rebuilt(node: Node, parts: tuple[Node, ...]) -> Node:
    """The node with its children replaced."""
    match node:
        case Add():
            return Add(parts)
        case Mul():
            return Mul(parts)
        case Pow(_, exponent):
            return Pow(parts[0], exponent)
        case Call(name, _):
            return Call(name, parts)
    return node
