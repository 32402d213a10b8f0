"""From a bracket to a closed form, a series or a number."""

from rgflow.brackets.emit import single_input_source
from rgflow.brackets.moments import Moment, gaussian_moments
from rgflow.brackets.reference import reference

__all__ = ["Moment", "gaussian_moments", "reference", "single_input_source"]
