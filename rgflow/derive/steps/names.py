"""How a derivation writes integrands, legs and hyperedges: one set of names for text, LaTeX and pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from rgflow.algebra.jets import Jet, Pair
from rgflow.algebra.tex import symbol_tex
from rgflow.derive.steps.graphs import Edges

INTEGRAND, OWN_PART, OWN_OR_NOT, FIELDS = "g", "o", "h", "s"


class Name(NamedTuple):
    """A letter with what stands below it."""

    letter: str
    below: str


def edge_letter(edge: int) -> str:
    """e, f, g, .. as jets are written."""
    return "efghijklmnopqrstuvwxyzabcd"[edge % 26]


def jet_below(jet: Jet, many: bool) -> str:
    """1e for the sample 1 along the direction e; with one input e, or a dot without directions."""
    edges = "".join(map(edge_letter, jet.edges))
    return f"{jet.sample}{edges}" if many else edges or "·"


def entry_below(pair: Pair, many: bool) -> str:
    """1 2 or 1e 2e; nothing for the kernel of one input."""
    if not many and not any(jet.edges for jet in pair):
        return ""
    return " ".join(jet_below(jet, many) for jet in sorted(pair, key=lambda jet: (jet.sample, -len(jet.edges))))


def names_of(entries: Iterable[Pair], many: bool, letter: str = INTEGRAND) -> tuple[Name, ...]:
    """The factors of a bracket: g_12 of each entry, or both fields of each.

    >>> names_of([(Jet(1, (0,)), Jet(2, (0,)))], many=True)
    (Name(letter='g', below='1e 2e'),)
    """
    if letter != FIELDS:
        return tuple(Name(letter, entry_below(pair, many)) for pair in entries)
    return tuple(Name(letter, jet_below(jet, many) if many or jet.edges else "") for pair in entries for jet in pair)


@dataclass(frozen=True)
class Vertex:
    """A factor of an expression: an average of a product, or a cumulant over one neuron."""

    names: tuple[Name, ...]
    cumulant: bool = False


def jet_name(jet: Jet, many: bool) -> Name:
    """z_1e."""
    return Name("z", jet_below(jet, many) if many or jet.edges else "")


def leg_label(jets: Sequence[Jet], many: bool) -> str:
    """What a leg takes, as a picture says it: 1e 2e, or 1e ∂, or ∂∂.

    >>> leg_label([Jet(1, (0,))], True)
    '1e ∂'
    """
    words = [jet_below(jet, many).replace("·", "z") for jet in jets]
    return " ".join([*words, "∂"][:2]) if words else "∂∂"


# Text -----------------------------------------------------------------------------------------------------------------


def name_text(name: Name) -> str:
    """g[1 2].

    >>> name_text(Name("g", "1e 2e")), name_text(Name("g", ""))
    ('g[1e 2e]', 'g')
    """
    return f"{name.letter}[{name.below}]" if name.below else name.letter


def expression_text(
    weight: Fraction, cost: int, edges: Edges, vertices: Sequence[Vertex], symbols: Iterable[str] = ()
) -> str:
    """``-1/2 r κ2(1,2) <D1 D2 g[1 2]>``: D for each leg, numbered from left to right."""
    parts = [] if abs(weight) == 1 else [str(abs(weight))]
    parts += [] if cost == 0 else ["r" if cost == 1 else f"r^{cost}"]
    parts += _powers(symbols, "{}^{}")
    acting: list[str] = ["" for _ in vertices]
    first = 1
    for edge in edges:
        legs = range(first, first + len(edge.legs))
        parts.append(f"κ{len(legs)}" + (f"{{{edge.order}}}" if edge.order else "") + f"({','.join(map(str, legs))})")
        for leg, end in zip(legs, edge.legs, strict=True):
            acting[end] += f"D{leg} "
        first += len(legs)
    for derivatives, vertex in zip(acting, vertices, strict=True):
        parts.append(vertex_text(vertex, derivatives))
    return ("-" if weight < 0 else "") + " ".join(parts)


def powered(name: str, times: int, form: str) -> str:
    """C_W^2 for twice C_W.

    >>> powered("C_W", 2, "{}^{}"), powered("C_W", 1, "{}^{}")
    ('C_W^2', 'C_W')
    """
    return form.format(name, times) if times > 1 else name


def _powers(symbols: Iterable[str], form: str) -> list[str]:
    return [powered(name, times, form) for name, times in Counter(symbols).items()]


def disposed_text(taken: Sequence[Sequence[Jet]], pairs: Sequence[Pair], attached: Sequence[Jet], many: bool) -> str:
    """``D1 takes z[1e] z[2e]; z[3f] z[4f] to Θ``: all that is not a pending derivative.

    >>> disposed_text([[Jet(1, (0,))], []], [], [], True)
    'D1 takes z[1e] and ∂, D2 ∂∂'
    """
    if not any(taken) and not pairs and not attached:
        return ""
    legs, verb = [], "takes "
    for i, jets in enumerate(taken, 1):
        names = [name_text(jet_name(jet, many)) for jet in jets]
        legs.append(
            f"D{i} {verb}{' '.join(names) if len(names) == 2 else ' and '.join([*names, '∂']) if names else '∂∂'}"
        )
        verb = ""
    ends = []
    for pair in pairs:
        ends.append(f"{' '.join(name_text(jet_name(jet, many)) for jet in pair)} to {'Θ' if pair[0].edges else 'K'}")
    ends += [f"{name_text(jet_name(jet, many))} to K ∂" for jet in attached]
    return "; ".join(filter(None, [", ".join(legs), ", ".join(ends)]))


def vertex_text(vertex: Vertex, derivatives: str = "") -> str:
    """``<D1 g[1 2]>`` or ``D1 c(g[1 2], g[3 4])``."""
    if vertex.cumulant:
        return f"{derivatives}c({', '.join(map(name_text, vertex.names))})"
    return f"<{derivatives}{' '.join(map(name_text, vertex.names))}>"


# LaTeX ----------------------------------------------------------------------------------------------------------------


def name_tex(name: Name) -> str:
    """g_{12}.

    >>> print(name_tex(Name("g", "1e 2e")), name_tex(Name("g", "1 2")), name_tex(Name("g", "· e")))
    g_{1e\\,2e} g_{12} g_{\\cdot\\,e}
    """
    if not name.below:
        return name.letter
    words = name.below.replace("·", r"\cdot").split(" ")
    simple = all(word.isdigit() and len(word) == 1 for word in words)
    return f"{name.letter}_{{{('' if simple else chr(92) + ',').join(words)}}}"


def hat_tex(metric: Name) -> str:
    """An entry of the metric of the new layer.

    >>> print(hat_tex(Name("G", "1 2")))
    \\widehat G^{(\\ell+1)}_{12}
    """
    return r"\widehat G^{(\ell+1)}" + name_tex(metric)[1:]


def expression_tex(
    weight: Fraction, cost: int, edges: Edges, vertices: Sequence[Vertex], symbols: Iterable[str] = ()
) -> str:
    """The same as LaTeX (without delimiters)."""
    parts = [] if abs(weight) == 1 else [fraction_tex(abs(weight))]
    parts += [] if cost == 0 else ["r" if cost == 1 else f"r^{{{cost}}}"]
    parts += _powers(map(symbol_tex, symbols), "{}^{{{}}}")
    acting: list[str] = ["" for _ in vertices]
    first = 1
    for edge in edges:
        legs = range(first, first + len(edge.legs))
        above = rf"^{{\{{{edge.order}\}}}}" if edge.order else ""
        parts.append(rf"\kappa_{{{len(legs)}}}{above}({','.join(map(str, legs))})")
        for leg, end in zip(legs, edge.legs, strict=True):
            acting[end] += f"D_{{{leg}}}"
        first += len(legs)
    for derivatives, vertex in zip(acting, vertices, strict=True):
        parts.append(vertex_tex(vertex, derivatives))
    return ("-" if weight < 0 else "") + r"\,".join(parts)


def disposed_tex(taken: Sequence[Sequence[Jet]], pairs: Sequence[Pair], attached: Sequence[Jet], many: bool) -> str:
    """The same as LaTeX (without delimiters)."""
    if not any(taken) and not pairs and not attached:
        return ""
    found = []
    for i, jets in enumerate(taken, 1):
        names = [name_tex(jet_name(jet, many)) for jet in jets]
        found.append(rf"D_{{{i}}} \to " + "".join([*names, r"\partial", r"\partial"][:2]))
    for pair in pairs:
        names = [name_tex(jet_name(jet, many)) for jet in pair]
        found.append("".join(names) + r" \to " + (r"\Theta" if pair[0].edges else "K"))
    found += [name_tex(jet_name(jet, many)) + r" \to K\partial" for jet in attached]
    return r",\; ".join(found)


def vertex_tex(vertex: Vertex, derivatives: str = "") -> str:
    """An average or a cumulant over one neuron."""
    space = r"\," if derivatives else ""
    if vertex.cumulant:
        return rf"{derivatives}{space}c({', '.join(map(name_tex, vertex.names))})"
    return rf"\langle {derivatives}{space}{''.join(map(name_tex, vertex.names))} \rangle"


def fraction_tex(value: Fraction) -> str:
    """1 or \\frac{1}{2}."""
    return str(value.numerator) if value.denominator == 1 else rf"\frac{{{value.numerator}}}{{{value.denominator}}}"


# Pictures -------------------------------------------------------------------------------------------------------------


def caption(weight: Fraction, cost: int) -> str:
    """What a picture says of weight and cost: −½ r²."""
    halves = {Fraction(1, 2): "½", Fraction(1, 4): "¼", Fraction(1, 8): "⅛", Fraction(1, 3): "⅓", Fraction(1, 6): "⅙"}
    size = abs(weight)
    number = "" if size == 1 and cost else halves.get(size, str(size))
    power = "" if cost == 0 else "r" if cost == 1 else "r" + "".join("⁰¹²³⁴⁵⁶⁷⁸⁹"[int(d)] for d in str(cost))
    return ("−" if weight < 0 else "") + number + (" " if number and power else "") + power
