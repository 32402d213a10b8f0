"""However it is cut, the matrix is the same: permutations, blocks, threads, two sets of inputs, interrupted stores."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
import zarr

import rgflow as rg
from rgflow.errors import AccuracyError, InputError, KinkError, OrderError, StoreError
from rgflow.gram import alike
from rgflow.gram.gram import gram
from rgflow.gram.inputs import Inputs
from rgflow.memory import HUGE, empties, empty

NET = rg.MLP.uniform(n_in=6, width=30, depth=4, activation="gelu", C_W=1.9, C_b=0.15)


def some_inputs(rows=90, seed=3):
    x = np.random.default_rng(seed).standard_normal((rows, 6))
    x[rows // 9] = x[rows // 2]
    return x


def within(one, other, times=2.0):
    """Both within their errors of the truth."""
    for letter in ("K", "Theta"):
        error = float(one["numerical_error"].sel(coefficient=letter).max())
        assert float(np.abs(one[letter].values - other[letter].values).max()) <= times * error, letter


def test_symmetric_and_labelled():
    ds = gram(NET, some_inputs())
    assert ds.K.dims == ("sample0", "sample1")
    assert ds.attrs["kind"] == "coefficients"
    assert ds.attrs["order"] == 0
    for letter in ("K", "Theta"):
        np.testing.assert_array_equal(ds[letter].values, ds[letter].values.T)
        error = float(ds.numerical_error.sel(coefficient=letter))
        assert abs(ds[letter][10] - ds[letter][45]).max() <= 2 * error
        assert ds[letter][10, 45] == ds[letter][10, 10]  # equal inputs
        assert np.linalg.eigvalsh(ds[letter])[0] > -90 * error  # Weyl


def test_permutation():
    x = some_inputs()
    order = np.random.default_rng(0).permutation(len(x))
    within(gram(NET, x[order]), gram(NET, x).isel(sample0=order, sample1=order))


@pytest.mark.parametrize("side", [1, 33, 64, 89])
def test_blocks_of_any_size(side):
    x = some_inputs(30 if side == 1 else 90)
    within(gram(NET, x, block=side), gram(NET, x))


def test_threads_give_the_same_bits():
    one, three = (gram(NET, some_inputs(), threads=threads) for threads in (1, 3))
    assert one.identical(three)


@pytest.mark.parametrize("late", [(0, 0), (0, 512), (512, 1024)])
def test_pairs_wait_for_the_overlaps_they_read(monkeypatch, late):
    """Rows go on while overlaps of others are multiplied; whichever come late, the matrix is the same."""
    x = some_inputs(1100)
    plain, overlap = gram(NET, x, threads=1), Inputs.overlap

    def slow(self, rows, columns, out):
        if (rows.start, columns.start) == late:
            time.sleep(0.2)
        overlap(self, rows, columns, out)

    monkeypatch.setattr(Inputs, "overlap", slow)
    assert gram(NET, x, threads=3).identical(plain)
    within(plain.isel(sample0=slice(500, 530), sample1=slice(1020, 1060)), gram(NET, x[500:530], others=x[1020:1060]))


def test_layers():
    x = some_inputs()
    every, some, last = (gram(NET, x, layers=layers) for layers in ("all", [1, 3], "last"))
    assert some.layer.values.tolist() == [1, 3]
    within(some, every.isel(layer=[0, 2]))
    within(last, every.isel(layer=-1))
    np.testing.assert_allclose(every.K[0], 0.15 + 1.9 * x @ x.T / 6, rtol=1e-14, atol=1e-15)


def test_other_inputs():
    x, y = some_inputs(), some_inputs(40, 4)
    y[0] = x[5]
    rectangle, square = gram(NET, x, others=y), gram(NET, np.concatenate([x, y]))
    assert rectangle.sizes["sample1"] == 40
    within(rectangle, square.isel(sample0=slice(90), sample1=slice(90, None)))
    assert float(rectangle.Theta[5, 0]) == float(square.Theta[5, 5])


def test_first_kernel():
    x = some_inputs(20)
    within(gram(NET, first_kernel=0.15 + 1.9 * x @ x.T / 6), gram(NET, x), 20.0)
    assert gram(NET, first_kernel=1.0).K.shape == (1, 1)


def test_one_letter():
    x, both = some_inputs(), gram(NET, some_inputs())
    for letter in ("K", "Theta"):
        alone = gram(NET, x, tensors=letter)
        assert [*alone.data_vars] == [letter, "numerical_error"]
        np.testing.assert_array_equal(alone[letter], both[letter])


def test_store(tmp_path):
    x, path = some_inputs(), tmp_path / "k.zarr"
    ds = gram(NET, x, path=path, block=32)
    within(ds.load(), gram(NET, x))
    assert rg.load(path).identical(ds)
    assert rg.Network.from_json(rg.load(path).attrs["network"]) == NET
    stamp = (path / "K" / "0.0").stat().st_mtime_ns
    gram(NET, x, path=path, block=32)  # finished: nothing is written again
    assert (path / "K" / "0.0").stat().st_mtime_ns == stamp
    for what, call in {
        "inputs": {"inputs": x + 1},
        "block": {"inputs": x, "block": 16},
        "tensors": {"inputs": x, "tensors": "K"},
        "layers": {"inputs": x, "layers": "all"},
    }.items():
        with pytest.raises(InputError, match=what):
            gram(NET, **{"path": path, "block": 32, **call})
    with pytest.raises(InputError, match="network"):
        gram(rg.MLP.uniform(n_in=6, width=30, depth=4, activation="gelu"), x, path=path, block=32)


def test_store_with_layers_and_other_inputs(tmp_path):
    x, y = some_inputs(50), some_inputs(21, 4)
    ds = gram(NET, x, others=y, layers=[2, 4], path=tmp_path / "k.zarr", block=20)
    assert ds.K.dims == ("layer", "sample0", "sample1")
    within(ds, gram(NET, x, others=y, layers=[2, 4]))


KILLED = """
    import os, signal, sys
    import numpy as np
    import rgflow as rg
    from rgflow.gram import stored
    from rgflow.gram.gram import gram

    whole, written = stored._write, []

    def write(array, block, given, values, alone):
        if len(written) == 7:
            whole(array, block, given, values * np.nan, alone)  # in the midst of a block
            os.kill(os.getpid(), signal.SIGKILL)
        written.append(block)
        whole(array, block, given, values, alone)

    stored._write = write
    x = np.load(sys.argv[1])
    gram(rg.Network.from_json(sys.argv[3]), x, path=sys.argv[2], block=32)
