"""Flows and samples over grids of hyperparameters: axes, chunks, stores that a kill leaves whole, many workers."""

from rgflow.sweeps.sweep import sweep

__all__ = ["sweep"]
