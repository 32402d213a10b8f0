"""Solution: one tensor as a formula in the layer, and its own check against a flow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from rgflow.activations import Activation
from rgflow.algebra import Tensor
from rgflow.algebra.tex import tensor_tex
from rgflow.checks import Kinks, whole
from rgflow.errors import InputError
from rgflow.network import Dense, Layer
from rgflow.universality.check import Check, Setting, check_asymptotic, check_exact
from rgflow.universality.evaluation import at_layers, by_name, checked_values, evaluate
from rgflow.universality.kernel_step import kernel_step
from rgflow.universality.printing import latex_of, leading_part, text_of

if TYPE_CHECKING:
    import sympy

PARAMETERS = ("k", "C_b", "C_W", "lambda_b", "lambda_W")
_USUAL = {"k": 1, "C_W": 1.5, "lambda_b": 1, "lambda_W": 1, "skip": 0.5}
_SIGNED = frozenset({"skip"})
_SHOWN = {"K": "K*"}
_ENOUGH = 40


@dataclass(frozen=True)
class Solution:
    r"""One tensor X of one input in the layer l, all widths equal.

    .. math:: X(\ell) = \text{expression (exact)}, \qquad\text{or}\qquad
              X(\ell) = \text{expression} \cdot (1 + \text{correction} + \dots) \text{ (asymptotic)}

    Attributes
    ----------
    name : str
    activation : Activation
    kind : "exact" or "asymptotic"
    expression : sympy.Expr
        In ``l`` and in what is left open: k (the kernel of layer 1), C_b, C_W, lambda_b, lambda_W. Averages
        ``Bracket(orders, m)`` and what ``parameters`` names have fixed values; :attr:`evaluated` has them put in.
    correction : sympy.Expr
        The next power of the depth, relative to the expression, with its logarithms; 0 if exact.
    neglected : str
        What is left out, in words.
    parameters : mapping of name to value
        At which it was solved: C_b, C_W and, at a fixed point, K.
    averages : mapping of sympy.Expr to value
        Of the averages in the expression.
    rates : (x_b, x_W)
        The learning rates it holds for: lambda_b l^x_b, lambda_W l^x_W at layer l.
    first_layer : int
        The layer from which on it holds.
    assumptions : tuple of str
    kinks : "error" or "almost_everywhere"
        What written second derivatives mean if sigma has a kink.
    expansions : mapping of "K", "Theta" to sympy.Expr
        All their known terms, which define c_K and c_Theta in the correction (asymptotic).
    layer : Layer
        Of what kind all layers but the first are.
    closure : "full" or "book"
        Whether neurons with a skip remember all their past.
    """

    name: str
    activation: Activation
    kind: Literal["exact", "asymptotic"]
    expression: sympy.Expr
    correction: sympy.Expr
    neglected: str = "nothing"
    parameters: Mapping[str, sympy.Expr] = field(default_factory=dict, hash=False)
    averages: Mapping[sympy.Expr, sympy.Expr] = field(default_factory=dict, hash=False, repr=False)
    rates: tuple[sympy.Expr | int, sympy.Expr | int] = (0, 0)
    first_layer: int = 1
    assumptions: tuple[str, ...] = ()
    kinks: Kinks = "error"
    expansions: Mapping[str, sympy.Expr] = field(default_factory=dict, hash=False, repr=False)
    layer: Layer = field(default_factory=Dense)
    closure: str = "full"

    @property
    def tensor(self) -> Tensor:
        """Which tensor."""
        return Tensor.named(self.name)

    @property
    def exact(self) -> bool:
        """Whether nothing is neglected."""
        return self.kind == "exact"

    @property
    def evaluated(self) -> sympy.Expr:
        """The expression with the parameters and averages put in."""
        return self._put(self.expression)

    @property
    def free(self) -> tuple[str, ...]:
        """Names of what is left open besides l."""
        return tuple(sorted({str(s) for s in self.evaluated.free_symbols} - {"l"}))

    def _put(self, expression: sympy.Expr) -> sympy.Expr:
        """At the values it was solved at: averages first, since their arguments are no parameters."""
        at_point = expression.xreplace(dict(self.averages))
        values = {name: value.n(_ENOUGH) if _long(value) else value for name, value in self.parameters.items()}
        put: sympy.Expr = at_point.xreplace(by_name(at_point, values))
        return put

    # Numbers

    def at(self, l: Any, **values: Any) -> Any:
        """The formula at a layer or at an array of layers.

        Parameters
        ----------
        l : int, or array of int
            Layers from ``first_layer`` on.
        **values
            One number for each name in :attr:`free`; others that the formula does not need may be given, and k may
            be called first_kernel.

        Returns
        -------
        float, or array of the shape of l

        Raises
        ------
        InputError
            For a layer before ``first_layer``, or a symbol without a value.
        UnknownName
            For a value of something that is not open.
        """
        found = at_layers(self.evaluated, l, self._values(values), name=self.name, first_layer=self.first_layer)
        if not self.exact and not np.all(found):
            raise InputError(f"the leading term of {self.name} vanishes at {values}; give them to solve, for the next")
        return found

    def _values(self, values: Mapping[str, Any], usual: Mapping[str, Any] | None = None) -> dict[str, sympy.Expr]:
        """Values checked: every open symbol has one, and nothing else is named."""
        return checked_values(values, name=self.name, known=self._known, needed=self.free, usual=usual, signed=_SIGNED)

    def check(self, depth: int, **values: Any) -> Check:
        """Compare with a flow of that many layers, equal widths, the same first layer and learning rates.

        Exact solutions must agree within the numerical error of the flow and what the last digit of its
        hyperparameters changes. For asymptotic ones the relative residual must be the stated correction; its constants
        c_K and c_Theta are read off the flow of K and Theta.

        Parameters
        ----------
        depth : int
            Layers to flow.
        **values
            Of what is open, k also as first_kernel. Where none is given: 1 for k and the learning rates, 3/2 for C_W,
            1/4 for what else.
        """
        import sympy as sp

        depth = whole("depth", depth, max(2, self.first_layer))
        found = self._values(values, {name: _USUAL.get(name, 0.25) for name in self._known})
        fixed = {name: float(value.xreplace(by_name(value, found))) for name, value in self.parameters.items()}
        numbers = {name: float(value) for name, value in found.items()} | fixed
        setting = Setting(
            tensor=self.tensor,
            activation=self.activation,
            kinks=self.kinks,
            k=numbers["K" if "K" in fixed else "k"],
            C_b=numbers["C_b"],
            C_W=numbers["C_W"],
            lambda_b=numbers["lambda_b"],
            lambda_W=numbers["lambda_W"],
            rates=(float(self.rates[0]), float(self.rates[1])),
            layer=self.layer.changed(skip=numbers["skip"]) if "skip" in numbers else self.layer,
            closure=self.closure,
        )

        def formula(layers: Any) -> Any:
            return evaluate(self.evaluated, layers, found)

        if self.exact:
            return check_exact(setting, formula, depth, self.first_layer)
        put = self._put(self.correction)

        def correction(layers: Any, constants: Mapping[str, float]) -> Any:
            return evaluate(put, layers, found | {name: sp.Float(c) for name, c in constants.items()})

        known = self.expansions
        if "skip" in found:
            known = {name: value.xreplace(by_name(value, {"skip": found["skip"]})) for name, value in known.items()}
        falls = leading_part(put)[1] if put != 0 else sp.Integer(0)
        return check_asymptotic(setting, formula, correction, float(falls), known, depth, self.first_layer)

    @property
    def _known(self) -> tuple[str, ...]:
        """What a value may be given for: what is open here, in the parameters, or in the network."""
        fixed = {*self.parameters, *(("k",) if "K" in self.parameters else ())}
        inside = {str(s) for value in self.parameters.values() for s in value.free_symbols}
        return tuple(sorted({*self.free, *inside, *(name for name in PARAMETERS if name not in fixed)}))

    # Text

    def latex(self) -> str:
        """The formula as LaTeX (without delimiters)."""
        left = tensor_tex(self.tensor, (), r"(\ell)")
        right = latex_of(self.expression)
        if self.exact:
            return f"{left} = {right}"
        return rf"{left} \simeq {right}"

    def __str__(self) -> str:
        sign = "=" if self.exact else "~"
        shown = ((_SHOWN.get(name, name), _short(value)) for name, value in self.parameters.items())
        where = ", ".join(f"{name} = {text_of(value)}" for name, value in shown)
        name = self.activation.name
        if type(self.layer) is not Dense:
            name += f" in {kernel_step(self.layer).named} layer"
        at = f"{name} at {where}" if where else name
        if self.closure == "book":
            at += ", the book's closure"
        if any(self.rates):
            powers = (f"{name} l^({x})" if x else name for name, x in zip(PARAMETERS[3:], self.rates, strict=True))
            at += f", learning rates {', '.join(powers)}"
        left_out = "" if self.exact else f" ({self.neglected})"
        return f"{self.name}(l) {sign} {text_of(self.expression)}   {self.kind}{left_out}, {at}"

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex()}$"


def _short(value: sympy.Expr) -> sympy.Expr:
    """A parameter as it is shown: long expressions and numbers of many digits as ten digits."""
    return value.n(10) if value.is_Float or _long(value) else value


def _long(value: sympy.Expr) -> bool:
    """Nested radicals, which SymPy takes long to do anything with."""
    return bool(value.is_number and value.count_ops() > 5)
