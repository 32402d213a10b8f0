"""Closed forms in the store: found once, read back as they were, and nothing else ever used."""

import json
from dataclasses import replace

import pytest

import rgflow as rg
from rgflow.brackets import closed_choice
from rgflow.codegen import forms

ENTRIES = [((0, 0), 0), ((0, 1), 1), ((0, 0, 0, 0), 0), ((1, 1, 2, 2), 0)]


@pytest.fixture
def directory(tmp_path, monkeypatch):
    monkeypatch.setenv("RGFLOW_CACHE_DIR", str(tmp_path / "kernels"))
    return tmp_path / "kernels"


@pytest.mark.parametrize("sigma", ["gelu", "sin", "erf(z) + z/10"])
def test_read_back_as_they_were(directory, monkeypatch, sigma):
    activation = rg.activation(sigma)
    first = forms.closed_forms(activation, ENTRIES)
    assert first == closed_choice(activation, ENTRIES)
    assert len(list(directory.glob("rgflow_forms_*.json"))) == 1
    monkeypatch.setattr(forms, "closed_choice", None)
    again = forms.closed_forms(activation, ENTRIES)
    assert list(again.items()) == list(first.items())


@pytest.mark.parametrize("sigma", ["tanh", "relu", "z^3 - z"])
def test_what_needs_no_rules_is_not_kept(directory, sigma):
    forms.closed_forms(rg.activation(sigma), ENTRIES)
    assert not directory.exists()


def broken(content):
    """Files that are not ours: truncated, of another form, with text that would be code, with no numbers."""
    rows = json.loads(content)["forms"]
    yield content[:100]
    yield b"[]"
    yield b"\xff\xfe"
    yield content.replace(b"0.5", b"0.6")
    for change in ("K\n    import os", "\u2028"):
        yield forms_file([[rows[0][0], change, rows[0][2]], *rows[1:]])
    for number in ("__import__('os')", None, True, float("nan"), 7):
        term = [*rows[0][2][0]]
        term[1] = number
        yield forms_file([[rows[0][0], rows[0][1], [term]], *rows[1:]])


def forms_file(rows):
    return json.dumps({"sum": forms._checksum(rows), "forms": rows}).encode()


def test_anything_else_is_found_anew(directory):
    activation = rg.activation("gelu")
    right = forms.closed_forms(activation, ENTRIES)
    (path,) = directory.glob("rgflow_forms_*.json")
    whole = path.read_bytes()
    count = 0
    for content in broken(whole):
        path.write_bytes(content)
        assert forms.closed_forms(activation, ENTRIES) == right
        assert path.read_bytes() == whole
        count += 1
    assert count == 11


def test_the_name_knows_the_rules(monkeypatch):
    """Other rules, other activations, other brackets: other files."""
    gelu = rg.activation("gelu")
    names = {forms._name(gelu, ENTRIES), forms._name(rg.activation("erf"), ENTRIES), forms._name(gelu, ENTRIES[:2])}
    monkeypatch.setattr(forms, "_rules", lambda: "others")
    names.add(forms._name(gelu, ENTRIES))
    assert len(names) == 4
    assert forms._name(gelu, ENTRIES) == forms._name(replace(gelu, name="another name"), ENTRIES)
