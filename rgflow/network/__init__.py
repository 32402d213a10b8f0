"""What a network is: widths, activation, hyperparameters, and what it is shown; validated, without physics."""

from rgflow.network.mlp import HYPERPARAMETERS, MLP, Dense

__all__ = ["HYPERPARAMETERS", "MLP", "Dense"]
