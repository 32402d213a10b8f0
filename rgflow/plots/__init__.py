"""Pictures: theory as lines, what was measured as points with bars, hatched where an expansion is not to be trusted.

Every function takes ``ax`` and returns what it drew in (:mod:`rgflow.plots.style`); ``write_picture`` writes it.
"""

from rgflow.plots.aspect import plot_aspect
from rgflow.plots.critical import plot_power_laws
from rgflow.plots.families import plot_family, plot_web
from rgflow.plots.files import picture_bytes, write_picture
from rgflow.plots.flow import plot_flow
from rgflow.plots.fluctuation import plot_fluctuations, plot_landscape
from rgflow.plots.phase import plot_phase
from rgflow.plots.probes import (
    plot_activation_kernels,
    plot_partial_jacobians,
    plot_ranks,
    plot_tangent_kernel_spread,
    plot_tuned,
    plot_width_check,
)
from rgflow.plots.robustness import plot_decision_cells, plot_robustness
from rgflow.plots.sweep import plot_sweep
from rgflow.plots.transfer import plot_transfer
from rgflow.plots.variation import plot_variation, plot_variation_phases

__all__ = [
    "picture_bytes",
    "plot_activation_kernels",
    "plot_aspect",
    "plot_decision_cells",
    "plot_family",
    "plot_flow",
    "plot_fluctuations",
    "plot_landscape",
    "plot_partial_jacobians",
    "plot_phase",
    "plot_power_laws",
    "plot_ranks",
    "plot_robustness",
    "plot_sweep",
    "plot_tangent_kernel_spread",
    "plot_transfer",
    "plot_tuned",
    "plot_variation",
    "plot_variation_phases",
    "plot_web",
    "plot_width_check",
    "write_picture",
]
