r"""Power laws: what every tensor of a critical network becomes with depth.

.. math:: X(\ell) = x_0\, \ell^{e} (1 + \text{correction}), \qquad \ell \to \infty

with the learning rates that give every layer an equal share, lambda_b l^{-p_perp} and lambda_W l^{p_0 - p_perp}. For
scale-invariant sigma, and for a half-stable point whose kernel starts at K*, they are the leading powers of exact
polynomials in l.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from rgflow.algebra import Tensor
from rgflow.algebra.tex import tensor_tex
from rgflow.derive import closure
from rgflow.errors import NoClosedForm
from rgflow.universality.evaluation import at_layers, checked_values
from rgflow.universality.points import HALF_STABLE, SCALE_INVARIANT, CriticalPoint
from rgflow.universality.printing import latex_of, shortened, size_of, text_of

DIGITS = 30  # of averages at a half-stable point
TABLE = ("K", "Theta", "V", "A", "B", "D", "F", "P", "Q", "R", "S", "T", "U", "K_1", "Theta_1")
"""The tensors of a criticality's table."""

_SYMBOLS, _CONSTANTS = ("lambda_b", "lambda_W", "k"), ("c_K", "c_Theta")


@dataclass(frozen=True)
class PowerLaw:
    r"""X(l) = amplitude l^exponent ln(l)^logarithms (1 + correction + ...).

    Attributes
    ----------
    name : str
    amplitude : sympy.Expr
        In lambda_b, lambda_W and k (the kernel of layer 1, where every kernel is fixed). Zero if X vanishes exactly.
    exponent : sympy.Expr
    logarithms : int
    correction : sympy.Expr
        The next power of the depth, relative, with its logarithms; it may contain c_K, c_Theta, which the layers near
        the input determine.
    beyond : str
        The size of what follows the correction.
    expression : sympy.Expr
        All that is known, in l; everything where the solution is exact.

    >>> from rgflow.activations import activation
    >>> from rgflow.universality.points import recommended
    >>> law = power_laws(recommended(activation("tanh")), ("K",))["K"]
    >>> print(law)
    K(l) ~ 1/(2 l)   then O(ln(l)/l) relative
    >>> law.at(100)
    0.005
    >>> law.latex()
    'K^{(\\ell)} \\simeq \\frac{1}{2 \\ell}'
    """

    name: str
    amplitude: Any
    exponent: Any
    logarithms: int
    correction: Any
    beyond: str
    expression: Any = field(repr=False)

    @property
    def vanishes(self) -> bool:
        """Whether X is exactly zero."""
        return bool(self.amplitude == 0)

    @property
    def leading(self) -> Any:
        """amplitude l^exponent ln(l)^logarithms."""
        import sympy as sp

        from rgflow.universality.exponentials import l

        return self.amplitude * l**self.exponent * sp.log(l) ** self.logarithms

    def at(self, l: Any, **values: Any) -> Any:
        """The leading power at a layer, as a float, or at an array of layers.

        Parameters
        ----------
        l : int, or array of int
        **values
            lambda_b, lambda_W and k (or first_kernel), as far as the amplitude contains them; others may be given.

        Raises InputError for a symbol without a value, UnknownName for what is none of a power law.
        """
        return self._at(self.leading, l, values)

    def correction_at(self, l: Any, **values: Any) -> Any:
        """The correction at a layer or an array of layers; with c_K, c_Theta where it contains them."""
        return self._at(self.correction, l, values)

    def _at(self, expression: Any, l: Any, values: Mapping[str, Any]) -> Any:
        needed = sorted(s.name for s in expression.free_symbols if s.name != "l")
        known = {*_SYMBOLS, *_CONSTANTS, *needed}
        given = checked_values(values, name=self.name, known=known, needed=needed, signed=known - set(_SYMBOLS))
        return at_layers(expression, l, given, name=self.name)

    def latex(self) -> str:
        """The leading power as LaTeX (without delimiters)."""
        sign = "=" if self.correction == 0 else r"\simeq"
        left = tensor_tex(Tensor.named(self.name), (), r"(\ell)")
        return f"{left} {sign} {latex_of(shortened(self.leading))}"

    def __str__(self) -> str:
        sign, then = ("=", "exactly") if self.correction == 0 else ("~", f"then {size_of(self.correction)}")
        return f"{self.name}(l) {sign} {text_of(shortened(self.leading))}   {then}"


@lru_cache(maxsize=64)
def power_laws(point: CriticalPoint, names: tuple[str, ...] = TABLE) -> Mapping[str, PowerLaw]:
    """The power law of each named tensor at a critical point.

    Raises NoClosedForm for tensors that have none there.
    """
    if point.universality_class == SCALE_INVARIANT:
        return _polynomial(_scale_invariant(point, names), names)
    if point.universality_class == HALF_STABLE:
        return _polynomial(_half_stable(point, names), names)
    from rgflow.universality.asymptotic import expansions

    found = {
        name: PowerLaw(name, e.amplitude, e.exponent, e.logarithms, e.correction, e.beyond, e.known)
        for name, e in expansions(point.activation, names).items()
    }
    return MappingProxyType(found)


def _scale_invariant(point: CriticalPoint, names: Sequence[str]) -> Mapping[str, Any]:
    from rgflow.universality.averages import closed
    from rgflow.universality.exact import homogeneous

    values = point.values
    return homogeneous(closure(names), closed(point.activation), {"C_b": values["C_b"], "C_W": values["C_W"]})


def _half_stable(point: CriticalPoint, names: Sequence[str]) -> Mapping[str, Any]:
    import sympy as sp

    from rgflow.universality.averages import average_at

    if point.activation.kinks:
        raise NoClosedForm(
            f"{point.activation.name} has a kink away from 0: its tensors at K* are not solved in depth; flow instead"
        )
    from rgflow.universality.exact import SYMBOLS, K, fixed_kernel

    values = point.values
    solved = fixed_kernel(closure(names), parity=point.activation.parity)
    at = {SYMBOLS["C_b"]: values["C_b"], SYMBOLS["C_W"]: values["C_W"], K: values["K_star"]}
    at = {symbol: value.evalf(DIGITS) for symbol, value in at.items()}
    nodes = {node for name in names for node in solved[name].atoms(sp.core.function.AppliedUndef)}
    at |= {node: average_at(point.activation, node, values["K_star"], DIGITS).evalf(DIGITS) for node in nodes}
    return {name: solved[name].xreplace(at) for name in names}


def _polynomial(solutions: Mapping[str, Any], names: Sequence[str]) -> Mapping[str, PowerLaw]:
    """The leading powers of polynomials in l."""
    import sympy as sp

    from rgflow.universality.exponentials import l

    found = {}
    for name in names:
        expression = solutions[name]
        polynomial = sp.Poly(expression, l)
        powers = polynomial.terms()
        (degree,), leading = powers[0]
        correction = sp.Integer(0)
        if len(powers) > 1:
            (second,), coefficient = powers[1]
            correction = sp.cancel(coefficient / leading) / l ** (degree - second)
        found[name] = PowerLaw(
            name, sp.factor_terms(leading), sp.Integer(degree), 0, correction, "nothing (exact)", expression
        )
    return MappingProxyType(found)
