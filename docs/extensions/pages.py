"""Pages that are written from their sources before Sphinx reads: notebooks, reference, derivations, project."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from extensions import commands, notebooks, reference
from extensions.github import adapted
from extensions.repository import DOCS, PAGES, ROOT

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.config import Config


def written() -> dict[str, str]:
    """Path below docs/ -> text, of every page that has its source elsewhere."""
    found = {}
    for path, name in PAGES.items():
        if name != "index":
            found[f"{name}.md"] = adapted((ROOT / path).read_text("utf-8"), path)
    (DOCS / "notebooks").mkdir(exist_ok=True)
    for name in notebooks.names():
        found[f"notebooks/{name}.md"] = notebooks.page(name, DOCS / "notebooks")
    found["notebooks/index.md"] = _listed("Notebooks", NOTEBOOKS, notebooks.names())
    scripts = sorted((ROOT / "derivations").glob("*.py"))
    for script in scripts:
        found[f"derivations/{script.stem}.md"] = _script(script)
    found["derivations/index.md"] = _linked("Derivations", DERIVATIONS, scripts)
    rooms = reference.rooms()
    found |= {f"reference/{name}.rst": reference.page(room) for name, room in rooms.items()}
    found["reference/index.rst"] = reference.index(rooms)
    found["reference/commands.md"] = commands.page()
    return found


NOTEBOOKS = """Walks for readers: each starts from a question, uses public names only, and ends in a picture and a
check. They are percent scripts in `notebooks/`; `RGFLOW_NOTEBOOK=full` runs one at its full size."""
DERIVATIONS = """One script for each result of a paper: the assumptions, what the engine derives from them, and an
assertion that it equals the formula of the paper, typed by hand. They run in the tests."""


def _listed(title: str, says: str, names: list[str]) -> str:
    return f"# {title}\n\n{says}\n\n```{{toctree}}\n:maxdepth: 1\n\n" + "\n".join(names) + "\n```\n"


def _linked(title: str, says: str, scripts: list[Path]) -> str:
    """A page of links: so many pages would make the navigation of every page slow."""
    rows = "\n".join(f"- [{_title(script)}]({script.stem}.md)" for script in scripts)
    return f"# {title}\n\n{says}\n\n{rows}\n"


def _title(path: Path) -> str:
    says = (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or path.stem).split("\n\n")[0]
    return commands.escaped(" ".join(says.split()).rstrip("."))


def _script(path: Path) -> str:
    """What a script says as text, then what it does."""
    source = path.read_text("utf-8")
    tree = ast.parse(source)
    says = (ast.get_docstring(tree) or "").split("\n\n")[1:]
    code = "\n".join(source.splitlines()[tree.body[0].end_lineno :]).strip()
    parts = ["---\norphan: true\n---", f"# {_title(path)}", "*[All derivations](index.md)*", *map(_prose, says)]
    return "\n\n".join([*parts, f"```python\n{code}\n```", f"*The script is `derivations/{path.name}`.*"]) + "\n"


def _prose(paragraph: str) -> str:
    """A paragraph of a docstring; what it displays by indenting it stays as it is."""
    if any(line.startswith(" ") for line in paragraph.splitlines()):
        return f"```text\n{paragraph}\n```"
    return re.sub(r"\\\*(\w[^*]*?)\\\*", r"*\1*", commands.escaped(" ".join(paragraph.split())))


def _write(app: Sphinx, config: Config) -> None:
    pages = written()
    for name, text in pages.items():
        path = DOCS / name
        path.parent.mkdir(exist_ok=True)
        if not path.exists() or path.read_text("utf-8") != text:  # what has not changed is not read again
            path.write_text(text, "utf-8")
    for folder in {Path(name).parent for name in pages}:
        for path in (DOCS / folder).glob("*.*"):
            if path.suffix in (".md", ".rst") and f"{folder}/{path.name}" not in pages:
                path.unlink()


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("config-inited", _write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
