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
from rgflow.errors import AccuracyError, InputError, UnknownName
from rgflow.universality.check import Check, Setting, check_asymptotic, check_exact
from rgflow.universality.printing import latex_of, text_of

if TYPE_CHECKING:
    import sympy

PARAMETERS = ("k", "C_b", "C_W", "lambda_b", "lambda_W")
_USUAL = {"k": 1, "C_W": 1.5, "lambda_b": 1, "lambda_W": 1}
_ENOUGH = 40
_DIGITS = (40, 80, 160, 320)  # formulas cancel: near criticality and between powers of l


@dataclass(frozen=True)
class Solution:
    r"""One tensor X of one input in the layer l, all widths equal.

    X(l) = expression                              exact, or
    X(l) = expression (1 + correction + ...)       asymptotic.

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
        put: sympy.Expr = at_point.xreplace(_by_name(at_point, values))
        return put

    # Numbers

    def at(self, l: Any, **values: Any) -> Any:
        """The formula at a layer or at an array of layers.

        Parameters
        ----------
        l : int, or array of int
            Layers from ``first_layer`` on.
        **values
            One number for each name in :attr:`free`; others that the formula does not need may be given.

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
        layers = np.asarray(l)
        if layers.dtype.kind not in "iu" or layers.size == 0:
            raise InputError(f"l is {l!r}; give a layer or an array of layers, which are integers")
        if layers.min() < self.first_layer:
            raise InputError(f"l is {layers.min()}; {self.name} is solved from layer {self.first_layer} on")
        found = evaluate(self.evaluated, layers.ravel(), self._values(values))
        return found.reshape(layers.shape) if layers.ndim else float(found[0])

    def _values(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Values checked: every open symbol has one, and nothing else is named."""
        import sympy as sp

        for name in values:
            if name not in self._known:
                raise UnknownName("parameter of this solution", name, self._known)
        missing = [name for name in self.free if name not in values]
        if missing:
            wanted = ", ".join(f"{name}=..." for name in missing)
            raise InputError(f"{self.name} depends on {', '.join(missing)}; give {wanted}")
        found = {}
        for name, value in values.items():
            try:
                # a number stands for its exact binary value here, as it does in a flow
                found[name] = sp.Rational(float(value)) if not isinstance(value, sp.Expr) else value
            except (TypeError, ValueError, OverflowError):
                raise InputError(f"{name} is {value!r}; it must be a finite number") from None
            if found[name].is_finite is not True or found[name].is_nonnegative is not True:
                raise InputError(f"{name} is {value!r}; it must be a finite number that is not negative")
        return found

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
            Of what is open. Where none is given: 1 for k and the learning rates, 3/2 for C_W, 1/4 for what else.
        """
        import sympy as sp

        depth = whole("depth", depth, max(2, self.first_layer))
        found = self._values({name: _USUAL.get(name, 0.25) for name in self._known} | values)
        fixed = {name: float(value.xreplace(_by_name(value, found))) for name, value in self.parameters.items()}
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
        )

        def formula(layers: Any) -> Any:
            return evaluate(self.evaluated, layers, found)

        if self.exact:
            return check_exact(setting, formula, depth, self.first_layer)
        put = self._put(self.correction)

        def correction(layers: Any, constants: Mapping[str, float]) -> Any:
            return evaluate(put, layers, found | {name: sp.Float(c) for name, c in constants.items()})

        return check_asymptotic(setting, formula, correction, self.expansions, depth, self.first_layer)

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
        where = ", ".join(f"{name} = {text_of(_short(value))}" for name, value in self.parameters.items())
        at = f"{self.activation.name} at {where}" if where else self.activation.name
        if any(self.rates):
            powers = (f"{name} l^({x})" if x else name for name, x in zip(PARAMETERS[3:], self.rates, strict=True))
            at += f", learning rates {', '.join(powers)}"
        left_out = "" if self.exact else f" ({self.neglected})"
        return f"{self.name}(l) {sign} {text_of(self.expression)}   {self.kind}{left_out}, {at}"

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex()}$"


def leading_part(correction: sympy.Expr) -> tuple[sympy.Expr, sympy.Expr, int]:
    """(x, q, j) of a sum of terms x ln^j(l) / l^q of one power q: the highest logarithm."""
    import sympy as sp

    from rgflow.universality.exponentials import l

    found: dict[tuple[sympy.Expr, int], sympy.Expr] = {}
    for term in sp.Add.make_args(correction):
        x, rest = term.as_independent(l, as_Add=False)
        powers = dict(rest.as_powers_dict())
        place = (-powers.pop(l, sp.Integer(0)), int(powers.pop(sp.log(l), 0)))
        if any(base != 1 for base in powers):
            raise InputError(f"the correction {correction} is no sum of terms x log(l)**j / l**q")
        found[place] = found.get(place, sp.Integer(0)) + x
    q, j = min(found, key=lambda place: (place[0], -place[1]))
    return found[q, j], q, j


def size_of(correction: sympy.Expr) -> str:
    """Its size in words, as ``O(ln(l)/l) relative``; empty for none."""
    if correction == 0:
        return ""
    _, q, j = leading_part(correction)
    above = {0: "1", 1: "ln(l)"}.get(j, f"ln(l)^{j}")
    below = "l" if q == 1 else f"l^{q}" if q.is_Integer else f"l^({q})"
    return f"O({above}/{below}) relative"


def evaluate(expression: sympy.Expr, layers: Any, values: Mapping[str, sympy.Expr]) -> Any:
    """An expression in l at several layers, as floats rounded from more digits than its terms cancel."""
    import sympy as sp

    from rgflow.universality.exponentials import l

    put = expression.xreplace(_by_name(expression, values))
    function = sp.lambdify([l], put, modules="mpmath")
    return np.array([_precise(function, int(layer)) for layer in layers], np.float64)


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


def _by_name(expression: sympy.Expr, values: Mapping[str, sympy.Expr]) -> dict[sympy.Basic, sympy.Expr]:
    return {s: values[s.name] for s in expression.free_symbols if s.name in values}


def _short(value: sympy.Expr) -> sympy.Expr:
    """A parameter as it is shown: long expressions and numbers of many digits as ten digits."""
    return value.n(10) if value.is_Float or _long(value) else value


def _long(value: sympy.Expr) -> bool:
    """Nested radicals, which SymPy takes long to do anything with."""
    return bool(value.is_number and value.count_ops() > 5)
