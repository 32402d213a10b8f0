"""Witnesses shared by the tests: ``tests/`` is importable, so that ``from oracles.product_law import ...`` works."""

import os
import sys
from pathlib import Path

from threadpoolctl import threadpool_limits

sys.path.insert(0, str(Path(__file__).parent))

# Of several workers each multiplies on one thread: threads of linear algebra that wait for each other on cores which
# are all taken keep them from those who work (one page of docs took 28 s instead of 1).
if "PYTEST_XDIST_WORKER" in os.environ and "OMP_NUM_THREADS" not in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"
    threadpool_limits(1)  # NumPy's, which plugins of pytest have loaded

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
