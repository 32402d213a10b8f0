"""From a layer to recursions: one step of the cumulant expansion, and closure over dependencies."""

from rgflow.derive.derive import closure, derive

__all__ = ["closure", "derive"]
