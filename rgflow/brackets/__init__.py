"""From a bracket to a closed form, a series or a number."""

from rgflow.brackets.emit import single_input_source
from rgflow.brackets.emit_quadrature import derivative_order, growth_rate, least_nodes
from rgflow.brackets.kernel_forms import closed_choice, needs_rules
from rgflow.brackets.moments import Moment, gaussian_moments
from rgflow.brackets.reference import reference

__all__ = [
    "Moment",
    "closed_choice",
    "derivative_order",
    "gaussian_moments",
    "growth_rate",
    "least_nodes",
    "needs_rules",
    "reference",
    "single_input_source",
]
