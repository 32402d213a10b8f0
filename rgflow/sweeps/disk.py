"""Files that are on disk when we say so: waiting for the system, writing whole or not at all, errors in our words."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rgflow.errors import StoreError


@contextmanager
def told(target: Path) -> Iterator[None]:
    """What the system refuses, as a StoreError."""
    try:
        yield
    except StoreError:
        raise
    except OSError as error:
        raise StoreError(
            f"cannot write {target}: {error.strerror or error}; finished chunks are kept, and the same call goes on"
        ) from error


def size(file: Path) -> int | None:
    """Bytes of a file; None if there is none."""
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return None


def settle(file: Path) -> None:
    """Wait until a file, or the names in a folder, are on disk."""
    if os.name == "nt" and file.is_dir():  # pragma: no cover
        return
    handle = os.open(file, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_whole(file: Path, text: str) -> None:
    """Write a file that nobody ever sees half of, and wait until it is on disk."""
    part = file.with_suffix(".part")
    part.write_text(text)
    settle(part)
    os.replace(part, file)
    settle(file.parent)
