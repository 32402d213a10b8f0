"""``rgflow derive --steps``: the derivation of a recursion as text, Markdown or LaTeX, its diagrams in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from rgflow.errors import StoreError

if TYPE_CHECKING:
    from rgflow.algebra import Linked, Recursion
    from rgflow.derive.steps import Derivation


def print_steps(asked: Recursion | Linked, markdown: bool, latex: bool, folder: Path | None) -> None:
    """Print a derivation; pictures go into ``folder``, and Markdown links to them there."""
    from rgflow.cli.screen import messages, results, working

    if folder is not None:
        _usable(folder)
    with working(f"deriving {asked.name}, step by step"):
        steps: Derivation = asked.steps
        if markdown:
            text = steps.markdown(None if folder is None else folder.as_posix()).rstrip("\n")
        else:
            text = steps.latex().rstrip("\n") if latex else steps.text(results().width)
        written = 0 if folder is None else _write(steps, folder)
    typer.echo(text)
    if folder is not None:
        messages().print(f"{written} pictures: {folder}", soft_wrap=True)


def _usable(folder: Path) -> None:
    """StoreError for a folder that cannot take pictures, before the work."""
    if folder.exists() and not folder.is_dir():
        raise StoreError(f"--svg {folder}: it is a file; give the name of a folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"--svg {folder}: the folder cannot be made ({error.strerror}); give another") from None


def _write(steps: Derivation, folder: Path) -> int:
    pictures = steps.pictures()
    for name, text in pictures.items():
        try:
            (folder / name).write_text(text, encoding="utf-8")
        except OSError as error:
            raise StoreError(f"--svg {folder}: {name} cannot be written ({error.strerror}); give another") from None
    return len(pictures)
