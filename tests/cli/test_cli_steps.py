"""``rgflow derive --steps``: the derivation of the library, in three forms, with its pictures."""

import re

import pytest

import rgflow as rg


def test_text(rgflow):
    done = rgflow("derive", "V", "--samples", "many", "--steps")
    assert done.code == 0
    assert done.out == rg.derive("V", samples="many").steps.text(80) + "\n"
    assert max(map(len, done.out.splitlines())) <= 80
    assert done.err == ""


def test_in_one_time(rgflow):
    done = rgflow("derive", "V", "--layer", "residual", "--book", "--steps")
    assert done.out == rg.derive("V", layer=rg.Residual(), closure="book").steps.text(80) + "\n"


def test_narrow_terminals(rgflow, monkeypatch):
    monkeypatch.setenv("COLUMNS", "50")
    done = rgflow("derive", "A", "--steps")
    words = [line for line in done.out.splitlines()[1:] if "{" not in line and "κ" not in line]
    assert max(map(len, words)) <= 50


@pytest.mark.parametrize("option", ["--latex", "--markdown"])
def test_other_forms(option, rgflow):
    steps = rg.derive("F").steps
    expected = steps.latex() if option == "--latex" else steps.markdown()
    assert rgflow("derive", "F", "--steps", option).out == expected


def test_pictures(rgflow, tmp_path):
    folder = tmp_path / "pictures" / "of V"
    done = rgflow("derive", "V", "--steps", "--markdown", "--svg", str(folder))
    assert done.code == 0
    steps = rg.derive("V").steps
    assert {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()} == steps.pictures()
    links = re.findall(r'src="([^"]+)"', done.out)
    assert len(links) == len(set(links)) == 5  # two hypergraphs, three diagrams
    assert all((tmp_path / link).is_file() for link in links)
    assert "5 pictures" in done.err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("V", "--markdown"), 2, "--markdown belongs to --steps"),
        (("V", "--svg", "x"), 2, "--svg belongs to --steps"),
        (("V", "--steps", "--sympy"), 2, "--steps takes one of"),
        (("V", "--steps", "--closure"), 2, "--steps takes one of"),
        (("V", "--steps", "--json"), 2, "--steps takes one of"),
        (("V", "--steps", "--latex", "--markdown"), 2, "--steps takes one of"),
        (("V", "--layer", "residual", "--steps"), 1, "has no steps"),
        (("K", "--layer", "branch", "--steps"), 1, "has no steps"),
        (("W", "--steps"), 1, "unknown tensor"),
    ],
)
def test_refused(arguments, code, words, rgflow, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = rgflow("derive", *arguments)
    assert (done.code, done.out) == (code, "")
    assert words in done.err
    assert done.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_a_file(rgflow, tmp_path):
    taken = tmp_path / "taken"
    taken.write_text("mine", encoding="utf-8")
    for folder in (taken, taken / "inside"):
        done = rgflow("derive", "V", "--steps", "--svg", str(folder))
        assert (done.code, done.out) == (1, "")
        assert "--svg" in done.err
    assert taken.read_text(encoding="utf-8") == "mine"
