"""What every description of a layer shares: a frozen dataclass of validated hyperparameters, known by its name.

A kind of layer is one file in :mod:`rgflow.network.kinds`. Its fields are hyperparameters, numbers that are not
negative unless ``metadata`` says otherwise: ``real()`` for any finite number, ``size()`` for a width, ``choice()`` for
one of several words.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Self

import numpy as np

from rgflow.checks import whole
from rgflow.errors import InputError, UnknownName

KINDS: dict[str, type[Layer]] = {}


@dataclass(frozen=True)
class Layer:
    """A kind of layer. Class attributes say where it may stand in a network.

    Attributes
    ----------
    keeps_width : bool
        Its output is as wide as its input, for they are added.
    ends : bool
        It may be the first or the last layer of a network. As the first it is z^1 = b + W x, so that it has C_W and
        lambda_W, and C_b and lambda_b if it has biases.
    """

    keeps_width: ClassVar[bool] = False
    ends: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        known = KINDS.setdefault(cls.__name__, cls)
        if known.__module__ != cls.__module__:
            raise TypeError(f"two kinds of layer are called {cls.__name__}: {known.__module__}, {cls.__module__}")

    def __new__(cls, *values: Any, **named: Any) -> Self:
        known = tuple(f.name for f in fields(cls))
        for name in named:
            if name not in known:
                raise UnknownName(f"hyperparameter of {cls.__name__} layers", name, known)
        return super().__new__(cls)

    def __post_init__(self) -> None:
        for each in fields(self):
            check = each.metadata.get("check", not_negative)
            object.__setattr__(self, each.name, check(each.name, getattr(self, each.name)))

    @classmethod
    def hyperparameters(cls) -> tuple[str, ...]:
        """The names of the hyperparameters, in order; widths and choices are not among them."""
        return tuple(f.name for f in fields(cls) if f.metadata.get("number", True))

    def changed(self, **values: Any) -> Self:
        """The same kind of layer with some hyperparameters changed, checked as when it was made."""
        return replace(self, **values)

    def value(self, name: str) -> float:
        """A hyperparameter by name; 0 if this kind has none of that name."""
        return float(getattr(self, name, 0.0))


def real(default: float) -> Any:
    """A hyperparameter that may be any finite number."""
    return field(default=default, metadata={"check": _finite})


def size() -> Any:
    """A width inside the layer; None, the default: that of the layer itself."""
    return field(default=None, metadata={"check": _size, "number": False})


def choice(default: str, *others: str) -> Any:
    """One of several words."""
    known = (default, *others)

    def check(name: str, value: Any) -> str:
        if not isinstance(value, str) or value not in known:
            raise InputError(f"{name} is {value!r}; it is {' or '.join(map(repr, known))}")
        return value

    return field(default=default, metadata={"check": check, "number": False})


def not_negative(name: str, value: Any) -> float:
    """The value as a float; InputError unless it is a finite number >= 0."""
    number = _number(name, value)
    if not math.isfinite(number) or number < 0:
        raise InputError(f"{name} is {number!r}; it must be finite and not negative")
    return number


def _finite(name: str, value: Any) -> float:
    number = _number(name, value)
    if not math.isfinite(number):
        raise InputError(f"{name} is {number!r}; it must be finite")
    return number


def _size(name: str, value: Any) -> int | None:
    return None if value is None else whole(name, value, 1)


def _number(name: str, value: Any) -> float:
    try:
        if isinstance(value, (str, bytes, bytearray, bool, np.bool_)):
            raise TypeError
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{name} is {value!r}; it must be a number") from None
