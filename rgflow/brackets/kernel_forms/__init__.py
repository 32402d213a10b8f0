"""Closed forms as a kernel runs them: which brackets get one, as sums with a bound on their rounding, as source."""

from rgflow.brackets.kernel_forms.choice import closed_choice, needs_rules
from rgflow.brackets.kernel_forms.straight import Straight
from rgflow.brackets.kernel_forms.summands import Angle, Closed, ExponentialSum, HalfPowers, Part, Polynomial, Summand

__all__ = [
    "Angle",
    "Closed",
    "ExponentialSum",
    "HalfPowers",
    "Part",
    "Polynomial",
    "Straight",
    "Summand",
    "closed_choice",
    "needs_rules",
]
