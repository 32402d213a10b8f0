"""Docstrings as they are written here, made ready for Sphinx.

They are text for ``help()`` first. What follows the sections of a NumPy docstring (its source, its examples) ends the
last section, and marks of reStructuredText that prose uses as mathematics, |x| and a*b, stand as they are.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx

KEPT = re.compile(r"(:[a-z:]+:`[^`]+`|``[^`]+``|`[^`]+`__?|\*\*[^\s*][^*]*[^\s*]\*\*)")
MARKS = re.compile(r"(\\|\||\*|(?<=\w)_(?!\w))")
LISTED = re.compile(r"^(\s*[A-Za-z])([.)])(?=\s|$)")  # "L." is a letter here, not the fiftieth item
UNDERLINE = re.compile(r"^\s*-{3,}\s*$")


def prepared(lines: list[str]) -> list[str]:
    """A docstring with its sections ended and its marks escaped.

    >>> prepared(["|x| of `a`__ and **b**", "", ".. math:: |x|", "", ">>> a * b"])
    ['\\\\|x\\\\| of `a`__ and **b**', '', '.. math:: |x|', '', '>>> a * b']
    """
    return _escaped(_ended(_displayed(lines)))


def _displayed(lines: list[str]) -> list[str]:
    """What a paragraph displays by indenting it stays as it is written: two colons before it."""
    found: list[str] = []
    before = ""  # the last line that is not blank
    for line in lines:
        opens = line[:1].isspace() and line.strip() and found and not found[-1].strip()
        if opens and before[:1].strip() and not before.startswith((".. ", "- ", ">>>")) and before[-2:] != "::":
            found += ["::", ""]
        if line.strip():
            before = line if not line[0].isspace() or not before else " " + before.strip()
        found.append(line)
    return found


def _ended(lines: list[str]) -> list[str]:
    """Two blank lines before a paragraph that is no item of the section before it: so NumPy sections end."""
    found: list[str] = []
    in_section = False
    for i, line in enumerate(lines):
        after = lines[i + 1] if i + 1 < len(lines) else ""
        if UNDERLINE.match(after) and line.strip():
            in_section = True
        elif in_section and line and not line[0].isspace() and i and not lines[i - 1].strip():
            item = bool(after) and after[0].isspace() and not line.startswith((">>>", "Source", ".. "))
            if not item:
                found.append("")
                in_section = False
        found.append(line)
    return found


def _escaped(lines: list[str]) -> list[str]:
    found = []
    literal: int | None = None  # the indent of what opened a block (a directive, a line that ends in ::), which stays
    doctest = False
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if literal is not None and line.strip() and indent <= literal:
            literal = None
        if not line.strip():
            doctest = False
        elif line.lstrip().startswith(">>>"):
            doctest = True
        if literal is None and not doctest and not line.lstrip().startswith(".. "):
            parts = KEPT.split(line)
            plain = "".join(part if i % 2 else MARKS.sub(r"\\\1", part) for i, part in enumerate(parts))
            found.append(LISTED.sub(r"\1\\\2", plain))
        else:
            found.append(line)
        if literal is None and (line.lstrip().startswith(".. ") or line.rstrip().endswith("::")):
            literal = indent
    return found


def _process(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    lines[:] = prepared(lines)
    if what in ("attribute", "property") and lines:
        # napoleon takes what stands before a colon for a type, if something follows on that line
        lines[:1] = re.sub(r"(?<!`): ", ":\n", lines[0], count=1).split("\n")


def _finish(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """No dash after the name of an error of which nothing more is said."""
    lines[:] = [line.removesuffix(" --") for line in lines]


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("autodoc-process-docstring", _process, priority=100)  # before napoleon
    app.connect("autodoc-process-docstring", _finish, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
