"""``rgflow phase``: the library's diagram as a table and a picture, with the critical point."""

from __future__ import annotations

import numpy as np
import pytest

import rgflow as rg
from rgflow.cli.numbers import grid
from rgflow.cli.phase import cell, spread
from rgflow.errors import InputError

SMALL = ("--C-W", "0.5:3:6", "--C-b", "0:0.3:3")


def test_the_table_is_the_library_s(rgflow):
    done = rgflow("phase", "tanh", *SMALL)
    assert (done.code, done.err) == (0, "")
    ds = rg.phase_diagram("tanh", C_W=np.linspace(0.5, 3, 6), C_b=np.linspace(0, 0.3, 3))
    lines = done.out.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("xi_perpendicular"))
    assert lines[start + 1].split()[3:] == ["0.5", "1", "1.5", "2", "2.5", "3"]
    for row, i in enumerate(reversed(range(3))):
        found = lines[start + 3 + row].split()
        assert float(found[0]) == float(ds["C_b"][i])
        np.testing.assert_allclose([float(x) for x in found[1::2]], ds["xi_perpendicular"][i], rtol=6e-3)
        assert ["o=c".index(mark) - 1 for mark in found[2::2]] == ds["phase"][i].values.tolist()
    assert "critical point" in done.out
    assert "C_b = 0, C_W = 1, K* = 0" in done.out
    assert max(len(line.rstrip()) for line in lines) <= 80


def test_without_a_critical_point_the_diagram_is_shown_and_the_reason_told(rgflow):
    done = rgflow("phase", "sigmoid", *SMALL)
    assert done.code == 0
    assert "no critical point" in " ".join(done.out.split())


def test_picture_and_file(rgflow, tmp_path):
    picture, file = tmp_path / "phase.png", tmp_path / "phase.nc"
    done = rgflow("phase", "relu", "--C-W", "1:3:5", "--C-b", "0:1:3", "--plot", str(picture), "--save", str(file))
    assert done.code == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    stored = rg.load(file)
    assert stored["phase"].sel(C_W=2.0).values.tolist() == [0, 0, 0]


def test_first_kernel(rgflow):
    done = rgflow("phase", "tanh", *SMALL, "--first-kernel", "4")
    assert "first kernel 4" in done.out


def test_grids():
    np.testing.assert_array_equal(grid("--C-W", "0.5:2:4"), [0.5, 1.0, 1.5, 2.0])
    assert grid("--C-W", None) is None
    for text in ("1", "1:2", "1:2:3:4", "2:1:5", "a:2:5", "0:1:1", "-1:1:5", "0:inf:5", "0:1:2.5", "0:1:1000000"):
        with pytest.raises(InputError, match="--C-W"):
            grid("--C-W", text)


@pytest.mark.parametrize(
    "arguments", [["--C-W", "1:2"], ["--plot", "phase.txt"], ["--save", "phase.csv"], ["--first-kernel", "-1"]]
)
def test_errors_are_one_line(rgflow, arguments):
    done = rgflow("phase", "relu", *arguments)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1


def test_cells_and_places():
    assert str(cell(0.12345, 1)) == "0.123 c"
    assert str(cell(float("nan"), -1)) == "- o"
    assert spread(121, 7)[0::6] == [0, 120]


@pytest.mark.parametrize("columns", ["40", "120"])
def test_narrow_and_wide_terminals(rgflow, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    done = rgflow("phase", "relu", "--C-W", "0.5:3:21", "--C-b", "0:0.3:3")
    header = next(line for line in done.out.splitlines() if "C_b \\ C_W" in line)
    assert len(header.rstrip()) <= int(columns)
    assert header.split()[-1] == "3"
