"""The first step: a layer's law at the entries of a tensor, with its directions distributed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from math import perm

from rgflow.algebra.jets import Jet, Pair
from rgflow.algebra.tex import symbol_tex
from rgflow.derive.steps.contraction import Monomial, monomials
from rgflow.derive.steps.names import (
    FIELDS,
    OWN_PART,
    entry_below,
    hat_tex,
    jet_below,
    name_tex,
    name_text,
    names_of,
    powered,
)
from rgflow.derive.steps.polynomials import integrand
from rgflow.derive.steps.step import Line
from rgflow.derive.steps.trusted import sigma, symbol, trusted
from rgflow.layers import Law, Part


def averaged(law: Law, pair: Pair) -> tuple[Part, ...]:
    """The integrand of an entry: all that is averaged over neurons."""
    return tuple(part for part in law.integrand(*pair) if not part.own)


def owned(law: Law, pair: Pair) -> tuple[Part, ...]:
    """The own part of an entry: what a neuron keeps of its past, which is no average."""
    return tuple(part for part in law.integrand(*pair) if part.own)


def law_lines(law: Law, entries: Sequence[Pair], many: bool) -> list[Line]:
    """The metric and the integrand of every different entry, and what parameters that are not Gaussian add."""
    lines = []
    for pair in dict.fromkeys(entries):
        (name,) = names_of([pair], many)
        metric = name._replace(letter="G")
        text, tex = [], []
        for constant in law.constants(*pair):
            text.append(constant)
            tex.append(symbol_tex(constant))
        (own,) = names_of([pair], many, OWN_PART)
        if owned(law, pair):
            text.append(f"{name_text(own)}(z_i)")
            tex.append(f"{name_tex(own)}(z_i)")
        if averaged(law, pair):
            text.append(f"1/n Σ_j {name_text(name)}(z_j)")
            tex.append(rf"\frac{{1}}{{n_\ell}}\sum_j {name_tex(name)}(z_j)")
        lines.append(Line(f"{name_text(metric)}' = {' + '.join(text)}", f"{hat_tex(metric)} &= {' + '.join(tex)}"))
        for letter, parts in ((own, owned(law, pair)), (name, averaged(law, pair))):
            if found := monomials(parts):
                lines.append(
                    Line(
                        f"{name_text(letter)} = " + " + ".join(_monomial_text(m, many) for m in found),
                        f"{name_tex(letter)} &= " + " + ".join(_monomial_tex(m, many) for m in found),
                    )
                )
    return lines + _intrinsic_lines(law, entries, many)


def _intrinsic_lines(law: Law, entries: Sequence[Pair], many: bool) -> list[Line]:
    lines = []
    for exchange in law.intrinsic(entries[0], entries[1]) if len(entries) == 2 else ():
        text, tex = [], []
        for pair in exchange.pairs:
            names = names_of([pair], many, FIELDS)
            text.append(f"<{' '.join(map(name_text, names))}>")
            tex.append(rf"\langle {''.join(map(name_tex, names))} \rangle")
        symbols = [powered(name, count, "{}^{}") for name, count in Counter(exchange.symbols).items()]
        tex = [powered(symbol_tex(s), count, "{}^{{{}}}") for s, count in Counter(exchange.symbols).items()] + tex
        number = "-" if exchange.coefficient == -1 else f"{exchange.coefficient} "
        lines.append(
            Line(
                f"n κ(G, G)' has {number}{' '.join([*symbols, *text])}",
                rf"n_\ell\,\kappa(\widehat G^{{(\ell+1)}}, \widehat G^{{(\ell+1)}}) &\ni {number}" + r"\,".join(tex),
            )
        )
    return lines


def _monomial_text(m: Monomial, many: bool) -> str:
    fields = ["σ" + ("'" * k if k < 4 else f"^({k})") + (str(a) if many else "") for a, k in m.factors]
    symbols = [powered(name, count, "{}^{}") for name, count in Counter(m.symbols).items()]
    return " ".join([*symbols, *fields, *(f"z{_below(jet, many)}" for jet in m.jets)])


def _monomial_tex(m: Monomial, many: bool) -> str:
    fields = []
    for a, k in m.factors:
        above = "" if not k else "^{" + (r"\prime" * k if k < 4 else f"({k})") + "}"
        fields.append(rf"\sigma{above}" + (f"_{{{a}}}" if many else ""))
    jets = ["z" + (f"_{{{_below(jet, many)}}}" if _below(jet, many) else "") for jet in m.jets]
    symbols = [powered(symbol_tex(name), count, "{}^{{{}}}") for name, count in Counter(m.symbols).items()]
    return r"\,".join(filter(None, [*symbols, "".join(fields), *jets]))


def _below(jet: Jet, many: bool) -> str:
    return jet_below(jet, many) if many or jet.edges else ""


def law_values(law: Law, entries: Sequence[Pair], degree: int) -> tuple[Fraction, Fraction]:
    """The integrands at trusted jets, each times a number: as polynomials in nilpotent directions; as monomials."""
    left = right = 0
    for i, pair in enumerate(entries):
        number = trusted(f"entry {i}")
        for powers, coefficient in integrand(law.integrand(*pair), degree).items():
            value = coefficient
            for jet, power in powers:
                value *= _at(jet) ** power
            left += number * value
        for m in monomials(law.integrand(*pair)):
            value = symbol(m.symbols)
            for a, k in m.factors:
                value *= _sigma_at(Jet(a), k, degree)
            for jet in m.jets:
                value *= _at(jet)
            right += number * value
    return Fraction(left), Fraction(right)


def _at(jet: Jet) -> int:
    return trusted(f"jet {entry_below((jet, jet), True)}")


def _sigma_at(jet: Jet, order: int, degree: int) -> int:
    z = _at(jet)
    return sum(perm(p, order) * c * z ** (p - order) for p, c in enumerate(sigma(degree)) if p >= order)
