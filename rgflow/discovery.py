"""Kinds of layers are files: a package of kinds loads every module in its folder, so that a new one needs no list."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from pkgutil import iter_modules


def load_modules(package: str, path: Iterable[str]) -> None:
    """Import every module of a package, in the order of their names."""
    for module in sorted(found.name for found in iter_modules(path)):
        import_module(f"{package}.{module}")
