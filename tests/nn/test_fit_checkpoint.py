"""Checkpoints: every kind of state bit by bit; damaged, foreign and newer files; full disks, two writers."""

import io
import multiprocessing
import os
import resource
import signal
from collections import Counter, OrderedDict

import h5py
import numpy as np
import pytest
import torch

from rgflow.errors import InputError, StoreError
from rgflow.nn.training import checkpoint as checkpoint_file
from rgflow.nn.training.checkpoint import load_checkpoint, save_checkpoint

NAMES = [
    "bfloat16",
    "float16",
    "float32",
    "float64",
    "complex64",
    "complex128",
    "bool",
    "uint8",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint16",
    "uint32",
    "uint64",
    "float8_e4m3fn",
    "float8_e5m2",
    "float8_e4m3fnuz",
    "float8_e5m2fnuz",
]
DTYPES = [getattr(torch, name) for name in NAMES if hasattr(torch, name)]  # some are younger than the oldest torch


def through(state, folder):
    save_checkpoint(state, folder / "state.h5")
    return load_checkpoint(folder / "state.h5")


def raw(tensor):
    return tensor.contiguous().reshape(-1).view(torch.uint8).tolist()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_tensors_of_every_dtype(dtype, tmp_path):
    bytes_ = torch.arange(2 * 3 * dtype.itemsize, dtype=torch.uint8) % (2 if dtype == torch.bool else 255)
    full = bytes_.view(dtype).reshape(2, 3)
    shapes = {"full": full, "turned": full.T, "none": full[:0], "scalar": full[0, 0]}
    found = through(shapes, tmp_path)
    for name, tensor in shapes.items():
        assert (found[name].dtype, found[name].shape) == (tensor.dtype, tensor.shape)
        assert raw(found[name]) == raw(tensor)


def test_special_numbers_keep_their_bits(tmp_path):
    odd = torch.tensor([float("nan"), float("inf"), -0.0, 5e-324, 1e308], dtype=torch.float64)
    assert raw(through({"x": odd}, tmp_path)["x"]) == raw(odd)
    numbers = {"nan": float("nan"), "inf": -float("inf"), "zero": -0.0, "third": 1 / 3, "big": 3**200, "z": 1 - 2j}
    found = through(numbers, tmp_path)
    assert {name: repr(value) for name, value in found.items()} == {n: repr(v) for n, v in numbers.items()}


def test_nested_state(tmp_path):
    state = {
        "none": None,
        "text": "η/2 ⟨v·Hv⟩\n\x00/..",
        "empty": {"text": "", "list": [], "tuple": (), "map": {}},
        "flags": [True, False],
        "keys": {0: "zero", "0": "text", True: "true", None: "none", "a/b": "slash", "": "nothing", -3: "below"},
        "tuple": (1, (2.5, [3])),
        "order": OrderedDict([("b", 1), ("a", 2)]),
        "count": Counter({3: 2}),
        "array": np.arange(6, dtype=np.int16).reshape(2, 3),
        "scalar": np.float32(0.1),
        "dtype": torch.bfloat16,
        "device": torch.device("cpu"),
    }
    found = through(state, tmp_path)
    assert np.array_equal(found.pop("array"), state.pop("array"))
    assert found == state
    assert [type(found[name]) for name in ("order", "count", "scalar")] == [OrderedDict, Counter, np.float32]
    assert list(found["keys"].items())[2] == (True, "true") or found["keys"] == state["keys"]
    assert list(found["order"]) == ["b", "a"]
    assert all(type(flag) is bool for flag in found["flags"])


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.Adam, torch.optim.RMSprop, torch.optim.Adagrad])
def test_what_torch_has_of_state(optimizer, tmp_path):
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    more = {"momentum": 0.9} if optimizer is torch.optim.SGD else {}
    steps = optimizer(model.parameters(), lr=0.1, **more)
    model(torch.randn(4, 3)).sum().backward()
    steps.step()
    schedules = [
        torch.optim.lr_scheduler.MultiStepLR(steps, [2, 3]),
        torch.optim.lr_scheduler.CosineAnnealingLR(steps, 5),
        torch.optim.lr_scheduler.ReduceLROnPlateau(steps),
    ]
    state = {"model": model.state_dict(), "optimizer": steps.state_dict(), "s": [s.state_dict() for s in schedules]}
    found = through(state, tmp_path)
    assert found["model"]._metadata == state["model"]._metadata
    other = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    other.load_state_dict(found["model"])
    again = optimizer(other.parameters(), lr=0.5, **more)
    again.load_state_dict(found["optimizer"])
    for schedule, kept in zip(schedules, found["s"], strict=True):
        schedule.load_state_dict(kept)
    assert again.state_dict()["param_groups"] == steps.state_dict()["param_groups"]
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), other.state_dict().values(), strict=True))
    for key, value in steps.state_dict()["state"][0].items():
        assert torch.equal(torch.as_tensor(again.state_dict()["state"][0][key]), torch.as_tensor(value))


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (lambda: 0, "a function"),
        (torch.nn.Linear(1, 1), "Linear"),
        (torch.zeros(2, 2).to_sparse(), "sparse"),
        (torch.zeros(2, device="meta"), "meta"),
        (np.array(["text"]), "array of <U4"),
        (np.array([object()]), "array of object"),
        ({(1, 2): 3}, "key"),
        ({1, 2}, "set"),
    ],
)
def test_what_cannot_be_kept_is_named_with_its_place(value, place, tmp_path):
    (tmp_path / "state.h5").write_bytes(b"before")
    with pytest.raises(InputError, match=r"state\[\"outer\"\]\[0\]") as caught:
        save_checkpoint({"outer": [value]}, tmp_path / "state.h5")
    assert place.replace("a function", "function") in str(caught.value)
    assert (tmp_path / "state.h5").read_bytes() == b"before"


