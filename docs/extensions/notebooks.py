"""Notebooks as pages: their text and code; with RGFLOW_DOCS_EXECUTE=1 also what they print and draw."""

from __future__ import annotations

import base64
import os
import re
from pathlib import Path
from typing import Any

import jupytext

from extensions.github import adapted
from extensions.repository import ROOT
from rgflow.book.lines import broken

FIRST = "from_a_layer_to_its_flow"
NEXT = re.compile(r"\]\((\w+)\.(?:py|ipynb)\)")
HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)
SOURCES = ROOT / "notebooks"


def names() -> list[str]:
    """All notebooks, each before the one to which its last link leads."""
    left = sorted(path.stem for path in SOURCES.glob("*.py"))
    found: list[str] = []
    here: str | None = FIRST
    while left:
        if here not in left:
            here = left[0]
        left.remove(here)
        found.append(here)
        links = NEXT.findall((SOURCES / f"{here}.py").read_text("utf-8"))
        here = links[-1] if links else None
    return found


def page(name: str, folder: Path) -> str:
    """A notebook in Markdown; pictures of an executed one are written into ``folder``."""
    notebook = jupytext.read(SOURCES / f"{name}.py")
    if os.environ.get("RGFLOW_DOCS_EXECUTE") == "1":
        execute(notebook)
    parts = []
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            parts.append(adapted(cell.source, f"notebooks/{name}.py"))
        elif cell.source:
            parts.append(f"```python\n{cell.source}\n```")
            parts += [_shown(output, folder, f"{name}_{number}") for output in cell.get("outputs", ())]
    parts.append(f"*The notebook is `notebooks/{name}.py`, a percent script that Jupyter opens through jupytext.*")
    return "\n\n".join(part for part in parts if part) + "\n"


def execute(notebook: Any) -> None:
    from nbclient import NotebookClient

    where = {"metadata": {"path": str(SOURCES)}}
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources=where).execute()


def _shown(output: Any, folder: Path, stem: str) -> str:
    """One output of a cell: a picture, diagrams, an equation or text."""
    data = output.get("data", {})
    if "image/png" in data:
        picture = folder / f"{stem}.png"
        picture.write_bytes(base64.b64decode(data["image/png"]))
        return f"![]({picture.name})"
    if "text/markdown" in data:
        return HEADING.sub(r"**\1**", data["text/markdown"])  # its sections are none of the page
    if "text/latex" in data:
        latex = data["text/latex"].strip().strip("$").removeprefix(r"\displaystyle ")
        return f"```math\n{broken(latex, 90)}\n```"
    text = output.get("text") or data.get("text/plain", "")
    return f"```text\n{text.rstrip()}\n```" if text.strip() else ""
