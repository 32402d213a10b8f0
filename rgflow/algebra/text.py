"""Recursions as lines of plain text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from fractions import Fraction

from rgflow.algebra.layout import Layout, layout
from rgflow.algebra.tensor import Tensor
from rgflow.algebra.terms import Bracket, Term


def equation(tensor: Tensor, terms: Iterable[Term], many: bool) -> str:
    """``V' = C_W^2 <σσσσ> - ...``: a prime marks the new layer, everything on the right is of the layer below."""
    samples = f"[{','.join(str(i + 1) for i in range(2 * tensor.level))}]" if many else ""
    return f"{tensor.name}'{samples} = {sum_of(terms, many)}"


def sum_of(terms: Iterable[Term], many: bool) -> str:
    """The right-hand side."""
    line = ""
    for sign, body in signed(terms, many):
        line += (f" {sign} " if line else ("-" if sign == "-" else "")) + body
    return line or "0"


def signed(terms: Iterable[Term], many: bool) -> Iterator[tuple[str, str]]:
    """Each term as its sign and its absolute value in text."""
    for term in terms:
        yield ("-" if term.coefficient < 0 else "+"), _term(term, many)


def _term(term: Term, many: bool) -> str:
    places = layout(term)
    parts = [] if abs(term.coefficient) == 1 else [_fraction(abs(term.coefficient))]
    parts += [_power(name, power) for name, power in (("r", term.r), *term.symbols) if power]
    for value, indices in zip(term.tensors, places.indices, strict=True):
        named = ",".join(str(i) if i > 0 else f"β{-i}" for i in indices)
        parts.append(f"{value.tensor.name}[{named}]" if many else value.tensor.name)
    parts += [_bracket(bracket, i, places, many) for i, bracket in enumerate(term.brackets)]
    return " ".join(_power(part, count) for part, count in Counter(parts).items()) or "1"


def _bracket(bracket: Bracket, i: int, places: Layout, many: bool) -> str:
    inside = (" " if many else "").join(
        f"σ{_primes(order)}{sample if many else ''}" for sample, order in bracket.factors
    )
    if not bracket.pending:
        return f"<{inside}>"
    acting = "".join(f"∂β{j}" for j in places.acting[i]) if many else _power("∂", bracket.pending)
    return f"<{acting}[{inside}]>"


def _primes(order: int) -> str:
    return "'" * order if order <= 3 else f"^({order})"


def _power(name: str, power: int) -> str:
    return name if power == 1 else f"{name}^{power}"


def _fraction(value: Fraction) -> str:
    return str(value)
