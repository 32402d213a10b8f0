"""``solve``: a tensor as a formula in the layer."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from numbers import Real
from typing import TYPE_CHECKING, Any

from rgflow.activations import Activation
from rgflow.activations import activation as find_activation
from rgflow.algebra import System, Tensor
from rgflow.brackets.kinks import check_kinks
from rgflow.checks import Kinks, kinks_rule
from rgflow.derive import closure
from rgflow.errors import InputError, NoClosedForm
from rgflow.universality.assumptions import (
    ALMOST_EVERYWHERE,
    AT_THE_FIXED_POINT,
    EQUAL_WIDTHS,
    NEAR_THE_INPUT,
    RATES_BY_LAYER,
    SAME_RATES,
)
from rgflow.universality.printing import size_of
from rgflow.universality.solution import Solution

if TYPE_CHECKING:
    import sympy


LARGEST = 10**100  # beyond, exact powers of a parameter take minutes
RESERVED = {"l", "k", "K", "r", "C_b", "C_W", "lambda_b", "lambda_W", "c_K", "c_Theta"}
"""Symbols that solutions use themselves."""


def solve(
    name: str | Tensor,
    activation: Any,
    *,
    C_b: Any = None,
    C_W: Any = None,
    first_kernel: Any = None,
    lambda_b: Any = None,
    lambda_W: Any = None,
    rates: str = "equal",
    kinks: str = "error",
) -> Solution:
    """Solve the one-input recursion of a tensor in the layer index l.

    Exact for sigma with two slopes (linear, relu, leaky_relu, Abs) at any C_b and C_W, and for smooth sigma at a
    half-stable critical point, where the first kernel is K*; asymptotic for smooth sigma whose critical kernel goes to
    zero.

    Parameters
    ----------
    name : str or Tensor
        As for :func:`rgflow.derive`: "V", "Theta_1", ...
    activation
        As for :func:`rgflow.activation`.
    C_b, C_W : number, sympy.Expr or "symbolic"
        None for the critical ones. A float is the decimal that it prints as.
    first_kernel, lambda_b, lambda_W : number or sympy.Expr
        Kernel of layer 1, learning rates; None leaves the symbols k, lambda_b, lambda_W.
    rates : "equal" or "constant"
        "constant": lambda_b and lambda_W in every layer. "equal": lambda_b l^x_b, lambda_W l^x_W with the exponents
        that make every layer contribute alike to Theta; constant ones but for a kernel that goes to zero.
    kinks : "error" or "almost_everywhere"
        See :mod:`rgflow.brackets.kinks`.

    Returns
    -------
    Solution
        With :meth:`Solution.check`, which compares it with a flow.

    Raises
    ------
    NoClosedForm
        For sigma and hyperparameters that none of the three ways covers.
    NoCriticalPoint
        If C_b or C_W is left to criticality and there is none.
    UnknownName, InputError, KinkError

    Source: the classes of PDLT (arXiv:2106.10165), chapters 3, 5, 9 and 11; the solutions are derived.

    >>> print(solve("V", "relu"))
    V(l) = 5 k^2 (l - 1)   exact, relu at C_b = 0, C_W = 2
    """
    tensor, sigma = Tensor.named(name), find_activation(activation)
    if rates not in ("equal", "constant"):
        raise InputError(f"rates is {rates!r}; it must be 'equal' or 'constant'")
    given = {
        "C_b": number("C_b", C_b),
        "C_W": number("C_W", C_W),
        "k": number("first_kernel", first_kernel, "k"),
        "lambda_b": number("lambda_b", lambda_b),
        "lambda_W": number("lambda_W", lambda_W),
    }
    if given["C_W"] == 0 or given["k"] == 0:
        raise InputError("C_W and first_kernel must be positive: nothing passes the first layer")
    system = closure([tensor])
    check_kinks(system, sigma, kinks)

    if sigma.slopes is not None:
        return _homogeneous(tensor, sigma, system, given, kinks_rule(kinks))
    return _at_critical_point(tensor, sigma, system, given, rates, kinks_rule(kinks))


def number(name: str, value: Any, symbol: str | None = None) -> sympy.Expr | None:
    """What a user gave for a parameter as an exact SymPy expression; None stays None, "symbolic" is its symbol."""
    import sympy as sp

    if value is None:
        return None
    if isinstance(value, str) and value == "symbolic":
        return sp.Symbol(name, nonnegative=True) if symbol is None else sp.Symbol(symbol, positive=True)
    if isinstance(value, sp.Expr):
        valid = not value.has(sp.nan, sp.oo, sp.zoo)
        found = value.xreplace({x: sp.Rational(str(x)) for x in value.atoms(sp.Float) if valid})
        valid = valid and found.is_real is not False and found.is_negative is not True
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
                valid = fraction == 0 or 1 / LARGEST <= fraction <= LARGEST
                found = sp.Rational(fraction.numerator, fraction.denominator)
    if not valid:
        raise InputError(
            f"{name} is {value!r}; give 0, a number from 1e-100 to 1e100, a SymPy expression without nan and infinity, "
            "or 'symbolic'"
        )
    return found


def _homogeneous(
    tensor: Tensor, sigma: Activation, system: System, given: dict[str, sympy.Expr | None], kinks: Kinks
) -> Solution:
    """Two slopes: exact at any C_b and C_W."""
    import sympy as sp

    from rgflow.universality.averages import closed
    from rgflow.universality.exact import SYMBOLS, K, homogeneous

    average = closed(sigma)
    critical = sp.cancel(K / average((0, 0), 0))
    left_out = {"C_b": sp.Integer(0), "C_W": critical}
    chosen = {name: left_out.get(name) if value is None else value for name, value in given.items()}
    parameters = {name: value for name, value in chosen.items() if value is not None and value != SYMBOLS[name]}
    assumptions = [EQUAL_WIDTHS, SAME_RATES]
    if parameters.get("C_W", SYMBOLS["C_W"]).free_symbols:
        assumptions.append(f"C_W is not the critical {critical}, where its powers become polynomials in l")
    if sigma.kinks and kinks == "almost_everywhere":
        assumptions.append(ALMOST_EVERYWHERE)
    return Solution(
        name=tensor.name,
        activation=sigma,
        kind="exact",
        expression=homogeneous(system, average, parameters)[tensor.name],
        correction=sp.Integer(0),
        parameters=parameters,
        assumptions=tuple(assumptions),
        kinks=kinks,
    )


def _at_critical_point(
    tensor: Tensor, sigma: Activation, system: System, given: dict[str, sympy.Expr | None], rates: str, kinks: Kinks
) -> Solution:
    """Any other sigma: at its recommended critical point, exact if the kernel stays there, else asymptotic."""
    from rgflow.universality.points import HALF_STABLE, VANISHING, recommended

    point = recommended(sigma)
    there_are = point.values
    for name in ("C_b", "C_W"):
        chosen, there = given[name], there_are[name]
        if chosen is not None and (chosen.free_symbols or abs(float(chosen) - float(there)) > 1e-12 * float(there)):
            raise NoClosedForm(
                f"{name} = {chosen}: {sigma.name} is solved at its critical {name} = {float(there):.12g} only; "
                "leave it out, or flow"
            )
    if point.universality_class == VANISHING:
        return far_from_the_input(tensor, sigma, there_are["C_b"], there_are["C_W"], given, rates)
    if point.universality_class == HALF_STABLE and not sigma.kinks:
        return at_fixed_kernel(tensor, sigma, system, there_are["K_star"], there_are["C_b"], there_are["C_W"], given)
    raise NoClosedForm(
        f"{tensor.name} of {sigma.name} has no solution in depth here: exact ones are known for sigma with two slopes "
        "and for smooth sigma at a half-stable critical point, asymptotic ones for smooth sigma with K* = 0"
    )


def at_fixed_kernel(
    tensor: Tensor, sigma: Activation, system: System, K_star: Any, C_b: Any, C_W: Any, given: dict[str, Any]
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
    solved = fixed_kernel(system, parity=sigma.parity)[tensor.name]
    rates = {name: given[name] for name in ("lambda_b", "lambda_W") if given.get(name) is not None}
    solved = solved.xreplace({SYMBOLS[name]: value for name, value in rates.items()})
    nodes = sorted(solved.atoms(sp.core.function.AppliedUndef), key=sp.default_sort_key)
    return Solution(
        name=tensor.name,
        activation=sigma,
        kind="exact",
        expression=solved,
        correction=sp.Integer(0),
        parameters={"C_b": C_b, "C_W": C_W, "K": K_star, **rates},
        averages={node: average_at(sigma, node, K_star) for node in nodes},
        assumptions=(EQUAL_WIDTHS, SAME_RATES, AT_THE_FIXED_POINT),
    )


def far_from_the_input(
    tensor: Tensor, sigma: Activation, C_b: Any, C_W: Any, given: dict[str, Any], rates: str
) -> Solution:
    """The leading power of the depth where the kernel goes to zero, which forgets the first kernel."""
    from rgflow.universality.asymptotic import expansions
    from rgflow.universality.exact import SYMBOLS
    from rgflow.universality.vanishing import rates_of, vanishing_kernel

    flow = vanishing_kernel(sigma)
    absent = frozenset(name for name in ("lambda_b", "lambda_W") if given.get(name) == 0)
    names = list(dict.fromkeys(["K", *(["Theta"] if len(absent) < 2 else []), tensor.name]))
    known = expansions(sigma, names, rates, absent)
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
        parameters={"C_b": C_b, "C_W": C_W, **chosen},
        rates=(flow.number(x.q) + x.bias, flow.number(x.q) + x.weight),
        assumptions=(EQUAL_WIDTHS, RATES_BY_LAYER, NEAR_THE_INPUT),
    )


def _tidy(expression: sympy.Expr) -> sympy.Expr:
    """Factored if its numbers are rational; others take SymPy long."""
    import sympy as sp

    rational = all(power.base.is_Symbol or power.base.is_Add for power in expression.atoms(sp.Pow))
    return sp.factor(expression) if rational and not expression.has(sp.pi) else expression
