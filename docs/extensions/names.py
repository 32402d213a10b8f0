"""References to names of Python: to where the site documents them, under their public names.

A docstring may name an object by the module in which it is written. If the site documents it, the reference leads
there; if it exists and is not documented it is shown as code; if it does not exist, Sphinx reports it.
"""

from __future__ import annotations

import builtins
import re
from importlib import import_module
from typing import TYPE_CHECKING, Any

from docutils import nodes
from docutils.utils import get_source_line
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.nodes import make_refnode

if TYPE_CHECKING:
    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

DOCSTRING = re.compile(r"docstring of ([\w.]+)")
NAMED = re.compile(r"rg(?:flow)?\.(\w+(?:\.\w+)?)(?:\(.*\))?$", re.DOTALL)
ELSEWHERE = {"numpy", "xarray", "sympy", "torch", "matplotlib", "collections", "abc"}


def found(name: str) -> object | None:
    """The object that a dotted name stands for, or None."""
    parts = name.split(".")
    for split in range(len(parts), 0, -1):
        try:
            thing: object = import_module(".".join(parts[:split]))
        except ImportError:
            continue
        for part in parts[split:]:
            thing = getattr(thing, part, None)
        return thing
    return None


def _missing(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, shown: nodes.TextElement
) -> nodes.reference | nodes.TextElement | None:
    if node.get("refdomain") != "py":
        return None
    target = node["reftarget"]
    if not isinstance(shown, nodes.literal):
        return shown  # a type that a docstring describes in words, not a reference
    if target.partition(".")[0] in ELSEWHERE or hasattr(builtins, target):
        return shown
    things = [thing for name in _readings(target, node) if (thing := found(name)) is not None]
    domain = env.domains.python_domain
    for thing in things:
        for name, entry in domain.objects.items():
            if _documents(name, thing):
                return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id, shown, name)
    return shown if things else None


def _readings(target: str, node: pending_xref) -> list[str]:
    """What a name may stand for: seen from the modules and classes around the docstring, or whole."""
    source, _ = get_source_line(node)
    around = DOCSTRING.search(source or "")
    parts = (around[1] if around else node.get("py:module") or "rgflow").split(".")
    return [".".join([*parts[:end], target]) for end in range(len(parts), 0, -1)] + [target]


def _documents(name: str, thing: object) -> bool:
    simple = getattr(thing, "__name__", None)
    return simple is not None and name.rpartition(".")[2] == simple and found(name) is thing


class Named(SphinxPostTransform):
    """Code in prose that names something public, `rg.flow` or `rg.nn.tune(...)`, leads to its reference."""

    default_priority = 800
    formats = ("html",)

    def run(self, **kwargs: Any) -> None:
        objects = self.env.domains.python_domain.objects
        for node in list(self.document.findall(nodes.literal)):
            match = NAMED.match(node.astext())
            entry = objects.get(f"rgflow.{match[1]}") if match else None
            if entry is None or isinstance(node.parent, nodes.reference):
                continue
            shown = node.deepcopy()
            here = self.env.docname
            node.replace_self(make_refnode(self.app.builder, here, entry.docname, entry.node_id, shown, match[0]))


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("missing-reference", _missing)
    app.add_post_transform(Named)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
