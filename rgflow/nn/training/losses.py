"""Losses by name, and what a model scores on examples it does not learn from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from rgflow.errors import InputError, UnknownName

Loss = Callable[[Tensor, Tensor], Tensor]


def _mse(output: Tensor, y: Tensor) -> Tensor:
    """Mean over examples of half the squared distance; classes stand for rows of the identity."""
    if not y.is_floating_point():
        y = functional.one_hot(y, output.shape[-1]).to(output.dtype)
    if y.shape != output.shape:
        raise InputError(f"outputs have shape {tuple(output.shape)}, targets {tuple(y.shape)}; mse needs the same")
    return (output - y).square().sum() / (2 * len(output))


def _cross_entropy(output: Tensor, y: Tensor) -> Tensor:
    return functional.cross_entropy(output, y)


_LOSSES: dict[str, Loss] = {"cross_entropy": _cross_entropy, "mse": _mse}


def loss_function(loss: Any) -> Loss:
    """The function of (output, y) that a name stands for, or the function given.

    "cross_entropy": mean over examples of -log softmax(output)[y]. "mse": mean over examples of |output - y|^2 / 2,
    y a row of the identity for classes.

    >>> loss_function("mse")(torch.zeros(3, 2), torch.tensor([0, 1, 1])).item()
    0.5
    """
    if isinstance(loss, str):
        if loss not in _LOSSES:
            raise UnknownName("loss", loss, _LOSSES)
        return _LOSSES[loss]
    if not callable(loss):
        raise InputError(f"loss is {loss!r}; give {', '.join(map(repr, _LOSSES))} or a function of (output, y)")
    found: Loss = loss
    return found


def right(output: Tensor, y: Tensor) -> Tensor | None:
    """Which examples (examples,) have their class as the largest of the outputs; None where targets are no classes."""
    if y.is_floating_point() or y.ndim != 1 or output.ndim != 2:
        return None
    return output.detach().argmax(dim=1) == y


@torch.no_grad()
def evaluated(model: torch.nn.Module, X: Tensor, y: Tensor, loss: Loss, rows: int = 2000) -> tuple[float, float]:
    """Mean loss and accuracy of a model in the mode in which it stands, ``rows`` examples at a time."""
    if not len(X):
        return float("nan"), float("nan")
    total, hits, classes = 0.0, 0, True
    for start in range(0, len(X), rows):
        part = slice(start, start + rows)
        output = model(X[part])
        total += float(loss(output, y[part])) * len(X[part])
        found = right(output, y[part])
        classes = classes and found is not None
        hits += int(found.sum()) if found is not None else 0
    return total / len(X), hits / len(X) if classes else float("nan")
