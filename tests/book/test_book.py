"""The book: the list beside live objects; what fails, what is open and what cannot be read is said."""

import re
from fractions import Fraction
from pathlib import Path

import pytest
import sympy
from typer.testing import CliRunner

from rgflow.book import build, html, latex
from rgflow.book.lines import broken, seen, terms
from rgflow.book.shown import lines_of
from rgflow.cli.app import app
from rgflow.errors import InputError
from rgflow.mathematics import math_font, mathml

LIST = r"""
paper = "A paper & its law"
arxiv = "0000.00000"
[[row]]
id = "law"
kind = "recursion"
place = "(1)"
equation = '''x' = x + 1'''
says = "a law"
[[row]]
id = "slip"
kind = "closed form"
place = "not stated"
equation = '''y = 2'''
says = "typed wrongly"
[[row]]
id = "measured"
kind = "measurement"
place = "not stated"
equation = '''z = 3'''
says = "an outcome"
[[row]]
id = "left"
kind = "exponent"
place = "not stated"
equation = '''w = \frac{1}{2}'''
says = "an open one"
why = "nobody knows <why>"
"""
SCRIPT = '''
r"""A derivation: of nothing.

The way is *short*.
"""

import rgflow as rg
from rows import row


@row("paper/law", witness="none")
def law():
    typed = 2
    assert typed == 1 + 1
    return rg.derive("K")


@row("paper/slip", witness="none")
def slip():
    typed = 3
    assert typed == 2, "3 is not 2"


@row("paper/measured", witness="none")
def measured():
    typed = 3
    assert typed == 3
    return {"z": 3.0}
'''
ROWS = (Path(__file__).parents[2] / "derivations" / "rows.py").read_text(encoding="utf-8")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "list").mkdir()
    (tmp_path / "list" / "paper.toml").write_text(LIST, encoding="utf-8")
    (tmp_path / "rows.py").write_text(ROWS, encoding="utf-8")
    (tmp_path / "derivation.py").write_text(SCRIPT, encoding="utf-8")
    return tmp_path


def test_what_became_of_each_formula(folder):
    book = build(folder)
    assert [e.status for e in book.entries] == ["derived", "failed", "measured", "not derived"]
    assert (book.results, book.experiments) == (3, 1)
    assert book.coverage == 1 / 3
    assert [e.failure.splitlines()[0] for e in book.failed] == ["3 is not 2"]


def test_the_page(folder):
    """Anchors lead somewhere, text is escaped, what is derived is printed by the object, and nothing is fetched."""
    page = html(build(folder))
    targets = set(re.findall(r'href="#([^"]+)"', page))
    assert targets <= set(re.findall(r'id="([^"]+)"', page)) | {"open"}
    assert 'id="open"' in page
    assert "A paper &amp; its law" in page
    assert "&lt;why&gt;" in page
    assert mathml(broken(build(folder).entries[0].shown[0].latex())) in page
    assert "<script" not in page
    assert set(re.findall(r'(?:src|href)="(https?://[^"]+)"', page)) == {"https://arxiv.org/abs/0000.00000"}
    assert page == html(build(folder))


def test_the_source(folder):
    source = latex(build(folder))
    assert source.count(r"\begin{document}") == source.count(r"\end{document}") == 1
    assert r"A paper \& its law" in source
    assert "\\[\nx' = x + 1\n\\]" in source
    assert build(folder).entries[0].shown[0].latex() in source


def test_a_row_that_is_not_in_the_list_is_refused(folder):
    (folder / "other.py").write_text(SCRIPT.replace("paper/", "paper/another_"), encoding="utf-8")
    with pytest.raises(InputError, match=r"paper/another_law.*not in the list"):
        build(folder)


def test_a_formula_that_is_derived_twice_is_refused(folder):
    (folder / "other.py").write_text(SCRIPT, encoding="utf-8")
    with pytest.raises(InputError, match=r"derived twice, in derivation.py and in other.py"):
        build(folder)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('id = "slip"', 'id = "law"', "paper/law more than once"),
        ('kind = "recursion"', 'kind = "guess"', "guess"),
        ('says = "a law"', "", "says"),
        ("[[row]]", "[[row", "is not a list"),
    ],
)
def test_a_list_that_is_not_one_is_refused(folder, old, new, said):
    (folder / "list" / "paper.toml").write_text(LIST.replace(old, new), encoding="utf-8")
    with pytest.raises(InputError, match=re.escape(said)):
        build(folder)


def test_no_derivations_at_all(tmp_path):
    with pytest.raises(InputError, match="holds no list"):
        build(tmp_path)


def test_on_the_command_line(folder, tmp_path):
    out, tex = tmp_path / "book.html", tmp_path / "book.tex"
    command = ["book", "--derivations", str(folder), "--out", str(out), "--latex", str(tex)]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 1  # one formula is not what is derived
    assert "1 of 3 results of theory derived (33.3%), 1 of 1 outcomes" in " ".join(done.output.split())
    assert out.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert r"\documentclass" in tex.read_text(encoding="utf-8")


# Equations ------------------------------------------------------------------------------------------------------------


def test_long_equations_are_broken_at_sums():
    equation = r"V = \frac{1 + 2}{3} (a + b) " + "".join(f"+ x_{{{i}+1}} y " for i in range(40))
    lines = broken(equation, 60).split(r"\\")
    assert len(lines) > 3
    assert all(seen(line) < 75 for line in lines)
    assert "".join(terms(equation)) == equation
    assert broken("a = b", 60) == "a = b"


def test_what_is_shown():
    def latex(shown):
        return [line.as_latex() for line in lines_of(shown)]

    assert latex(sympy.Symbol("x") ** 2) == ["x^{2}"]
    assert latex({"a_b": 1.5e-7}) == [r"\text{a\_b}:\quad 1.5\times 10^{-7}"]
    assert latex((1, "50 %")) == ["1", r"\text{50 \%}"]
    assert latex({"x": (0.5, Fraction(-2, 3)), "y": True}) == [
        r"\text{x}:\quad 0.5,\; {-\frac{2}{3}}",
        r"\text{y}:\quad \text{True}",
    ]


def test_the_font_has_what_formulas_need():
    """Italic letters as browsers draw them, Greek, brackets; metrics of a mathematical font; the same bytes again."""
    import io

    from fontTools.ttLib import TTFont

    font = TTFont(io.BytesIO(math_font()))
    assert "MATH" in font
    assert {0x1D436, 0x1D70E, 0x27E8, 0x2211, 0x2032} <= set(font.getBestCmap())
    assert len(math_font()) < 300_000
