"""What a training has come to, kept in a checkpoint so that it goes on to the same bits."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
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
        self.stopped, self.rows = done["stopped"], done["rows"]

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
        if set(state["others"]) != set(self.others):
            raise InputError(
                f"{path} holds the states of {sorted(state['others'])}, here are {sorted(self.others)}; give the same "
                "schedulers, monitors and penalty, or another path"
            )


def _outline(state: Mapping[str, Any]) -> dict[str, str]:
    """Shapes and dtypes of what a model holds."""
    return {name: f"{tuple(t.shape)} of {t.dtype}" for name, t in state.items() if isinstance(t, Tensor)}


def has_state(thing: Any) -> bool:
    """Whether something can be kept: it has ``state_dict`` and ``load_state_dict``."""
    return callable(getattr(thing, "state_dict", None)) and callable(getattr(thing, "load_state_dict", None))


def named(schedulers: Sequence[Any], monitors: Sequence[Any], penalty: Any) -> dict[str, Any]:
    """Everything beside model and optimizer by a name that stays the same."""
    found = {f"scheduler {number}": thing for number, thing in enumerate(schedulers)}
    found |= {f"monitor {number}": thing for number, thing in enumerate(monitors)}
    return found | {"penalty": penalty}


def mark_of(*tensors: Tensor) -> str:
    """A short mark by which data are known again: the first and last rows, and all of what is one number a row."""
    seen = hashlib.sha256()
    for tensor in tensors:
        rows = tensor if tensor.ndim == 1 else torch.stack([tensor[0], tensor[-1]]) if len(tensor) else tensor
        seen.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        seen.update(rows.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return seen.hexdigest()[:16]
