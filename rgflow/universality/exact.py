r"""One-input recursions solved exactly in depth, all widths equal.

Two cases where every Gaussian average is known at every layer, so that the recursions of a closure, in their order,
are linear with a constant factor each, X(l+1) = mu^j X(l) + (what is solved already):

- sigma = a_+ z (z > 0), a_- z (z < 0): every average is a number times a power of K, and K' = C_b + mu K is linear
  itself, mu = a + C_W A_2 with <sigma sigma> = A_2 K, a = 0 but for layers with a skip;
- smooth sigma that stays at a critical fixed point K*: every average is a number, mu = 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from typing import Any, TypeAlias

import sympy as sp
from sympy.polys.constructor import construct_domain

from rgflow.algebra import Bracket, System, Tensor, Term
from rgflow.algebra.symbolic import hyperparameter
from rgflow.errors import NoClosedForm
from rgflow.universality.averages import Average, bracket_node, normal_form, odd
from rgflow.universality.exponentials import Coefficient, Exponential, Exponentials
from rgflow.universality.kernel_step import KernelStep, kernel_step

Reduced: TypeAlias = tuple[Coefficient, tuple[Tensor, ...]]

k, K = sp.Symbol("k", positive=True), sp.Symbol("K", positive=True)
SYMBOLS = {name: sp.Symbol(name, nonnegative=True) for name in ("C_b", "C_W", "lambda_b", "lambda_W")} | {"k": k}
KERNEL, TANGENT = Tensor.named("K"), Tensor.named("Theta")
BETWEEN_EQUALS = {"narrowing": sp.Integer(1)}  # symbols of laws that widths fix


# Positively homogeneous sigma -----------------------------------------------------------------------------------------


def homogeneous(
    system: System, average: Average, parameters: Mapping[str, sp.Expr], step: KernelStep | None = None
) -> dict[str, sp.Expr]:
    """Every tensor of a one-input System in the layer l, for sigma whose averages are c K^p with whole p >= 0.

    First layer K = k, Theta = lambda_b + lambda_W (k - C_b)/C_W, all else 0; equal widths.

    Parameters
    ----------
    average : (orders, pending) -> expression c K^p
        c may hold symbols, slopes for example.
    parameters : mapping
        C_b, C_W (not zero), k, lambda_b, lambda_W as numbers or expressions; those not named stay symbols. Powers of
        mu = C_W A_2 become polynomials where mu is 1, so that criticality must be said here, not put in afterwards.
        With a skip also ``skip``; the first layer is then dense, at C_b/(1 - skip^2), C_W/(1 - skip^2).
    step : KernelStep
        Of the layer that the System is of; None for a dense one.

    Raises NoClosedForm where an average is no such power.
    """
    step = kernel_step() if step is None else step
    given = {name: parameters.get(name, symbol) for name, symbol in SYMBOLS.items()} | BETWEEN_EQUALS
    if step.carries:
        given["skip"] = parameters.get("skip", hyperparameter("skip"))
    powers = {b: _power(b, average) for b in system.brackets}
    _, kept, weight = step.values(given)
    C_W, mu = given["C_W"], sp.cancel(kept + (weight and weight * _power(_SECOND, average)[0]))
    # numbers, C_W and skip join the field, in which one divides; other expressions stand behind symbols until the end
    numbers = {name: value for name, value in given.items() if not value.free_symbols or name in ("C_W", "skip")}
    hidden = {name: sp.Dummy(name) for name in given if name not in numbers}
    field = _field([*(c for c, _ in powers.values()), *numbers.values(), mu])
    ring = Exponentials(list(hidden.values()), field, mu)
    value = {name: ring.number(numbers.get(name, hidden.get(name))) for name in given}
    scales = {b: (ring.number(c), p) for b, (c, p) in powers.items()}

    def reduced(term: Term) -> Reduced:
        coefficient = ring.number(term.coefficient)
        for name, power in term.symbols:
            coefficient *= value[name] ** power
        kernels = 0
        for b in term.brackets:
            coefficient *= scales[b][0]
            kernels += scales[b][1]
        return coefficient, (KERNEL,) * kernels + tuple(v.tensor for v in term.tensors)

    left = ring.number(1) - value["skip"] ** 2 if step.carries else ring.number(1)
    overlap = (value["k"] * left - value["C_b"]).quo_ground(field.from_sympy(C_W))
    first = {KERNEL: value["k"], TANGENT: value["lambda_b"] + value["lambda_W"] * overlap}
    found = triangular(system, ring, reduced, first)
    back = {symbol: given[name] for name, symbol in hidden.items()}
    return {name: ring.expression(x).xreplace(back) for name, x in found.items()}


_SECOND = Bracket(((0, 0), (0, 0)))


def _power(bracket: Bracket, average: Average) -> tuple[sp.Expr, int]:
    """c and p of an average c K^p."""
    value = sp.expand(average(bracket.orders, bracket.pending))
    if value == 0:
        return sp.Integer(0), 0
    c, p = value.as_coeff_exponent(K)
    if c.has(K) or not p.is_Integer or p < 0:
        raise NoClosedForm(f"the average of {bracket.orders}, {bracket.pending} pending, is {value}: no power of K")
    return c, int(p)


def _field(constants: Iterable[sp.Expr]) -> Any:
    """The smallest field with these numbers and expressions in it."""
    found = construct_domain(list(constants), field=True, extension=True)[0]
    return found.unify(sp.QQ) if found.is_Exact else found


# A critical fixed point -----------------------------------------------------------------------------------------------


def fixed_kernel(
    system: System, *, parity: int = 0, numbers: Average | None = None, skip: Any = None
) -> dict[str, sp.Expr]:
    """Every tensor of a one-input System in the layer l, for smooth sigma that starts at a critical fixed point K*.

    K = K* at every layer, chi_parallel = chi_perpendicular = 1, hence <s's'> = 1/C_W and <s s''> = 0; equal widths.
    Polynomials in l whose coefficients hold C_W, lambda_b, lambda_W and averages as ``Recursion.to_sympy`` writes them,
    the independent ones of :func:`rgflow.universality.averages.normal_form`.

    Parameters
    ----------
    parity : +1, -1 or 0
        Of sigma: averages of odd products are zero.
    numbers : (orders, pending) -> SymPy number
        Values to calculate with, instead of the averages; C_W is then 1/<s's'>.
    skip : SymPy number
        Of a residual layer. C_W <s's'> is then 1 - skip^2, and the first layer dense with C_b and C_W in proportion.
    """
    normal = {b: normal_form(b.orders, b.pending) for b in system.brackets}
    needed = {one for form in normal.values() for one in form} | {((0, 0), 0)}
    free = sorted(one for one in needed if one not in _CRITICAL and not odd(one, parity))
    node = {one: bracket_node(*one) for one in free}
    letter = {one: sp.Dummy(f"average{i}") for i, one in enumerate(free)}
    # Theta of the first layer, and lambda_W / C_W: with it no denominator is left
    weight, start, rate = SYMBOLS["C_W"], sp.Dummy("start"), sp.Dummy("rate")
    put = {letter[one]: numbers(*one) for one in free} if numbers else {}
    if numbers:
        put[weight] = (1 - (skip or 0) ** 2) / numbers((1, 1), 0)
    symbols = [weight, *reversed(letter.values()), rate, start, *([] if skip is None else [K])]
    ring = Exponentials(symbols, _field([*put.values(), sp.Integer(1) if skip is None else skip]))
    own = ring.number(0 if skip is None else skip)
    left = ring.number(1) - own**2
    value = {symbol: ring.number(put.get(symbol, symbol)) for symbol in symbols}
    C_W, overlap = value[weight], value[letter[(0, 0), 0]]
    known = {
        bracket: [
            (_CRITICAL[one][0], ring.number(times * _CRITICAL[one][1]) * left ** _CRITICAL[one][0])
            if one in _CRITICAL
            else (0, ring.number(times) * value[letter[one]])
            for one, times in form.items()
            if one in _CRITICAL or one in letter
        ]
        for bracket, form in normal.items()
    }

    def reduced(term: Term) -> Reduced:
        power = dict(term.symbols)
        rates = power.get("lambda_W", 0)
        coefficient = ring.number(term.coefficient) * value[rate] ** rates
        if "skip" in power:
            coefficient *= own ** power["skip"]
        coefficient *= (value[start] - value[rate] * C_W * overlap) ** power.get("lambda_b", 0)
        # lambda_W = C_W rate brings a C_W, and an average that criticality knows takes one away
        parts = {power.get("C_W", 0) + rates: coefficient}
        for bracket in term.brackets:
            following: dict[int, Coefficient] = {}
            for s, c in parts.items():
                for less, factor in known[bracket]:
                    following[s - less] = following.get(s - less, ring.number(0)) + c * factor
            parts = following
        total = sum((c * C_W**s for s, c in parts.items()), ring.number(0))
        return total, tuple(v.tensor for v in term.tensors)

    # without a skip K stands in other recursions only through averages: its own value is not asked for
    kernel = {} if skip is None else ring.constant(value[K])
    found = triangular(system, ring, reduced, {TANGENT: value[start]}, solved={KERNEL: kernel})
    back: dict[sp.Basic, sp.Expr] = {letter[one]: node[one] for one in free}
    back[start] = SYMBOLS["lambda_b"] + SYMBOLS["lambda_W"] * put.get(letter[(0, 0), 0], node[(0, 0), 0])
    back[rate] = SYMBOLS["lambda_W"] / put.get(weight, weight)
    return {name: ring.expression(x).xreplace(back) for name, x in found.items()} | {"K": K}


# chi_perpendicular = 1, and chi_parallel = 1, as (s, c): the average is c / C_W^s
_CRITICAL = {((), 0): (0, 1), ((1, 1), 0): (1, 1), ((0, 0), 2): (1, 2)}


# Either ---------------------------------------------------------------------------------------------------------------


def triangular(
    system: System,
    ring: Exponentials,
    reduced: Callable[[Term], Reduced],
    first: Mapping[Tensor, Coefficient],
    solved: Mapping[Tensor, Exponential] | None = None,
) -> dict[str, Exponential]:
    """Solve recursion after recursion: each is linear in its own tensor and else holds what is solved before it.

    Parameters
    ----------
    reduced : Term -> (coefficient, tensors)
        A term as a constant times a product of tensors.
    first : {tensor: value at layer 1}, 0 where none is given
    solved : tensors that are known already

    Raises NoClosedForm where a system is not of this form.
    """
    known = dict(solved or {})
    products: dict[tuple[Tensor, ...], Exponential] = {(): ring.constant(ring.number(1))}

    def product(tensors: tuple[Tensor, ...]) -> Exponential:
        if tensors not in products:
            if tensors[-1] not in known:
                raise NoClosedForm(f"{tensors[-1].name} is needed before it is solved: recursions not triangular")
            products[tensors] = ring.product(product(tensors[:-1]), known[tensors[-1]])
        return products[tensors]

    for recursion in system:
        tensor = recursion.tensor
        if tensor in known:
            continue
        collected: dict[tuple[Tensor, ...], Coefficient] = {}
        for term in recursion.terms:
            coefficient, tensors = reduced(term)
            collected[tensors] = collected.get(tensors, ring.number(Fraction(0))) + coefficient
        own = collected.pop((tensor,), ring.number(0))
        source = ring.sum((c, product(tensors)) for tensors, c in collected.items() if c)
        power = ring.exponent(own, tensor.level + tensor.order)
        known[tensor] = ring.solve(first.get(tensor, ring.number(0)), power, source)
    return {recursion.name: known[recursion.tensor] for recursion in system}
