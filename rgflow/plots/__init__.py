"""Pictures of flows: theory as lines, sampled networks as points. Every function takes axes and returns them."""

from rgflow.plots.files import write_picture
from rgflow.plots.flow import plot_flow

__all__ = ["plot_flow", "write_picture"]
