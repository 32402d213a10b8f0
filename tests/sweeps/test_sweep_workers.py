"""The same numbers bit for bit, whoever computes them and however the grid is cut."""

from __future__ import annotations

import threading
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import numpy as np
import pytest
import xarray as xr

import rgflow as rg
import rgflow.sweeps.work as work_module
from rgflow.sweeps import sweep

TANH = rg.MLP.uniform(n_in=3, width=16, depth=6, activation="tanh")
# Points flowed together: several rows of lanes, some of which have no numbers.
TOGETHER = {
    "net": TANH,
    "first_kernel": 1.0,
    "width": [8, 16],
    "C_W": np.linspace(0.5, 2.5, 30),
    "C_b": np.linspace(0.0, 1.1, 23),
    "layers": "last",
}
SINGLY = {
    "net": rg.MLP([2, 4, 4], "tanh"),
    "inputs": np.eye(2),
    "order": 0,
    "tensors": ["K"],
    "C_W": np.linspace(0.5, 2, 6),
}
SAMPLED = {"net": rg.MLP([2, 4, 4, 4], "relu"), "first_kernel": 1.0, "tensors": ["K", "V"], "networks": 100, "seed": 3}
SAMPLED |= {"C_W": [1.0, 2.0, 3.0], "width": [4, 8]}
CASES = pytest.mark.parametrize("asked", [TOGETHER, SINGLY, SAMPLED], ids=["together", "singly", "sampled"])


def run(asked, **how):
    return sweep(**{**asked, **how})


@CASES
def test_threads_and_chunks(asked):
    expected = run(asked, threads=1)
    for how in ({"threads": 1, "chunk": 1}, {"threads": 2, "chunk": 7}, {"threads": 3, "chunk": 100}):
        if asked is TOGETHER and how["chunk"] == 1:
            continue  # every point would be flowed with its neighbours
        xr.testing.assert_identical(run(asked, **how), expected)


@CASES
def test_executors_of_the_standard_library(asked):
    expected = run(asked, threads=1)
    with ThreadPoolExecutor(2) as pool:
        xr.testing.assert_identical(run(asked, executor=pool, chunk=300), expected)


@pytest.mark.slow
@CASES
def test_processes_and_dask(asked, tmp_path):
    distributed = pytest.importorskip("distributed")
    expected = run(asked, threads=1)
    with ProcessPoolExecutor(2) as pool:
        xr.testing.assert_identical(run(asked, executor=pool, chunk=300), expected)
    local = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None, "local_directory": tmp_path}
    with distributed.LocalCluster(**local) as cluster, distributed.Client(cluster) as client:
        xr.testing.assert_identical(run(asked, executor=client, chunk=300), expected)


def test_dask_in_this_process():
    distributed = pytest.importorskip("distributed")
    local = {"n_workers": 1, "threads_per_worker": 2, "processes": False, "dashboard_address": None}
    with distributed.LocalCluster(**local) as cluster, distributed.Client(cluster) as client:
        found = run(SAMPLED, executor=client, chunk=1)
    xr.testing.assert_identical(found, run(SAMPLED, threads=1))


def test_points_have_seeds_of_their_own():
    """Point i is the sample with child i of the seed, so that points are independent of each other."""
    ds = run(SAMPLED)
    children = np.random.SeedSequence(3).spawn(6)
    net = rg.MLP([2, 8, 8, 4], "relu", C_W=2.0)
    one = rg.sample(net, first_kernel=1.0, tensors=["K", "V"], networks=100, seed=children[3])
    point = ds.sel(C_W=2.0, width=8)
    for name in ("K", "K_se", "V", "V_se"):
        np.testing.assert_array_equal(point[name], one[name])
    assert len(np.unique(ds["K"].isel(layer=1, width=0) / ds["C_W"] ** 2)) == 3  # equal draws would scale exactly


class Lost(Executor):
    """Computes a block; then its workers die."""

    _max_workers = 1

    def __init__(self):
        self.submitted = 0

    def submit(self, function, /, *arguments):
        self.submitted += 1
        future = Future()
        if self.submitted > 1:
            future.set_exception(BrokenProcessPool("a worker was killed"))
        else:
            future.set_result(function(*arguments))
        return future


def test_workers_that_die_are_told_and_what_was_done_is_kept(tmp_path, monkeypatch):
    path = tmp_path / "sweep.zarr"
    with pytest.raises(rg.RgflowError, match=r"lost its workers.*a worker was killed"):
        run(SAMPLED, executor=Lost(), path=path, chunk=1)
    computed = []
    compute = work_module.compute
    monkeypatch.setattr(work_module, "compute", lambda r, b, *rest: computed.append(b.number) or compute(r, b, *rest))
    ds = run(SAMPLED, path=path, threads=2)
    assert sorted(computed) == [1, 2, 3, 4, 5]
    xr.testing.assert_identical(ds.load(), run(SAMPLED))


def test_an_interrupt_keeps_what_is_done_and_starts_nothing_more(tmp_path, monkeypatch):
    path = tmp_path / "sweep.zarr"
    compute, done, lock = work_module.compute, [], threading.Lock()

    def stopping(request, block, *rest):
        if block.number == 3:
            raise KeyboardInterrupt
        found = compute(request, block, *rest)
        with lock:
            done.append(block.number)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(work_module, "compute", stopping)
        with pytest.raises(KeyboardInterrupt):
            run(SAMPLED, path=path, threads=2, chunk=1)
    again = []
    monkeypatch.setattr(work_module, "compute", lambda r, b, *rest: again.append(b.number) or compute(r, b, *rest))
    xr.testing.assert_identical(run(SAMPLED, path=path, threads=1).load(), run(SAMPLED, threads=1))
    assert sorted(again[: 6 - len(done)] + done) == [0, 1, 2, 3, 4, 5]


def test_an_error_of_the_work_is_told_as_it_is(monkeypatch):
    def wrong(*arguments):
        raise ZeroDivisionError("a mistake")

    monkeypatch.setattr(work_module, "compute", wrong)
    for threads in (1, 2):
        with pytest.raises(ZeroDivisionError, match="a mistake"):
            run(SAMPLED, threads=threads)
