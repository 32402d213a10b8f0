r"""The four-point vertex where neurons remember: at a fixed kernel, with noise that two layers share.

A critical layer passes fluctuations on as they are and adds the noise of its n neurons,

.. math:: \delta G(l + 1) = \delta G(l) + \sum_f w_f\, \eta_f(l), \qquad
          V = n \langle\delta G\, \delta G\rangle + 2 n \langle\eta_{zz}\, \delta G\rangle,

and with a skip the noise of two layers, d apart, is that of neurons whose z are correlated by skip^d. So V is a double
sum over layers, of functions of their distance alone: with N = l - 1 layers after the first,

.. math:: V = N S(0) + 2 \sum_{d=1}^{N-1} (N - d) S(d) + \sum_{d=1}^{N} Z(d).

S(d) and Z(d) fall as powers of skip^d, and V becomes linear in l. Which functions f there are, and their w_f, is read
off the derived lines of V.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from rgflow.activations import Activation
from rgflow.algebra import Tensor
from rgflow.algebra.linked import Linked
from rgflow.algebra.response import FLUCTUATION, Answer, Neuron
from rgflow.brackets import gaussian_moments
from rgflow.derive import derive
from rgflow.derive.linked import entries_of
from rgflow.derive.noise import CROSSED, covariance
from rgflow.errors import NoClosedForm
from rgflow.flow.needs import pasts
from rgflow.network import Layer

if TYPE_CHECKING:
    import sympy

    from rgflow.universality.points import CriticalPoint

Part: TypeAlias = tuple[tuple[int, ...], int]  # written orders, pending derivatives
One: TypeAlias = Callable[[Part], Any]
Two: TypeAlias = Callable[[Part, Part], Any]

HEAD = tuple(past for past, _ in pasts(*entries_of(Tensor.named("V"), (0,) * 4)))  # what of z joins the metric in V
LAYERS = 8192  # of memory that are added up
FORGOTTEN = 1e-18
CRITICAL = 1e-9
NODES = 64  # correlations at which quadrature is done


@dataclass(frozen=True)
class Growth:
    """V = K^2 (rate (l - 1) + start) but for what falls as skip^l, and the numerical error of the rate."""

    rate: float
    start: float
    error: float


def lines(layer: Layer) -> tuple[tuple[Answer, ...], tuple[Answer, ...]]:
    """(noise, response) of the line of V.

    Raises NoClosedForm if it does not stand alone.
    """
    linked = derive("V", layer=layer)
    if not isinstance(linked, Linked) or len(linked.lines) != 1 or linked.lines[0].kind != FLUCTUATION:
        raise NoClosedForm(f"V of {layer!r} is not given by one line; flow instead")
    answers = linked.lines[0].answers
    return tuple(a for a in answers if a.noise is not None), tuple(a for a in answers if a.noise is None)


def noise_covariance(f: Neuron, g: Neuron, kernel: Any, correlation: Any, one: One, two: Two) -> Any:
    """n <eta[f] eta[g]> of two layers with the same kernel whose z are correlated."""
    total: Any = 0
    for term in covariance(f, g):
        value = kernel ** len(term.kernels) * correlation ** sum(each.place == CROSSED for each in term.kernels)
        later, earlier = (term.later.orders, term.later.pending), (term.earlier.orders, term.earlier.pending)
        if later[0] and earlier[0]:
            value = value * (two(later, earlier) - int(term.connected) * one(later) * one(earlier))
        else:
            for side in (later, earlier):
                value = value * one(side) if side[0] else value
        total = total + value
    return total


def sources(noise: tuple[Answer, ...], weights: list[Any], kernel: Any, c: Any, one: One, two: Two) -> tuple[Any, Any]:
    """S and Z at the correlation c."""
    terms = list(zip(weights, (answer.noise for answer in noise), strict=True))
    shared = sum(u * v * noise_covariance(f, g, kernel, c, one, two) for u, f in terms for v, g in terms if f and g)
    own = sum(v * noise_covariance(past, g, kernel, c, one, two) for past in HEAD for v, g in terms if g)
    return shared, own


def _weight(answer: Answer, values: dict[str, Any], kernel: Any, one: One) -> Any:
    found: Any = answer.coefficient.numerator
    for symbol in answer.symbols:
        found = found * values[symbol]
    found = found * kernel ** len(answer.kernels) / answer.coefficient.denominator
    return found if answer.bracket is None else found * one((answer.bracket.orders, answer.bracket.pending))


# Numbers --------------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def growth(point: CriticalPoint) -> Growth:
    """How V grows at a critical point with a fixed kernel.

    Raises NoClosedForm if neurons remember more than 8192 layers.
    """
    K = 1.0 if point.K_star is None else point.K_star
    skip = point.layer.value("skip")
    count = 0 if skip == 0 else int(np.ceil(np.log(FORGOTTEN) / np.log(abs(skip))))
    if count > LAYERS:
        raise NoClosedForm(
            f"V of {point.activation.name}: with skip = {skip:g} neurons remember more than {LAYERS} layers; flow "
            "instead"
        )
    d = np.arange(count + 1.0)
    c = skip**d
    doubt = np.zeros_like(c)
    pairs = _pairs(point.activation, K, c[1:])

    def one(part: Part) -> float:
        values, errors = gaussian_moments(point.activation, [[[K]]], [(part,)], kinks="almost_everywhere")
        doubt[:] += errors[0, 0]
        return float(values[0, 0])

    def two(later: Part, earlier: Part) -> Any:
        values, errors = pairs(later, earlier)
        doubt[1:] += errors
        return np.concatenate([[one(((*later[0], *earlier[0]), 0))], values])

    noise, response = lines(point.layer)
    values = {"C_W": point.C_W, "skip": skip}
    passed = sum(_weight(answer, values, K, one) for answer in response)
    if abs(passed - 1) > CRITICAL:
        raise NoClosedForm(f"a layer multiplies fluctuations of the kernel by {passed:g}, not by 1; flow instead")
    weights = [_weight(answer, values, K, one) for answer in noise]
    doubt[:] = 0
    shared, own = sources(noise, weights, K, c, one, two)
    own = own * np.ones_like(c)
    rate = shared[0] + 2 * shared[1:].sum()
    start = own[1:].sum() - 2 * (d * shared)[1:].sum()
    error = sum(abs(weight) for weight in weights) ** 2 * 2 * doubt.sum()
    return Growth(float(rate / K**2), float(start / K**2), float(error / K**2))


def _pairs(activation: Activation, K: float, c: Any) -> Callable[[Part, Part], tuple[Any, Any]]:
    """Averages over two layers at the correlations c, with errors: from the closed form if there is one."""

    def at(places: Any, later: Part, earlier: Part) -> tuple[Any, Any]:
        kernels = K * np.array([[np.ones_like(places), places], [places, np.ones_like(places)]]).transpose(2, 0, 1)
        values, errors = gaussian_moments(activation, kernels, [(later, earlier)], kinks="almost_everywhere")
        return values[:, 0], errors[:, 0]

    def by_quadrature(later: Part, earlier: Part) -> tuple[Any, Any]:
        if c.size <= NODES:
            return at(c, later, earlier) if c.size else (c, c)
        # for smooth sigma an analytic function of the correlation: from fewer places
        found = np.polynomial.Chebyshev.interpolate(
            lambda places: at(places, later, earlier)[0], NODES - 1, domain=[c.min(), c.max()]
        )
        beyond = np.abs(found.coef[-NODES // 8 :]).sum()
        return found(c), np.full_like(c, beyond)

    def in_closed_form(later: Part, earlier: Part) -> tuple[Any, Any]:
        import sympy as sp

        from rgflow.brackets.closed import closed_bracket_two

        names = sp.Symbol("K11", positive=True), sp.Symbol("K12", real=True), sp.Symbol("K22", positive=True)
        found = sp.lambdify(names, closed_bracket_two(activation, later, earlier), "numpy")(K, K * c, K)
        values = found * np.ones_like(c)
        return values, 4 * np.finfo(float).eps * np.abs(values)

    # two slopes have a closed form, and a kink is hard for quadrature where the correlation is near 1
    return by_quadrature if activation.slopes is None else in_closed_form


# In closed form, for two slopes ---------------------------------------------------------------------------------------


def vertex(activation: Activation, layer: Layer, C_W: sympy.Expr, skip: sympy.Expr, k: sympy.Expr) -> sympy.Expr:
    """V(l) of a scale-invariant sigma at criticality, every kernel being fixed; a finite sum over distances of layers.

    What is a power of the correlation is summed in closed form.
    """
    import sympy as sp

    from rgflow.brackets.closed import closed_bracket, closed_bracket_two
    from rgflow.universality.exponentials import l

    K, K11, K22 = (sp.Symbol(name, positive=True) for name in ("K", "K11", "K22"))
    K12, x, d = sp.Symbol("K12", real=True), sp.Symbol("x", real=True), sp.Symbol("d", integer=True, positive=True)

    def one(part: Part) -> Any:
        return closed_bracket(activation, *part).subs(K, 1)

    def two(later: Part, earlier: Part) -> Any:
        return closed_bracket_two(activation, later, earlier).subs({K11: 1, K22: 1, K12: x})

    def same(later: Part, earlier: Part) -> Any:
        return one(((*later[0], *earlier[0]), 0))

    noise, response = lines(layer)
    values = {"C_W": C_W, "skip": skip}
    if sp.simplify(sum(_weight(answer, values, sp.Integer(1), one) for answer in response) - 1) != 0:
        raise NoClosedForm(f"V of {activation.name} is solved at the critical C_W only; flow instead")
    weights = [_weight(answer, values, sp.Integer(1), one) for answer in noise]
    shared, own = (sp.expand(part) for part in sources(noise, weights, sp.Integer(1), x, one, two))
    at_once, _ = sources(noise, weights, sp.Integer(1), sp.Integer(1), one, same)
    N, last = sp.Symbol("N"), sp.Symbol("last", positive=True)  # last: skip^N
    rest: Any = sp.Integer(0)
    total = N * at_once
    for part, twice in ((shared, True), (own, False)):
        for term in sp.Add.make_args(part):
            c, power = term.as_coeff_exponent(x)
            if c.has(x) or not power.is_Integer:
                if not twice:
                    raise NoClosedForm(f"V of {activation.name} has no closed form; flow instead")
                rest += term
            elif power == 0:
                if sp.simplify(sum(t for t in sp.Add.make_args(part) if not t.has(x))) != 0:
                    raise NoClosedForm(f"the noise of {activation.name} does not fall with the distance of layers")
            else:
                q, end = skip**power, last**power
                geometric = q * (1 - end) / (1 - q)
                total += c * (2 * (N * q - geometric) / (1 - q) if twice else geometric)
    plain = sp.factor(sp.cancel(sp.together(total))).subs({last: skip ** (l - 1), N: l - 1})
    if rest == 0:
        return k**2 * plain
    number, summand = sp.factor(rest).as_independent(x, as_Add=False)
    return k**2 * (plain + 2 * number * sp.Sum((l - 1 - d) * summand.subs(x, skip**d), (d, 1, l - 2)))
