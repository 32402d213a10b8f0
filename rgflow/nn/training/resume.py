"""What a training has come to, kept in a checkpoint so that it goes on to the same bits."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import zip_longest
from types import CodeType
from typing import Any

import torch
from torch import Tensor

from rgflow.errors import InputError
from rgflow.nn.training.checkpoint import load_checkpoint, save_checkpoint


class Record:
    """Epochs and steps finished, the rows of the history, and everything with a state.

    Parameters
    ----------
    settings : mapping
        Text and numbers that a training which goes on must have in common with the one that began.
    model, optimizer
        Of torch.
    others : mapping of name to object
        Schedulers, monitors, a penalty: those with ``state_dict`` and ``load_state_dict`` are kept.
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        model: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        others: Mapping[str, Any],
    ):
        self.settings = dict(settings)
        self.model, self.optimizer = model, optimizer
        self.others = {name: thing for name, thing in others.items() if has_state(thing)}
        self.begun = _hyperparameters(optimizer.param_groups)
        self.parameters = _parameters(model, optimizer)
        self.epoch = self.step = 0
        self.seconds = 0.0
        self.stopped = ""
        self.rows: list[dict[str, float]] = []

    def write(self, path: str | os.PathLike[str]) -> None:
        """Everything to ``path``, at once or not at all."""
        save_checkpoint(
            {
                "training": {
                    "settings": self.settings,
                    "begun": self.begun,
                    "parameters": self.parameters,
                    "epoch": self.epoch,
                    "step": self.step,
                    "seconds": self.seconds,
                    "stopped": self.stopped,
                    "rows": self.rows,
                },
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "others": {name: thing.state_dict() for name, thing in self.others.items()},
            },
            path,
        )

    def take_up(self, path: str | os.PathLike[str], total: int, per_epoch: int) -> None:
        """Go on from ``path`` if it is there; InputError, and nothing changed, if it belongs to something else."""
        if not os.path.exists(path):
            return
        state = load_checkpoint(path)
        if not {"training", "model", "optimizer", "others"} <= set(state):
            raise InputError(f"{path} holds {', '.join(state)}, not a training that rgflow.nn.fit wrote")
        done = state["training"]
        for name, value in self.settings.items():
            if done["settings"].get(name) != value:
                before = done["settings"].get(name)
                raise InputError(f"{path} is of a training with {name} = {before!r}, not {value!r}; give another path")
        self._fits(path, state)
        if done["step"] > total:
            raise InputError(f"{path} is of a training of {done['step']} steps, more than the {total} asked for")
        if done["step"] < total and done["step"] % per_epoch and not done["stopped"]:
            raise InputError(
                f"{path} ends at step {done['step']}, inside an epoch of {per_epoch} steps, and cannot go on to the "
                "same numbers; train for whole epochs first"
            )
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        for name, thing in self.others.items():
            thing.load_state_dict(state["others"][name])
        self.epoch, self.step, self.seconds = done["epoch"], done["step"], done["seconds"]
        self.stopped, self.rows, self.begun = done["stopped"], done["rows"], done["begun"]

    def _fits(self, path: Any, state: Mapping[str, Any]) -> None:
        """Nothing is loaded before everything is known to fit."""
        here, there = _outline(self.model.state_dict()), _outline(state["model"])
        if here != there:
            names = [name for name in {**there, **here} if here.get(name) != there.get(name)]
            shapes = f"{there.get(names[0])}, here {here.get(names[0])}"
            raise InputError(f"{path} is of another model: {names[0]} is {shapes}; give another path")
        groups = [len(group["params"]) for group in self.optimizer.state_dict()["param_groups"]]
        if [len(group["params"]) for group in state["optimizer"]["param_groups"]] != groups:
            raise InputError(f"{path} is of an optimizer with other groups of parameters; give another path")
        # torch gives states to parameters by their number alone
        for number, pair in enumerate(zip_longest(state["training"].get("parameters", []), self.parameters)):
            if pair[0] != pair[1]:
                raise InputError(
                    f"{path} is of an optimizer whose group {number} has the parameters {pair[0]}, here {pair[1]}; "
                    "give them in the same order, or another path"
                )
        # the rates of now, too: the same optimizer, which a scheduler has lowered since, goes on after Ctrl-C
        before: list[dict[str, str]] = state["training"].get("begun", [])
        if self.begun not in (before, _hyperparameters(state["optimizer"]["param_groups"])):
            for number, (old, new) in enumerate(zip(before, self.begun, strict=True)):
                for name in {**old, **new}:
                    if old.get(name) != new.get(name):
                        raise InputError(
                            f"{path} is of a training that began with {name} = {old.get(name)} in group {number} of "
                            f"the optimizer, not {new.get(name)}; give another path"
                        )
        if set(state["others"]) != set(self.others):
            raise InputError(
                f"{path} holds the states of {sorted(state['others'])}, here are {sorted(self.others)}; give the same "
                "schedulers, monitors and penalty, or another path"
            )


