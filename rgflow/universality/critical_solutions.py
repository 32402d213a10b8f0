"""Solutions at a critical point: exact where the kernel stays, a leading power where it vanishes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rgflow.activations import Activation
from rgflow.algebra import System, Tensor
from rgflow.errors import NoClosedForm
from rgflow.universality.assumptions import (
    AT_THE_FIXED_POINT,
    NEAR_THE_INPUT,
    RATES_BY_LAYER,
    SAME_RATES,
    equal_widths,
)
from rgflow.universality.given import Kind
from rgflow.universality.printing import size_of
from rgflow.universality.solution import Solution

if TYPE_CHECKING:
    import sympy


def at_fixed_kernel(
    tensor: Tensor,
    sigma: Activation,
    system: System,
    K_star: Any,
    C_b: Any,
    C_W: Any,
    given: dict[str, Any],
    kind: Kind,
) -> Solution:
    """The exact solution for smooth sigma whose kernel starts at the fixed point K* of a critical C_b, C_W."""
    import sympy as sp

    from rgflow.universality.averages import average_at
    from rgflow.universality.exact import SYMBOLS, fixed_kernel

    chosen = given.get("k")
    if chosen is not None and (chosen.free_symbols or abs(float(chosen) - float(K_star)) > 1e-12 * float(K_star)):
        raise NoClosedForm(
            f"first_kernel = {chosen}: {sigma.name} is solved at its fixed point K* = {float(K_star):.12g} only"
        )
    solved = fixed_kernel(system, parity=sigma.parity, skip=kind.skip)[tensor.name]
    rates = {name: given[name] for name in ("lambda_b", "lambda_W") if given.get(name) is not None}
    solved = solved.xreplace({SYMBOLS[name]: value for name, value in rates.items()})
    nodes = sorted(solved.atoms(sp.core.function.AppliedUndef), key=sp.default_sort_key)
    return Solution(
        name=tensor.name,
        activation=sigma,
        kind="exact",
        expression=solved,
        correction=sp.Integer(0),
        parameters={"C_b": C_b, "C_W": C_W, "K": K_star, **rates, **kind.shown()},
        averages={node: average_at(sigma, node, K_star) for node in nodes},
        assumptions=(equal_widths(kind.step.kind), SAME_RATES, AT_THE_FIXED_POINT, *kind.assumptions()),
        layer=kind.layer,
        closure=kind.closure,
    )


def far_from_the_input(
    tensor: Tensor,
    sigma: Activation,
    C_b: Any,
    C_W: Any,
    given: dict[str, Any],
    rates: str,
    kind: Kind,
) -> Solution:
    """The leading power of the depth where the kernel goes to zero, which forgets the first kernel."""
    from rgflow.universality.asymptotic import expansions
    from rgflow.universality.exact import SYMBOLS
    from rgflow.universality.vanishing import rates_of, vanishing_kernel

    kept = 1 - kind.left
    flow = vanishing_kernel(sigma, kept)
    absent = frozenset(name for name in ("lambda_b", "lambda_W") if given.get(name) == 0)
    names = list(dict.fromkeys(["K", *(["Theta"] if len(absent) < 2 else []), tensor.name]))
    known = expansions(sigma, names, rates, absent, kind.layer, kept)
    found = known[tensor.name]
    x = rates_of(flow, rates)
    chosen = {name: given[name] for name in ("k", "lambda_b", "lambda_W") if given.get(name) is not None}
    put = {SYMBOLS[name]: value for name, value in chosen.items()}
    correction = found.correction.xreplace(put)
    own = any(s.name == f"c_{tensor.name}" for s in correction.free_symbols)
    told = {"K", "Theta", *([tensor.name] if own else [])}
    return Solution(
        name=tensor.name,
        activation=sigma,
        kind="asymptotic",
        expression=_tidy(found.leading).xreplace(put),
        correction=correction,
        neglected=size_of(correction) or found.beyond,
        expansions={name: known[name].known.xreplace(put) for name in names if name in told},
        parameters={"C_b": C_b, "C_W": C_W, **chosen, **kind.shown()},
        rates=(flow.number(x.q) + x.bias, flow.number(x.q) + x.weight),
        assumptions=(equal_widths(kind.step.kind), RATES_BY_LAYER, NEAR_THE_INPUT, *kind.assumptions()),
        layer=kind.layer,
        closure=kind.closure,
    )


def _tidy(expression: sympy.Expr) -> sympy.Expr:
    """Factored if its numbers are rational; others take SymPy long."""
    import sympy as sp

    rational = all(power.base.is_Symbol or power.base.is_Add for power in expression.atoms(sp.Pow))
    return sp.factor(expression) if rational and not expression.has(sp.pi) else expression
