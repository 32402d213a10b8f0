"""The epochs of a training: batches in an order that seed and number say, steps, and what they came to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import nan
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rgflow.errors import InputError
from rgflow.nn.training.data import Data
from rgflow.nn.training.losses import Loss, evaluated, right

Penalty = Callable[[Tensor, torch.nn.Module], Tensor]


@dataclass
class Epochs:
    """One training: its epochs."""

    model: torch.nn.Module
    optimizer: torch.optim.Optimizer
    loss: Loss
    penalty: Penalty | None
    schedulers: Sequence[Any]
    data: Data
    batch: int
    order: str
    sequence: np.random.SeedSequence

    def epoch(self, number: int, steps: int, advance: Callable[[int], None]) -> dict[str, float]:
        """Take the steps of an epoch; means over its batches."""
        self.model.train()
        losses, penalties, hits = [], [], []
        for x, y in self._batches(number, steps):
            self.optimizer.zero_grad()
            output = self.model(x)
            loss = self.loss(output, y)
            if not isinstance(loss, Tensor) or loss.ndim:
                raise InputError(f"the loss of a batch is {loss!r:.60}; a loss returns a scalar tensor")
            losses.append(loss.detach())
            found = right(output, y)
            hits += [] if found is None else [found.sum()]
            if self.penalty is not None:
                extra = self.penalty(x, self.model)
                penalties.append(extra.detach())
                loss = loss + extra
            torch.autograd.backward(loss)
            self.optimizer.step()
            for scheduler in self.schedulers:
                if getattr(scheduler, "every_step", False):
                    scheduler.step()
            advance(1)
        row = {"train_loss": _mean(losses), "train_accuracy": _mean(hits) / self.batch}
        return row | ({"penalty": _mean(penalties)} if penalties else {})

    def judged(self, shown: bool) -> dict[str, float]:
        """What the test set says, if it is to be shown or a scheduler asks for it."""
        row = {"learning_rate": float(self.optimizer.param_groups[0]["lr"])}
        if shown or any(map(_on_plateau, self.schedulers)):
            self.model.train(False)
            found = evaluated(self.model, self.data.X_test, self.data.y_test, self.loss)
            row |= dict(zip(("test_loss", "test_accuracy"), found, strict=True))
        return row

    def schedule(self, row: Mapping[str, float]) -> None:
        """Schedulers that count epochs step, after monitors have said what the epoch was."""
        for scheduler in self.schedulers:
            if _on_plateau(scheduler):
                scheduler.step(row["test_loss"])
            elif not getattr(scheduler, "every_step", False):
                scheduler.step()

    def _batches(self, number: int, steps: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of an epoch: seed and number say everything, so that nothing of it need be kept."""
        here = np.random.SeedSequence(self.sequence.entropy, spawn_key=(*self.sequence.spawn_key, number))
        drawn, dropout = here.spawn(2)
        random = np.random.default_rng(drawn)
        _seed_torch(int(dropout.generate_state(1, np.uint64)[0] >> np.uint64(1)), self.model)
        X, y = self.data.X, self.data.y
        shuffled = random.permutation(len(X)) if self.order == "shuffled" else None
        for start in range(0, steps * self.batch, self.batch):
            if shuffled is not None:
                rows = shuffled[start : start + self.batch]
            else:
                rows = random.choice(len(X), self.batch, replace=False, shuffle=False)
            part = torch.from_numpy(rows).to(X.device)
            yield X[part], y[part]


def _seed_torch(seed: int, model: torch.nn.Module) -> None:
    torch.default_generator.manual_seed(seed)
    for index in {p.device.index or 0 for p in model.parameters() if p.device.type == "cuda"}:
        torch.cuda.default_generators[index].manual_seed(seed)


def _on_plateau(scheduler: Any) -> bool:
    return isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau)


def _mean(values: list[Tensor]) -> float:
    """In double precision, asked of the device once an epoch."""
    return float(torch.stack(values).cpu().double().mean()) if values else nan
