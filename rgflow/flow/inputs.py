"""Where a flow starts: the validated overlaps of :mod:`rgflow.network.inputs`."""

from rgflow.network.inputs import Given as Start
from rgflow.network.inputs import given as start

__all__ = ["Start", "start"]
