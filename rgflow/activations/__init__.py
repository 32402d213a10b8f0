"""Data about an activation function: formula, stable derivatives, parity, kinks, growth."""

from rgflow.activations.activation import Activation
from rgflow.activations.build import activation
from rgflow.activations.catalogue import CATALOGUE
from rgflow.activations.formula import FUNCTIONS

__all__ = ["CATALOGUE", "FUNCTIONS", "Activation", "activation"]
