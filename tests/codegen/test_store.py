"""The store of compiled modules: warm starts, two processes at once, read-only, truncated and foreign files."""

import errno
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rgflow.codegen import store

PROGRAM = """
import sys
from rgflow.derive import closure
from rgflow.flow import compiled
kernel = compiled("V", "tanh")
values, _ = kernel.brackets(1.0, 24)
hits = sum(kernel.module.brackets_at.stats.cache_hits.values())
print(kernel.path, float(values[1, 0]).hex(), hits)
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


def module_file(directory):
    (found,) = (file for file in directory.glob("rgflow_kernel_*.py") if b"tanh" in file.read_bytes())
    return found


def test_a_truncated_or_foreign_source_is_rebuilt_and_never_run(warm):
    directory, value = warm
    path = module_file(directory)
    whole = path.read_bytes()
    for wrong in (whole[: len(whole) // 2], b"raise SystemExit('foreign code ran')\n", b""):
        path.write_bytes(wrong)
        assert finish(start(directory))[1] == value
        assert path.read_bytes() == whole


@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
def test_truncated_compiled_code_is_compiled_again(warm, suffix):
    directory, value = warm
    for file in (directory / "__pycache__").glob(f"*{suffix}"):
        file.write_bytes(file.read_bytes()[:100])
    _, again, hits = finish(start(directory))
    assert (again, hits) == (value, 0)
    assert finish(start(directory))[2] == 1


def test_compiled_code_that_the_manifest_does_not_know_is_not_run(warm):
    directory, value = warm
    manifest = module_file(directory).with_suffix(".json")
    manifest.write_text(json.dumps(dict.fromkeys(json.loads(manifest.read_text()), "0" * 64)))
    assert finish(start(directory))[1:] == (value, 0)


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


def test_a_directory_that_others_may_write_is_not_trusted(tmp_path):
    directory = tmp_path / "kernels"
    directory.mkdir()
    directory.chmod(0o777)
    path, _, _ = finish(start(directory))
    assert not path.startswith(str(directory))
