"""From what a user writes (a name, a formula text, a SymPy expression) to an Activation."""

from __future__ import annotations

import ast
import math
import sys
from fractions import Fraction
from functools import lru_cache
from typing import Any

from rgflow.activations.activation import Activation
from rgflow.activations.catalogue import CATALOGUE, Entry
from rgflow.activations.parser import parse
from rgflow.errors import FormulaError, InputError, UnknownName


def activation(spec: Any, **parameters: float) -> Activation:
    """The activation function of a name, a formula text or a SymPy expression.

    Parameters
    ----------
    spec : str, sympy.Expr or Activation
        A name of :data:`rgflow.activations.CATALOGUE`; a formula in z made of the functions of
        :data:`rgflow.activations.FUNCTIONS` (it is read by a whitelist and never evaluated); an expression in one
        symbol; or an Activation, returned as it is.
    **parameters : float
        Parameters of a named activation: ``slope``, ``beta``, ``degree``.

    Raises
    ------
    UnknownName
        For a name or a parameter that does not exist; it suggests the nearest.
    FormulaError
        For a formula outside the whitelist, without z, not real and finite on the line, with infinitely many kinks,
        or growing faster than every exponential.
    InputError
        For parameters that are not finite numbers, or a spec of another type.

    >>> activation("leaky_relu", slope=0.1).formula_text
    'leaky_relu(slope=0.1)'
    >>> activation("z*(1+erf(z/sqrt(2)))/2") == activation("gelu")
    True
    >>> activation("thanh")
    Traceback (most recent call last):
    rgflow.errors.UnknownName: unknown activation 'thanh'; did you mean 'tanh'?
    """
    if isinstance(spec, str):
        entry = CATALOGUE.get(spec.strip())
        if entry is not None:
            return _named(spec.strip(), _parameters(spec.strip(), entry, parameters))
    if parameters:
        raise UnknownName(f"parameter of {_shown(spec)}", next(iter(parameters)), ["none: only names take parameters"])
    if isinstance(spec, Activation):
        return spec
    if isinstance(spec, str):
        return _from_text(spec.strip())
    sympy = sys.modules.get("sympy")  # an expression of SymPy exists only when SymPy is loaded
    if sympy is not None and isinstance(spec, sympy.Basic):
        from rgflow.activations.convert import from_sympy

        return Activation.from_formula(from_sympy(spec))
    raise InputError(
        f"an activation cannot be made from {_shown(spec)} of type {type(spec).__name__}; give a name, a formula "
        "text in z or a SymPy expression"
    )


def _shown(spec: Any) -> str:
    shown = repr(spec)
    return shown if len(shown) <= 60 else shown[:57] + "..."


def _from_text(text: str) -> Activation:
    if text.isidentifier() and text not in ("z", "pi"):
        raise UnknownName("activation", text if len(text) <= 40 else f"{text[:37]}...", CATALOGUE)
    call = _named_call(text)
    if call is not None:
        return activation(call[0], **call[1])
    return _formula(text)


@lru_cache(maxsize=256)
def _formula(text: str) -> Activation:
    if not text:
        raise FormulaError("the formula is empty; give a formula in z")
    return Activation.from_formula(parse(text))


@lru_cache(maxsize=256)
def _named(name: str, values: tuple[tuple[str, Fraction], ...]) -> Activation:
    tree = parse(CATALOGUE[name].formula, dict(values))
    shown = ", ".join(f"{key}={_number_text(value)}" for key, value in values)
    return Activation.from_formula(tree, name=f"{name}({shown})" if shown else name)


def _parameters(name: str, entry: Entry, given: dict[str, Any]) -> tuple[tuple[str, Fraction], ...]:
    for key in given:
        if key not in entry.parameters:
            known = entry.parameters or ["none: it takes no parameters"]
            raise UnknownName(f"parameter of {name}", key, known)
    out = []
    for key, default in entry.parameters.items():
        value = given.get(key, default)
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise InputError(f"{key} of {name} is {value!r}; it must be a number") from None
        if isinstance(value, str | bool) or not math.isfinite(number):
            raise InputError(f"{key} of {name} is {value!r}; it must be a finite number")
        if isinstance(default, int) and (number != int(number) or not 1 <= number <= 100):
            raise InputError(f"{key} of {name} is {value!r}; it must be an integer from 1 to 100")
        out.append((key, Fraction(repr(number))))
    return tuple(out)


def _number_text(value: Fraction) -> str:
    return str(value.numerator) if value.denominator == 1 else repr(float(value))


def _named_call(text: str) -> tuple[str, dict[str, float]] | None:
    """The name and parameters of a text such as ``leaky_relu(slope=0.1)``; None for another text."""
    head = text.partition("(")[0].strip()
    if head not in CATALOGUE or "=" not in text or len(text) > 200:
        return None
    try:
        node = ast.parse(text, mode="eval").body
        if not isinstance(node, ast.Call) or node.args or not isinstance(node.func, ast.Name):
            return None
        return head, {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in node.keywords}
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise FormulaError(f"{_shown(text)} is not of the form {head}(parameter=number)") from None
