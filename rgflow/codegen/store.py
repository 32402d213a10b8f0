"""The store of generated modules: files named by the hash of their text, in the user's cache directory.

Numba caches compiled code beside a real module file. A file is written once, atomically and with a fixed time stamp,
so that processes that start together agree; what stands there is compared with the text before it is imported, so
that a truncated or foreign file is rebuilt and never run. Where the directory cannot be written, or is not the
user's own, a private temporary one takes its place for the life of the process. Compiled code is checked likewise,
against a manifest of checksums. The directory holds nothing but such files and closed forms, and may be emptied at
any time.
"""

from __future__ import annotations

import atexit
import hashlib
import importlib.util
import json
import os
import shutil
import stat
import sys
import tempfile
import threading
from functools import lru_cache
from pathlib import Path
from types import ModuleType

PREFIX = "rgflow_kernel_"
_IMPORTING = threading.Lock()  # a thread must not see a module that another is still executing
TIME_STAMP = 1_000_000_000  # fixed: Numba takes a new time stamp for an edited file


def module(source: str) -> ModuleType:
    """Import a generated module, writing it first where needed."""
    with _IMPORTING:
        return _module(source)


def _module(source: str) -> ModuleType:
    name = PREFIX + hashlib.sha256(source.encode()).hexdigest()[:24]
    if name in sys.modules:
        return sys.modules[name]
    for directory in (cache_directory(), _temporary()):
        path = directory / f"{name}.py"
        if _ours(directory) and _write(path, source):
            return _import(name, path)
    raise AssertionError("a directory that was just made cannot be written")  # pragma: no cover


def cache_directory() -> Path:
    """The user's cache directory for kernels; RGFLOW_CACHE_DIR overrides it."""
    override = os.environ.get("RGFLOW_CACHE_DIR")
    if override:
        return Path(override)
    import platformdirs

    return Path(platformdirs.user_cache_dir("rgflow")) / "kernels"


@lru_cache(maxsize=1)
def _temporary() -> Path:
    directory = tempfile.mkdtemp(prefix="rgflow_")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return Path(directory)


def _ours(directory: Path) -> bool:
    """Whether the directory can be made and belongs to this user alone (compiled code in it is trusted by Numba)."""
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        status = directory.stat()
    except OSError:
        return False
    if not hasattr(os, "getuid"):
        return True
    return status.st_uid == os.getuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _write(path: Path, source: str) -> bool:
    """Make the file hold exactly this text, with nothing unknown compiled beside it; False if that cannot be."""
    wanted = source.encode()
    if not _verify(path):
        return False
    try:
        if path.read_bytes() == wanted:
            return os.access(path.parent, os.W_OK) or any(_compiled(path))
    except OSError:
        pass
    return _replace(path, wanted)


def _replace(path: Path, content: bytes) -> bool:
    """Write a file so that nobody ever sees half of it."""
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".tmp")
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.utime(temporary, (TIME_STAMP, TIME_STAMP))
        os.replace(temporary, path)
    except OSError:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        return False
    return True


# What else is kept ---------------------------------------------------------------------------------------------------


def recall(name: str) -> bytes | None:
    """The content of a file that :func:`remember` wrote, or None."""
    directory = cache_directory()
    try:
        return (directory / name).read_bytes() if _ours(directory) else None
    except OSError:
        return None


def remember(name: str, content: bytes) -> None:
    """Keep a file in the user's cache directory if it can be written."""
    directory = cache_directory()
    if _ours(directory):
        _replace(directory / name, content)


# Compiled code is trusted only if a manifest beside the module knows its checksum. ------------------------------------


def seal(loaded: ModuleType) -> None:
    """Record the checksums of what Numba has just compiled for a module."""
    if loaded.__file__ is not None:
        path = Path(loaded.__file__)
        _replace(_manifest(path), json.dumps(_checksums(path), indent=0, sort_keys=True).encode())


def sealed(loaded: ModuleType) -> bool:
    """Whether the compiled files of a module are all in its manifest."""
    return loaded.__file__ is None or _known(Path(loaded.__file__)) == _checksums(Path(loaded.__file__))


def _verify(path: Path) -> bool:
    """Remove compiled files that the manifest does not know; False if they cannot be removed."""
    known = _known(path)
    for name, checksum in _checksums(path).items():
        if known.get(name) != checksum:
            try:
                (path.parent / "__pycache__" / name).unlink(missing_ok=True)
            except OSError:
                return False
    return True


def _known(path: Path) -> dict[str, str]:
    try:
        found = json.loads(_manifest(path).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _checksums(path: Path) -> dict[str, str]:
    sums = {}
    for file in _compiled(path):
        try:
            sums[file.name] = hashlib.sha256(file.read_bytes()).hexdigest()
        except OSError:
            sums[file.name] = "unreadable"
    return sums


def _compiled(path: Path) -> list[Path]:
    """The files of Numba's cache for this module."""
    found = (path.parent / "__pycache__").glob(f"{path.stem}.*")
    return sorted(f for f in found if f.suffix in (".nbi", ".nbc"))


def _manifest(path: Path) -> Path:
    return path.with_suffix(".json")


def _import(name: str, path: Path) -> ModuleType:
    specification = importlib.util.spec_from_file_location(name, path)
    assert specification is not None
    assert specification.loader is not None
    loaded = importlib.util.module_from_spec(specification)
    sys.modules[name] = loaded
    try:
        specification.loader.exec_module(loaded)
    except BaseException:
        del sys.modules[name]
        raise
    return loaded
