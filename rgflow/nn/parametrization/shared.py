"""Parameters that several modules share: which role decides, and the multiplier that serves the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from rgflow.errors import InputError
from rgflow.nn.parametrization.axes import Used
from rgflow.nn.parametrization.powers import Scaling

_ORDER = ("embedding", "input", "hidden", "output")
_GROUPS = {"embedding": "input", "gain": "hidden", "frozen": "fixed"}


def group_of(role: str) -> tuple[str, bool]:
    """The group of a role, and whether it has the exponents of biases."""
    if role.endswith(" bias"):
        return role.removesuffix(" bias"), True
    return _GROUPS.get(role, role), role == "gain"


def main_use(listed: Sequence[Used]) -> Used:
    """The use that decides: of an embedding that is also the output, the embedding."""
    return min(listed, key=lambda used: _ORDER.index(used.role) if used.role in _ORDER else len(_ORDER))


def multiplier(listed: Sequence[Used], scaled: Scaling) -> float:
    """Of the uses of a shared parameter in another role than its own; InputError where none serves."""
    group = group_of(main_use(listed).role)
    others = {group_of(used.role) for used in listed} - {group}
    if not others:
        return 1.0
    if len(others) > 1 or any(bias or name == "fixed" for name, bias in {group, *others}):
        roles = ", ".join(f"{used.name!r} ({used.role})" for used in listed)
        raise InputError(f"one parameter is shared by {roles}; give it one role, roles={{name: ...}}, or share it not")
    return scaled.multiplier(group[0], others.pop()[0])


def attach(listed: Sequence[Used], factor: float) -> list[Any]:
    """Multiply what the modules of the other role read; handles that undo it."""
    if factor == 1.0:
        return []
    group = group_of(main_use(listed).role)
    other = [used.owner for used in listed if group_of(used.role) != group]
    return [owner.register_forward_pre_hook(Times(factor), with_kwargs=True) for owner in other]


def detach(module: nn.Module) -> None:
    """Take away the multipliers of an earlier parametrisation, also from a copy."""
    for each in module.modules():
        for key in [key for key, hook in each._forward_pre_hooks.items() if isinstance(hook, Times)]:
            del each._forward_pre_hooks[key]
            each._forward_pre_hooks_with_kwargs.pop(key, None)


class Times:
    """Multiplies the input of a module; a class, so that the module can be copied."""

    def __init__(self, factor: float):
        self.factor = factor

    def __call__(
        self, module: nn.Module, inputs: tuple[Tensor, ...], named: dict[str, Tensor]
    ) -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:
        if inputs:
            return (inputs[0] * self.factor, *inputs[1:]), named
        return inputs, named | {"input": named["input"] * self.factor}
