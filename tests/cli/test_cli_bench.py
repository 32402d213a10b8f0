"""``rgflow bench`` on made-up rows: what it prints and writes. Nothing is timed."""

import json

import pytest

from rgflow.bench import measure
from rgflow.bench.rows import Row

ROW = Row("grid", "a grid", 6.0, 5.0, 7.0, promise=5.0, beside="C", seconds=0.1, seconds_beside=0.6, label="a grid")


@pytest.fixture
def made_up(monkeypatch):
    asked = []

    def rows(name, threads, quick):
        asked.append((name, threads, quick))
        yield Row(**{**ROW.__dict__, "threads": threads})

    monkeypatch.setattr(measure, "measure", rows)
    return asked


def test_it_prints_a_table_and_writes_rows_and_a_picture(rgflow, made_up, tmp_path):
    saved, drawn = tmp_path / "rows.json", tmp_path / "rows.png"
    options = ["--quick", "--only", "grid", "--threads", "1", "--save", str(saved), "--plot", str(drawn)]
    done = rgflow("bench", *options)
    assert (done.code, done.err) == (0, "")
    assert made_up == [("grid", 1, True)]
    assert "Grids of hyperparameters" in done.out
    assert ">= 5 kept" in done.out
    found = json.loads(saved.read_text())
    assert Row(**found["rows"][0]) == ROW
    assert "processor" in found["machine"]
    assert drawn.read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--only", "gird"], "grid"),
        (["--threads", "two"], "--threads"),
        (["--threads", "0"], "--threads"),
        (["--save", "rows.txt"], ".json"),
    ],
)
def test_wrong_usage_is_told_before_the_work(rgflow, made_up, arguments, says):
    done = rgflow("bench", *arguments)
    assert done.code == 1
    assert says in done.err
    assert made_up == []


def test_json_is_the_rows_and_the_machine(rgflow, made_up):
    done = rgflow("bench", "--quick", "--only", "grid", "--threads", "1", "--json")
    found = json.loads(done.out)
    assert (done.code, found["command"], set(found)) == (0, "bench", {"rgflow", "schema", "command", "machine", "rows"})
    assert Row(**found["rows"][0]) == ROW
