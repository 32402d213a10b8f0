"""Every row of the book: it derives its formula, and notices when one coefficient of the typed formula is altered."""

import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from rgflow.book import build, html, latex
from rgflow.book.html import anchor
from rgflow.book.latex import escaped
from rgflow.book.listed import read
from rgflow.book.scripts import load

sys.path.insert(0, str(Path(__file__).parent))
from altered import alterations

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "derivations"
SCRIPTS = load(FOLDER)
ROWS = {row.formula: row for script in SCRIPTS for row in script.rows}
each = pytest.mark.parametrize("formula", ROWS)


def first_and_last(found):
    found = list(found)
    return found if len(found) < 3 else [found[0], found[-1]]


@each
def test_row_notices_another_coefficient(formula):
    """As typed it is what is derived; with its first or its last term 1.1 times as large it is not."""
    row = ROWS[formula]
    row.run()
    altered = first_and_last(alterations(row.function))
    assert altered, f"{formula}: nothing is assigned to a name that begins with typed"
    for _, function in altered:
        with pytest.raises(AssertionError):
            replace(row, function=function).run()


@pytest.mark.slow
@each
def test_row_notices_every_other_coefficient(formula):
    row = ROWS[formula]
    for _, function in alterations(row.function):
        with pytest.raises(AssertionError):
            replace(row, function=function).run()


@each
def test_row_shows_something_and_names_a_witness(formula):
    """What it returns goes into the book; files that it names as witnesses exist."""
    row = ROWS[formula]
    assert row.witness
    for path in re.findall(r"(?:tests|benchmarks|notebooks|derivations)/[\w/.]+\.\w+", row.witness):
        assert (ROOT / path).exists(), path


def test_the_whole_book():
    """Nothing fails, every link leads somewhere, every equation is one, and what is not derived is named."""
    book = build(FOLDER, scripts=SCRIPTS)
    assert [entry.formula.name for entry in book.failed] == []
    page, source = html(book), latex(book)
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(re.findall(r' id="([^"]+)"', page))
    assert "<merror" not in page
    assert all(escaped(entry.formula.says) in source for entry in book.entries)
    open_ones = page[page.index('<section id="open">') :]
    assert all(anchor(e.formula.name) in open_ones for e in book.entries if e.status == "not derived")


def test_nine_tenths_of_the_list():
    """Of what is a result of theory; trained accuracies and the like are measured, not derived."""
    kinds = {formula.name: formula.kind for paper in read(FOLDER / "list") for formula in paper.formulas}
    assert set(ROWS) <= set(kinds)
    theory = [name for name, kind in kinds.items() if kind != "measurement"]
    assert sum(name in ROWS for name in theory) >= 0.9 * len(theory)


# The alterations themselves -------------------------------------------------------------------------------------------


def example():
    typed = 2 + 3 * 4 - 5

    def typed_law(x):
        return x + 1

    assert typed + typed_law(1) == 11


def blind():
    typed = 2
    assert typed * 0 == 0


def test_control_alterations():
    """Each term once; a function that does not look at what it types notices nothing."""
    assert [term for term, _ in alterations(example)] == ["2", "3 * 4", "5", "x", "1"]
    for _, function in alterations(example):
        with pytest.raises(AssertionError):
            function()
    for _, function in alterations(blind):
        function()
