"""One-input averages: which of them are independent, as SymPy nodes, in closed form and as numbers of many digits."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias

from rgflow.activations import Activation
from rgflow.algebra.symbolic import bracket_node as bracket_node
from rgflow.brackets.leibniz import leibniz
from rgflow.errors import NoClosedForm

if TYPE_CHECKING:
    import sympy

Average: TypeAlias = "Callable[[tuple[int, ...], int], sympy.Expr]"
"""(orders, pending) -> < d^pending prod sigma^{(orders)} >_K as an expression in K, or a number."""
Product: TypeAlias = tuple[tuple[int, ...], int]


@cache
def normal_form(orders: tuple[int, ...], pending: int) -> dict[Product, Fraction]:
    """An average as a sum over independent ones: pairs (k, k) with derivatives pending, other products with none.

    By s^(a) s^(b) = d[s^(a) s^(b-1)] - s^(a+1) s^(b-1) and d[s^(k) s^(k)] = 2 s^(k) s^(k+1). For smooth sigma.

    >>> normal_form((0, 2), 0)
    {((0, 0), 2): Fraction(1, 2), ((1, 1), 0): Fraction(-1, 1)}
    """
    if not orders:
        return {} if pending else {((), 0): Fraction(1)}
    if len(orders) != 2:
        return {(product, 0): Fraction(times) for times, product in leibniz(orders, pending)}
    a, b = sorted(orders)
    if a == b:
        return {((a, b), pending): Fraction(1)}
    if b == a + 1:
        return {((a, a), pending + 1): Fraction(1, 2)}
    out = dict(normal_form((a, b - 1), pending + 1))
    for one, times in normal_form((a + 1, b - 1), pending).items():
        out[one] = out.get(one, Fraction(0)) - times
    return {one: times for one, times in out.items() if times}


def odd(product: Product, parity: int) -> bool:
    """Whether an average is that of an odd function, for sigma of this parity."""
    orders, pending = product
    return parity != 0 and (sum(orders) + pending + (len(orders) if parity < 0 else 0)) % 2 == 1


def closed(activation: Activation) -> Average:
    """Averages in closed form."""
    from rgflow.brackets.closed import closed_bracket

    return lambda orders, pending: closed_bracket(activation, orders, pending)


def average_at(activation: Activation, node: sympy.Expr, kernel: Any, digits: int = 30) -> sympy.Expr:
    """A number for an average ``Bracket(orders, pending)`` at a kernel: its closed form if it has one, else quadrature.

    Parameters
    ----------
    kernel : sympy number
    """
    import sympy as sp
    from mpmath import mp

    from rgflow.brackets import reference

    orders, pending = tuple(int(k) for k in node.args[0]), int(node.args[1])
    try:
        found = closed(activation)(orders, pending).subs(sp.Symbol("K", positive=True), kernel).n(digits)
    except NoClosedForm:
        found = None
    if found is not None and found.is_number:
        return found
    near = float(kernel)
    with mp.workdps(digits + 5):
        # the quadrature takes a double; d<f>/dK = <f''>/2 carries it to the kernel itself
        value, slope = (reference(activation, [[near]], [(orders, pending + more)], digits) for more in (0, 2))
        rest = mp.mpf(str(sp.N(kernel, digits + 5))) - mp.mpf(near)
        return sp.Float(str(value + rest * slope / 2), digits)
