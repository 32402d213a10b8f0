"""Stores that grow: what a kill leaves, what is refused, and that the numbers are those of a sweep in memory."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import xarray as xr

import rgflow as rg
import rgflow.sweeps.work as work_module
from rgflow.files import UNFINISHED
from rgflow.sweeps import disk, sweep

NET = rg.MLP([2, 4, 4], "tanh")
ASKED = {"first_kernel": 1.0, "tensors": ["K"], "networks": 100, "C_W": [0.5, 1.0, 1.5, 2.0], "C_b": [0.0, 0.1, 2.0]}
SEED = {"seed": 5, "threads": 1}


@pytest.fixture(scope="module")
def expected():
    return sweep(NET, **ASKED, **SEED)


@pytest.fixture
def computed(monkeypatch):
    """The numbers of the blocks that are computed."""
    found = []
    compute = work_module.compute

    def counting(request, block, *rest):
        found.append(block.number)
        return compute(request, block, *rest)

    monkeypatch.setattr(work_module, "compute", counting)
    return found


def test_a_store_holds_what_memory_holds(expected, computed, tmp_path):
    path = tmp_path / "sweep.zarr"
    ds = sweep(NET, **ASKED, **SEED, path=path)
    xr.testing.assert_identical(ds.load(), expected)
    xr.testing.assert_identical(rg.load(path), expected)
    assert len(computed) == 12
    again = sweep(NET, **ASKED, **SEED, path=str(path), chunk=5)  # finished: nothing to do, however it would be cut
    xr.testing.assert_identical(again.load(), expected)
    assert len(computed) == 12
    assert [entry.name for entry in tmp_path.iterdir()] == ["sweep.zarr"]
    assert not (path / UNFINISHED).exists()
    rg.save(ds, tmp_path / "copy.nc")
    xr.testing.assert_identical(rg.load(tmp_path / "copy.nc"), expected)


def test_control_another_seed_is_another_result(expected):
    with pytest.raises(AssertionError):
        xr.testing.assert_equal(sweep(NET, **ASKED, seed=6, threads=1), expected)


SCRIPT = """
    import sys
    import rgflow as rg
    from rgflow.sweeps import disk, sweep
    net = rg.MLP([2, 4, 4], "tanh")
    asked = {asked!r}
    sweep(net, **asked, seed=5, threads={threads}, chunk=1, path=sys.argv[1])
"""


@pytest.mark.parametrize("threads", [1, 2])
def test_a_kill_loses_one_chunk_for_each_worker_at_most(expected, computed, tmp_path, threads):
    path = tmp_path / "sweep.zarr"
    slow = {**ASKED, "networks": 20_000}
    text = textwrap.dedent(SCRIPT.format(asked=slow, threads=threads))
    process = subprocess.Popen([sys.executable, "-c", text, str(path)], env={**os.environ, "OMP_NUM_THREADS": "1"})
    done = path / UNFINISHED / "done"
    deadline = time.monotonic() + 60
    while not (done.is_dir() and len(list(done.glob("*.json"))) >= 3):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    finished = {int(marker.stem) for marker in done.glob("*.json")}
    assert 3 <= len(finished) < 12
    with pytest.raises(rg.StoreError, match="not finished"):
        rg.load(path)
    ds = sweep(NET, **slow, **SEED, path=path)
    assert sorted(computed) == sorted(set(range(12)) - finished)
    xr.testing.assert_identical(ds.load(), sweep(NET, **slow, **SEED))


class Killed(BaseException):
    pass


def test_every_moment_of_writing_may_be_the_last(expected, tmp_path, monkeypatch):
    """The process dies at the k-th time that it waits for the disk, for every k until it never does."""
    settle, replace = disk.settle, disk.write_whole
    for k in range(1, 400, 13):
        path = tmp_path / f"{k}.zarr"
        left = [k]

        def dying(function, left=left):
            def call(*arguments):
                left[0] -= 1
                if left[0] == 0:
                    raise Killed
                return function(*arguments)

            return call

        monkeypatch.setattr(disk, "settle", dying(settle))
        monkeypatch.setattr(disk, "write_whole", dying(replace))
        survived = False
        try:
            sweep(NET, **ASKED, **SEED, path=path, chunk=4)
            survived = True
        except Killed:
            pass
        monkeypatch.undo()
        xr.testing.assert_identical(sweep(NET, **ASKED, **SEED, path=path, chunk=4).load(), expected)
        if survived:
            break
    assert survived


def interrupted(path: Path, after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep that is stopped after so many blocks."""
    compute, left = work_module.compute, [after]

    def stopping(request, block, *rest):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return compute(request, block, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(work_module, "compute", stopping)
        with pytest.raises(KeyboardInterrupt):
            sweep(NET, **ASKED, **SEED, path=path)


def test_damaged_blocks_are_computed_again(expected, computed, tmp_path, monkeypatch):
    path = tmp_path / "sweep.zarr"
    interrupted(path, 5, monkeypatch)
    del computed[:]
    (path / "K" / "0.0.0").write_bytes(b"cut")
    (path / UNFINISHED / "done" / "1.json").write_text("{")
    xr.testing.assert_identical(sweep(NET, **ASKED, **SEED, path=path).load(), expected)
    assert sorted(computed) == [0, 1, *range(5, 12)]


def test_a_seed_that_was_drawn_is_kept(tmp_path, monkeypatch):
    path = tmp_path / "sweep.zarr"
    monkeypatch.setitem(SEED, "seed", None)
    interrupted(path, 5, monkeypatch)
    ds = sweep(NET, **ASKED, threads=1, path=path).load()
    again = sweep(NET, **ASKED, threads=1, seed=int(ds.attrs["seed"]))
    xr.testing.assert_identical(ds, again)


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"C_W": [1.0]}, "C_W"),
        ({"networks": 101}, "networks"),
        ({"tensors": ["K", "V"]}, "tensors"),
        ({"seed": 6}, "seed"),
    ],
)
def test_another_sweep_is_refused(tmp_path, monkeypatch, finished, change, told):
    path = tmp_path / "sweep.zarr"
    if finished:
        sweep(NET, **ASKED, **SEED, path=path)
    else:
        interrupted(path, 2, monkeypatch)
    before = sorted(path.rglob("*"))
    with pytest.raises(rg.StoreError, match=f"another sweep.*{told}: there"):
        sweep(NET, **{**ASKED, **SEED, **change}, path=path)
    assert sorted(path.rglob("*")) == before


