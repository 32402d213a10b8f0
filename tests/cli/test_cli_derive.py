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


# Layers of other kinds ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "name"), [("residual", "V"), ("residual", "Theta_1"), ("branch", "K_1"), ("branch", "K")]
)
def test_linked_lines_are_printed_whole(rgflow, kind, name):
    done = rgflow("derive", name, "--layer", kind)
    found = rg.derive(name, layer={"residual": rg.Residual, "branch": rg.Branch}[kind]())
    assert done.code == 0
    assert max(map(len, done.out.splitlines())) <= 80
    shown = squeezed(done.out)
    for line in str(found).splitlines():
        left, right = line.split(" = ", 1)
        assert squeezed(line) in shown or squeezed(f"{left} = + {right}") in shown
    for text in found.assumptions:
        assert squeezed(text) in shown.replace("·", "")
    assert ("isthenoiseofnneurons" in shown) == ("η" in str(found))
    assert ("_h:oftheneurons" in shown) == (kind == "branch")
    assert rgflow("derive", name, "--layer", kind, "--latex").out == found.latex() + "\n"


def test_the_book_s_closure_is_printed_by_name_only(rgflow):
    book = rg.derive("V", layer=rg.Residual(), closure="book")
    done = rgflow("derive", "V", "--layer", "residual", "--book")
    assert squeezed(str(book).split(" = ")[1]) in squeezed(done.out)
    assert "in one time" in done.out
    assert rgflow("derive", "V", "--layer", "residual", "--book", "--sympy").out == f"{book.to_sympy()}\n"
    assert "K'" in rgflow("derive", "V", "--layer", "residual", "--book", "--closure").out
    assert "in one time" not in rgflow("derive", "V", "--book").out  # a dense layer has no past


def test_what_lines_do_not_have_is_refused(rgflow):
    for option in ("--sympy", "--closure"):
        done = rgflow("derive", "V", "--layer", "residual", option)
        assert done.code == 1
        assert f"{option}: V of a residual layer" in done.err
        assert "--book" in done.err
        assert "--book" not in rgflow("derive", "V", "--layer", "branch", option).err
    assert "leave out --book" in rgflow("derive", "V", "--layer", "branch", "--book").err
    assert "unknown kind of layer 'nothing'" in rgflow("derive", "V", "--layer", "nothing").err
    assert "order 1" in rgflow("derive", "V_1", "--layer", "residual").err


def test_orthogonal_layers_print_recursions(rgflow):
    done = rgflow("derive", "V", "--layer", "orthogonal")
    assert "- 2 C_W^2 narrowing <σσ>^2" in done.out
    assert "narrowing = n_l / max(n_l, n_(l+1))" in done.out
    assert "narrowing" not in rgflow("derive", "V").out


def test_lines_of_many_samples(rgflow):
    done = rgflow("derive", "D", "--layer", "residual", "--samples", "many")
    assert done.code == 0
    assert max(map(len, done.out.splitlines())) <= 80
    assert squeezed(str(rg.derive("D", samples="many", layer=rg.Residual())).splitlines()[1]) in squeezed(done.out)
    assert "numbers after K, z, σ and ∂ are samples" in done.out
    assert "z_e is z differentiated" in done.out
