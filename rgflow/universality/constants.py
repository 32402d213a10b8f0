"""The constants that the layers near the input leave in the power laws of class K* = 0."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rgflow.errors import AccuracyError, NoClosedForm

_DIGITS = 30
_STEPS = 50


def near_input(
    known: Mapping[str, Any], measured: Mapping[str, float], layer: int, values: Mapping[str, Any]
) -> dict[str, float]:
    """c_K and c_Theta from the values of K and Theta at one layer, then the constant of another tensor from its own.

    Parameters
    ----------
    known : mapping of "K", "Theta", ... to a SymPy expression in l
        All terms that are known; K contains c_K, Theta c_K and c_Theta, each one constant more than those before it.
    measured : the same names to numbers
    layer : int
        Where they were measured; the deeper, the better.
    values : mapping of names to numbers
        lambda_b and lambda_W.

    Raises AccuracyError when no constant explains the numbers: the layer is not yet in the power law.
    """
    import sympy as sp

    found: dict[str, float] = {}
    for name in known:
        here = known[name].xreplace({s: sp.Integer(layer) for s in known[name].free_symbols if s.name == "l"})
        numbers = {**values, **found}
        put = here.xreplace({s: sp.Float(numbers[s.name], _DIGITS) for s in here.free_symbols if s.name in numbers})
        open_ones = put.free_symbols
        if not open_ones:
            continue
        if len(open_ones) > 1:
            unknown = ", ".join(sorted(s.name for s in open_ones))
            raise NoClosedForm(f"{name} holds {unknown}, which K and Theta do not tell; flow instead of checking")
        (constant,) = open_ones
        found[constant.name] = _newton(put - sp.Float(measured[name], _DIGITS), constant, name, layer)
    return found


def _newton(excess: Any, constant: Any, name: str, layer: int) -> float:
    """The zero of an expression that is nearly linear in the constant."""
    import sympy as sp

    slope = sp.diff(excess, constant)
    c = sp.Float(0, _DIGITS)
    for _ in range(_STEPS):
        step = (excess / slope).xreplace({constant: c}).evalf(_DIGITS)
        if not step.is_real or not step.is_finite:
            break
        c -= step
        if abs(step) <= 1e-12 * (1 + abs(c)):
            return float(c)
    raise AccuracyError(f"{name} has not reached its power law at layer {layer}; ask a greater depth")
