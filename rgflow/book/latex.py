r"""The book as LaTeX source: one article that compiles with amsmath alone."""

from __future__ import annotations

from rgflow.book.chapters import Book, Entry
from rgflow.book.lines import broken
from rgflow.book.listed import Paper
from rgflow.book.scripts import Script
from rgflow.book.shown import lines_of
from rgflow.version import __version__

_HEAD = r"""\documentclass[11pt]{article}
\usepackage[margin=2.2cm]{geometry}
\usepackage[utf8]{inputenc}
\usepackage[T1]{fontenc}
\usepackage{amsmath,amssymb,longtable}
\usepackage[hidelinks]{hyperref}
\DeclareUnicodeCharacter{0398}{\ensuremath{\Theta}}
\DeclareUnicodeCharacter{03C3}{\ensuremath{\sigma}}
\allowdisplaybreaks
\setlength{\parindent}{0pt}
\title{The book of derivations}
\author{rgflow %s}
\date{}
\begin{document}
\maketitle
"""
_SPECIAL = {
    **{c: "\\" + c for c in "#$%&_{}"},
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
}  # fmt: skip


def latex(book: Book) -> str:
    """The whole document."""
    return "\n".join(
        [
            _HEAD % __version__,
            _coverage(book),
            *(_chapter(book, paper) for paper in book.papers),
            r"\section{The derivations}",
            *(_script(script) for script in book.scripts if script.rows),
            "\\end{document}\n",
        ]
    )


def _coverage(book: Book) -> str:
    lines = []
    for paper in book.papers:
        count = book.count(paper)
        done = count["derived"] + count["measured"]
        lines.append(rf"{escaped(paper.title)} & {count.total()} & {done} & {count.total() - done} \\")
    count = book.count()
    done = count["derived"] + count["measured"]
    lines.append(rf"\hline all & {len(book.entries)} & {done} & {len(book.entries) - done} \\")
    head = r"\begin{longtable}{p{10cm}rrr} paper & listed & derived or measured & not \\ \hline"
    return "\n".join([head, *lines, r"\end{longtable}"])


def _chapter(book: Book, paper: Paper) -> str:
    title = rf"\section{{{escaped(paper.title)}}}" + "\n" + rf"arXiv:{escaped(paper.arxiv)}"
    return "\n".join([title, *(_entry(entry) for entry in book.of(paper))])


def _entry(entry: Entry) -> str:
    formula = entry.formula
    place = f" ({escaped(formula.place)})" if formula.place != "not stated" else ""
    lines = [rf"\paragraph{{{escaped(formula.says)}}}{place} \emph{{{entry.status}}}", _display(formula.equation)]
    if entry.row is None:
        return "\n".join([*lines, escaped(formula.why)])
    if entry.failure:
        return "\n".join([*lines, escaped(entry.failure)])
    lines += [_display(line.as_latex()) for one in entry.shown for line in lines_of(one)]
    lines += [escaped(entry.row.note)] * bool(entry.row.note)
    witness = f"; also held by {escaped(entry.row.witness)}" if entry.row.witness else ""
    return "\n".join([*lines, rf"{{\small\texttt{{{escaped(entry.row.script.name)}}}{witness}}}"])


def _script(script: Script) -> str:
    title, _, rest = script.prose.partition("\n\n")
    return "\n".join([rf"\subsection{{{escaped(title)}}}", r"\begin{verbatim}", rest, r"\end{verbatim}"])


def _display(equation: str) -> str:
    return "\\[\n" + broken(equation, 100) + "\n\\]"


def escaped(text: str) -> str:
    """Text whose characters mean themselves in LaTeX."""
    return "".join(_SPECIAL.get(c, c) for c in text)
