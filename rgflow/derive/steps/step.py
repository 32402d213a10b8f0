"""A step of a derivation: an equality in words and lines, with the two numbers that were compared."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

from rgflow.derive.steps.words import Words
from rgflow.errors import BrokenStep


class Drawn(Protocol):
    """What has a picture."""

    @property
    def name(self) -> str:
        """Its number."""

    def svg(self) -> str:
        """A whole SVG document."""


@dataclass(frozen=True)
class Line:
    """An equation of a step, as text and as LaTeX, with the picture that belongs to it."""

    text: str
    latex: str
    figure: Drawn | None = None


@dataclass(frozen=True)
class Step:
    """One equality of a derivation.

    Attributes
    ----------
    number : int
        1 to 6.
    title : str
    words : Words
        Why it holds, as ``words.text`` and, with formulas between dollars, ``words.latex``.
    lines : tuple of Line
        Its equations.
    left, right : Fraction
        The exact values of its two sides at trusted numbers, found in different ways.
    """

    number: int
    title: str
    words: Words
    lines: tuple[Line, ...]
    left: Fraction
    right: Fraction

    def __post_init__(self) -> None:
        check(f"step {self.number} ({self.title})", self.left, self.right)

    @property
    def checked(self) -> str:
        """What was compared, in words."""
        value = str(self.left)
        if len(value) > 24:
            digits = sum(map(str.isdigit, value.split("/")[0]))
            value = f"a fraction, its numerator of {digits} digits" if "/" in value else f"a number of {digits} digits"
        return f"both sides are {value}"

    def latex(self) -> str:
        """Its equations, aligned (without delimiters)."""
        return "\\begin{aligned}\n" + " \\\\\n".join(line.latex for line in self.lines) + "\n\\end{aligned}"

    def text(self, width: int = 100) -> str:
        """As plain text: words filled, lines broken between terms and factors where they are too long."""
        indent = " " * 3
        words = textwrap.fill(
            self.words.text, width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
        )
        lines = [_wrapped(line.text, width) for line in self.lines]
        return "\n".join([f"{self.number}. {self.title}", words, *lines, f"{indent}checked: {self.checked}"])

    def __str__(self) -> str:
        return self.text()


def _wrapped(line: str, width: int) -> str:
    """A line with an indent: a term in each row if it is too long for one, no bracket torn apart."""
    if len(line) + 5 <= width:
        return f"     {line}"
    rows = []
    for i, part in enumerate(re.split(r"(?<!:)(?<! ) (?=[+-] )|   (?=\()", line)):
        whole = re.sub(r"<[^>]*>|\[[^]]*\]|(?<=^[+-]) |: +", lambda found: found[0].replace(" ", "\0"), part)
        rows += textwrap.wrap(
            whole,
            max(width, 24),
            initial_indent=" " * (9 if i else 5),
            subsequent_indent=" " * 11,
            break_long_words=False,
            break_on_hyphens=False,
        )
    return "\n".join(row.replace("\0", " ") for row in rows)


def check(what: str, left: Fraction, right: Fraction) -> None:
    """BrokenStep unless both sides are equal."""
    if left != right:
        raise BrokenStep(
            f"{what}: the left side is {left} and the right side {right} at the same numbers; derive the recursion "
            "anew, and if that does not help, report it"
        )
