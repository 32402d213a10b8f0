"""The scripts: functions that are marked as rows, found and run."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from rgflow.errors import InputError


@dataclass(frozen=True)
class Row:
    """A function of a script that derives one formula."""

    formula: str  # paper/id
    witness: str
    script: Path
    function: Callable[[], Any]

    @property
    def note(self) -> str:
        """What its author says of it: where it holds, what it leaves out."""
        return inspect.getdoc(self.function) or ""

    @property
    def line(self) -> int:
        """Where it stands in its script."""
        return int(inspect.unwrap(self.function).__code__.co_firstlineno)

    def run(self) -> tuple[Any, ...]:
        """What it derives; AssertionError if the typed formula is not that."""
        found = self.function()
        shown = found if isinstance(found, tuple) else (found,)
        for one in shown:
            if hasattr(one, "check"):
                one.check()
        return shown


@dataclass(frozen=True)
class Script:
    """A derivation: its prose, and its rows in order."""

    path: Path
    prose: str
    rows: tuple[Row, ...]


def load(folder: Path) -> tuple[Script, ...]:
    """Every script of the folder.

    Raises
    ------
    InputError
        Two rows derive the same formula.
    """
    with _importable(folder):
        scripts = tuple(_script(path) for path in sorted(folder.glob("*.py")))
    seen: dict[str, Row] = {}
    for row in (row for script in scripts for row in script.rows):
        other = seen.setdefault(row.formula, row)
        if other is not row:
            raise InputError(f"{row.formula} is derived twice, in {other.script.name} and in {row.script.name}")
    return scripts


def _script(path: Path) -> Script:
    module = _module(path)
    # imported rows belong to the script that defines them; matrices have a ``row``, too
    marked = [
        f
        for f in vars(module).values()
        if isinstance(getattr(f, "row", None), tuple) and f.__module__ == module.__name__
    ]
    rows = tuple(Row(formula, witness, path, f) for f in marked for formula, witness in (f.row,))
    return Script(path, inspect.getdoc(module) or "", rows)


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"_derivation_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """The scripts import each other by their plain names, as when they are run; afterwards these names are free."""
    plain = {path.stem for path in folder.glob("*.py")}
    before = {name: sys.modules.pop(name) for name in plain & sys.modules.keys()}
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name in plain & sys.modules.keys():
            del sys.modules[name]
        sys.modules.update(before)
