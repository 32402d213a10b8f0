"""Formulas in the layer as numbers: what was given for their symbols, and as many digits as their terms cancel."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from rgflow.errors import AccuracyError, InputError, UnknownName

if TYPE_CHECKING:
    import sympy

_DIGITS = (40, 80, 160, 320)  # formulas cancel: near criticality and between powers of l


def at_layers(
    expression: sympy.Expr, l: Any, values: Mapping[str, sympy.Expr], *, name: str, first_layer: int = 1
) -> Any:
    """A formula at a layer, as a float, or at an array of layers, as an array of that shape.

    Raises InputError for what is no layer, or lies before ``first_layer``.
    """
    layers = np.asarray(l)
    if layers.dtype.kind not in "iu" or layers.size == 0:
        raise InputError(f"l is {l!r}; give a layer or an array of layers, which are integers")
    if layers.min() < first_layer:
        raise InputError(f"l is {layers.min()}; {name} is solved from layer {first_layer} on")
    found = evaluate(expression, layers.ravel(), values)
    return found.reshape(layers.shape) if layers.ndim else float(found[0])


def checked_values(
    values: Mapping[str, Any],
    *,
    name: str,
    known: Collection[str],
    needed: Collection[str],
    signed: Collection[str] = (),
    usual: Mapping[str, Any] | None = None,
) -> dict[str, sympy.Expr]:
    """What is given for symbols, as SymPy numbers.

    Parameters
    ----------
    values : mapping of names to numbers
        ``first_kernel`` is another name of k.
    name : str
        Of the tensor, for messages.
    known, needed, signed : names
        What may be given, what must be, and what may be negative.
    usual : mapping of names to numbers
        What is taken where none is given.

    Raises UnknownName and InputError.
    """
    import sympy as sp

    given = dict(values)
    if "first_kernel" in given and "k" in known:
        if "k" in given:
            raise InputError("k and first_kernel are the same; give one of them")
        given["k"] = given.pop("first_kernel")
    for one in given:
        if one not in known:
            raise UnknownName("parameter of this solution", one, tuple(sorted(known)))
    given = {**(usual or {}), **given}
    missing = [one for one in needed if one not in given]
    if missing:
        wanted = ", ".join(f"{one}=..." for one in missing)
        raise InputError(f"{name} depends on {', '.join(missing)}; give {wanted}")
    found = {}
    for one, value in given.items():
        try:
            # a number stands for its exact binary value here, as it does in a flow
            if isinstance(value, (str, bytes, bool)) or not (isinstance(value, sp.Expr) or math.isfinite(value)):
                raise ValueError
            found[one] = sp.Rational(float(value)) if not isinstance(value, sp.Expr) else value
        except (TypeError, ValueError, OverflowError):
            raise InputError(f"{one} is {value!r}; it must be a finite number") from None
        if found[one].is_finite is not True or (one not in signed and found[one].is_nonnegative is not True):
            kind = "a finite number" if one in signed else "a finite number that is not negative"
            raise InputError(f"{one} is {value!r}; it must be {kind}")
    return found


def evaluate(expression: sympy.Expr, layers: Any, values: Mapping[str, sympy.Expr]) -> Any:
    """An expression in l at several layers, as floats rounded from more digits than its terms cancel."""
    import sympy as sp

    from rgflow.universality.exponentials import l

    put = expression.xreplace(by_name(expression, values))
    function = _with_sums(put) if put.has(sp.Sum) else sp.lambdify([l], put, modules="mpmath")
    return np.array([_precise(function, int(layer)) for layer in layers], np.float64)


def _with_sums(expression: sympy.Expr) -> Any:
    """A function of the layer, of an expression that holds finite sums up to a layer."""
    import sympy as sp
    from mpmath import mp

    from rgflow.universality.exponentials import l

    sums = sorted(expression.atoms(sp.Sum), key=sp.default_sort_key)
    names = [sp.Dummy("sum") for _ in sums]
    outer = sp.lambdify([l, *names], expression.xreplace(dict(zip(sums, names, strict=True))), modules="mpmath")
    parts = []
    for one in sums:
        ((index, start, stop),) = one.limits
        parts.append((sp.lambdify([index, l], one.function, modules="mpmath"), start, stop))

    def function(layer: Any) -> Any:
        values = []
        for summand, *ends in parts:
            start, stop = (int(end.subs(l, int(layer))) for end in ends)
            values.append(mp.fsum(summand(mp.mpf(i), layer) for i in range(start, stop + 1)))
        return outer(layer, *values)

    return function


def _precise(function: Any, layer: int) -> float:
    """The value at one layer: digits are doubled until it stays; exactly zero if it shrinks with them."""
    from mpmath import mp

    before = None
    for digits in _DIGITS:
        with mp.workdps(digits):
            try:
                value = mp.mpf(function(mp.mpf(layer)))
            except ZeroDivisionError:
                value = mp.nan
            if not mp.isfinite(value):
                raise InputError(
                    "the formula has no value at these parameters: its exponentials become polynomials where C_W is "
                    "critical; solve it with that C_W"
                )
            if before is not None and abs(value - before) <= mp.mpf(10) ** -20 * abs(value):
                return float(value)
            if value == 0 or (before is not None and abs(value) <= mp.mpf(10) ** (-digits // 4) * abs(before)):
                return 0.0
        before = value
    raise AccuracyError(f"the terms of the formula cancel beyond {_DIGITS[-1]} digits at layer {layer}")


def by_name(expression: sympy.Expr, values: Mapping[str, sympy.Expr]) -> dict[sympy.Basic, sympy.Expr]:
    """A replacement of an expression's symbols by values, whatever their assumptions."""
    return {s: values[s.name] for s in expression.free_symbols if s.name in values}
