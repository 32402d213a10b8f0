"""``--json`` of every command: one document of a stable scheme, numbers with all their digits, nothing else there."""

from __future__ import annotations

import inspect
import json
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import xarray

import rgflow as rg
from rgflow.cli.app import COMMANDS
from rgflow.cli.machine import SCHEMA, dataset, document, plain

LINES = {
    "derive": ["V", "--closure"],
    "solve": ["V", "relu", "--check", "8"],
    "cite": ["mup"],
    "flow": ["tanh", "--width", "16", "--depth", "4", "--first-kernel", "1"],
    "sweep": ["relu", "--C-W", "1,2", "--depth", "4", "--width", "8", "--C-b", "0,1.5", "--first-kernel", "1"],
    "critical": ["relu", "--table"],
    "aspect": ["tanh", "--width", "16", "--n-out", "2"],
    "phase": ["tanh", "--C-W", "0.5:2:4", "--C-b", "0:0.1:3"],
    "variation": ["tanh", "--depth", "5", "--beta", "1/4", "--gamma0", "0.5"],
}
# Keys of the scheme beside the envelope's; a test that must be changed says that SCHEMA must grow.
KEYS = {
    "derive": {"name", "samples", "layer", "recursions"},
    "solve": {
        "name", "activation", "layer", "closure", "kind", "formula", "evaluated", "correction", "neglected",
        "parameters", "averages", "rates", "open", "first_layer", "assumptions", "check",
    },
    "cite": {"names", "bibtex", "entries"},
    "flow": {
        "network", "order", "conventions", "layer", "fan_in", "coefficients", "numerical_error", "expansion_ratio",
        "trusted_layers", "totals",
    },
    "sweep": {"shown", "dataset"},
    "critical": {
        "activation", "layer", "points", "chi_parallel", "chi_perpendicular", "assumptions", "exponents", "nu",
        "power_laws",
    },
    "aspect": {
        "activation", "layer", "point", "n_out", "nu", "best_fluctuation", "best_ratio", "recommendation",
    },
    "phase": {"points", "why_none", "dataset"},
    "variation": {"dataset", "suggestion", "growth", "why_not"},
}  # fmt: skip
WITHOUT = {"book", "explore"}  # they write a document and serve a page


ASKED: dict[tuple[str, ...], str] = {}  # each command is run once


@pytest.fixture
def answer(rgflow):
    def ask(command: str, *more: str) -> dict:
        line = (command, *LINES[command], *more, "--json")
        if line not in ASKED:
            done = rgflow(*line)
            assert (done.code, done.err) == (0, "")
            assert done.out.count("\n") == 1
            ASKED[line] = done.out
        return json.loads(ASKED[line], parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))

    return ask


@pytest.mark.parametrize("command", LINES)
def test_every_document_has_the_envelope_and_its_keys(answer, command):
    found = answer(command)
    assert list(found)[:3] == ["rgflow", "schema", "command"]
    assert (found["rgflow"], found["schema"], found["command"]) == (rg.__version__, SCHEMA, command)
    assert set(found) - {"rgflow", "schema", "command"} == KEYS[command]


def test_every_command_that_prints_results_has_it():
    having = {each.__name__ for each in COMMANDS if "json" in inspect.signature(each).parameters}
    assert {each.__name__ for each in COMMANDS} - having <= WITHOUT
    assert having - {"bench"} == set(LINES)


def test_the_scheme_is_documented():
    page = (Path(__file__).parents[2] / "docs" / "terminal.md").read_text(encoding="utf-8")
    rows = {name: row for row in page.splitlines() for name in LINES if row.startswith("|") and f"`{name}`" in row[:40]}
    assert {name: [key for key in keys if f"`{key}`" not in rows[name]] for name, keys in KEYS.items()} == {
        name: [] for name in KEYS
    }
    assert f"| `schema` | {SCHEMA};" in page


