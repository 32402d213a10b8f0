"""Witnesses shared by the tests: ``tests/`` is importable, so that ``from oracles.product_law import ...`` works."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

# Files that take long come first: with several workers, a file to each, none is left alone with one at the end.
LONG = (
    "test_site",
    "test_rows",
    "test_notebooks",
    "test_explorer_browser",
    "test_cold_start",
    "test_store",
    "test_docs",
)


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: LONG.index(item.path.stem) if item.path.stem in LONG else len(LONG))
