"""What the recursions say without iterating them: critical points, power laws, solutions in depth, phases."""

from rgflow.universality.check import Check
from rgflow.universality.criticality import Criticality, criticality
from rgflow.universality.fixed_points import CorrelationLengths, correlation_lengths
from rgflow.universality.phase import phase_diagram
from rgflow.universality.points import CriticalPoint
from rgflow.universality.power_law import PowerLaw
from rgflow.universality.rates import LearningRates, learning_rates
from rgflow.universality.solution import Solution
from rgflow.universality.solve import solve
from rgflow.universality.tune import tune

__all__ = [
    "Check",
    "CorrelationLengths",
    "CriticalPoint",
    "Criticality",
    "LearningRates",
    "PowerLaw",
    "Solution",
    "correlation_lengths",
    "criticality",
    "learning_rates",
    "phase_diagram",
    "solve",
    "tune",
]