def test_recursions_are_those_of_the_library(answer):
    found = answer("derive")
    V = next(each for each in found["recursions"] if each["name"] == "V")
    rec = rg.derive("V")
    assert (V["text"], V["latex"], V["depends_on"]) == (str(rec), rec.latex(), list(rec.depends_on))
    assert [Fraction(term["coefficient"]) for term in V["terms"]] == [term.coefficient for term in rec.terms]


def test_lines_of_layers_that_remember(rgflow):
    found = json.loads(rgflow("derive", "V", "--layer", "residual", "--json").out)
    assert found["lines"] == str(rg.derive("V", layer=rg.Residual())).splitlines()


def test_solutions_and_their_check(answer):
    found = answer("solve")
    assert found["formula"]["text"] == "5 k^2 (l - 1)"
    assert found["check"]["passed"] is True
    assert found["check"]["at"] == {"k": 1.0}
    np.testing.assert_allclose(found["check"]["flow"], 5 * (np.array(found["check"]["layers"]) - 1), rtol=1e-12)


def test_a_check_that_fails_is_exit_code_1_with_its_document(rgflow):
    done = rgflow("solve", "A", "tanh", "--check", "8", "--json")
    assert done.code == 1
    assert json.loads(done.out)["check"]["passed"] is False
    assert done.err.startswith("error: A of tanh")


def test_critical_points_and_laws(answer):
    found = answer("critical")
    (point,) = found["points"]
    assert (point["C_b"], point["C_W"], point["K_star"], point["recommended"]) == (0.0, 2.0, None, True)
    assert found["power_laws"]["laws"]["V"]["exponent"]["value"] == 1.0
    assert found["nu"]["value"] == 5.0


def test_datasets_can_be_read_back(answer):
    """By xarray itself; null stands where there is no number."""
    found = answer("sweep")["dataset"]
    ds = rg.sweep(
        rg.MLP.uniform(n_in=8, width=8, depth=4, activation="relu"), first_kernel=1.0, C_W=[1.0, 2.0], C_b=[0.0, 1.5],
        layers="last",
    )  # fmt: skip
    read = xarray.Dataset.from_dict(found)
    np.testing.assert_array_equal(read["V"].values.astype(float), ds["V"].values)
    assert np.isnan(ds["V"].values).any()
    assert None in np.ravel(np.array(found["data_vars"]["V"]["data"], object))
    assert found["attrs"]["network"]["widths"] == [8] * 5


def test_a_depth_for_a_width(answer):
    found = answer("aspect")
    recommended = rg.aspect_ratio("tanh", 2).recommend(16)
    assert found["recommendation"]["depth"] == recommended.depth
    assert found["nu"]["text"] == "2/3"
    assert found["nu"]["value"] == 2 / 3


def test_variation_and_growth(answer):
    found = answer("variation")
    assert found["dataset"]["coords"]["layer"]["data"] == list(range(6))
    assert found["growth"]["chi"]["regime"]


def test_files_are_written_beside_it(answer, tmp_path):
    answer("phase", "--plot", str(tmp_path / "x.png"), "--save", str(tmp_path / "x.nc"))
    assert {path.name for path in tmp_path.iterdir()} == {"x.png", "x.nc"}


def test_errors_leave_standard_output_empty(rgflow):
    done = rgflow("flow", "tahn", "--json")
    assert (done.code, done.out) == (1, "")


def test_what_is_no_number_is_null():
    found = json.loads(document("x", {"a": [math.nan, math.inf, 0.1], "b": np.float64(-math.inf), "c": np.arange(2)}))
    assert (found["a"], found["b"], found["c"]) == ([None, None, 0.1], None, [0, 1])
    assert plain(1 / 3) == 1 / 3
    with pytest.raises(TypeError, match="no place"):
        plain(object())


def test_control_digits_are_all_there():
    """Negative control: a number printed to fewer digits would not come back."""
    ds = xarray.Dataset({"x": ("i", [0.1 + 0.2, math.pi])})
    assert json.loads(json.dumps(dataset(ds)))["data_vars"]["x"]["data"] == [0.1 + 0.2, math.pi]
