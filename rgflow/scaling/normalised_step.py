r"""What one layer with a norm does to the kernel and to partial Jacobians, read off its derived lines.

.. math:: K' = C_b + a K + C_W M, \qquad \chi_J = a + C_W\, s(K), \qquad a = \text{skip}^2

At epsilon = 0 a norm leaves the weights to read a number M: the kernel follows a straight line, whatever sigma is, and
ends at K* = (C_b + C_W M)/(1 - a) or grows. A norm before sigma has M = <ss>_1 and s = <s's'>_1/K, one after it M = 1
and s = <s's'>_K over what it divides by.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from rgflow.activations import Activation, activation
from rgflow.algebra.response import OF_KERNEL, OF_SQUARE, Answer, Line
from rgflow.algebra.symbolic import bracket_node, hyperparameter
from rgflow.brackets.closed import closed_bracket
from rgflow.derive import derive
from rgflow.errors import NoClosedForm, NoCriticalPoint
from rgflow.layers import Law, laws
from rgflow.network import Layer
from rgflow.scaling.growth.tails import Tail, far
from rgflow.universality.averages import average_at, odd

DIGITS = 30


@dataclass(frozen=True)
class NormalisedStep:
    """One layer at epsilon = 0, in Symbol("K"), hyperparameters and ``Average(orders, pending, kernel)``.

    Attributes
    ----------
    kernel, factor : sympy.Expr
        K' and chi_J, as the lines have them.
    read, slope : sympy.Expr
        M, which is free of K, and s(K).
    """

    layer: Layer
    kernel: Any
    factor: Any
    read: Any
    slope: Any


def normalises(layer: Layer) -> bool:
    """Whether a layer has a norm."""
    return any(law.norm is not None for law in laws(layer))


@lru_cache(maxsize=64)
def normalised_step(layer: Layer) -> NormalisedStep:
    """K' and chi_J of a layer with a norm.

    Raises NoCriticalPoint for a layer whose lines are of another form.

    >>> from rgflow.network.kinds.layer_norm import LayerNorm
    >>> found = normalised_step(LayerNorm())
    >>> found.read, found.slope
    (Average((0, 0), 0, 1), Average((1, 1), 0, 1)/K)
    """
    import sympy as sp

    kernel, factor = (x.subs(hyperparameter("epsilon"), 0) for x in _walked(layer))
    K, C_b, C_W, skip = kernel_symbol(), *map(hyperparameter, ("C_b", "C_W", "skip"))
    read, slope = (sp.cancel(sp.diff(x, C_W)) for x in (kernel, factor))
    rest = kernel - (C_b + skip**2 * K + C_W * read), factor - (skip**2 + C_W * slope)
    if read.has(K) or any(sp.simplify(x) != 0 for x in rest):
        raise NoCriticalPoint(
            f"{layer!r} has no critical line that is known: its lines are\n{derive('K', layer=layer)}\n"
            f"{derive('J', layer=layer)}\nand lines are known for K' = C_b + skip^2 K + C_W M with M free of K; flow "
            "instead"
        )
    return NormalisedStep(layer, kernel, factor, read, slope)


def kernel_symbol() -> Any:
    """K of the layer below."""
    import sympy as sp

    return sp.Symbol("K", positive=True)


# The lines, stage after stage -----------------------------------------------------------------------------------------


def _walked(layer: Layer) -> tuple[Any, Any]:
    """K' and J'/J."""
    import sympy as sp

    kernels, moved = [kernel_symbol()], [sp.Integer(1)]
    means = (derive(name, layer=layer).lines for name in ("K", "J"))  # type: ignore[union-attr]
    for law, line, other in zip(laws(layer), *means, strict=True):
        nu = _divisor(law, kernels[-1])
        kernel, factor = _value(line, kernels, moved, nu), _value(other, kernels, moved, nu)
        kernels.append(kernel)
        moved.append(factor)
    return kernels[-1], moved[-1]


def _divisor(law: Law, kernel: Any) -> Any:
    """nu, by which the norm of a law divides at leading order."""
    import sympy as sp

    if law.scale is None:
        return sp.Integer(1)
    square = average((0, 0), 0, kernel)
    centred = square - average((0,), 0, kernel) ** 2
    size = {OF_KERNEL: kernel, OF_SQUARE: square}.get(law.scale, centred)
    return sp.sqrt(size + hyperparameter("epsilon"))


def _value(line: Line, kernels: list[Any], moved: list[Any], nu: Any) -> Any:
    """The right-hand side of a line."""
    import sympy as sp

    def one(answer: Answer) -> Any:
        below, factor = kernels[-answer.back], moved[-answer.back]
        found = sp.Rational(answer.coefficient.numerator, answer.coefficient.denominator)
        found *= sp.Mul(*map(hyperparameter, answer.symbols)) * factor ** len(answer.thetas)
        found *= sp.Mul(*(average(x.orders, x.pending, below) for x in answer.brackets))
        return found * below ** len(answer.kernels) / nu ** len(answer.norms)

    return sp.Add(*map(hyperparameter, line.constants), *map(one, line.answers))


# Averages -------------------------------------------------------------------------------------------------------------


def average(orders: tuple[int, ...], pending: int, kernel: Any) -> Any:
    """< d^pending prod sigma^{(orders)} > at a kernel, unevaluated."""
    import sympy as sp

    return sp.Function("Average", real=True)(sp.Tuple(*orders), sp.Integer(pending), kernel)


def averages_in(expression: Any) -> list[tuple[Any, tuple[int, ...], int, Any]]:
    """Each average of an expression: itself, its orders, its pending derivatives, its kernel."""
    from sympy.core.function import AppliedUndef

    nodes = sorted(expression.atoms(AppliedUndef), key=str)
    return [(node, tuple(int(k) for k in node.args[0]), int(node.args[1]), node.args[2]) for node in nodes]


def evaluated(expression: Any, sigma: Activation) -> Any:
    """With averages in closed form; those without one to 30 digits if their kernel is a number, else as they are.

    Raises NoClosedForm where it is not finite.
    """
    import sympy as sp

    put = {node: _found(sigma, node, *rest) for node, *rest in averages_in(expression)}
    left = expression.xreplace(put)
    if averages_in(left):
        return left
    return _finite(left.n(DIGITS) if left.has(sp.Float) else sp.simplify(left), sigma)


def _found(sigma: Activation, node: Any, orders: tuple[int, ...], pending: int, kernel: Any) -> Any:
    import sympy as sp

    if odd((orders, pending), sigma.parity):
        return sp.Integer(0)
    try:
        return closed_bracket(sigma, orders, pending).subs(sp.Symbol("K", positive=True), kernel)
    except NoClosedForm:
        return average_at(sigma, bracket_node(orders, pending), kernel, DIGITS) if kernel.is_number else node


def at_large_kernels(expression: Any, sigma: Activation) -> tuple[Any, Any]:
    """(A, p) of what tends to A K^-p; from closed forms that are rational in K, else from the tails of sigma.

    Raises NoClosedForm for sigma that neither has such closed forms nor tends to lines or constants.
    """
    import sympy as sp

    K = kernel_symbol()
    closed = sp.together(evaluated(expression, sigma))
    if not averages_in(closed) and closed.is_rational_function(K):
        above, below = (sp.Poly(x, K) for x in sp.fraction(closed))
        return above.LC() / below.LC(), sp.Integer(below.degree() - above.degree())
    tail = far(sigma)
    put = {
        node: _tail_of(tail, orders, pending, K)
        for node, orders, pending, kernel in averages_in(expression)
        if kernel == K
    }
    left = expression.xreplace(put)
    amplitude = evaluated(left.subs(K, 1), sigma)
    return amplitude, -sp.nsimplify(sp.simplify((left.diff(K) / left).subs(K, 1)), rational=True)


def _tail_of(tail: Tail, orders: tuple[int, ...], pending: int, K: Any) -> Any:
    """The leading power of an average of products of two, or of sigma itself."""
    import sympy as sp

    if orders == (0, 0) and not pending:
        return tail.square * K**tail.degree
    if orders == (1, 1) and not pending:
        return tail.slope * K**-tail.fall
    assert orders == (0,)
    if tail.lines is not None:
        corner = sp.Rational(tail.lines.left + tail.lines.right)
        return corner * closed_bracket(activation("relu"), (0,), 0).subs(sp.Symbol("K", positive=True), K)
    return tail.limits[0] if tail.limits is not None else sp.Integer(0)  # 1/sqrt(K) beside the root of <ss>


def _finite(found: Any, sigma: Activation) -> Any:
    import sympy as sp

    if found.has(sp.zoo, sp.oo, sp.nan):
        raise NoClosedForm(
            f"{sigma.name} tends to one constant on both sides, so that what the norm divides by vanishes where the "
            "kernel grows: no law in the depth is read off its tails; take place='before', or |skip| < 1"
        )
    return found
