"""Training and evaluation mode: changed for a while, and afterwards what it was, module by module."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def kept_modes(model: torch.nn.Module) -> Iterator[None]:
    """Every module is afterwards in the mode in which it was, whatever happens."""
    before = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, training in before:
            module.training = training


@contextmanager
def resting(model: torch.nn.Module) -> Iterator[None]:
    """The model in evaluation mode, and afterwards as it was."""
    with kept_modes(model):
        model.train(False)
        yield
