"""Pictures of flows and phases: theory as lines, sampled networks as points. Functions take axes, return them."""

from rgflow.plots.aspect import plot_aspect
from rgflow.plots.critical import plot_power_laws
from rgflow.plots.families import plot_family, plot_web
from rgflow.plots.files import write_picture
from rgflow.plots.flow import plot_flow
from rgflow.plots.fluctuation import plot_fluctuations, plot_landscape
from rgflow.plots.phase import plot_phase
from rgflow.plots.sweep import plot_sweep
from rgflow.plots.transfer import plot_transfer
from rgflow.plots.variation import plot_variation, plot_variation_phases

__all__ = [
    "plot_aspect",
    "plot_family",
    "plot_flow",
    "plot_fluctuations",
    "plot_landscape",
    "plot_phase",
    "plot_power_laws",
    "plot_sweep",
    "plot_transfer",
    "plot_variation",
    "plot_variation_phases",
    "plot_web",
    "write_picture",
]
