"""Names of files that a command is to write: refused before the work, not after it."""

from __future__ import annotations

import os
from pathlib import Path

from rgflow.errors import InputError, StoreError

PICTURES = (".png", ".svg", ".pdf")
RESULTS = (".nc", ".zarr")


def writable(path: Path | None, endings: tuple[str, ...], option: str) -> None:
    """Raise InputError or StoreError for a name that cannot be written, with the option that gave it."""
    if path is None:
        return
    if path.suffix.lower() not in endings:
        several = f"{', '.join(endings[:-1])} or {endings[-1]}" if len(endings) > 1 else endings[0]
        raise InputError(f"{option} {path}: the name must end in {several}")
    if not path.absolute().parent.is_dir():
        raise StoreError(f"{option} {path}: the directory {path.parent} does not exist")
    if not os.access(path.absolute().parent, os.W_OK):
        raise StoreError(f"{option} {path}: the directory {path.parent} cannot be written to")
    if path.is_dir() and path.suffix.lower() != ".zarr":
        raise StoreError(f"{option} {path}: it is a directory; give the name of a file")
