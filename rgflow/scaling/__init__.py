"""Parametrisations of deep networks: variances and widths that vary with depth."""

from rgflow.scaling.growth import PhaseCase, VariationPhases, variation_phases
from rgflow.scaling.suggest import Suggestion, suggest_variation
from rgflow.scaling.variation import variation, variation_network

__all__ = [
    "PhaseCase",
    "Suggestion",
    "VariationPhases",
    "suggest_variation",
    "variation",
    "variation_network",
    "variation_phases",
]
