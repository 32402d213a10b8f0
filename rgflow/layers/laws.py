"""``laws``: from a layer's description to its laws, by dispatch on the kind."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

from rgflow.errors import InputError
from rgflow.layers.law import Law
from rgflow.layers.probed import UNIT
from rgflow.network import Layer


@singledispatch
def laws(layer: Any) -> tuple[Law, ...]:
    """The laws of a layer described in ``rgflow.network``, in the order of its weights; InputError for anything else.

    >>> from rgflow.network import Dense
    >>> [law.name for law in laws(Dense())]
    ['dense']
    """
    raise InputError(f"{layer!r} is not a layer; give a description such as rgflow.Dense()")


def value(layer: Layer, symbol: str, below: int, here: int) -> float:
    """The value of a symbol of a layer's laws: its hyperparameter of that name (0 if it has none), or a derived one.

    unit = 1; narrowing = n_l / max(n_l, n_{l+1}), with n_l = ``below`` and n_{l+1} = ``here``.
    """
    if symbol == UNIT:
        return 1.0
    return below / max(below, here) if symbol == "narrowing" else layer.value(symbol)
