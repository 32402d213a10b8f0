"""Digits and MNIST: their numbers, every form of file, and refusals that say what to do."""

import gzip
import socket

import numpy as np
import pytest
import torch

from rgflow.errors import InputError, StoreError
from rgflow.nn.training.data import VARIABLE, Data, digits, mnist

NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*args, **more):
        raise AssertionError("nothing is downloaded")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.delenv(VARIABLE, raising=False)


def small():
    random = np.random.default_rng(0)
    return [
        random.integers(0, 256, (20, 784), dtype=np.uint8),
        random.integers(0, 10, 20).astype(np.uint8),
        random.integers(0, 256, (5, 784), dtype=np.uint8),
        random.integers(0, 10, 5).astype(np.uint8),
    ]


def idx(array):
    shape = (len(array), 28, 28) if array.ndim == 2 else array.shape
    return bytes([0, 0, 8, len(shape)]) + np.array(shape, dtype=">u4").tobytes() + array.tobytes()


def test_digits():
    data = digits()
    assert (data.X.shape, data.X_test.shape, data.classes) == ((1438, 64), (359, 64), 10)
    assert float(data.X.double().mean()) == pytest.approx(0.0, abs=1e-6)
    assert float(data.X.double().var(correction=0)) == pytest.approx(1.0, rel=1e-6)
    assert (data.X.dtype, data.y.dtype) == (torch.float32, torch.int64)
    assert data.y.bincount().min() > 100


def test_digits_split_by_seed():
    assert torch.equal(digits(seed=1).y, digits(seed=1).y)
    assert not torch.equal(digits(seed=1).y, digits(seed=2).y)
    assert torch.equal(digits(seed=np.random.SeedSequence(1)).y, digits(seed=1).y)
    rows = torch.cat([digits(seed=3, dtype=torch.float64).X, digits(seed=3, dtype=torch.float64).X_test])
    assert len(rows.unique(dim=0)) == 1797  # every digit once, none in both parts


@pytest.mark.parametrize("test", [0.0, 1.0, -0.1, "half", True, float("nan")])
def test_parts_outside_their_domain(test):
    with pytest.raises(InputError, match="test is"):
        digits(test=test)


@pytest.mark.parametrize("form", ["npz", "keras", "idx", "gz", "dots"])
def test_every_form_of_file(form, tmp_path, monkeypatch):
    arrays = small()
    where = tmp_path
    if form == "npz":
        where = tmp_path / "mnist.npz"
        np.savez(where, **dict(zip("XYxy", arrays, strict=True)))
    elif form == "keras":
        where = tmp_path / "mnist.npz"
        pictures = [a.reshape(-1, 28, 28) if a.ndim == 2 else a for a in arrays]
        np.savez_compressed(where, **dict(zip(("x_train", "y_train", "x_test", "y_test"), pictures, strict=True)))
    else:
        for name, array in zip(NAMES, arrays, strict=True):
            if form == "gz":
                (tmp_path / f"{name}.gz").write_bytes(gzip.compress(idx(array)))
            else:
                (tmp_path / (name.replace("-idx", ".idx") if form == "dots" else name)).write_bytes(idx(array))
    data = mnist(where, normalise=False, dtype=torch.float64)
    assert data.X.numpy() == pytest.approx(arrays[0] / 255, rel=1e-12)
    assert data.X_test.numpy() == pytest.approx(arrays[2] / 255, rel=1e-12)
    assert (data.y.tolist(), data.y_test.tolist()) == (arrays[1].tolist(), arrays[3].tolist())
    assert torch.equal(mnist(str(where)).y, data.y)
    monkeypatch.setenv(VARIABLE, str(where))
    scaled = mnist()
    assert float(scaled.X.double().mean()) == pytest.approx(0.0, abs=1e-6)
    assert float(scaled.X.double().var(correction=0)) == pytest.approx(1.0, rel=1e-6)
    by_pair = mnist(normalise=(0.1307, 0.3081), dtype=torch.float64)
    assert by_pair.X.numpy() == pytest.approx((arrays[0] / 255 - 0.1307) / 0.3081, rel=1e-9)
    assert scaled.images().X.shape == (20, 1, 28, 28)


def test_without_a_path_it_says_what_to_do():
    with pytest.raises(InputError, match=rf"{VARIABLE}.*npz.*IDX.*downloads nothing"):
        mnist()


def test_files_that_are_missing_or_something_else(tmp_path):
    with pytest.raises(StoreError, match="does not exist"):
        mnist(tmp_path / "none.npz")
    with pytest.raises(StoreError, match="has no train-images-idx3-ubyte"):
        mnist(tmp_path)
    text = tmp_path / "text.npz"
    text.write_text("not an archive")
    with pytest.raises(StoreError, match=r"no \.npz archive"):
        mnist(text)
    np.savez(tmp_path / "other.npz", a=1)
    with pytest.raises(StoreError, match="holds a"):
        mnist(tmp_path / "other.npz")
    np.savez(tmp_path / "objects.npz", X=np.array([None]), Y=[0], x=[0], y=[0])
    with pytest.raises(StoreError, match="cannot be read"):
        mnist(tmp_path / "objects.npz")  # and nothing in it is unpickled
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(StoreError, match=r"no \.npz archive"):
        mnist(tmp_path / "one.npy")


@pytest.mark.parametrize("damage", ["short", "magic", "labels", "count", "size", "dtype"])
def test_damaged_files(damage, tmp_path):
    arrays = small()
    if damage == "labels":
        arrays[1][3] = 11
    if damage == "count":
        arrays[1] = arrays[1][:-1]
    if damage in ("size", "dtype"):
        arrays[0] = arrays[0][:, :64] if damage == "size" else arrays[0].astype(np.float64)
        np.savez(tmp_path / "m.npz", **dict(zip("XYxy", arrays, strict=True)))
        with pytest.raises(StoreError, match="784 bytes"):
            mnist(tmp_path / "m.npz")
        return
    for name, array in zip(NAMES, arrays, strict=True):
        raw = idx(array)
        if name == NAMES[0] and damage in ("short", "magic"):
            raw = raw[:-5] if damage == "short" else b"PK" + raw[2:]
        (tmp_path / name).write_bytes(raw)
    with pytest.raises(StoreError, match=r"truncated|IDX file|labels"):
        mnist(tmp_path)


@pytest.mark.parametrize(
    "wrong", [{"normalise": (0.1, 0.0)}, {"normalise": "yes"}, {"dtype": torch.int64}, {"path": 3}]
)
def test_settings_outside_their_domain(wrong, tmp_path):
    with pytest.raises(InputError, match=next(iter(wrong))):
        mnist(**{"path": tmp_path, **wrong})


def test_data_of_ones_own():
    one = torch.zeros(3, 4)
    data = Data(one, one, one[:0], one[:0]).to(dtype=torch.bfloat16)
    assert data.X.dtype == data.y.dtype == torch.bfloat16
    assert digits().to(dtype=torch.float64).y.dtype == torch.int64
    assert Data(one, one, one[:0], one[:0]).images().X_test.shape == (0, 1, 2, 2)
    for wrong, reason in (((one, one[:2], one, one), "3 rows of X and 2"), ((one[:0],) * 4, "no examples")):
        with pytest.raises(InputError, match=reason):
            Data(*wrong)
    with pytest.raises(InputError, match="X of Data"):
        Data([1.0], one, one, one)
    with pytest.raises(InputError, match="square"):
        Data(one[:, :3], one, one, one).images()
