"""What a command leaves behind: a picture, a file of results, and a line that says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import xarray


def picture(draw: Callable[[], Any], path: Path, quiet: bool) -> None:
    """Draw and write; ``quiet``: standard output belongs to JSON."""
    from rgflow.cli.screen import results, working
    from rgflow.plots import write_picture

    with working(f"drawing {path}"):
        write_picture(draw(), path)
    if not quiet:
        results().print(f"picture: {path}", soft_wrap=True)


def kept(ds: xarray.Dataset, path: Path, what: str, quiet: bool, written: bool = False) -> None:
    """Save a Dataset, unless it is ``written`` already, and say what reads it."""
    from rgflow.cli.screen import results, working
    from rgflow.files import save

    if not written:
        with working(f"saving {path}"):
            save(ds, path)
    if not quiet:
        results().print(f"{what}: {path} (rgflow.load reads it)", soft_wrap=True)
