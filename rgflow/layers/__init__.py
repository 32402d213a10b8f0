"""From a layer's description to its law: constants and integrand of the random metric, by dispatch on the kind."""

from functools import singledispatch
from typing import Any

from rgflow.errors import InputError
from rgflow.layers.dense import DenseLaw
from rgflow.layers.law import Law
from rgflow.network import Dense

__all__ = ["Law", "law"]


@singledispatch
def law(layer: Any) -> Law:
    """The law of a layer described in ``rgflow.network``; InputError for anything else.

    >>> law(Dense()).name
    'dense'
    """
    raise InputError(f"{layer!r} is not a layer; give a description such as rgflow.Dense()")


@law.register
def _(layer: Dense) -> Law:
    return DenseLaw()
