r"""Power laws: what every tensor of a critical network becomes with depth.

.. math:: X(\ell) = x_0\, \ell^{e} (1 + \text{correction}), \qquad \ell \to \infty

with the learning rates that give every layer an equal share, lambda_b l^{-p_perp} and lambda_W l^{p_0 - p_perp}. For
scale-invariant sigma, and for a half-stable point whose kernel starts at K*, they are the leading powers of exact
polynomials in l.

In residual layers neurons remember their past, and only that of V is solved with all memory where the kernel is fixed.
Where it vanishes, sigma is nearly linear and the memory is a small part, of order K (K^2 if sigma is odd) where V/K^2,
A/Theta^2, ... grow with depth: the recursions in one time then give the true leading power, of U excepted, which does
not grow so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from rgflow.activations import Activation
from rgflow.derive import closure
from rgflow.errors import NoClosedForm
from rgflow.universality.kernel_step import exact, kernel_step
from rgflow.universality.points import HALF_STABLE, SCALE_INVARIANT, VANISHING, CriticalPoint, named
from rgflow.universality.power_law import Laws, PowerLaw

DIGITS = 30  # of averages at a half-stable point
DOUBLE = 15  # of a number from quadrature
TABLE = ("K", "Theta", "V", "A", "B", "D", "F", "P", "Q", "R", "S", "T", "U", "K_1", "Theta_1")
"""The tensors of a criticality's table."""

NO_MEMORY = ("K", "Theta")  # which are the same with memory and without
GROWING = ("V", "A", "B", "D", "F", "P", "Q", "R", "S", "T", "K_1", "Theta_1")
"""Tensors that grow so with depth that memory is a small part of them where the kernel vanishes.

Measured, one by one: ``test_where_the_kernel_vanishes_memory_is_a_small_part`` in
``tests/universality/test_critical_layers.py`` runs over these, and its control over U.
"""


@lru_cache(maxsize=64)
def power_laws(point: CriticalPoint, names: tuple[str, ...] = TABLE) -> Mapping[str, PowerLaw]:
    """The power law of each named tensor at a critical point.

    Raises NoClosedForm for tensors that have none there; in layers with a skip when they are asked for one by one.
    """
    if kernel_step(point.layer).remembers:
        return _with_memory(point, names)
    if point.universality_class == SCALE_INVARIANT:
        return _polynomial(_scale_invariant(point, names), names)
    if point.universality_class == HALF_STABLE:
        return _polynomial(_half_stable(point, names), names)
    from rgflow.universality.asymptotic import expansions

    found = {
        name: PowerLaw(name, e.amplitude, e.exponent, e.logarithms, e.correction, e.beyond, e.known)
        for name, e in expansions(point.activation, names, layer=point.layer).items()
    }
    return MappingProxyType(found)


def even_square(activation: Activation) -> bool:
    """Whether sigma sigma is A_2 z^2: then what a neuron remembers is Gaussian, as for a linear layer."""
    return activation.slopes is not None and activation.slopes[0] ** 2 == activation.slopes[1] ** 2


def fixed_with_memory(point: CriticalPoint) -> bool:
    """Whether the kernel is fixed and neurons remember more than its part of z^2, so that recursions do not do."""
    fixed = point.universality_class != VANISHING
    return fixed and kernel_step(point.layer).remembers and not even_square(point.activation)


def _with_memory(point: CriticalPoint, names: Sequence[str]) -> Laws:
    """Power laws in layers whose neurons remember; what is not known with all their memory is refused."""
    where = named(point.activation, point.layer)
    found: dict[str, PowerLaw] = {}
    if point.universality_class == VANISHING:
        known = [name for name in names if name in (*NO_MEMORY, *GROWING)]
        why = "depends at its leading power on what neurons remember"
        found |= _nearly_linear(point, known) if known else {}
    elif even_square(point.activation):
        known, why = list(names), ""
        found |= _polynomial(_scale_invariant(point, known), known)
    else:
        known = [name for name in names if name in NO_MEMORY]
        why = "is not solved with all that neurons remember"
        solved = _scale_invariant if point.universality_class == SCALE_INVARIANT else _half_stable
        found |= _polynomial(solved(point, known), known) if known else {}
        if "V" in names:
            known.append("V")
            found["V"] = _vertex(point)
    refused = {
        name: f"{name} of {where} {why}; flow instead, or take rgflow.solve(..., closure='book')"
        for name in names
        if name not in known
    }
    return Laws({name: found[name] for name in names if name in found}, refused)


def _nearly_linear(point: CriticalPoint, names: Sequence[str]) -> dict[str, PowerLaw]:
    """Leading powers where the kernel vanishes, and corrections of order K where memory is of order K^2."""
    from rgflow.universality.asymptotic import expansions

    found = {}
    for name, e in expansions(point.activation, names, layer=point.layer).items():
        if name in NO_MEMORY:
            found[name] = PowerLaw(name, e.amplitude, e.exponent, e.logarithms, e.correction, e.beyond, e.known)
        elif point.activation.parity == -1:
            known = e.leading * (1 + e.correction)
            found[name] = PowerLaw(name, e.amplitude, e.exponent, e.logarithms, e.correction, e.beyond, known)
        else:
            beyond = "of order K relative, up to logarithms, and depends on what neurons remember"
            found[name] = PowerLaw(name, e.amplitude, e.exponent, e.logarithms, None, beyond, e.leading)
    return found


def _vertex(point: CriticalPoint) -> PowerLaw:
    """V = K^2 (nu (l - 1) + start) at a fixed kernel, but for what is forgotten."""
    import sympy as sp

    from rgflow.universality.exact import k
    from rgflow.universality.exponentials import l
    from rgflow.universality.memory import growth

    found = growth(point)
    rate, start = sp.Float(found.rate, DOUBLE), sp.Float(found.start, DOUBLE)
    scale = k**2 if point.K_star is None else sp.Float(point.K_star, DOUBLE) ** 2
    correction = (start - rate) / rate / l
    expression = scale * (rate * (l - 1) + start)
    return PowerLaw("V", scale * rate, sp.Integer(1), 0, correction, "O(skip^l)", expression)


def _scale_invariant(point: CriticalPoint, names: Sequence[str]) -> Mapping[str, Any]:
    from rgflow.universality.averages import closed
    from rgflow.universality.exact import homogeneous

    values, step = point.values, kernel_step(point.layer)
    given = {"C_b": values["C_b"], "C_W": values["C_W"]}
    if step.carries:
        given["skip"] = exact(point.layer.value("skip"))
    return homogeneous(closure(names, layer=point.layer, closure="book"), closed(point.activation), given, step)


def _half_stable(point: CriticalPoint, names: Sequence[str]) -> Mapping[str, Any]:
    import sympy as sp

    from rgflow.universality.averages import average_at

    if point.activation.kinks:
        raise NoClosedForm(
            f"{point.activation.name} has a kink away from 0: its tensors at K* are not solved in depth; flow instead"
        )
    from rgflow.universality.exact import SYMBOLS, K, fixed_kernel

    values = point.values
    skip = exact(point.layer.value("skip")) if kernel_step(point.layer).carries else None
    solved = fixed_kernel(closure(names, layer=point.layer, closure="book"), parity=point.activation.parity, skip=skip)
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