def test_what_is_no_sweep_is_left_alone(tmp_path):
    foreign, file, empty = tmp_path / "flow.zarr", tmp_path / "file.zarr", tmp_path / "empty.zarr"
    rg.save(rg.sample(NET, first_kernel=1.0, networks=100, seed=1), foreign)
    file.write_text("mine")
    empty.mkdir()
    for path in (foreign, file, empty):
        with pytest.raises(rg.StoreError, match="not a sweep"):
            sweep(NET, **ASKED, **SEED, path=path)
    assert file.read_text() == "mine"
    assert rg.load(foreign).attrs["networks"] == 100


def test_a_damaged_request_is_told(tmp_path, monkeypatch):
    path = tmp_path / "sweep.zarr"
    interrupted(path, 2, monkeypatch)
    for text in ("{", "[]", json.dumps({"told": 1, "block": [1]}), json.dumps({"told": {}, "block": ["1"]})):
        (path / UNFINISHED / "request.json").write_text(text)
        with pytest.raises(rg.StoreError, match=r"request\.json is damaged"):
            sweep(NET, **ASKED, **SEED, path=path)


@pytest.mark.parametrize("part", [".zgroup", ".zattrs", "K/.zarray", f"{UNFINISHED}/done"])
def test_a_store_that_lost_a_part_is_told_before_the_work(computed, tmp_path, monkeypatch, part):
    path = tmp_path / "sweep.zarr"
    interrupted(path, 2, monkeypatch)
    (path / part).rename(tmp_path / "gone")
    del computed[:]
    with pytest.raises(rg.StoreError, match=rf"damaged, {part} is missing"):
        sweep(NET, **ASKED, **SEED, path=path)
    assert not computed


def test_a_store_that_another_process_made_meanwhile(expected, tmp_path, monkeypatch):
    """Between the question whether a store is there and the move to its place."""
    path = tmp_path / "sweep.zarr"
    rename = os.rename

    def late(source, target):
        monkeypatch.setattr(os, "rename", rename)
        sweep(NET, **ASKED, **SEED, path=path)
        rename(source, target)

    monkeypatch.setattr(os, "rename", late)
    xr.testing.assert_identical(sweep(NET, **ASKED, **SEED, path=path).load(), expected)


def test_two_sweeps_do_not_write_one_store(expected, tmp_path, monkeypatch):
    path = tmp_path / "sweep.zarr"
    interrupted(path, 2, monkeypatch)
    holder = (
        "import fcntl, sys, time; file = open(sys.argv[1], 'ab'); fcntl.flock(file, fcntl.LOCK_EX);"
        "print('locked', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", holder, str(path / UNFINISHED / "lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"locked\n"
        with pytest.raises(rg.StoreError, match="another sweep"):
            sweep(NET, **ASKED, **SEED, path=path)
        other.kill()
    xr.testing.assert_identical(sweep(NET, **ASKED, **SEED, path=path).load(), expected)


def test_a_full_disk_keeps_what_is_done(expected, computed, tmp_path, monkeypatch):
    path = tmp_path / "sweep.zarr"
    whole, left = disk.write_whole, [4]

    def full(file, text):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, "No space left on device")
        whole(file, text)

    with monkeypatch.context() as patch:
        patch.setattr(disk, "write_whole", full)
        with pytest.raises(rg.StoreError, match=r"No space left.*the same call goes on"):
            sweep(NET, **ASKED, **SEED, path=path)
    del computed[:]
    xr.testing.assert_identical(sweep(NET, **ASKED, **SEED, path=path).load(), expected)
    assert sorted(computed) == list(range(4, 12))


def test_where_nothing_can_be_written(tmp_path):
    with pytest.raises(rg.StoreError, match="cannot write"):
        sweep(NET, **ASKED, **SEED, path=tmp_path / "nowhere" / "sweep.zarr")
    with pytest.raises(rg.StoreError, match="cannot write"):
        sweep(NET, **ASKED, **SEED, path=tmp_path / f"{'x' * 300}.zarr")
    folder = tmp_path / "closed"
    folder.mkdir()
    folder.chmod(0o500)
    try:
        if not os.access(folder, os.W_OK):  # the superuser writes everywhere
            with pytest.raises(rg.StoreError, match="cannot write"):
                sweep(NET, **ASKED, **SEED, path=folder / "sweep.zarr")
    finally:
        folder.chmod(0o700)


def test_if_every_point_fails_the_first_error_is_raised_again(tmp_path, computed):
    path = tmp_path / "sweep.zarr"
    for _ in range(2):  # and nothing is computed twice
        with pytest.raises(rg.InputError, match=r"C_b = 1\.5"):
            sweep(NET, **{**ASKED, "C_b": [1.5, 2.0]}, **SEED, path=path)
    assert len(computed) == 8
