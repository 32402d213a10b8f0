"""Brackets in closed form, by rules; exact SymPy expressions of the kernel."""

from rgflow.brackets.closed.bracket import closed_bracket, closed_bracket_many, closed_bracket_two
from rgflow.brackets.closed.closed_form import closed_form
from rgflow.brackets.closed.erf_moments import W, erf_moment

__all__ = ["W", "closed_bracket", "closed_bracket_many", "closed_bracket_two", "closed_form", "erf_moment"]
