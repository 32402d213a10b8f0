"""Markdown that is right on GitHub, read by MyST: inline equations $`...`$ and links to files of the repository."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from extensions.repository import DOCS, linked

if TYPE_CHECKING:
    from sphinx.application import Sphinx

INLINE = re.compile(r"\$`([^`]+)`\$")


def adapted(text: str, at: str) -> str:
    """A page as MyST reads it; ``at`` is its path from the repository's root."""
    return linked(INLINE.sub(r"$\1$", text), at)


def _read(app: Sphinx, docname: str, source: list[str]) -> None:
    if (DOCS / f"{docname}.md").exists() and "/" not in docname:
        source[0] = adapted(source[0], f"docs/{docname}.md")


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("source-read", _read)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
