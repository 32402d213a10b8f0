"""A recursion with its brackets in closed form: a formula in the kernel instead of Gaussian averages."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import sympy as sp

from rgflow.activations import Activation
from rgflow.activations import activation as activation_of
from rgflow.algebra.layout import layout
from rgflow.algebra.recursion import Recursion
from rgflow.algebra.symbolic import bracket_node
from rgflow.algebra.tensor import Tensor
from rgflow.algebra.terms import Bracket, Term
from rgflow.brackets.closed.bracket import Part, closed_bracket, closed_bracket_many
from rgflow.brackets.closed.symbols import entry
from rgflow.brackets.kinks import check_kinks
from rgflow.errors import InputError


def closed_form(rec: Recursion, activation: Activation | str, kinks: str = "error") -> Any:
    """The right-hand side of a recursion with every bracket in closed form.

    Parameters
    ----------
    rec : Recursion
        From ``derive``, for one input or many.
    activation : Activation, name or formula
    kinks : "error" or "almost_everywhere"
        What a written second derivative of a sigma with kinks does: raise, or be that of the branches.

    Returns
    -------
    sympy.Expr
        In the symbols of ``rec.to_sympy()`` (C_b, C_W, lambda_b, lambda_W, r, the tensors of the layer below) and of
        the kernel: for one input K, positive; for many K11, K12, ... by sample, a <= b in Kab. Sums over the samples of
        a bracket are written out; components that the symmetries of a tensor make equal are one, as V[1, 1, 1, 2].
        Exact at its order in 1/n, like the recursion.

    Raises
    ------
    NoClosedForm
        Naming the bracket that has none.
    KinkError
        A written derivative that is no function at a kink.

    >>> from rgflow.derive import derive
    >>> closed_form(derive("K"), "gelu")
    C_W*(K**2/(pi*(K + 1)*sqrt(2*K + 1)) + K*asin(K/(K + 1))/(2*pi) + K/4) + C_b
    >>> closed_form(derive("V"), "relu")
    5*C_W**2*K**2/4 + C_W**2*V*r/4
    """
    if not isinstance(rec, Recursion):
        raise InputError(f"{rec!r} is no recursion; pass what derive(name) returns")
    sigma = activation_of(activation)
    check_kinks([rec], sigma, kinks)
    if rec.samples == "one":
        forms = {bracket_node(b.orders, b.pending): closed_bracket(sigma, b.orders, b.pending) for b in rec.brackets}
        out = rec.to_sympy().xreplace(forms)
    else:
        out = sp.Add(*(_summed(term, sigma) for term in rec.terms))
    # a polynomial is shorter when multiplied out, and its terms may cancel; anything else is not
    return sp.expand(out) if out.is_polynomial() else out


# Many inputs ----------------------------------------------------------------------------------------------------------


def _summed(term: Term, sigma: Activation) -> Any:
    """A term with its sums over samples written out."""
    factor = sp.Rational(term.coefficient.numerator, term.coefficient.denominator)
    factor *= sp.Symbol("r", positive=True) ** term.r
    for name, power in term.symbols:
        factor *= sp.Symbol(name, nonnegative=True) ** power
    return factor * sp.Add(*_parts(term, sigma))


def _parts(term: Term, sigma: Activation) -> Iterator[Any]:
    places = layout(term)
    samples = [sorted({sample for sample, _ in b.factors}) for b in term.brackets]
    legs = [(j, samples[i]) for i, acting in enumerate(places.acting) for j in acting]
    for choice in product(*(choices for _, choices in legs)):
        at = {-j: sample for (j, _), sample in zip(legs, choice, strict=True)}
        brackets = [
            _bracket(b, tuple(at[-j] for j in acting), sigma)
            for b, acting in zip(term.brackets, places.acting, strict=True)
        ]
        if any(bracket == 0 for bracket in brackets):
            continue
        tensors = [
            _component(value.tensor, tuple(at.get(index, index) for index in indices))
            for value, indices in zip(term.tensors, places.indices, strict=True)
        ]
        yield sp.Mul(*tensors, *brackets)


def _component(tensor: Tensor, indices: tuple[int, ...]) -> Any:
    """The component, by the first of all the index tuples that the symmetries make equal."""
    first = min(tuple(indices[i] for i in symmetry) for symmetry in tensor.symmetries)
    return sp.IndexedBase(tensor.name)[first]


def _bracket(bracket: Bracket, acting: tuple[int, ...], sigma: Activation) -> Any:
    samples = sorted({sample for sample, _ in bracket.factors})
    parts: list[Part] = [
        (tuple(sorted(k for sample, k in bracket.factors if sample == a)), acting.count(a)) for a in samples
    ]
    named = list(enumerate(samples, 1))
    names = {entry(i, j): entry(a, b) for i, a in named for j, b in named if i <= j}
    return closed_bracket_many(sigma, parts).xreplace(names) if parts else sp.Integer(1)
