"""Which optimizers the relations cover, and why not the others."""

from __future__ import annotations

from typing import Any

import torch

from rgflow.errors import InputError


def refuse(optimizer: Any) -> None:
    """InputError unless ``optimizer`` is stochastic gradient descent as the relations take it."""
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise InputError(f"optimizer is a {type(optimizer).__name__}; give a torch.optim.SGD")
    name = type(optimizer).__name__
    if not isinstance(optimizer, torch.optim.SGD):
        why = (
            "its step calls the loss several times"
            if isinstance(optimizer, torch.optim.LBFGS)
            else "its step divides each gradient by its own past, for which the relations do not hold"
        )
        raise InputError(f"the optimizer is {name}: {why}; they hold for torch.optim.SGD")
    own = [
        kind for kind in type(optimizer).__mro__ if issubclass(kind, torch.optim.SGD) and kind is not torch.optim.SGD
    ]
    if any("step" in vars(kind) for kind in own):
        raise InputError(
            f"the optimizer is {name}, an SGD with a step of its own; the relations hold for torch.optim.SGD"
        )
    for number, group in enumerate(optimizer.param_groups):
        refuse_group(number, group)


def refuse_group(number: int, group: dict[str, Any]) -> None:
    """InputError for a group of parameters that moves otherwise than theta <- theta + eta v, v <- mu v - (1-nu) g."""
    if group.get("nesterov"):
        raise InputError(
            f"group {number} has Nesterov momentum, whose steps are not along the velocity that it keeps; "
            "the relations hold for nesterov=False"
        )
    if group.get("maximize"):
        raise InputError(
            f"group {number} goes uphill (maximize=True) and has no stationary state; minimise the negative"
        )
    if not float(group["dampening"]) < 1 and float(group["momentum"]):
        raise InputError(
            f"group {number} has dampening {group['dampening']}; below 1 the velocity follows the gradient"
        )


def refuse_closure(optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
    """InputError for ``optimizer.step(closure)``: the gradient is not there yet when the step begins."""
    if any(given is not None and given is not optimizer for given in (*args, *kwargs.values())):
        raise InputError(
            "optimizer.step was called with a closure, which computes the gradient within the step; call "
            "loss.backward() first, and step() without it"
        )