def _outline(state: Mapping[str, Any]) -> dict[str, str]:
    """Shapes and dtypes of what a model holds."""
    return {name: f"{tuple(t.shape)} of {t.dtype}" for name, t in state.items() if isinstance(t, Tensor)}


def _hyperparameters(groups: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Those of each group as text, with the learning rate that it had before schedulers of torch."""
    found = []
    for group in groups:
        kept = {name: told(value) for name, value in group.items() if name not in ("params", "param_names")}
        found.append({**kept, "lr": kept.pop("initial_lr", kept.get("lr", ""))})
    return found


def _parameters(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> list[list[str]]:
    """Names in the model of the parameters of each group; the shape of what is not in it."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return [[names.get(id(p), str(tuple(p.shape))) for p in group["params"]] for group in optimizer.param_groups]


def told(thing: Any) -> str:
    """What can be said of a setting, a function or an object without running it, the same in every process.

    Functions by name, code and the numbers and functions that they hold; objects by what they print of themselves.
    """
    if isinstance(thing, Tensor):
        return repr(thing.item()) if thing.numel() == 1 else f"Tensor{tuple(thing.shape)}"
    if isinstance(thing, (tuple, list)):
        return f"({', '.join(map(told, thing))})"
    if isinstance(thing, partial):
        return f"{told(thing.func)} with {told(thing.args)}, {told(list(thing.keywords.items()))}"
    if isinstance(getattr(thing, "__code__", None), CodeType):
        held = [*_held(thing), *(thing.__defaults__ or ()), *(thing.__kwdefaults__ or {}).items()]
        seen = hashlib.sha256(_code(thing.__code__) + repr(list(map(_plain, held))).encode())
        return f"{thing.__qualname__} {seen.hexdigest()[:8]}"
    text = repr(thing)
    if " at 0x" not in text:  # an address is another one in the next process
        return text
    return str(getattr(thing, "__qualname__", type(thing).__qualname__))


def _held(function: Any) -> list[Any]:
    """What the variables of a function hold that come from around it; none where they are not set yet."""
    found = []
    for cell in function.__closure__ or ():
        try:
            found.append(cell.cell_contents)
        except ValueError:
            found.append(None)
    return found


def _plain(value: Any) -> str:
    """Numbers and text as they are; of all else, which may change while a training runs, the kind."""
    if value is None or isinstance(value, (bool, int, float, complex, str)):
        return repr(value)
    if isinstance(value, tuple):
        return f"({', '.join(map(_plain, value))})"
    if isinstance(getattr(value, "__code__", None), CodeType):
        return f"{value.__qualname__} {hashlib.sha256(_code(value.__code__)).hexdigest()}"
    return str(getattr(value, "__qualname__", type(value).__qualname__))


def _code(code: CodeType) -> bytes:
    inner = [_code(const) if isinstance(const, CodeType) else _plain(const).encode() for const in code.co_consts]
    return b"\0".join([code.co_code, repr(code.co_names).encode(), *inner])


def has_state(thing: Any) -> bool:
    """Whether something can be kept: it has ``state_dict`` and ``load_state_dict``."""
    return callable(getattr(thing, "state_dict", None)) and callable(getattr(thing, "load_state_dict", None))


def named(schedulers: Sequence[Any], monitors: Sequence[Any], penalty: Any) -> dict[str, Any]:
    """Everything beside model and optimizer by a name that stays the same."""
    found = {f"scheduler {number}": thing for number, thing in enumerate(schedulers)}
    found |= {f"monitor {number}": thing for number, thing in enumerate(monitors)}
    return found | {"penalty": penalty}


def mark_of(*tensors: Tensor) -> str:
    """A short mark by which data are known again, of all their bytes."""
    seen = hashlib.sha256()
    for tensor in tensors:
        seen.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        seen.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return seen.hexdigest()[:16]
