"""Witnesses shared by the tests: ``tests/`` is importable, so that ``from oracles.product_law import ...`` works."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
