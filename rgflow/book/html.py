"""The book as one HTML document: no script, nothing fetched, equations as MathML."""

from __future__ import annotations

from collections import Counter
from html import escape
from importlib.resources import files

from rgflow.book.chapters import STATUS, Book, Entry
from rgflow.book.lines import broken
from rgflow.book.listed import Paper
from rgflow.book.scripts import Script
from rgflow.book.shown import Line, lines_of
from rgflow.mathematics import font_face, mathml
from rgflow.version import __version__


def html(book: Book) -> str:
    """The whole document."""
    parts = [
        _head(),
        _contents(book),
        *(_chapter(book, paper) for paper in book.papers),
        _derivations(book),
        _left_open(book),
        "</main></body></html>\n",
    ]
    return "\n".join(parts)


def _head() -> str:
    style = files("rgflow.book").joinpath("book.css").read_text(encoding="utf-8")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>rgflow: the book of derivations</title><style>{font_face()}\n{style}</style></head><body><main>"
        "<header><h1>The book of derivations</h1>"
        "<p>Every recursion, closed form, exponent and table row of the source papers, beside what rgflow "
        f"{__version__} derives for it. The formulas of the papers were typed by hand; those of rgflow are printed by "
        "the objects that computed them when this page was built, and each pair was found equal at that moment.</p>"
        "</header>"
    )


# The table at the front -----------------------------------------------------------------------------------------------


def _contents(book: Book) -> str:
    shown = [s for s in STATUS if book.count()[s]]
    rows = [_counts(_link(f"#{p.key}", p.title), book.count(p), shown) for p in book.papers]
    rows.append(_counts("<strong>all</strong>", book.count(), shown))
    header = "".join(f"<th>{s}</th>" for s in shown)
    return (
        f"<p class='coverage'><strong>{book.coverage:.1%}</strong> of the {book.results} results of theory are derived "
        f"and witnessed; of {book.experiments} outcomes of experiments {book.count()['measured']} were measured again. "
        '<a href="#open">What is not</a> is listed as such.</p>'
        f"<table><thead><tr><th>paper</th><th>listed</th>{header}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
        '<p><a href="#derivations">The derivations</a>, script by script.</p>'
    )


def _counts(name: str, count: Counter[str], shown: list[str]) -> str:
    cells = "".join(f"<td class='number'>{count[s] or ''}</td>" for s in shown)
    return f"<tr><td>{name}</td><td class='number'>{count.total()}</td>{cells}</tr>"


# Chapters -------------------------------------------------------------------------------------------------------------


def _chapter(book: Book, paper: Paper) -> str:
    entries = "".join(map(_entry, book.of(paper)))
    source = ", ".join(f'<a href="https://arxiv.org/abs/{n}">arXiv:{n}</a>' for n in escape(paper.arxiv).split(", "))
    return f'<section id="{paper.key}"><h2>{escape(paper.title)}</h2><p class="source">{source}</p>{entries}</section>'


def _entry(entry: Entry) -> str:
    formula = entry.formula
    place = f" · {escape(formula.place)}" if formula.place != "not stated" else ""
    kind = entry.status.replace(" ", "-")
    return (
        f'<article id="{anchor(formula.name)}" class="{kind}">'
        f"<h3>{escape(formula.says)} <span class='status'>{entry.status}</span></h3>"
        f"<p class='place'>{formula.kind}{place}</p>"
        f"<div class='paper'>{_equation(formula.equation)}</div>{_result(entry)}</article>"
    )


def _result(entry: Entry) -> str:
    row = entry.row
    if row is None:
        return f"<p class='why'>{escape(entry.formula.why)}</p>" if entry.formula.why else ""
    if entry.failure:
        return f"<pre>{escape(entry.failure)}</pre>"
    derived = "".join(_line(line) for one in entry.shown for line in lines_of(one))
    script = _link(f"#{anchor(row.script.stem)}", f"{row.script.name}, line {row.line}")
    witness = f"; also held by {escape(row.witness)}" if row.witness else ""
    note = f"<p class='why'>{escape(row.note)}</p>" if row.note else ""
    return f"<div class='engine'>{derived}</div>{note}<p class='witness'>{script}{witness}</p>"


def _line(line: Line) -> str:
    right = _equation(line.latex) if line.latex else f"<span>{escape(line.text)}</span>"
    return f"<div class='named'><span>{escape(line.name)}</span>{right}</div>" if line.name else f"<div>{right}</div>"


def _equation(latex: str) -> str:
    return mathml(broken(latex, 95))


# The derivations ------------------------------------------------------------------------------------------------------


def _derivations(book: Book) -> str:
    told = "".join(_script(script) for script in book.scripts if script.rows)
    return f'<section id="derivations"><h2>The derivations</h2>{told}</section>'


def _script(script: Script) -> str:
    from markdown_it import MarkdownIt

    title, _, rest = script.prose.partition("\n\n")
    rows = ", ".join(_link(f"#{anchor(row.formula)}", row.formula.partition("/")[2]) for row in script.rows)
    prose = MarkdownIt("commonmark", {"html": False}).render(rest)
    return (
        f'<article id="{anchor(script.path.stem)}" class="prose"><h3>{escape(title)}</h3>'
        f"<p class='place'>{escape(script.path.name)}: {rows}</p>{prose}</article>"
    )


def _left_open(book: Book) -> str:
    left = [e for e in book.entries if e.status == "not derived"]
    if not left:
        return '<section id="open"><h2>What is not derived</h2><p>Nothing of the list.</p></section>'
    lines = "".join(
        f"<li>{_link('#' + anchor(e.formula.name), e.formula.says)}{': ' * bool(e.formula.why)}"
        f"{escape(e.formula.why)}</li>"
        for e in left
    )
    return f'<section id="open"><h2>What is not derived</h2><ul>{lines}</ul></section>'


def anchor(name: str) -> str:
    """The id of a formula or a script within the page."""
    return name.replace("/", "-")


def _link(target: str, text: str) -> str:
    return f'<a href="{escape(target)}">{escape(text)}</a>'
