"""From a bracket to a closed form, a series or a number."""

from rgflow.brackets.emit import derivative_order, growth_rate, least_nodes, single_input_source
from rgflow.brackets.moments import Moment, gaussian_moments
from rgflow.brackets.reference import reference

__all__ = [
    "Moment",
    "derivative_order",
    "gaussian_moments",
    "growth_rate",
    "least_nodes",
    "reference",
    "single_input_source",
]
