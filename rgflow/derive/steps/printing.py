"""Derivations in words, plain text, Markdown and LaTeX."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from html import escape
from typing import Protocol

from rgflow.algebra import tex, text
from rgflow.algebra.jets import Pair
from rgflow.algebra.partitions import Blocks
from rgflow.algebra.recursion import Recursion
from rgflow.algebra.terms import Term
from rgflow.derive.steps.diagram import Diagram
from rgflow.derive.steps.names import Vertex, hat_tex, name_text, names_of, vertex_tex, vertex_text
from rgflow.derive.steps.step import Drawn, Line, Step

MOST_PICTURES = 120  # in the Markdown of one step
Fed = tuple[Term, Sequence[tuple[Drawn, Fraction]]]


class Expression(Drawn, Protocol):
    """A hypergraph or a diagram."""

    def latex(self) -> str:
        """Its expression."""


def cumulance_lines(
    entries: Sequence[Pair], many: bool, partitions: Sequence[Blocks], additions: Sequence[Expression], letter: str
) -> list[Line]:
    """n^(k-1) kappa(G..) as a sum over set partitions, and what the law adds."""
    k = len(entries)
    metric = [name._replace(letter="G") for name in names_of(entries, many)]
    power, power_tex = ("n" if k == 2 else f"n^{k - 1}"), ("n_\\ell" if k == 2 else f"n_\\ell^{{{k - 1}}}")
    hats = [hat_tex(name) for name in metric]
    if k == 1:
        left, left_tex = f"<{name_text(metric[0])}>'", rf"\langle {hats[0]} \rangle"
    else:
        left = f"{power} κ({', '.join(map(name_text, metric))})'"
        left_tex = rf"{power_tex}\,\kappa({', '.join(hats)})"
    lines = []
    lines += [(str(addition), addition.latex()) for addition in additions]
    for blocks in partitions:
        vertices = [Vertex(names_of([entries[i] for i in block], many, letter), cumulant=True) for block in blocks]
        inside, inside_tex = ", ".join(map(vertex_text, vertices)), ", ".join(map(vertex_tex, vertices))
        times = len(blocks) - 1
        if not times:
            lines.append((f"<{inside}>", rf"\langle {inside_tex} \rangle"))
            continue
        n = "n" if times == 1 else f"n^{times}"
        n_tex = "n_\\ell" if times == 1 else f"n_\\ell^{{{times}}}"
        lines.append((f"{n} κ({inside})", rf"{n_tex}\,\kappa({inside_tex})"))
    return _summed(left, left_tex, lines)


def _summed(left: str, left_tex: str, parts: Sequence[tuple[str, str]]) -> list[Line]:
    """A sum with one part in each line."""
    found = []
    for i, (one, one_tex) in enumerate(parts):
        sign = "- " if one.startswith("-") else "+ "
        head = f"{left} = {one}" if i == 0 else f"{' ' * len(left)} {sign}{one.removeprefix('-')}"
        sign = "- " if one_tex.startswith("-") else "+ "
        head_tex = f"{left_tex} &= {one_tex}" if i == 0 else f"&\\quad {sign}{one_tex.removeprefix('-')}"
        found.append(Line(head, head_tex))
    return found


def listed(rec: Recursion, drawn: Sequence[Expression], additions: Sequence[Expression]) -> list[Line]:
    """The tensor as a sum of hypergraphs or diagrams, each with its number and its picture."""
    left, left_tex = _left(rec)
    names = [each.name for each in additions]
    left += " = " + " + ".join([*names, "the sum of"])
    left_tex += " &= " + " + ".join(rf"\text{{{name}}}" for name in [*names, "the sum of"])
    wide = max(len(each.name) for each in drawn)
    lines = [Line(left, left_tex)]
    for each in drawn:
        lines.append(Line(f"{each.name:>{wide}}:  {each}", f"\\text{{({each.name})}}\\quad & {each.latex()}", each))
    return lines


def fed_lines(diagram: Diagram, rec: Recursion) -> Iterator[Line]:
    """A diagram as the terms that it gives, or 0 with the reason."""
    if not diagram.ways:
        yield Line(
            f"{diagram.name} = 0: {diagram.reason}",
            f"\\text{{({diagram.name})}} &= 0 && \\text{{({diagram.reason})}}",
        )
    for each in diagram.contractions:
        written, row = _both(each.term, rec)
        said, said_tex = str(each), each.latex()
        yield Line(
            f"{each.name} = {written}" + (f"   ({said})" if said else ""),
            f"\\text{{({each.name})}} &= {row}" + (f" && {said_tex}" if said else ""),
            each if each.resolved else None,
        )


def recursion_lines(rec: Recursion, matching: Iterable[Fed], cancelled: Iterable[Fed]) -> list[Line]:
    """The recursion, a term in each line, behind the diagrams that feed it; and what cancels."""
    left, left_tex = _left(rec)
    lines = [Line(f"{left} =", f"{left_tex} &=")]
    found = [(term, ", ".join(each.name for each, _ in fed)) for term, fed in matching]
    wide = min(32, max((len(names) for _, names in found), default=0))
    for term, names in found:
        written, row = (f"- {one[1:]}" if one.startswith("-") else f"+ {one}" for one in _both(term, rec))
        lines.append(Line(f"{names:>{wide}}:  {written}", f"&\\quad {row} && \\text{{from {names}}}"))
    for term, fed in cancelled:
        words = f"cancels between {', '.join(each.name for each, _ in fed)}"
        written, row = _both(term, rec)
        lines.append(Line(f"{written} {words}", f"&\\quad {row} && \\text{{{words}}}"))
    return lines


def _both(term: Term, rec: Recursion) -> tuple[str, str]:
    """A term as text and as LaTeX."""
    return term_text(term, rec.samples == "many"), _rows((term,), rec)[0]


def _left(rec: Recursion) -> tuple[str, str]:
    head = text.equation(rec.tensor, (), rec.samples == "many").split(" = ")[0]
    return head, tex.equation(rec.tensor, (), rec.samples == "many").split(" = ")[0]


def term_text(term: Term, many: bool) -> str:
    """One term as a recursion prints it."""
    return text.sum_of((term,), many)


def _rows(terms: Sequence[Term], rec: Recursion) -> list[str]:
    """Terms as LaTeX, each with its sign but for a leading plus."""
    rows = []
    for i, term in enumerate(terms):
        row = tex.equation(rec.tensor, (term,), rec.samples == "many").split(" = ", 1)[1]
        rows.append(row if i == 0 or row.startswith("-") else f"+ {row}")
    return rows


# Whole derivations ----------------------------------------------------------------------------------------------------


def markdown(heading: str, steps: Iterable[Step], folder: str | None, name: str) -> str:
    """Markdown: a heading for each step, equations between dollars, pictures in tables."""
    found = [f"## {heading}"]
    for step in steps:
        found += [f"### {step.number}. {step.title}", step.words.latex]
        drawn = [line for line in step.lines if line.figure is not None]
        if 0 < len(drawn) <= MOST_PICTURES:
            first = 0 if step.lines[0].latex.startswith(r"\text{(") else 1
            if first:
                found.append(_display([step.lines[0].latex]))
            rows = [_row(line, folder, name) for line in step.lines[first:]]
            found.append("\n".join(["| | | | |", "|---|---|---|---|", *rows]))
        else:
            found.append(_display([line.latex for line in step.lines]))
        found.append(f"*Checked in exact arithmetic: {step.checked}.*")
    return "\n\n".join(found) + "\n"


def _display(rows: Sequence[str]) -> str:
    return "$$\n\\begin{aligned}\n" + " \\\\\n".join(rows) + "\n\\end{aligned}\n$$"


def _row(line: Line, folder: str | None, name: str) -> str:
    """A line of a step in a table: its number, its picture, its expression, what is done to its jets."""
    numbered, expression, *said = (part.strip() for part in re.split(r"&+=?", line.latex))
    number = numbered.removeprefix(r"\text{(").split(")}")[0]
    picture = ""
    if line.figure is not None:
        if folder is None:
            source = "data:image/svg+xml;base64," + b64encode(line.figure.svg().encode()).decode()
        else:
            source = escape(f"{folder.rstrip('/')}/{file_name(name, line.figure.name)}").replace("|", "&#124;")
        picture = f'<img src="{source}" alt="diagram {line.figure.name}">'
    cells = [f"${part}$".replace("|", r"\vert ") for part in (expression, *said)]
    return f"| {number} | {picture} | {cells[0]} | {''.join(cells[1:])} |"


def file_name(tensor: str, number: str) -> str:
    """The file of a picture: letters, digits, dots and dashes alone.

    >>> file_name("G[1 2|3e 4e]_1", "2a")
    'G-1-2-3e-4e-_1-2a.svg'
    """
    return re.sub(r"[^A-Za-z0-9_]+", "-", tensor) + f"-{number}.svg"


def latex(heading: str, steps: Iterable[Step]) -> str:
    """A part of a LaTeX document: a section for each step, equations that may break between pages."""
    found = [rf"\section*{{{_escaped(heading)}}}"]
    for step in steps:
        rows = " \\\\\n".join(line.latex for line in step.lines)
        found += [
            rf"\subsection*{{{step.number}. {step.title}}}",
            step.words.latex,
            "\\begin{align*}\n" + rows + "\n\\end{align*}",
            rf"\emph{{Checked in exact arithmetic: {_escaped(step.checked)}.}}",
        ]
    return "\n\n".join(found) + "\n"


def _escaped(words: str) -> str:
    """Plain words with what LaTeX would take for commands."""
    return re.sub(r"([_{}])", r"\\\1", words)
