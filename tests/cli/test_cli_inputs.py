"""Input files: every format read as written, every fault named with its place."""

from __future__ import annotations

import numpy as np
import pytest

import rgflow as rg
from rgflow.cli.inputs import _load_digits, given, read, two_digits

X = np.array([[1.0, 2.0, -0.5], [0.25, 1e-3, 3.0]])


def test_two_digits_are_those_of_scikit_learn():
    x = two_digits()
    assert x.shape == (2, 64)
    np.testing.assert_allclose((x * x).mean(axis=1), 1, rtol=1e-14)
    digits = _load_digits()
    for row, digit in zip(x, (0, 1), strict=True):
        image = np.array(digits[digit])
        np.testing.assert_allclose(row, image / np.sqrt((image**2).mean()), rtol=1e-14)


def test_npy(tmp_path):
    np.save(tmp_path / "x.npy", X)
    np.testing.assert_array_equal(read(str(tmp_path / "x.npy")), X)
    np.save(tmp_path / "one.npy", X[0])
    assert given(str(tmp_path / "one.npy"), None, 8).n_in == 3


def test_npz(tmp_path):
    np.savez(tmp_path / "one.npz", X)
    np.testing.assert_array_equal(read(str(tmp_path / "one.npz")), X)
    np.savez(tmp_path / "two.npz", train=X, test=X[:1])
    np.testing.assert_array_equal(read(f"{tmp_path / 'two.npz'}:test"), X[:1])
    with pytest.raises(rg.InputError, match="train, test"):
        read(str(tmp_path / "two.npz"))
    with pytest.raises(rg.InputError, match="no 'tset'"):
        read(f"{tmp_path / 'two.npz'}:tset")


@pytest.mark.parametrize("header", ["", "a,b,c\n", "\ufeffa,b,c\r\n"])
def test_csv(tmp_path, header):
    (tmp_path / "x.csv").write_text(header + "1,2,-0.5\n\n0.25,1e-3,3\n", encoding="utf-8")
    np.testing.assert_array_equal(read(str(tmp_path / "x.csv")), X)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no numbers"),
        ("a,b\n", "no numbers"),
        ("1,2\n3\n", "line 2: 1 numbers where the first line has 2"),
        ("1,2\n3,x\n", "line 2, column 2: 'x' is not a number"),
        ("1,\n", "line 1, column 2: '' is not a number"),
        ("1,nan\n", r"holds nan at position \(1, 2\)"),
        ("1,2\n3,inf\n", r"holds inf at position \(2, 2\)"),
    ],
)
def test_faults_of_csv(tmp_path, text, said):
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(rg.InputError, match=said):
        read(str(tmp_path / "x.csv"))


def test_csv_that_is_no_text(tmp_path):
    (tmp_path / "x.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(rg.InputError, match="not a CSV file"):
        read(str(tmp_path / "x.csv"))


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.array([1.0, None]), "never unpickles"),
        (np.array(["a"]), "real numbers"),
        (np.array([1j]), "real numbers"),
        (np.array(1.0), r"shape \(\)"),
        (np.zeros((0, 3)), r"shape \(0, 3\)"),
        (np.zeros((2, 2, 2)), r"shape \(2, 2, 2\)"),
        (np.array([[1.0, np.nan]]), "holds nan"),
    ],
)
def test_faults_of_arrays(tmp_path, array, said):
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(rg.InputError, match=said):
        read(str(tmp_path / "x.npy"))
    np.savez(tmp_path / "x.npz", x=array)
    with pytest.raises(rg.InputError, match=said):
        read(str(tmp_path / "x.npz"))


@pytest.mark.parametrize("ending", ["npy", "npz"])
@pytest.mark.parametrize("content", [b"", b"garbage", b"\x93NUMPY\x01\x00", b"PK\x03\x04broken"])
def test_broken_files(tmp_path, ending, content):
    path = tmp_path / f"x.{ending}"
    path.write_bytes(content)
    with pytest.raises(rg.InputError, match="NumPy file"):
        read(str(path))


def test_missing_files_and_other_formats(tmp_path):
    with pytest.raises(rg.StoreError, match="does not exist"):
        read(str(tmp_path / "x.npy"))
    (tmp_path / "folder.npy").mkdir()
    with pytest.raises(rg.StoreError, match="is a directory"):
        read(str(tmp_path / "folder.npy"))
    with pytest.raises(rg.InputError, match=r"\.npy, \.npz and \.csv"):
        read("x.txt")


def test_first_kernel():
    assert given(None, "0.5", 8).first_kernel == 0.5
    np.testing.assert_array_equal(given(None, "1,0.5;0.5,1", 8).first_kernel, [[1, 0.5], [0.5, 1]])
    for text in ("x", "1,2", "1,0.5;0.5", ""):
        with pytest.raises(rg.InputError, match="--first-kernel"):
            given(None, text, 8)
    with pytest.raises(rg.InputError, match="one of"):
        given("x.npy", "1", 8)
