"""Equations as MathML, which browsers draw themselves: no script and no network, and a mathematical font goes along."""

from __future__ import annotations

import logging as plain_logging
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from docutils import nodes
from sphinx.util import logging

from rgflow.mathematics import math_font, mathml

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.writers.html5 import HTML5Translator

logger = logging.getLogger(__name__)


def together(latex: str) -> str:
    """Lines that stand in no environment are aligned, as Sphinx does for other renderers."""
    return rf"\begin{{aligned}}{latex}\end{{aligned}}" if r"\\" in latex and r"\begin{" not in latex else latex


def inline(writer: HTML5Translator, node: nodes.math) -> None:
    writer.body.append(f'<span class="math">{_converted(node, "inline")}</span>')
    raise nodes.SkipNode


def block(writer: HTML5Translator, node: nodes.math_block) -> None:
    writer.body.append(f'<div class="math">{_converted(node, "block")}</div>')
    raise nodes.SkipNode


def _converted(node: nodes.Element, display: str) -> str:
    latex = node.astext()
    try:
        found = mathml(together(latex), display)
        shown = "".join(ElementTree.fromstring(found).itertext())
    except Exception as error:  # whatever the converter stumbles over is one bad equation: a warning that says which
        logger.warning("no MathML for %r: %s", latex, error or type(error).__name__, location=node)
        return f"<code>{latex}</code>"
    if "\\" in shown or "&" in shown:
        logger.warning("the converter left a command as it stands in %r", latex, location=node)
    return found


def _with_font(app: Sphinx, error: Exception | None) -> None:
    if error is None and app.builder.format == "html":
        plain_logging.getLogger("fontTools").setLevel(plain_logging.WARNING)  # it tells every table that it drops
        (Path(app.outdir) / "_static" / "stix-two-math.woff").write_bytes(math_font())


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    app.connect("build-finished", _with_font)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
