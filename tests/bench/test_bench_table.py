"""Rows as a table, a page and a picture; subjects that fail leave a line."""

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from rgflow.bench import measure
from rgflow.bench.picture import grouped, plot_bench
from rgflow.bench.rows import Row, as_json
from rgflow.bench.table import markdown, promise_text, spread_text, tables, value_text
from rgflow.errors import InputError, UnknownName

GOOD = Row(
    "grid", "K, V, Theta, chi of tanh, 512 x 512 points, 50 layers: rgflow, tables", 5.5, 5.1, 6.2, promise=5.0,
    beside="C (64 Gauss-Hermite nodes, half of them by parity)", seconds=0.1, seconds_beside=0.55, error=1e-13,
    error_beside=4e-3, note="how", label="tables beside C",
)  # fmt: skip
BAD = Row(
    "kernels", "K and Theta, relu, N = 1000, depth 8", 1.5, 1.0, 2.0, threads=2, promise=4.0, beside="a|b", label="relu"
)
SLOW = Row("start", "first process of a new user: rg.flow", 12.0, 12.0, 12.0, unit="s", promise=10.0)
FIT = Row("growth", "time with depth", 1.02, 1.0, 1.04, unit="exponent", note="fitted over 8: 1 s, 16: 2 s")
NONE = Row("kernels", "beside neural-tangents", skipped="no neural-tangents here")
ROWS = [GOOD, BAD, SLOW, FIT, NONE]


def test_promises_are_told_both_ways():
    assert [row.kept for row in ROWS] == [True, False, False, None, None]
    assert promise_text(GOOD) == ">= 5 kept"
    assert promise_text(SLOW) == "<= 10 MISSED"
    assert (value_text(NONE), spread_text(NONE), promise_text(NONE)) == ("-", "", "")


def test_rows_survive_their_line():
    assert [Row.from_json(row.to_json()) for row in ROWS] == ROWS
    assert [Row(**row) for row in json.loads(as_json(ROWS, {}))["rows"]] == ROWS


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_tables_fit_their_terminal_and_lose_nothing(width):
    console = Console(width=width, record=True, file=io.StringIO())
    for title, table in tables(ROWS, width):
        console.print(title)
        console.print(table, soft_wrap=True)
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= width
    joined = " ".join(text.split())
    for part in ("5.5 x", "MISSED", "12 s", "no neural-tangents here", "1.02", "Cold start"):
        assert part in joined


def test_the_page_is_a_table_for_each_subject():
    page = markdown(ROWS, {"processor": "a fast one"})
    lines = page.splitlines()
    assert [line for line in lines if line.startswith("## ")] == [
        f"## {measure.SUBJECTS[name].title}" for name in ("kernels", "grid", "growth", "start")
    ]
    cells = {line.replace("\\|", "").count("|") for line in lines if line.startswith("|")}
    assert cells == {8}
    assert "skipped: no neural-tangents here" in page


def test_the_picture_holds_every_ratio_and_its_promise():
    twice = replace(GOOD, threads=2, value=9.0)
    far = replace(GOOD, subject="networks", value=4e9, low=3e9, high=5e9, promise=1e6, label="theory")
    titles = [measure.SUBJECTS[name].title for name in ("grid", "kernels", "networks")]
    assert grouped([*ROWS, twice, far]) == dict(zip(titles, ([GOOD], [BAD], [far]), strict=True))
    ax = plot_bench([*ROWS, twice, far])
    ends = [patch.get_x() + patch.get_width() for patch in ax.patches]
    assert ends[:2] == [GOOD.value, BAD.value]
    assert ends[2] < ax.get_xlim()[1] < far.value
    texts = [text.get_text() for text in ax.texts]
    assert texts[:2] == ["5.5 ×", "1.5 ×"]
    assert texts[2].startswith("→ $4.0")
    assert "10^{6}" in texts[2]
    assert [text.get_text() for text in ax.get_yticklabels()][:2] == [titles[0], GOOD.label]


def test_nothing_to_draw_is_an_error():
    with pytest.raises(InputError, match="no row holds a ratio"):
        plot_bench([SLOW])


def test_jobs_name_subjects_and_threads():
    found = measure.jobs(["grid", "letters"])
    assert ("letters", 1) in found
    assert {name for name, _ in found} == {"grid", "letters"}
    assert measure.jobs(["grid"], [1]) == [("grid", 1)]
    with pytest.raises(UnknownName, match="grid"):
        measure.jobs(["gird"])


def test_a_subject_that_fails_leaves_a_line(monkeypatch):
    monkeypatch.setenv("PYTHONHASHSEED", "not a number")  # the interpreter refuses to start
    (row,) = measure.measure("letters", 1, True)
    assert row.skipped
    assert row.subject == "letters"


def test_every_subject_has_rows_and_a_place():
    assert {subject.threads for subject in measure.SUBJECTS.values()} == {"one", "all", "both"}
    assert len({subject.title for subject in measure.SUBJECTS.values()}) == len(measure.SUBJECTS)
