"""``solve``: a tensor as a formula in the layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rgflow.activations import Activation
from rgflow.activations import activation as find_activation
from rgflow.algebra import System, Tensor
from rgflow.brackets.kinks import check_kinks
from rgflow.checks import Kinks, kinks_rule
from rgflow.derive import closure as derived
from rgflow.errors import InputError, NoClosedForm
from rgflow.network import Layer
from rgflow.universality.assumptions import ALMOST_EVERYWHERE, SAME_RATES, equal_widths
from rgflow.universality.critical_solutions import at_fixed_kernel, far_from_the_input
from rgflow.universality.given import Kind, kind_of, number
from rgflow.universality.laws import GROWING, even_square
from rgflow.universality.points import HALF_STABLE, VANISHING, recommended
from rgflow.universality.solution import Solution

if TYPE_CHECKING:
    import sympy


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
    layer: Layer | None = None,
    skip: Any = None,
    closure: str = "full",
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
    layer : a layer description, default ``Dense()``
        Of what kind all layers but the first are; its skip strength counts, its other hyperparameters are those above.
        The first layer is dense, before layers with a skip at C_b/(1 - skip^2), C_W/(1 - skip^2).
    skip : number, sympy.Expr or "symbolic"
        A skip strength in place of the layer's own; as a symbol, between -1 and 1.
    closure : "full" or "book"
        For layers with a skip. "full": neurons remember all their past. K and Theta do not depend on it; V of a
        scale-invariant sigma at criticality is a finite sum; linear sigma is solved as ever; where the kernel vanishes
        an odd sigma is solved far from the input; what is not known so is refused. "book": as if neurons did not
        remember, PDLT's appendix B; wrong for most tensors.

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
    >>> from rgflow.network.kinds.residual import Residual
    >>> print(solve("V", "linear", layer=Residual(skip=0.5)))
    V(l) = 15 k^2 (l - 1)/8   exact, linear in a residual layer at C_b = 0, C_W = 3/4, skip = 1/2
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
    kind = kind_of(layer, skip, closure)
    system = derived([tensor], layer=kind.layer, closure="book")  # the true one for whatever does not remember
    check_kinks(system, sigma, kinks)

    if sigma.slopes is not None or kind.step.weight is None:
        return _homogeneous(tensor, sigma, system, given, kinks_rule(kinks), kind)
    return _at_critical_point(tensor, sigma, system, given, rates, kinks_rule(kinks), kind)


def _homogeneous(
    tensor: Tensor, sigma: Activation, system: System, given: dict[str, sympy.Expr | None], kinks: Kinks, kind: Kind
) -> Solution:
    """Two slopes: exact at any C_b and C_W."""
    import sympy as sp

    from rgflow.universality.averages import closed
    from rgflow.universality.exact import SYMBOLS, K, homogeneous

    average = closed(sigma)
    if kind.step.weight is None:
        critical = sp.Integer(1)
    else:
        critical = sp.cancel(kind.left * K / average((0, 0), 0))
    if kind.skip is not None and not kind.skip.free_symbols and abs(kind.skip) >= 1:
        if given["C_W"] is None:
            recommended(sigma, kind.layer)  # says why there is none
        if "Theta" in system.names:
            raise NoClosedForm(
                f"{tensor.name} with skip = {kind.skip}: Theta is solved for a first layer at C_W/(1 - skip^2), which "
                "needs |skip| < 1; flow instead"
            )
    left_out = {"C_b": sp.Integer(0), "C_W": critical}
    chosen = {name: left_out.get(name) if value is None else value for name, value in given.items()}
    parameters = {name: value for name, value in chosen.items() if value is not None and value != SYMBOLS[name]}
    parameters |= kind.shown()
    assumptions = [equal_widths(kind.step.kind), SAME_RATES]
    if parameters.get("C_W", SYMBOLS["C_W"]).free_symbols and parameters.get("C_W") != critical:
        assumptions.append(f"C_W is not the critical {critical}, where its powers become polynomials in l")
    if sigma.kinks and kinks == "almost_everywhere":
        assumptions.append(ALMOST_EVERYWHERE)
    if kind.remembers(tensor) and not even_square(sigma):
        expression = _with_memory(tensor, sigma, chosen, critical, kind)
    else:
        expression = homogeneous(system, average, parameters, kind.step)[tensor.name]
    return Solution(
        name=tensor.name,
        activation=sigma,
        kind="exact",
        expression=expression,
        correction=sp.Integer(0),
        parameters=parameters,
        assumptions=(*assumptions, *kind.assumptions()),
        kinks=kinks,
        layer=kind.layer,
        closure=kind.closure,
    )


def _with_memory(
    tensor: Tensor, sigma: Activation, chosen: dict[str, sympy.Expr | None], critical: sympy.Expr, kind: Kind
) -> sympy.Expr:
    """Two slopes that are not alike: V at criticality, as a finite sum."""
    import sympy as sp

    from rgflow.universality.exact import k
    from rgflow.universality.memory import vertex

    if tensor.name != "V" or chosen["C_b"] != 0 or sp.simplify(chosen["C_W"] - critical) != 0:
        raise NoClosedForm(
            f"{tensor.name} of {kind.named(sigma)}: neurons remember their past, and with all of it only V is solved "
            "in depth, at the critical C_b and C_W; flow instead, or take closure='book'"
        )
    start = k if chosen["k"] is None else chosen["k"]
    return vertex(sigma, kind.layer, critical, kind.skip, start)


def _at_critical_point(
    tensor: Tensor,
    sigma: Activation,
    system: System,
    given: dict[str, sympy.Expr | None],
    rates: str,
    kinks: Kinks,
    kind: Kind,
) -> Solution:
    """Any other sigma: at its recommended critical point, exact if the kernel stays there, else asymptotic."""
    symbolic = kind.skip is not None and bool(kind.skip.free_symbols)
    layer = kind.layer.changed(skip=0.0) if symbolic else kind.layer
    point = recommended(sigma, layer)
    there_are = point.values
    if symbolic:
        there_are |= {name: kind.left * there_are[name] for name in ("C_b", "C_W")}
    for name in ("C_b", "C_W"):
        chosen, there = given[name], there_are[name]
        if chosen is not None and not _equal(chosen, there):
            shown = str(there) if there.free_symbols else f"{float(there):.12g}"
            raise NoClosedForm(
                f"{name} = {chosen}: {sigma.name} is solved at its critical {name} = {shown} only; "
                "leave it out, or flow"
            )
    if point.universality_class == VANISHING:
        if kind.remembers(tensor) and (sigma.parity != -1 or tensor.name not in GROWING):
            raise NoClosedForm(
                f"{tensor.name} of {kind.named(sigma)}: the correction to its leading power, or that itself, depends "
                "on what neurons remember; see rgflow.criticality(...).laws, flow, or take closure='book'"
            )
        return far_from_the_input(tensor, sigma, there_are["C_b"], there_are["C_W"], given, rates, kind)
    if point.universality_class == HALF_STABLE and not sigma.kinks:
        if kind.remembers(tensor):
            raise NoClosedForm(
                f"{tensor.name} of {kind.named(sigma)} is not solved with all that neurons remember; the growth of V "
                "is in rgflow.criticality(...).laws['V']; flow instead, or take closure='book'"
            )
        return at_fixed_kernel(
            tensor, sigma, system, there_are["K_star"], there_are["C_b"], there_are["C_W"], given, kind
        )
    raise NoClosedForm(
        f"{tensor.name} of {sigma.name} has no solution in depth here: exact ones are known for sigma with two slopes "
        "and for smooth sigma at a half-stable critical point, asymptotic ones for smooth sigma with K* = 0"
    )


def _equal(chosen: Any, there: Any) -> bool:
    """Whether a hyperparameter is the critical one, as far as twelve digits tell."""
    import sympy as sp

    if chosen.free_symbols or there.free_symbols:
        return bool(there.free_symbols and sp.simplify(chosen - there) == 0)
    return abs(float(chosen) - float(there)) <= 1e-12 * float(there)
