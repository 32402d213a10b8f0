"""What a user gives to ``solve``: numbers and symbols for parameters, and the kind of layer."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from numbers import Real
from typing import TYPE_CHECKING, Any

from rgflow.activations import Activation
from rgflow.algebra import Tensor
from rgflow.algebra.symbolic import hyperparameter
from rgflow.derive.derive import check_closure
from rgflow.errors import InputError, NoClosedForm
from rgflow.layers import laws
from rgflow.network import Layer
from rgflow.universality.assumptions import ALL_MEMORY, IN_ONE_TIME, SCALED_START
from rgflow.universality.kernel_step import KernelStep, bare, exact, kernel_step

if TYPE_CHECKING:
    import sympy

LARGEST = 10**100  # beyond, exact powers of a parameter take minutes
RESERVED = {"l", "k", "K", "r", "d", "skip", "C_b", "C_W", "lambda_b", "lambda_W", "c_K", "c_Theta"}
"""Symbols that solutions use themselves."""


@dataclass(frozen=True)
class Kind:
    """The layer of a solution: its kind, skip strength (a number, a symbol, or None without a skip) and closure."""

    layer: Layer
    step: KernelStep
    skip: Any
    closure: str

    @property
    def left(self) -> Any:
        """1 - skip^2."""
        return 1 if self.skip is None else 1 - self.skip**2

    def remembers(self, tensor: Tensor) -> bool:
        """Whether this tensor depends on what neurons remember."""
        return self.closure == "full" and self.skip not in (None, 0) and tensor.cost > 0

    def named(self, sigma: Activation) -> str:
        """The activation in this layer."""
        return f"{sigma.name} in {self.step.named} layer"

    def shown(self) -> dict[str, Any]:
        """The skip strength among the parameters of a solution."""
        return {} if self.skip is None or self.skip.is_Symbol else {"skip": self.skip}

    def assumptions(self) -> tuple[str, ...]:
        """What is assumed of such layers."""
        if self.skip is None:
            return ()
        between = ("-1 < skip < 1",) if self.skip.free_symbols else ()
        return (SCALED_START, *between, ALL_MEMORY if self.closure == "full" else IN_ONE_TIME)


def kind_of(layer: Layer | None, skip: Any, closure: str) -> Kind:
    """The layer, skip strength and closure that a user gave.

    Raises NoClosedForm for a layer of several weight matrices, InputError for a skip where there is none.
    """
    found = bare(layer)
    check_closure(closure)
    if len(laws(found)) > 1:
        raise NoClosedForm(
            f"{found!r} has several weight matrices and no critical point: solutions in depth are not known; flow "
            "instead, or see rgflow.variation"
        )
    step = kernel_step(found)
    if not step.carries:
        if skip is not None:
            raise InputError(f"skip is {skip!r}, but {step.named} layer has none; give layer=rgflow.Residual()")
        return Kind(found, step, None, closure)
    strength = exact(found.value("skip")) if skip is None else number("skip", skip, signed=True)
    assert strength is not None
    if not strength.free_symbols:
        found = found.changed(skip=float(strength))
        step = kernel_step(found)
    return Kind(found, step, strength, closure)


def number(name: str, value: Any, symbol: str | None = None, signed: bool = False) -> sympy.Expr | None:
    """What a user gave for a parameter as an exact SymPy expression; None stays None, "symbolic" is its symbol."""
    import sympy as sp

    if value is None:
        return None
    if isinstance(value, str) and value == "symbolic":
        if signed:
            return hyperparameter(name)
        return sp.Symbol(name, nonnegative=True) if symbol is None else sp.Symbol(symbol, positive=True)
    if isinstance(value, sp.Expr):
        valid = not value.has(sp.nan, sp.oo, sp.zoo)
        found = value.xreplace({x: sp.Rational(str(x)) for x in value.atoms(sp.Float) if valid})
        valid = valid and found.is_real is not False and (signed or found.is_negative is not True)
        taken = sorted(s.name for s in found.free_symbols if s.name in RESERVED - {name, symbol})
        if taken:
            raise InputError(f"{name} is {value!r}, in which {taken[0]} means something else; take another symbol")
    else:
        valid = isinstance(value, (Real, Decimal)) and not isinstance(value, bool)
        if valid:
            exact = value if isinstance(value, (int, Fraction, Decimal)) else str(float(value))
            try:
                fraction = Fraction(exact)
            except (ValueError, OverflowError):
                valid = False
            else:
                size = abs(fraction) if signed else fraction
                valid = size == 0 or 1 / LARGEST <= size <= LARGEST
                found = sp.Rational(fraction.numerator, fraction.denominator)
    if not valid:
        raise InputError(
            f"{name} is {value!r}; give 0, a number from 1e-100 to 1e100, a SymPy expression without nan and infinity, "
            "or 'symbolic'"
        )
    return found
