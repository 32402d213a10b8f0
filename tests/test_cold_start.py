"""A new process: what it loads, and that it compiles nothing that an earlier one has compiled. Nothing is timed."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numba
import pytest

from rgflow.jit import static

ROOT = Path(__file__).parents[1]
# what no flow, kernel, sweep or sample of a catalogue activation needs
HEAVY = {
    "sympy",
    "mpmath",
    "matplotlib",
    "sklearn",
    "h5netcdf",
    "h5py",
    "rich",
    "typer",
    "zarr",
    "dask",
    "distributed",
}
# The calls run while Numba tells what it compiles; for each activation in turn the names, the packages that were loaded
# until then and the compiled files with size and time of change are printed.
PROGRAM = """
import json, sys
from pathlib import Path
from numba.core import event
import rgflow as rg
for sigma in {sigmas!r}:
    with event.install_recorder("numba:compile") as heard:
        net = rg.MLP.uniform(n_in=4, width=64, depth=4, activation=sigma)
        rg.flow(net, first_kernel=1.0, tensors=["K", "V", "Theta"])
        rg.sample(net, first_kernel=1.0, tensors=["V"], networks=100, seed=0)
    compiled = [record.data["dispatcher"].py_func.__qualname__ for _, record in heard.buffer if record.is_start]
    loaded = {{name.split(".")[0] for name in sys.modules}}
    kept = {{str(p): [p.stat().st_size, p.stat().st_mtime_ns] for p in Path({caches!r}).rglob("*.nb[ci]")}}
    print(json.dumps([compiled, sorted(loaded), kept]))
"""


def process(sigmas: tuple[str, ...], caches: Path) -> list[tuple[list[str], set[str], dict[str, list[int]]]]:
    """Functions compiled, packages loaded and files kept by a process with these caches, activation by activation."""
    environment = {**os.environ, "RGFLOW_CACHE_DIR": str(caches / "rgflow"), "NUMBA_CACHE_DIR": str(caches / "numba")}
    command = [sys.executable, "-c", PROGRAM.format(sigmas=sigmas, caches=str(caches))]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = (json.loads(line) for line in done.stdout.splitlines())
    return [(compiled, set(loaded), kept) for compiled, loaded, kept in lines]


def test_a_second_process_compiles_nothing_and_loads_nothing_heavy(tmp_path):
    ((first, _, before),) = process(("tanh",), tmp_path)
    assert {"brackets_at", "step"} <= set(first)  # negative control: the recorder hears what is new
    (compiled, loaded, after), (other, _, more) = process(("tanh", "sin"), tmp_path)
    assert compiled == []
    assert before
    assert after == before
    assert loaded & HEAVY == set()
    assert "brackets_at" in other
    assert "step" not in other  # one generic kernel serves all
    assert len(more) > len(after)


def modules_with_numba() -> list[str]:
    """Modules of the package that compile static functions."""
    found = []
    for path in sorted((ROOT / "rgflow").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if "\n@static" in text or "\n@njit" in text or "\n@numba" in text:
            found.append(".".join(path.relative_to(ROOT).with_suffix("").parts))
    return found


@pytest.mark.parametrize("name", modules_with_numba())
def test_static_functions_keep_what_is_compiled(name):
    """Each of them has a cache of files, so that the next process loads it."""
    from numba.core.caching import NullCache
    from numba.core.dispatcher import Dispatcher

    functions = {
        key: value for key, value in vars(importlib.import_module(name)).items() if isinstance(value, Dispatcher)
    }
    assert functions
    assert [key for key, value in functions.items() if isinstance(value._cache, NullCache)] == []


@pytest.mark.parametrize("name", modules_with_numba())
def test_static_functions_call_only_their_own_file(name):
    """Numba would not notice that a helper in another file was edited."""
    from numba.core.dispatcher import Dispatcher

    for key, function in vars(importlib.import_module(name)).items():
        if isinstance(function, Dispatcher) and function.py_func.__module__ == name:
            called = (function.py_func.__globals__.get(n) for n in function.py_func.__code__.co_names)
            assert all(g.py_func.__module__ == name for g in called if isinstance(g, Dispatcher)), key


# Where nothing can be kept --------------------------------------------------------------------------------------------


def test_static_functions_run_where_no_cache_can_be_written():
    """A read-only installation of a user without a home, or a function without a file: Numba itself gives up there."""
    names = {}
    exec(compile("def double(x):\n    return 2 * x\n", "<no file>", "exec"), names)
    with pytest.raises(RuntimeError, match="cannot cache"):
        numba.njit(cache=True)(names["double"])
    assert static("contract", "reassoc")(names["double"])(1.5) == 3.0


def test_static_functions_divide_as_ieee_does():
    def over(x):
        return 1.0 / x

    assert static()(over)(0.0) == float("inf")


def test_an_error_of_another_kind_is_not_swallowed(monkeypatch):
    def broken(**_):
        raise RuntimeError("something else")

    monkeypatch.setattr(numba, "njit", broken)
    with pytest.raises(RuntimeError, match="something else"):
        static()(lambda x: x)
