"""Recursions as LaTeX, in the notation of the book: layers as superscripts, samples as subscripts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from fractions import Fraction

from rgflow.algebra.layout import Layout, layout
from rgflow.algebra.tensor import Tensor
from rgflow.algebra.terms import Bracket, Term

LETTERS_TEX = {"Theta": r"\Theta", "V6": "V_{6}"}  # the others are written as they are
PAIRED = ("V", "A", "V6")  # PDLT puts the pairs of their samples into parentheses


def equation(tensor: Tensor, terms: Iterable[Term], many: bool) -> str:
    """The recursion as one display equation (without delimiters)."""
    samples = tuple(str(i + 1) for i in range(2 * tensor.level)) if many else ()
    left = tensor_tex(tensor, samples, r"(\ell+1)")
    return f"{left} = {_sum(terms, many)}"


def tensor_tex(tensor: Tensor, indices: tuple[str, ...], layer: str = "") -> str:
    """A tensor with its layer above and its samples below; corrections carry their order in braces.

    >>> print(tensor_tex(Tensor.named("V6"), tuple("112212")))
    {V_{6}}_{(11)(22)(12)}
    """
    letter = letter_tex(tensor.letter)
    order = rf"\{{{tensor.order}\}}" if tensor.order else ""
    head = "{" + letter + "}" if "_" in letter else letter
    above = "^{" + order + layer + "}" if order or layer else ""
    below = "_{" + _subscript(tensor, indices) + "}" if indices else ""
    return f"{head}{above}{below}"


def letter_tex(letter: str) -> str:
    """The letter of a tensor alone.

    >>> print(letter_tex("Theta"), letter_tex("G[1 2|3e 4e]"))
    \\Theta G_{[1\\,2\\,|\\,3e\\,4e]}
    """
    if letter.startswith("G["):
        jets = letter[2:-1].replace("|", r"\,|\,").replace(" ", r"\,")
        return f"G_{{[{jets}]}}"
    return LETTERS_TEX.get(letter, letter)


def symbol_tex(name: str) -> str:
    """A hyperparameter: C_b, \\lambda_W, \\mathrm{skip}.

    >>> print(symbol_tex("C_b"), symbol_tex("lambda_W"), symbol_tex("skip"))
    C_b \\lambda_W \\mathrm{skip}
    """
    head, _, tail = name.partition("_")
    head = head if len(head) == 1 else r"\lambda" if head == "lambda" else rf"\mathrm{{{head}}}"
    return f"{head}_{tail}" if tail else head


def _subscript(tensor: Tensor, indices: tuple[str, ...]) -> str:
    if tensor.letter in PAIRED:
        return "".join(f"({indices[i]}{indices[i + 1]})" for i in range(0, len(indices), 2))
    return "".join(indices)


def _sum(terms: Iterable[Term], many: bool) -> str:
    line = ""
    for term in terms:
        sign = "-" if term.coefficient < 0 else "+"
        line += (f" {sign} " if line else ("-" if sign == "-" else "")) + _term(term, many)
    return line or "0"


def _term(term: Term, many: bool) -> str:
    places = layout(term)
    parts = []
    if abs(term.coefficient) != 1 or not (term.symbols or term.tensors or term.brackets):
        parts.append(_fraction(abs(term.coefficient)))
    if term.r:
        parts.append(_power(r"\frac{n_\ell}{n_{\ell-1}}", term.r, wrap=True))
    parts += [_power(symbol_tex(name), power) for name, power in term.symbols]
    if any(places.acting):
        parts.append(r"\sum_{\beta}")
    for value, indices in zip(term.tensors, places.indices, strict=True):
        named = tuple(str(i) if i > 0 else rf"\beta_{{{-i}}}" for i in indices)
        parts.append(tensor_tex(value.tensor, named if many else (), r"(\ell)"))
    parts += [_bracket(bracket, i, places, many) for i, bracket in enumerate(term.brackets)]
    return r"\,".join(_power(part, count) for part, count in Counter(parts).items())


def _bracket(bracket: Bracket, i: int, places: Layout, many: bool) -> str:
    inside = "".join(
        r"\sigma" + _primes(order) + (f"_{{{sample}}}" if many else "") for sample, order in bracket.factors
    )
    if bracket.pending:
        acting = (
            "".join(rf"\partial_{{\beta_{{{j}}}}}" for j in places.acting[i])
            if many
            else _power(r"\partial", bracket.pending)
        )
        inside = rf"{acting}({inside})"
    return rf"\langle {inside} \rangle_K"


def _primes(order: int) -> str:
    if order == 0:
        return ""
    return "^{" + (r"\prime" * order if order <= 3 else f"({order})") + "}"


def _power(name: str, power: int, wrap: bool = False) -> str:
    if power == 1:
        return name
    return rf"\left({name}\right)^{{{power}}}" if wrap or "^" in name else f"{name}^{{{power}}}"


def _fraction(value: Fraction) -> str:
    return str(value.numerator) if value.denominator == 1 else rf"\frac{{{value.numerator}}}{{{value.denominator}}}"
