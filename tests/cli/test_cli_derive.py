"""``rgflow derive``: the recursion of the library, readable, and in LaTeX and SymPy."""

from __future__ import annotations

import re

import pytest

import rgflow as rg
from rgflow.cli.derive import wrapped


def squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)


@pytest.mark.parametrize("name", ["K", "Theta", "V", "V_1", "1 2|3e 4e"])
@pytest.mark.parametrize("samples", ["one", "many"])
def test_prints_the_recursion_with_what_it_rests_on(rgflow, name, samples):
    done = rgflow("derive", name, "--samples", samples)
    rec = rg.derive(name, samples=samples)
    assert done.code == 0
    left, right = str(rec).split(" = ")
    shown = squeezed(done.out)
    assert squeezed(str(rec)) in shown or squeezed(f"{left} = {'' if right[0] == '-' else '+'}{right}") in shown
    for text in (*rec.assumptions, "depends on: " + ", ".join(rec.depends_on)):
        assert squeezed(text).replace("·", "") in shown
    assert max(map(len, done.out.splitlines())) <= 80


def test_the_wrapped_text_has_every_term_once():
    rec = rg.derive("V_1", samples="many")
    rows = wrapped(str(rec), 80).splitlines()
    assert sum(row.startswith(("    +", "    -")) for row in rows) == len(rec.terms)
    assert all(row.count("<") == row.count(">") for row in rows)


def test_narrow_terminals(rgflow, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    done = rgflow("derive", "V", "--samples", "many")
    assert done.code == 0
    assert "V'[1,2,3,4] =" in done.out


def test_help_shows_a_corrected_name_that_works(rgflow):
    assert '"1 2|3e 4e_1"' in rgflow("derive", "--help").out
    assert rgflow("derive", "1 2|3e 4e_1").out.startswith("D_1: ")


def test_latex_alone(rgflow):
    assert rgflow("derive", "V", "--latex").out == rg.derive("V").latex() + "\n"
    assert rgflow("derive", "V", "--latex", "--closure").out == rg.closure("V").latex() + "\n"


def test_sympy_alone(rgflow):
    assert rgflow("derive", "K", "--sympy").out == f"{rg.derive('K').to_sympy()}\n"
    lines = rgflow("derive", "K_1", "--sympy", "--closure").out.splitlines()
    assert [line.split(" = ")[0] for line in lines] == list(rg.closure("K_1").names)


def test_closure_prints_all_it_depends_on(rgflow):
    done = rgflow("derive", "K_1", "--closure")
    for rec in rg.closure("K_1"):
        assert str(rec) in done.out or rec.name + "'" in done.out


@pytest.mark.parametrize("name", ["W", "", "1e 2", "1e 2f|3e 4f|", "V_x", "1 2|3e 4e_"])
def test_names_that_nothing_carries(rgflow, name):
    done = rgflow("derive", name)
    assert done.code == 1
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1
