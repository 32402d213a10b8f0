"""Whether what pages refer to is there: files, anchors, pictures of a built site, and links of Markdown on GitHub."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

FENCED = re.compile(r"^( *)(```|~~~).*?^\1\2[^\n]*$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^()\s]+)\)")


@dataclass
class Page(HTMLParser):
    """The anchors of a page, its links, and the files that a browser loads to show it."""

    anchors: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag == "link" and given.get("rel") in ("stylesheet", "icon"):
            self.loaded.append(given["href"])
        elif "src" in given:
            self.loaded.append(given["src"])


@cache
def read(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text("utf-8"))
    return page


def broken(site: Path, pages: str = "*.html") -> list[str]:
    """What pages of a built site refer to and the site does not hold; and what it would fetch from elsewhere."""
    found = []
    for path in sorted(site.rglob(pages)):
        page = read(path)
        for target in [*page.links, *page.loaded]:
            if (why := _lacking(path, target, target in page.loaded)) is not None:
                found.append(f"{path.relative_to(site)}: {target} {why}")
    return found


def _lacking(path: Path, target: str, loaded: bool) -> str | None:
    if re.match(r"(https?:)?//|mailto:", target):
        return "is fetched from elsewhere" if loaded else None
    if target.startswith("data:"):
        return None
    address, anchor = urldefrag(unquote(target))
    file = (path.parent / address.partition("?")[0]).resolve() if address else path
    if file.is_dir():
        file /= "index.html"
    if not file.exists():
        return "is not there"
    if anchor and file.suffix == ".html" and anchor not in read(file).anchors:
        return "has no such anchor"
    return None


# Markdown -------------------------------------------------------------------------------------------------------------


def slugs(text: str) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    found: dict[str, int] = {}
    for title in re.findall(r"^#+ +(.+?)\s*$", FENCED.sub("", text), re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).replace("`", "")
        slug = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        found[slug] = found.get(slug, -1) + 1
        if found[slug]:
            found[f"{slug}-{found[slug]}"] = 0
    return set(found)


def dangling(page: Path, root: Path) -> list[str]:
    """Links of a Markdown file, or of the text of a percent script, to files or anchors that are not there."""
    text = _markdown(page)
    found = []
    prose = re.sub(r"`[^`\n]+`", "", FENCED.sub("", text))
    for target in LINK.findall(prose):
        if "://" in target:
            continue
        address, anchor = urldefrag(target)
        file = page.parent / address if address else page
        if not file.exists():
            found.append(f"{page.relative_to(root)}: {target} is not there")
        elif anchor and anchor not in slugs(_markdown(file)):
            found.append(f"{page.relative_to(root)}: {target} has no such anchor")
    return found


def _markdown(page: Path) -> str:
    text = page.read_text("utf-8")
    if page.suffix != ".py":
        return text
    cells = re.findall(r"^# %% \[markdown\]\n((?:#.*\n)*)", text, re.MULTILINE)
    return "\n\n".join(re.sub(r"^# ?", "", cell, flags=re.MULTILINE) for cell in cells)
