"""Where things are: the repository's files, and the pages of the site that show them."""

from __future__ import annotations

import os
import re
from pathlib import Path

DOCS = Path(__file__).parents[1]
ROOT = DOCS.parent

# Files outside docs/ that the site shows as pages; folders keep their names.
PAGES = {
    "README.md": "index",
    "CONTRIBUTING.md": "project/contributing",
    "CHANGELOG.md": "project/changelog",
    "benchmarks/results/fast.md": "project/fast",
}
FOLDERS = ("notebooks", "derivations")
PICTURES = {".png", ".svg", ".jpg"}
LINK = re.compile(r"(!?\[(?:[^\[\]]|\[[^\]]*\])*\]\()([^)\s#]*)(#[^)\s]*)?\)")
CODE = re.compile(r"(^```.*?^```[^\n]*$|``[^`]+``|`[^`\n]+`)", re.MULTILINE | re.DOTALL)


def version() -> str:
    """The version that pyproject.toml states."""
    found = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE)
    assert found is not None
    return found[1]


def page_of(path: str) -> str | None:
    """The page that shows a file of the repository (a path from its root), or None."""
    if path in PAGES:
        return PAGES[path]
    folder, _, name = path.partition("/")
    stem, suffix = os.path.splitext(name)
    if folder == "docs" and suffix == ".md":
        return stem
    if folder in FOLDERS and suffix in (".py", ".ipynb"):
        return f"{folder}/{stem}"
    return None


def linked(text: str, at: str) -> str:
    """Markdown with its links to files turned to pages of the site; ``at`` is the file's path from the root.

    Links in code stay, links to other sites too; a link to a file that has no page stays and Sphinx reports it.
    """

    def turned(found: re.Match[str]) -> str:
        head, target, anchor = found[1], found[2], found[3] or ""
        if not target or "://" in target or target.startswith(("mailto:", "/")):
            return found[0]
        path = os.path.normpath(os.path.join(os.path.dirname(at), target))
        if Path(path).suffix in PICTURES:
            return f"{head}{os.path.relpath(ROOT / path, DOCS / os.path.dirname(page_of(at) or ''))}{anchor})"
        page = page_of(path)
        return found[0] if page is None else f"{head}/{page}.md{anchor})"

    parts = CODE.split(text)
    # a link's text may hold code, so that code is put back before links are read
    kept: list[str] = []
    for i in range(1, len(parts), 2):
        kept.append(parts[i])
        parts[i] = f"\x00{len(kept) - 1}\x00"
    done = LINK.sub(turned, "".join(parts))
    return re.sub("\x00(\\d+)\x00", lambda found: kept[int(found[1])], done)
