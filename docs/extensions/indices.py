"""Indices that prose writes as text, C_W, n_{l-1}, chi_perp, 1/n^2, set as indices.

GitHub shows pages, and ``help()`` docstrings, as they are typed; on the site they read like a paper. Code stays code.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from docutils import nodes
from sphinx import addnodes
from sphinx.transforms.post_transforms import SphinxPostTransform

if TYPE_CHECKING:
    from sphinx.application import Sphinx

GREEK = {
    "alpha": "α", "beta": "β", "gamma": "γ", "epsilon": "ε", "zeta": "ζ", "eta": "η", "theta": "θ", "Theta": "Θ",
    "kappa": "κ", "lambda": "λ", "Lambda": "Λ", "mu": "μ", "nu": "ν", "xi": "ξ", "sigma": "σ", "chi": "χ", "psi": "ψ",
    "phi": "φ", "sum": "∑",
}  # fmt: skip
WORDS = {"perp": "⊥", "perpendicular": "⊥", "par": "∥", "parallel": "∥"}
LETTER = "[A-Za-zΑ-Ωα-ωℓ∂σĜĤ]"
BASE = rf"(?:(?<![\w`.])((?:{'|'.join(GREEK)}|{LETTER})'*)|(?<=[>)\]|⟩]))"
BELOW = rf"_(\{{[^{{}}]+\}}|\([^()\s]+\)|{'|'.join([*WORDS, *GREEK])}|(?:{LETTER}|\d){{1,4}})(?!\w|\.\w)"
SUBSCRIPT = re.compile(BELOW)
NAMED = re.compile(rf"(?<![\w`.])({'|'.join(GREEK)})(?='*\^)")
INDEXED = re.compile(rf"{BASE}{BELOW}")
RAISED = re.compile(r"(?<=[\w)}\]'|>])\^(\{[^{}]+\}|\([^()]+\)|-?\d+(?:\.\d+)?|-?[A-Za-z*]+)")
KEPT = (
    nodes.literal, nodes.literal_block, nodes.doctest_block, nodes.math, nodes.math_block, nodes.raw, nodes.strong,
    addnodes.desc_signature, addnodes.literal_emphasis, addnodes.literal_strong,
)  # fmt: skip


def set_indices(text: str) -> list[nodes.Node]:
    """Text, sub- and superscripts.

    >>> [node.astext() for node in set_indices("of C_W, chi_perp and 1/n^(-2), not fan_in")]
    ['of ', 'C', 'W', ', ', 'χ', '⊥', ' and 1/n', '-2', ', not fan_in']
    """
    found: list[nodes.Node] = []
    end = 0
    for match in _matches(text):
        if match.start() < end:
            continue
        if match.start() > end:
            found.append(nodes.Text(text[end : match.start()]))
        if match.re is NAMED:
            found.append(nodes.Text(GREEK[match[1]]))
            end = match.end()
            continue
        inner = match[match.lastindex or 1].strip("{}")
        if match.re is INDEXED:
            inner = inner[1:-1] if inner.startswith("(") else inner
            letter = (match[1] or "").rstrip("'")
            base = GREEK.get(letter, letter) + (match[1] or "")[len(letter) :]
            if base:
                found.append(nodes.emphasis("", base) if base.isascii() else nodes.Text(base))
            found.append(nodes.subscript("", "", *set_indices(WORDS.get(inner, GREEK.get(inner, inner)))))
        else:
            power = inner[1:-1] if match[1].startswith("(") else inner
            sign, name = ("-", power[1:]) if power.startswith("-") else ("", power)
            found.append(nodes.superscript("", "", *set_indices(sign + GREEK.get(name, name))))
        end = match.end()
        if match.re is RAISED and (below := SUBSCRIPT.match(text, end)):
            found.append(nodes.subscript("", below[1].strip("{}")))
            end = below.end()
    if end < len(text):
        found.append(nodes.Text(text[end:]))
    return found


def _matches(text: str) -> list[re.Match[str]]:
    found = [match for pattern in (INDEXED, RAISED, NAMED) for match in pattern.finditer(text)]
    return sorted(found, key=lambda match: match.start())


class Indices(SphinxPostTransform):
    """On pages, after references are resolved; titles in the navigation stay text."""

    default_priority = 900
    formats = ("html",)

    def run(self, **kwargs: Any) -> None:
        for text in list(self.document.findall(nodes.Text)):
            if ("_" in text or "^" in text) and not _inside(text):
                text.parent.replace(text, set_indices(text.astext()))


def _inside(node: nodes.Node) -> bool:
    above = node.parent
    while above is not None:
        if isinstance(above, KEPT):
            return True
        above = above.parent
    return False


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_post_transform(Indices)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
