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
from typing import Any

from rgflow.derive import closure
from rgflow.errors import NoClosedForm
from rgflow.universality.points import HALF_STABLE, SCALE_INVARIANT, CriticalPoint

DIGITS = 30  # of averages at a half-stable point
TABLE = ("K", "Theta", "V", "A", "B", "D", "F", "P", "Q", "R", "S", "T", "U", "K_1", "Theta_1")
"""The tensors of a criticality's table."""


@dataclass(frozen=True)
class PowerLaw:
    """X(l) = amplitude l^exponent ln(l)^logarithms (1 + correction + ...).

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
    neglected : str
        The size of what follows.
    expression : sympy.Expr
        All that is known, in l; everything where the solution is exact.
    """

    name: str
    amplitude: Any
    exponent: Any
    logarithms: int
    correction: Any
    neglected: str
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

    return {
        name: PowerLaw(name, e.amplitude, e.exponent, e.logarithms, e.correction, e.neglected, e.known)
        for name, e in expansions(point.activation, names).items()
    }


def _scale_invariant(point: CriticalPoint, names: Sequence[str]) -> Mapping[str, Any]:
    from rgflow.universality.averages import closed
    from rgflow.universality.exact import homogeneous

    values = point.symbols
    return homogeneous(closure(names), closed(point.activation), {"C_b": values["C_b"], "C_W": values["C_W"]})


def _half_stable(point: CriticalPoint, names: Sequence[str]) -> Mapping[str, Any]:
    import sympy as sp

    from rgflow.universality.averages import average_at

    if point.activation.kinks:
        raise NoClosedForm(
            f"{point.activation.name} has a kink away from 0: its tensors at K* are not solved in depth; flow instead"
        )
    from rgflow.universality.exact import SYMBOLS, K, fixed_kernel

    values = point.symbols
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
    return found
