"""The gradient and the curvature of the full-batch loss, a few thousand examples at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from rgflow.nn.modes import resting
from rgflow.nn.training.data import Data
from rgflow.nn.training.losses import Loss
from rgflow.nn.training.resume import has_state


class Full:
    """f(theta), the mean over all examples of loss and penalty, of a model as it stands; nothing of it is changed.

    Modules are in evaluation mode: no dropout, and batch normalisation by its running numbers.
    """

    def __init__(self, model: torch.nn.Module, data: Data, loss: Loss, penalty: object = None, rows: int = 2000):
        self.model, self.data, self.loss, self.rows = model, data, loss, rows
        self.penalty = penalty

    def gradient(self, parameters: Sequence[Tensor]) -> list[Tensor]:
        """grad f, one tensor for each parameter; without weight decay, which the optimizer adds."""
        found = [torch.zeros_like(parameter) for parameter in parameters]
        for value, share in self._pieces():
            for total, piece in zip(found, _grad(value, parameters), strict=True):
                total.add_(piece, alpha=share)
        return found

    def along(self, parameters: Sequence[Tensor], direction: Sequence[Tensor]) -> Tensor:
        """v . H v for a direction v, H the matrix of second derivatives of f (almost everywhere, at kinks)."""
        total = direction[0].new_zeros(())
        for value, share in self._pieces():
            first = _grad(value, parameters, twice=True)
            slope = sum((g * v).sum() for g, v in zip(first, direction, strict=True))
            assert isinstance(slope, Tensor)
            second = _grad(slope, parameters) if slope.requires_grad else [torch.zeros_like(p) for p in parameters]
            total = total + share * sum((h * v).sum() for h, v in zip(second, direction, strict=True))
        return total

    def batch_gradient(self, parameters: Sequence[Tensor], examples: Tensor) -> list[Tensor]:
        """grad f^B of some examples."""
        with self._still():
            return _grad(self._value(self.data.X[examples], self.data.y[examples]), parameters)

    def _value(self, x: Tensor, y: Tensor) -> Tensor:
        value = self.loss(self.model(x), y)
        return value + self.penalty(x, self.model) if callable(self.penalty) else value

    def _pieces(self) -> Iterator[tuple[Tensor, float]]:
        X, y = self.data.X, self.data.y
        for start in range(0, len(X), self.rows):
            x = X[start : start + self.rows]
            with self._still():
                value = self._value(x, y[start : start + self.rows])
            yield value, len(x) / len(X)

    @contextmanager
    def _still(self) -> Iterator[None]:
        """Modes of modules and what a penalty draws are afterwards what they were."""
        drawn = self.penalty.state_dict() if has_state(self.penalty) else None  # type: ignore[attr-defined]
        try:
            with resting(self.model), torch.enable_grad():
                yield
        finally:
            if drawn is not None:
                self.penalty.load_state_dict(drawn)  # type: ignore[attr-defined]


def _grad(value: Tensor, parameters: Sequence[Tensor], twice: bool = False) -> list[Tensor]:
    found = torch.autograd.grad(value, list(parameters), create_graph=twice, allow_unused=True)
    return [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, found, strict=True)]
