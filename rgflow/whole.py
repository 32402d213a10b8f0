"""Files that appear under their names only when they are whole."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from rgflow.errors import StoreError


def write_whole(path: str | os.PathLike[str], content: bytes) -> None:
    """Write ``content`` to ``path``, whole or not at all; a StoreError leaves what stood there unchanged."""
    target = Path(path)
    try:
        # a folder beside the target: on the same file system, and what is written in it has the user's own permissions
        with tempfile.TemporaryDirectory(
            dir=target.parent, prefix=f".{target.name}.", ignore_cleanup_errors=True
        ) as folder:
            part = Path(folder) / target.name
            part.write_bytes(content)
            os.replace(part, target)
    except OSError as error:
        raise StoreError(f"cannot write {target}: {error.strerror or error}; what stood there is unchanged") from error
