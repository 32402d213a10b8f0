"""The store of compiled modules: warm starts, two processes at once, read-only, truncated and foreign files."""

import errno
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from rgflow.codegen import store
from rgflow.flow import compiled

# The smallest kernel that has something to compile: <tanh tanh> by quadrature.
PROGRAM = """
from rgflow.flow import compiled
kernel = compiled("K", "tanh")
values, _ = kernel.brackets(1.0, 24)
hits = sum(kernel.module.brackets_at.stats.cache_hits.values())
print(kernel.path, float(values[0, 0]).hex(), hits)
"""


def start(directory):
    environment = {**os.environ, "RGFLOW_CACHE_DIR": str(directory)}
    environment.pop("NUMBA_CACHE_DIR", None)
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(process):
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    path, value, hits = out.split()
    return path, value, int(hits)


def anew(directory, monkeypatch):
    """What PROGRAM finds, in this process: a module that is not in ``sys.modules`` is verified, read and run from disk,
    with new dispatchers of Numba, as in another process; that processes do this is seen in those that are started."""
    monkeypatch.setenv("RGFLOW_CACHE_DIR", str(directory))
    for name in [name for name in sys.modules if name.startswith(store.PREFIX)]:
        monkeypatch.delitem(sys.modules, name)
    kernel = replace(compiled("K", "tanh"))  # a new Kernel has not imported its module
    values, _ = kernel.brackets(1.0, 24)
    hits = sum(kernel.module.brackets_at.stats.cache_hits.values())
    return kernel.path, float(values[0, 0]).hex(), hits


@pytest.fixture(scope="module")
def warm(tmp_path_factory):
    """A cache directory that two processes, started at once, have filled."""
    directory = tmp_path_factory.mktemp("cache") / "kernels"
    both = [start(directory), start(directory)]
    results = [finish(process) for process in both]
    assert results[0][:2] == results[1][:2]
    return directory, results[0][1]


def test_a_second_process_compiles_nothing(warm):
    directory, value = warm
    path, again, hits = finish(start(directory))
    assert again == value
    assert hits == 1
    assert path.startswith(str(directory))


def test_a_module_read_anew_is_as_in_a_second_process(warm, monkeypatch):
    directory, value = warm
    path, again, hits = anew(directory, monkeypatch)
    assert (path, again, hits) == (str(module_file(directory)), value, 1)


def module_file(directory):
    (found,) = (file for file in directory.glob("rgflow_kernel_*.py") if b"tanh" in file.read_bytes())
    return found


def test_a_truncated_or_foreign_source_is_rebuilt_and_never_run(warm, monkeypatch):
    directory, value = warm
    path = module_file(directory)
    whole = path.read_bytes()
    for wrong in (whole[: len(whole) // 2], b"raise SystemExit('foreign code ran')\n", b""):
        path.write_bytes(wrong)
        assert anew(directory, monkeypatch)[1] == value
        assert path.read_bytes() == whole


@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
def test_truncated_compiled_code_is_compiled_again(warm, suffix, monkeypatch):
    directory, value = warm
    for file in (directory / "__pycache__").glob(f"*{suffix}"):
        file.write_bytes(file.read_bytes()[:100])
    _, again, hits = anew(directory, monkeypatch)
    assert (again, hits) == (value, 0)
    assert anew(directory, monkeypatch)[2] == 1


def test_compiled_code_that_the_manifest_does_not_know_is_not_run(warm, monkeypatch):
    directory, value = warm
    manifest = module_file(directory).with_suffix(".json")
    manifest.write_text(json.dumps(dict.fromkeys(json.loads(manifest.read_text()), "0" * 64)))
    assert anew(directory, monkeypatch)[1:] == (value, 0)


def test_a_read_only_cache_gives_way_to_a_temporary_one(tmp_path, monkeypatch):
    """Permissions do not bind every user: refuse to write, as a read-only file system does."""
    directory = tmp_path / "kernels"
    monkeypatch.setenv("RGFLOW_CACHE_DIR", str(directory))
    real = tempfile.mkstemp

    def read_only(*args, dir=None, **kwargs):
        if dir == directory:
            raise OSError(errno.EROFS, "Read-only file system")
        return real(*args, dir=dir, **kwargs)

    monkeypatch.setattr(tempfile, "mkstemp", read_only)
    found = store.module("VALUE = 'read-only'\n")
    assert found.VALUE == "read-only"
    assert directory not in Path(found.__file__).parents
    assert not list(directory.iterdir())


def test_threads_wait_for_a_module_that_another_executes(tmp_path, monkeypatch):
    monkeypatch.setenv("RGFLOW_CACHE_DIR", str(tmp_path / "kernels"))
    source = "import time\ntime.sleep(0.3)\nVALUE = 'whole'\n"
    with ThreadPoolExecutor(4) as threads:
        assert {found.VALUE for found in threads.map(store.module, [source] * 4)} == {"whole"}


def test_a_directory_that_cannot_be_made_gives_way(tmp_path):
    (tmp_path / "file").write_text("not a directory")
    path, _, _ = finish(start(tmp_path / "file" / "kernels"))
    assert not path.startswith(str(tmp_path))
    assert not os.path.exists(path)  # the temporary directory went with the process


def test_a_directory_that_others_may_write_is_not_trusted(tmp_path, monkeypatch):
    directory = tmp_path / "kernels"
    directory.mkdir()
    directory.chmod(0o777)
    path, _, _ = anew(directory, monkeypatch)
    assert not path.startswith(str(directory))
