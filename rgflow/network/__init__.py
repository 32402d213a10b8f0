"""What a network is: widths, activation, hyperparameters; validated descriptions without physics."""

from rgflow.network.mlp import MLP, Dense

__all__ = ["MLP", "Dense"]
