"""What a network is: widths, activation, hyperparameters, and what it is shown; validated, without physics."""

from rgflow.network.kinds.dense import Dense
from rgflow.network.layer import Layer
from rgflow.network.mlp import MLP
from rgflow.network.network import HYPERPARAMETERS, Network

__all__ = ["HYPERPARAMETERS", "MLP", "Dense", "Layer", "Network"]
