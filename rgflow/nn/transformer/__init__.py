"""Transformers in PyTorch: models of a description, and the learning rates of their groups of parameters."""
