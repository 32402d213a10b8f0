"""Picture files: whole or not at all."""

from __future__ import annotations

import io
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rgflow.errors import InputError, StoreError


def write_picture(axes: NDArray[np.object_], path: str | os.PathLike[str], dpi: int = 120) -> None:
    """Write the figure of ``axes`` to a .png, .svg or .pdf file, whole or not at all.

    Raises InputError for another ending, StoreError if the file cannot be written; what stood there is unchanged then.
    """
    target = Path(path)
    kind = target.suffix.lower().lstrip(".")
    if kind not in ("png", "svg", "pdf"):
        raise InputError(f"{target.name!r} ends in {target.suffix!r}; pictures are .png, .svg or .pdf")
    drawn = io.BytesIO()
    panel: Any = axes.flat[0]
    panel.figure.savefig(drawn, format=kind, dpi=dpi)
    try:
        # a folder beside the target: on the same file system, and what is written in it has the user's own permissions
        with tempfile.TemporaryDirectory(
            dir=target.parent, prefix=f".{target.name}.", ignore_cleanup_errors=True
        ) as folder:
            part = Path(folder) / target.name
            part.write_bytes(drawn.getvalue())
            os.replace(part, target)
    except OSError as error:
        raise StoreError(f"cannot write {target}: {error.strerror or error}; what stood there is unchanged") from error