"""


def test_killed_and_taken_up_again(tmp_path, monkeypatch):
    """A process that is killed within the fourth block loses that one only; the result is the same to the bit."""
    from rgflow.gram import stored

    x = some_inputs()
    np.save(tmp_path / "x.npy", x)
    path = tmp_path / "k.zarr"
    arguments = [str(tmp_path / "x.npy"), str(path), NET.to_json()]
    child = subprocess.run([sys.executable, "-c", textwrap.dedent(KILLED), *arguments], capture_output=True)
    assert child.returncode == -signal.SIGKILL, child.stderr
    with pytest.raises(StoreError, match="unfinished"):
        rg.load(path)
    with open(tmp_path / ".k.zarr.finished", "ab") as file:
        file.write(b"[64, 6")  # a line cut short
    again = []
    whole = stored._record
    monkeypatch.setattr(
        stored, "_record", lambda target, block, errors: (again.append(block), whole(target, block, errors))
    )
    ds = gram(NET, x, path=path, block=32).load()
    assert len(again) == 3  # of six
    assert not os.path.exists(tmp_path / ".k.zarr.finished")
    fresh = gram(NET, x, path=tmp_path / "fresh.zarr", block=32).load()
    for name in ("K", "Theta", "numerical_error"):
        np.testing.assert_array_equal(ds[name], fresh[name])


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        ({"inputs": np.ones((3, 5))}, InputError, "shape"),
        ({"inputs": [[np.nan] * 6]}, InputError, "NaN"),
        ({"inputs": np.array([[1.0] * 6, [np.inf] * 6])}, InputError, "NaN"),
        ({"inputs": np.full((2, 6), 1e200)}, InputError, "overflows"),
        ({}, InputError, "exactly one"),
        ({"inputs": np.ones((2, 6)), "layers": [3, 9]}, InputError, "layers"),
        ({"inputs": np.ones((2, 6)), "layers": "first"}, InputError, "layers"),
        ({"inputs": np.ones((2, 6)), "tensors": "V"}, OrderError, "flow"),
        ({"inputs": np.ones((2, 6)), "block": 0}, InputError, "block"),
        ({"inputs": np.ones((2, 6)), "threads": 1.5}, InputError, "threads"),
        ({"inputs": np.ones((2, 6)), "path": "k.nc"}, InputError, "zarr"),
        ({"first_kernel": -1.0}, InputError, "semidefinite"),
        ({"first_kernel": 1.0, "others": np.ones((2, 6))}, InputError, "others"),
    ],
)
def test_domain(call, error, match):
    with pytest.raises(error, match=match):
        gram(NET, **call)


def test_what_runs_away_is_named():
    net = rg.MLP.uniform(n_in=6, width=30, depth=40, activation="z^3", C_W=3.0)
    with pytest.raises(AccuracyError, match="layer"):
        gram(net, some_inputs(5))
    with pytest.raises(AccuracyError, match="kink"):
        gram(rg.MLP.uniform(n_in=6, width=30, depth=3, activation="relu"), np.eye(3, 6, k=1)[1:] * [0, 0, 1, 0, 0, 0])
    with pytest.raises(KinkError):
        gram(rg.MLP.uniform(n_in=6, width=30, depth=3, activation="Heaviside(z)"), some_inputs(5))


def test_a_store_that_is_something_else(tmp_path):
    rg.save(rg.flow(NET, first_kernel=1.0, tensors="K"), tmp_path / "f.zarr")
    with pytest.raises(InputError, match="no Gram matrix"):
        gram(NET, some_inputs(5), path=tmp_path / "f.zarr")


@pytest.mark.parametrize(
    "line",
    ["garbage", "[0, 0]", "{}", "5", "", "[0, 0, [[1, 2], [3, 4]]]", "[0, 0, [[NaN, 1e-15]]]", "[0.5, 0, [[1, 1]]]"],
)
def test_a_damaged_record_counts_for_nothing(tmp_path, line):
    x, path = some_inputs(30), tmp_path / "k.zarr"
    first = gram(NET, x, path=path, block=16).load()
    group = zarr.open_group(path, mode="r+")
    group.attrs["kind"] = "unfinished gram"
    group["K"][:16, :16] = -1.0
    (tmp_path / ".k.zarr.finished").write_text(line + "\n")
    again = gram(NET, x, path=path, block=16).load()
    assert again.identical(first)


def test_damaged_stores(tmp_path):
    x = some_inputs(30)
    for number, text in enumerate(["5", "[1]", '"a"', "{not json"]):
        path = tmp_path / f"foreign{number}.zarr"
        zarr.open_group(path, mode="w").attrs["computation"] = text
        with pytest.raises(InputError, match="choose another path"):
            gram(NET, x, path=path)
    path = tmp_path / "k.zarr"
    gram(NET, x, path=path)
    del zarr.open_group(path, mode="r+")["K"]
    with pytest.raises(StoreError, match="is damaged: some of its arrays are missing"):
        gram(NET, x, path=path)


def test_another_process_begins_the_same_store_a_moment_earlier(tmp_path, monkeypatch):
    x, path = some_inputs(30), tmp_path / "k.zarr"
    gram(NET, x, path=tmp_path / "theirs.zarr", block=16)
    rename, earlier = os.rename, []

    def late(source, target):
        earlier.append(target)
        rename(tmp_path / "theirs.zarr", target)
        rename(source, target)

    monkeypatch.setattr(os, "rename", late)
    ds = gram(NET, x, path=path, block=16)
    assert earlier == [path]
    within(ds.load(), gram(NET, x))
    assert sorted(each.name for each in tmp_path.iterdir()) == ["k.zarr"]


def test_inputs_alone_a_few_at_a_time(monkeypatch):
    net = rg.MLP.uniform(n_in=6, width=3, depth=4, activation="tanh", C_W=1.5)
    x = some_inputs(20) * np.geomspace(0.01, 10.0, 20)[:, None]
    whole = gram(net, x)
    monkeypatch.setattr(alike, "TOGETHER", 3)
    within(gram(net, x), whole)


def test_large_matrices_begin_where_a_huge_page_may():
    for shape in ((1, 1000, 1000), (3, 700, 513), (2, 3), (1, 0, 0)):
        found = empty(shape)
        assert (found.shape, found.dtype, found.flags.c_contiguous) == (shape, np.float64, True)
        found[:] = 1.0
        assert found.nbytes < HUGE or found.ctypes.data % HUGE == 0


def test_small_results_are_one_piece_of_memory():
    for side, together in ((30, True), (1000, True), (1500, False)):
        one, other = empties(2, (1, side, side))
        assert one.shape == other.shape == (1, side, side)
        assert not np.shares_memory(one, other)
        assert (other.ctypes.data - one.ctypes.data == one.nbytes) == together
