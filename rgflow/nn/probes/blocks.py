"""Which modules of a model are looked at: named by the user, or the blocks from weight matrix to weight matrix."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn

from rgflow.errors import InputError, UnknownName
from rgflow.nn.models.build import Model

INPUT = "input"
"""What the inputs of a model are called among its modules."""


def chosen(model: nn.Module, modules: Any = None) -> dict[str, nn.Module]:
    """Names and modules whose outputs are looked at, in the order given.

    Parameters
    ----------
    model : Module
    modules : sequence of names or modules, optional
        Names as of ``model.named_modules()``. By default the layers of a model that was built from a description; else
        the blocks of the model: of its outermost chain of children those that hold a weight matrix.

    Raises
    ------
    InputError
        If there are no blocks, a module is none of the model's, or one is named twice.
    UnknownName
        For a name that the model does not have.

    >>> list(chosen(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Sequential(nn.ReLU(), nn.Linear(4, 2)))))
    ['0', '2']
    """
    names = {module: name for name, module in model.named_modules()}
    if modules is None:
        return {names[module]: module for module in _blocks(model)}
    if isinstance(modules, (str, nn.Module)) or not isinstance(modules, Iterable):
        raise InputError(f"modules is {modules!r}; give a list of names or of modules")
    found: dict[str, nn.Module] = {}
    for each in modules:
        name, module = _one(model, names, each)
        if name in found:
            raise InputError(f"the module {name!r} is given twice; each is looked at once")
        found[name] = module
    if not found:
        raise InputError("modules is empty; name at least one")
    return found


def _one(model: nn.Module, names: dict[nn.Module, str], each: Any) -> tuple[str, nn.Module]:
    if isinstance(each, nn.Module):
        if each not in names:
            raise InputError(f"{each!r} is no module of the model; take one of model.named_modules()")
        return names[each], each
    if not isinstance(each, str):
        raise InputError(f"{each!r} does not name a module; give a name of model.named_modules() or the module itself")
    known = {name: module for module, name in names.items() if name}
    if each not in known:
        raise UnknownName("module", each, known)
    return each, known[each]


def _blocks(model: nn.Module) -> list[nn.Module]:
    if isinstance(model, Model):
        return list(model.layers)
    outer: nn.Module = model
    while True:
        found = [child for child in outer.children() if holds_matrix(child)]
        if len(found) != 1 or not list(found[0].children()):
            break
        outer = found[0]  # a wrapper
    if len(found) > 1:
        return found
    raise InputError(
        f"{type(model).__name__} has no chain of blocks with weights; name the modules to look at, as modules=[...]"
    )


def holds_matrix(module: nn.Module) -> bool:
    """Whether a module, or one within it, has a weight matrix."""
    return any(parameter.ndim >= 2 for parameter in module.parameters())
