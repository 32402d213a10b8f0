"""Numbers with depth: flows of coefficient tensors, their totals, and where the expansion stops being trustworthy."""

from rgflow.flow.compiled import compiled
from rgflow.flow.flow import flow
from rgflow.flow.total import total

__all__ = ["compiled", "flow", "total"]