@pytest.mark.parametrize("path", [3, b"bytes", "", None])
def test_paths_that_are_none(path):
    for call in (lambda: save_checkpoint({}, path), lambda: load_checkpoint(path)):
        with pytest.raises(InputError, match="path"):
            call()


def test_a_directory_and_a_list_are_refused(tmp_path):
    with pytest.raises(InputError, match="directory"):
        save_checkpoint({}, tmp_path)
    with pytest.raises(InputError, match="list"):
        save_checkpoint([1], tmp_path / "a.h5")
    with pytest.raises(StoreError, match="does not exist"):
        load_checkpoint(tmp_path / "a.h5")
    with pytest.raises(StoreError, match="cannot write"):
        save_checkpoint({}, tmp_path / "no" / "a.h5")


# Files that are not whole ---------------------------------------------------------------------------------------------


def written(folder):
    path = folder / "run.h5"
    save_checkpoint({"model": {"weight": torch.arange(1000.0)}, "epoch": 3}, path)
    return path


@pytest.mark.parametrize("kept", [0, 1, 100, 1000, 0.5, 0.99])
def test_truncated_files_are_refused(kept, tmp_path):
    path = written(tmp_path)
    whole = path.read_bytes()
    part = whole[: kept if isinstance(kept, int) else int(kept * len(whole))]
    path.write_bytes(part)
    with pytest.raises(StoreError, match=r"run\.h5"):
        load_checkpoint(path)
    assert path.read_bytes() == part


def test_one_changed_bit_is_seen(tmp_path):
    path = written(tmp_path)
    whole = bytearray(path.read_bytes())
    place = whole.index(np.float32(777.0).tobytes())
    whole[place + 1] ^= 1
    path.write_bytes(whole)
    with pytest.raises(StoreError, match="damaged"):
        load_checkpoint(path)


@pytest.mark.parametrize("what", ["text", "hdf5", "newer", "unknown", "lacking"])
def test_foreign_and_newer_files_are_refused(what, tmp_path):
    path = written(tmp_path)
    if what == "text":
        path.write_text("epoch,loss\n1,0.5\n")
    elif what == "hdf5":
        with h5py.File(path, "w") as file:
            file["x"] = 1
    else:
        with h5py.File(path, "a") as file:
            if what == "newer":
                file.attrs["version"] = 99
            elif what == "unknown":
                file["state"].attrs["kind"] = "a kind to come"
            else:
                del file["state"]["00000000"].attrs["key"]
    with pytest.raises(StoreError, match="newer" if what == "newer" else r"run\.h5|newer"):
        load_checkpoint(path)


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = written(tmp_path)
    before = path.read_bytes()

    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint_file.os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint({"epoch": 4}, path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["run.h5"]


def full_disk(path, report):
    """In a process of its own: no file may grow beyond 20 kB."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    try:
        save_checkpoint({"x": torch.zeros(100_000)}, path)
    except StoreError as error:
        report.put(str(error))


def test_a_full_disk_leaves_the_old_file(tmp_path):
    path = written(tmp_path)
    context = multiprocessing.get_context("fork")
    report = context.SimpleQueue()
    process = context.Process(target=full_disk, args=(path, report))
    process.start()
    process.join()
    assert process.exitcode == 0
    assert "unchanged" in report.get()
    assert load_checkpoint(path)["epoch"] == 3
    assert os.listdir(tmp_path) == ["run.h5"]


def writer(path, mark):
    for _ in range(10):
        save_checkpoint({"mark": mark, "x": torch.full((5000,), float(mark))}, path)


def test_two_processes_at_once(tmp_path):
    """Whoever is last wins; at no moment is there half a file."""
    path = tmp_path / "run.h5"
    writer(path, 0)
    context = multiprocessing.get_context("fork")
    both = [context.Process(target=writer, args=(path, mark)) for mark in (1, 2)]
    for process in both:
        process.start()
    while any(process.is_alive() for process in both):
        found = load_checkpoint(path)
        assert found["x"].eq(found["mark"]).all()
    for process in both:
        process.join()
        assert process.exitcode == 0
    assert load_checkpoint(path)["mark"] in (1, 2)
    assert os.listdir(tmp_path) == ["run.h5"]


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "far").mkdir()
    link = tmp_path / "link.h5"
    link.symlink_to(tmp_path / "far" / "real.h5")
    save_checkpoint({"epoch": 1}, link)
    assert link.is_symlink()
    assert load_checkpoint(tmp_path / "far" / "real.h5")["epoch"] == 1


def test_nothing_in_it_is_pickled(tmp_path):
    """Plain HDF5 types throughout: no object, no opaque data."""
    path = tmp_path / "run.h5"
    save_checkpoint({"a": [1, "b", None, {"c": torch.zeros(2, dtype=torch.bfloat16)}]}, path)
    kinds = []
    with h5py.File(io.BytesIO(path.read_bytes()), "r") as file:
        file.visititems(lambda name, node: kinds.append(node.dtype.kind) if isinstance(node, h5py.Dataset) else None)
    assert set(kinds) == {"u"}
