"""A book: the list beside the rows that derive it, each row run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rgflow.book.listed import Listed, Paper, read
from rgflow.book.scripts import Row, Script, load
from rgflow.errors import InputError

STATUS = ("derived", "measured", "failed", "not derived")


@dataclass(frozen=True)
class Entry:
    """A formula, the row that derives it and what came of it."""

    formula: Listed
    row: Row | None = None
    shown: tuple[Any, ...] = ()
    failure: str = ""

    @property
    def status(self) -> str:
        """ "derived", "measured" (an outcome of an experiment), "failed" or "not derived"."""
        if self.row is None:
            return "not derived"
        if self.failure:
            return "failed"
        return "measured" if self.formula.kind == "measurement" else "derived"


@dataclass(frozen=True)
class Book:
    """All entries, by paper, and the prose of the scripts."""

    papers: tuple[Paper, ...]
    entries: tuple[Entry, ...]
    scripts: tuple[Script, ...]

    def of(self, paper: Paper) -> tuple[Entry, ...]:
        """The entries of a paper, in its order."""
        return tuple(e for e in self.entries if e.formula.name.startswith(f"{paper.key}/"))

    def count(self, paper: Paper | None = None) -> Counter[str]:
        """How many entries have each status."""
        return Counter(e.status for e in (self.entries if paper is None else self.of(paper)))

    @property
    def experiments(self) -> int:
        """How many of the list are outcomes of experiments, which no theory derives."""
        return sum(e.formula.kind == "measurement" for e in self.entries)

    @property
    def results(self) -> int:
        """How many are results of theory."""
        return len(self.entries) - self.experiments

    @property
    def coverage(self) -> float:
        """The share of the results of theory that is derived and witnessed."""
        return self.count()["derived"] / self.results

    @property
    def failed(self) -> tuple[Entry, ...]:
        """Rows whose typed formula is not what the engine gives."""
        return tuple(e for e in self.entries if e.status == "failed")


def build(
    folder: Path, advance: Callable[[int], None] = lambda count: None, scripts: tuple[Script, ...] | None = None
) -> Book:
    """Read the list of ``folder``, load its scripts and run every row; ``advance(1)`` is called after each formula.

    ``scripts`` are those of the folder where they are loaded already: what their rows have in common is kept.

    Raises
    ------
    InputError
        The folder holds no derivations, or a row names a formula that is not in the list.
    """
    papers = read(folder / "list")
    scripts = load(folder) if scripts is None else scripts
    rows = {row.formula: row for script in scripts for row in script.rows}
    formulas = {formula.name: formula for paper in papers for formula in paper.formulas}
    unknown = sorted(rows.keys() - formulas.keys())
    if unknown:
        raise InputError(f"{', '.join(unknown)}: derived, but not in the list in {folder / 'list'}")
    entries = []
    for name, formula in formulas.items():
        entries.append(_entry(formula, rows.get(name)))
        advance(1)
    return Book(papers, tuple(entries), scripts)


def _entry(formula: Listed, row: Row | None) -> Entry:
    if row is None:
        return Entry(formula)
    try:
        return Entry(formula, row, row.run())
    except AssertionError as error:
        return Entry(formula, row, failure=str(error) or "the typed formula is not what is derived")
