"""What is measured at a step of SGD: theta.g, v^2 and v.g of a group of parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

_NARROW = (torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class Motion:
    """How a group moves: v' = momentum v - (1 - dampening) g, theta' = theta + rate v', g with decay theta in it."""

    rate: float
    momentum: float
    dampening: float
    decay: float

    @property
    def left(self) -> float:
        """(1 + mu) / (2 (1 - nu)) eta: what multiplies v^2 in O_R."""
        return self.rate * (1.0 + self.momentum) / (2.0 * (1.0 - self.dampening))


def motion(group: dict[str, Any]) -> Motion:
    """Of a group of torch.optim.SGD, which ignores dampening where there is no momentum."""
    momentum = float(group["momentum"])
    return Motion(
        float(group["lr"]), momentum, float(group["dampening"]) if momentum else 0.0, float(group["weight_decay"])
    )


def moving(group: dict[str, Any]) -> list[Tensor]:
    """The parameters that the next step moves: those with a gradient."""
    return [parameter for parameter in group["params"] if parameter.grad is not None]


def gradient(parameter: Tensor, decay: float) -> Tensor:
    """g = grad f^B + decay theta at the parameter as it stands, in at least single precision."""
    found = parameter.grad
    assert found is not None
    found = wide(found.to_dense() if found.is_sparse else found)
    return found.add(wide(parameter.detach()), alpha=decay) if decay else found


def velocity(optimizer: torch.optim.Optimizer, parameter: Tensor) -> Tensor | None:
    """v, which torch keeps as its negative; None before the first step, or without momentum."""
    buffer = optimizer.state.get(parameter, {}).get("momentum_buffer")
    return None if buffer is None else -wide(buffer)


def wide(tensor: Tensor) -> Tensor:
    """In at least single precision: sums over many parameters need the digits."""
    return tensor.float() if tensor.dtype in _NARROW else tensor


def dot(a: Tensor, b: Tensor) -> Tensor:
    """The real inner product over all entries."""
    if a.is_complex():
        a, b = torch.view_as_real(a.contiguous()), torch.view_as_real(b.contiguous())
    return torch.dot(a.reshape(-1), b.reshape(-1))
