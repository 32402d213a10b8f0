"""The list of formulas: what the papers state, written down before anybody counts what is derived."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from rgflow.errors import InputError

KINDS = ("definition", "recursion", "closed form", "exponent", "table row", "measurement")


@dataclass(frozen=True)
class Listed:
    """One formula of a paper.

    Attributes
    ----------
    name : str
        ``paper/id``.
    kind : str
        One of ``KINDS``.
    place : str
        Chapter, section or equation number; "not stated" where it is not known.
    equation : str
        LaTeX.
    says : str
        The statement in words.
    why : str
        Why it is not derived, where that is known; else empty.
    """

    name: str
    kind: str
    place: str
    equation: str
    says: str
    why: str = ""


@dataclass(frozen=True)
class Paper:
    """A source paper and its formulas, in the order of the paper."""

    key: str
    title: str
    arxiv: str
    formulas: tuple[Listed, ...]


def read(folder: Path) -> tuple[Paper, ...]:
    """The papers of ``folder``, a TOML file each.

    Raises
    ------
    InputError
        No such folder, no list in it, or a file that is not as it should be; the message names it.
    """
    files = sorted(folder.glob("*.toml"))
    if not files:
        raise InputError(f"{folder} holds no list of formulas; give the folder of the derivations in a clone")
    papers = [_paper(file) for file in files]
    # The book first: it is what the others are read with.
    return tuple(sorted(papers, key=lambda paper: (-len(paper.formulas), paper.key)))


def _paper(file: Path) -> Paper:
    try:
        with file.open("rb") as stream:
            text = tomllib.load(stream)
        formulas = tuple(_listed(file.stem, row) for row in text["row"])
        found = Paper(file.stem, str(text["paper"]), str(text["arxiv"]), formulas)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise InputError(f"{file} is not a list of formulas: {error!r}") from None
    names = [formula.name for formula in formulas]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise InputError(f"{file} has {', '.join(sorted(twice))} more than once; every id stands once")
    return found


def _listed(key: str, row: dict[str, str]) -> Listed:
    if row["kind"] not in KINDS:
        raise KeyError(f"{row['id']}: kind {row['kind']!r} is none of {', '.join(KINDS)}")
    fields = {name: str(row[name]).strip() for name in ("kind", "place", "equation", "says")}
    return Listed(name=f"{key}/{row['id']}", **fields, why=str(row.get("why", "")).strip())
