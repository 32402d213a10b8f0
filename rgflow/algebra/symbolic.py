"""Recursions as SymPy expressions.

Hyperparameters, r and (with one input) tensors are symbols. A bracket is an unevaluated function:

    one input     Bracket((k_1, .., k_w), m)                            < d^m prod sigma^{(k_i)} >_K
    many inputs   Bracket(((a_1, k_1), ..), (beta_1, ..))               < d_beta1 .. prod sigma^{(k_i)}(z_{a_i}) >_K

With many inputs tensors are indexed, V[1, 2, beta_1, beta_2], and a repeated beta is summed over the samples of the
bracket on which its derivative acts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rgflow.algebra.layout import layout
from rgflow.algebra.terms import Term

if TYPE_CHECKING:
    import sympy


def expression(terms: Iterable[Term], many: bool) -> sympy.Expr:
    """The right-hand side of a recursion as a SymPy expression."""
    import sympy as sp

    bracket = sp.Function("Bracket")
    r = sp.Symbol("r", positive=True)

    def one(term: Term) -> Any:
        places = layout(term)
        product = sp.Rational(term.coefficient.numerator, term.coefficient.denominator) * r**term.r
        for name, power in term.symbols:
            product *= hyperparameter(name) ** power
        for value, indices in zip(term.tensors, places.indices, strict=True):
            named = [sp.Integer(i) if i > 0 else sp.Symbol(f"beta_{-i}", integer=True) for i in indices]
            product *= (
                sp.IndexedBase(value.tensor.name)[tuple(named)] if many else sp.Symbol(value.tensor.name, real=True)
            )
        for i, b in enumerate(term.brackets):
            if many:
                acting = sp.Tuple(*(sp.Symbol(f"beta_{j}", integer=True) for j in places.acting[i]))
                product *= bracket(sp.Tuple(*(sp.Tuple(*factor) for factor in b.factors)), acting)
            else:
                product *= bracket_node(b.orders, b.pending)
        return product

    return sp.Add(*(one(term) for term in terms))


def hyperparameter(name: str) -> sympy.Symbol:
    """The symbol of a hyperparameter: variances and learning rates are not negative, others real.

    >>> hyperparameter("C_V").is_nonnegative, hyperparameter("skip").is_nonnegative
    (True, None)
    """
    import sympy as sp

    variance = name.split("_")[0] in ("C", "lambda")
    return sp.Symbol(name, nonnegative=True) if variance else sp.Symbol(name, real=True)


def bracket_node(orders: Sequence[int], pending: int = 0) -> sympy.Expr:
    """The unevaluated average of one input, ``Bracket(orders, pending)``.

    >>> bracket_node((0, 1), 2)
    Bracket((0, 1), 2)
    """
    import sympy as sp

    node: sympy.Expr = sp.Function("Bracket")(sp.Tuple(*orders), sp.Integer(pending))
    return node
