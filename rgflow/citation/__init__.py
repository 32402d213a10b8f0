"""How to cite what was used: rgflow, and the papers whose theory stands behind it."""

from rgflow.citation.citation import citation

__all__ = ["citation"]
