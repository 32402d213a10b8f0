"""``rgflow sweep``: the library's numbers as tables, a picture, and a store that the same command goes on with."""

from __future__ import annotations

import numpy as np
import pytest

import rgflow as rg
from rgflow.cli.numbers import values
from rgflow.errors import InputError
from rgflow.sweeps import sweep

MAP = ("tanh", "--C-W", "0.5:2:4", "--C-b", "0:0.3:3", "--depth", "5", "--width", "16")
NET = rg.MLP.uniform(n_in=16, width=16, depth=5, activation="tanh")


def test_a_map(rgflow, tmp_path):
    picture, store = tmp_path / "sweep.png", tmp_path / "sweep.zarr"
    done = rgflow("sweep", *MAP, "--plot", str(picture), "--save", str(store))
    assert (done.code, done.err) == (0, "")
    ds = sweep(NET, np.ones(16), C_W=np.linspace(0.5, 2, 4), C_b=np.linspace(0, 0.3, 3), layers="last")
    lines = done.out.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("K:"))
    assert lines[start + 1].split()[3:] == ["0.5", "1", "1.5", "2"]
    rows = [[float(x) for x in line.split()] for line in lines[start + 3 : start + 6]]
    np.testing.assert_allclose([row[1:] for row in rows], ds["K"].values.T[::-1], rtol=6e-4)
    assert [row[0] for row in rows] == [0.3, 0.15, 0.0]
    assert max(len(line.rstrip()) for line in lines if str(tmp_path) not in line) <= 80
    assert picture.read_bytes().startswith(b"\x89PNG")
    np.testing.assert_array_equal(rg.load(store)["V"], ds["V"])
    again = rgflow("sweep", *MAP, "--save", str(store))
    assert again.code == 0
    other = rgflow("sweep", *MAP, "--order", "0", "--tensors", "K", "--save", str(store))
    assert other.code == 1
    assert "holds another sweep" in other.err


def test_a_line_over_a_parameter(rgflow, tmp_path):
    file = tmp_path / "beta.nc"
    done = rgflow("sweep", "swish", "--axis", "beta=0.5,1,4", "--C-W", "2", "--depth", "3", "--save", str(file))
    assert done.code == 0
    ds = rg.load(file)
    assert ds["K"].dims == ("beta",)
    line = next(line for line in done.out.splitlines() if line.startswith("  4 "))
    np.testing.assert_allclose(float(line.split()[1]), float(ds["K"].sel(beta=4)), rtol=6e-4)


def test_many_axes_failures_and_samples(rgflow):
    done = rgflow(
        "sweep", "relu", "--C-W", "1,2", "--C-b", "0,2", "--depth", "2,3", "--width", "8,16", "--first-kernel", "1"
    )
    assert done.code == 0
    assert "over the grid" in done.out
    assert "8 of 16 points have no numbers, outside domain" in done.out
    arguments = ("--C-W", "1,2", "--depth", "2", "--width", "8", "--networks", "100", "--tensors", "K", "--seed", "3")
    sampled = rgflow("sweep", "relu", *arguments)
    ds = sweep(
        rg.MLP.uniform(8, 8, 2, activation="relu"), np.ones(8), tensors="K", networks=100, seed=3, C_W=[1.0, 2.0]
    )
    found = [line.split() for line in sampled.out.splitlines() if line.startswith(("  1 ", "  2 "))]
    np.testing.assert_allclose(
        [[float(x) for x in row[1:]] for row in found], np.array([ds["K"][1], ds["K_se"][1]]).T, rtol=6e-4
    )


def test_residual_layers(rgflow):
    layers = ("--layer", "residual", "--skip", "0.5,0.9", "--C-W", "0.5", "--depth", "3", "--width", "8")
    done = rgflow("sweep", "tanh", *layers, "--tensors", "K", "--order", "0")
    assert done.code == 0
    assert any(line.startswith("  0.9 ") for line in done.out.splitlines())


@pytest.mark.parametrize(
    "arguments",
    [
        ["--C-W", "1:2"],
        ["--C-W", "1:2:3:4"],
        ["--C-W", "a"],
        ["--C-W", "-1,1"],
        ["--C-W", "1:2:100000"],
        ["--C-W", "1,1"],
        ["--axis", "beta"],
        ["--axis", "beta=1,2"],
        ["--axis", "C_W=1,2", "--C-W", "1"],
        ["--depth", "2:3:3"],
        ["--layer", "residual"],
        ["--layers", "first"],
        ["--tensors", ","],
        ["--plot", "phase.txt"],
        ["--save", "phase.csv"],
        ["--inputs", "a.npy", "--first-kernel", "1"],
    ],
)
def test_errors_are_one_line(rgflow, arguments):
    done = rgflow("sweep", "tanh", *arguments)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1


def test_values():
    np.testing.assert_array_equal(values("--C-W", "0.5:2:4"), [0.5, 1.0, 1.5, 2.0])
    np.testing.assert_array_equal(values("--C-W", "2,0.5"), [2.0, 0.5])
    assert values("--C-W", "2") == 2.0
    with pytest.raises(InputError, match="--C-W"):
        values("--C-W", "nan")
