"""One coefficient of a typed formula altered: the source of a row's function with one term 1.1 times what it was."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from typing import Any


def alterations(function: Callable[[], Any]) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Each term of what a function assigns to ``typed...``, altered alone: its text, and the altered function."""
    tree = _tree(function)
    for i, place in enumerate(_places(tree)):
        altered = _tree(function)
        node = _places(altered)[i]
        text = ast.unparse(place.node)
        node.put(_more(node.node))
        ast.fix_missing_locations(altered)
        yield text, _compiled(function, altered)


def _tree(function: Callable[[], Any]) -> ast.FunctionDef:
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    assert isinstance(tree, ast.FunctionDef)
    tree.decorator_list = []
    return tree


class Place:
    """An expression within its parent."""

    def __init__(self, parent: ast.AST, field: str, index: int | None = None) -> None:
        self.parent, self.field, self.index = parent, field, index

    @property
    def node(self) -> Any:
        found = getattr(self.parent, self.field)
        return found if self.index is None else found[self.index]

    def put(self, new: ast.expr) -> None:
        if self.index is None:
            setattr(self.parent, self.field, new)
        else:
            getattr(self.parent, self.field)[self.index] = new


def _places(tree: ast.FunctionDef) -> list[Place]:
    """The terms of every typed formula: an assignment to ``typed...``, or what such an inner function returns."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)]
            if any(name.startswith("typed") for name in names):
                found += _terms(Place(node, "value"))
        elif isinstance(node, ast.FunctionDef) and node is not tree and node.name.startswith("typed"):
            for inner in ast.walk(node):
                if isinstance(inner, ast.Return):
                    found += _terms(Place(inner, "value"))
    return found


def _terms(place: Place) -> list[Place]:
    node = place.node
    match node:
        case ast.BinOp(op=ast.Add() | ast.Sub()):
            return [*_terms(Place(node, "left")), *_terms(Place(node, "right"))]
        case ast.UnaryOp(op=ast.USub() | ast.UAdd()):
            return _terms(Place(node, "operand"))
        case ast.Tuple() | ast.List():
            return [t for i in range(len(node.elts)) for t in _terms(Place(node, "elts", i))]
        case ast.Dict():
            return [t for i in range(len(node.values)) for t in _terms(Place(node, "values", i))]
        case ast.Lambda():
            return _terms(Place(node, "body"))
        case ast.IfExp():
            return [*_terms(Place(node, "body")), *_terms(Place(node, "orelse"))]
        case ast.DictComp():
            return _terms(Place(node, "value"))
        case ast.ListComp() | ast.GeneratorExp():
            return _terms(Place(node, "elt"))
        case ast.Constant(value=None):
            return []
    return [place]


def _more(node: ast.expr) -> ast.expr:
    """1.1 times the term, exactly where it is exact; a word becomes another, and nothing becomes a tenth."""
    match node:
        case ast.Constant(value=str() as word):
            return ast.Constant(f"not {word}")
        case ast.Constant(value=bool() as truth):
            return ast.Constant(not truth)
        case ast.Constant(value=0 | 0.0):
            return ast.Constant(0.1)
    times = ast.BinOp(node, ast.Mult(), ast.Constant(11))
    return ast.BinOp(times, ast.Div(), ast.Constant(10))


def _compiled(function: Callable[[], Any], tree: ast.FunctionDef) -> Callable[[], Any]:
    names = dict(function.__globals__)
    module = ast.Module([tree], [])
    exec(compile(module, f"<altered {tree.name}>", "exec"), names)
    found: Callable[[], Any] = names[tree.name]
    return found
