"""A plain training loop: seeded, watched, interrupted and taken up again to the last bit."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import isfinite, nan
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from rgflow.checks import whole
from rgflow.errors import InputError
from rgflow.labelled import dataset
from rgflow.nn.modes import kept_modes
from rgflow.nn.training.data import Data
from rgflow.nn.training.epochs import Epochs, Penalty
from rgflow.nn.training.losses import Loss, loss_function
from rgflow.nn.training.resume import Record, mark_of, named, told
from rgflow.progress import progress_bar
from rgflow.seeds import seed_sequence, seed_text

if TYPE_CHECKING:
    import xarray


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during :func:`fit`: ``history`` is the Dataset of what was finished."""

    def __init__(self, history: xarray.Dataset):
        super().__init__(f"interrupted; {history.sizes['epoch']} rows of history are kept in .history")
        self.history = history


@dataclass(frozen=True)
class Epoch:
    """What :func:`fit` calls its monitors with, for each row of the history.

    Attributes
    ----------
    number, step : int
        Epochs and steps finished since the start.
    model, data, loss, penalty
        As they are trained: data on the model's device, ``loss(output, y)`` a function.
    batch : int
        Examples in each step.
    """

    number: int
    step: int
    model: torch.nn.Module
    data: Data
    loss: Loss
    penalty: Penalty | None
    batch: int


def fit(
    model: torch.nn.Module,
    data: Data,
    *,
    optimizer: torch.optim.Optimizer,
    loss: str | Loss = "cross_entropy",
    epochs: int | None = None,
    steps: int | None = None,
    batch: int | None = 100,
    seed: Any = 0,
    order: str = "shuffled",
    penalty: Penalty | None = None,
    monitors: Sequence[Any] = (),
    schedulers: Sequence[Any] = (),
    checkpoint: str | os.PathLike[str] | None = None,
    every: int = 1,
    progress: bool = True,
) -> xarray.Dataset:
    r"""Train a model on batches.

    .. math:: \mathcal{L}_B = \frac{1}{|B|} \sum_{(x, y) \in B} \text{loss}(\text{model}(x), y)
              + \text{penalty}(x, \text{model})

    Each step follows the gradient of this.

    An epoch goes once through the examples, in an order that depends on ``seed`` and on the number of the epoch alone;
    what does not fill a batch is left out. Torch's global random numbers, which dropout uses, are seeded for each
    epoch in the same way, and are afterwards what they were before.

    Parameters
    ----------
    model : torch.nn.Module
        On any device, of any dtype; floating inputs are moved to those of its first parameter.
    data : Data
        From :func:`digits`, :func:`mnist`, or of one's own.
    optimizer : torch.optim.Optimizer
        Of the model's parameters. One whose step needs a closure (LBFGS) is refused.
    loss : "cross_entropy", "mse" or function
        Mean over examples of -log softmax(output)[y], or of |output - y|^2 / 2 (classes stand for rows of the
        identity); or a function of (output, y) that returns a scalar.
    epochs, steps : int
        How long, one of the two; with ``steps`` the last epoch may be shorter.
    batch : int, optional
        Examples in each step; None takes all.
    seed : int, SeedSequence or Generator
        Of the order of examples and of dropout; the weights are drawn already.
    order : "shuffled" or "independent"
        Each epoch once through the examples; or every batch drawn anew from all of them, as theory has it: noise that
        is shuffled sums to nothing over an epoch, so that slow modes of the parameters fluctuate less.
    penalty : function, optional
        Of (x, model), a scalar that is added to the loss of each batch, as :class:`JacobianPenalty`.
    monitors : sequence
        Functions of an :class:`Epoch`; the mapping of names to numbers that one returns becomes columns of the
        history. :class:`FluctuationMonitor` is one.
    schedulers : sequence
        Of torch or like them: ``step()`` is called after each epoch, or after each step if the scheduler has an
        attribute ``every_step`` that is true. ReduceLROnPlateau is given the test loss.
    checkpoint : path, optional
        A file that holds everything, written anew with each row of the history. If it is there already, training goes
        on from it, and ends with the same bits as one that was never interrupted. Beside model and optimizer, what has
        a ``state_dict`` among schedulers, monitors and penalty is kept.
    every : int
        Epochs between rows of the history; the last epoch always has one. So has the last epoch of every run that a
        checkpoint went on from: its row stays in the history between the others.
    progress : bool
        Show a bar.

    Returns
    -------
    xarray.Dataset
        Over ``epoch``: ``step``; ``train_loss``, ``train_accuracy`` and ``penalty``, averaged over the batches of that
        epoch as they came, each before its step; ``test_loss`` and ``test_accuracy`` over the test set, afterwards;
        ``learning_rate`` of the first group; ``seconds`` since the start; what monitors said. Accuracies of targets
        that are no classes are NaN. A loss that is not finite ends the training with that epoch, and
        ``attrs["stopped"]`` says so; it is empty otherwise.

    Raises
    ------
    InputError
        For settings outside their domain, data that do not fit the model, or a checkpoint of another training.
    StoreError
        For a checkpoint that cannot be read or written.
    Interrupted
        After Ctrl-C; a KeyboardInterrupt whose ``history`` has the rows so far. The checkpoint stands at the last row.

    Examples
    --------
    >>> import torch, rgflow as rg
    >>> model = rg.nn.build(rg.MLP([64, 10], "relu", C_W=1.0), seed=0, dtype=torch.float32)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> history = rg.nn.fit(model, rg.nn.digits(), optimizer=optimizer, epochs=5, progress=False)
    >>> bool(history["test_accuracy"][-1] > 0.85)
    True
    """
    _fitting(model, data, optimizer)
    monitors, schedulers = _called(monitors, schedulers, penalty)
    batch = len(data.X) if batch is None else whole("batch", batch, 1)
    if batch > len(data.X):
        raise InputError(f"batch is {batch}; the data have {len(data.X)} examples (batch=None takes all)")
    per_epoch = len(data.X) // batch
    if (epochs is None) == (steps is None):
        raise InputError(f"epochs is {epochs!r} and steps is {steps!r}; give one of the two")
    total = per_epoch * whole("epochs", epochs, 0) if steps is None else whole("steps", steps, 0)
    if order not in ("shuffled", "independent"):
        raise InputError(f"order is {order!r}; it must be 'shuffled' or 'independent'")
    sequence = seed_sequence(seed)
    settings = {
        "seed": seed_text(sequence),
        "order": order,
        "batch": batch,
        "loss": loss if isinstance(loss, str) else told(loss),
        "penalty": None if penalty is None else told(penalty),
        "optimizer": type(optimizer).__name__,
        "data": "" if checkpoint is None else mark_of(data.X, data.y, data.X_test, data.y_test),
    }
    record = Record(settings, model, optimizer, named(schedulers, monitors, penalty))
    run = Epochs(
        model, optimizer, loss_function(loss), penalty, schedulers, _at_home(data, model), batch, order, sequence
    )
    every = whole("every", every, 1)
    _shapes(model, run.data, isinstance(loss, str))
    if checkpoint is not None:
        record.take_up(checkpoint, total, per_epoch)
    said_loss = loss if isinstance(loss, str) else "function"
    begun = time.monotonic() - record.seconds
    try:
        with progress_bar(progress, "training", total) as advance, _undisturbed(model):
            advance(record.step)
            while record.step < total and not record.stopped:
                number = record.epoch + 1
                row = run.epoch(number, min(per_epoch, total - record.step), advance)
                step = record.step + min(per_epoch, total - record.step)
                if not isfinite(row["train_loss"]):
                    record.stopped = f"the loss became {row['train_loss']} in epoch {number}"
                shown = step >= total or bool(record.stopped) or number % every == 0
                row = {"epoch": number, "step": step, **row, **run.judged(shown)}
                if shown:
                    said = Epoch(number, step, model, run.data, run.loss, penalty, batch)
                    for monitor in monitors:
                        row.update(_numbers(monitor(said), row, monitor))
                run.schedule(row)
                record.epoch, record.step = number, step
                if shown:
                    row["seconds"] = record.seconds = time.monotonic() - begun
                    record.rows.append(row)
                    if checkpoint is not None:
                        record.write(checkpoint)
    except KeyboardInterrupt as stop:
        raise Interrupted(_history(record, data, optimizer, said_loss, "interrupted")) from stop
    return _history(record, data, optimizer, said_loss, record.stopped)


def _fitting(model: Any, data: Any, optimizer: Any) -> None:
    """Refuse what cannot be trained."""
    if not isinstance(model, torch.nn.Module):
        raise InputError(f"model is a {type(model).__name__}; give a torch.nn.Module")
    if not isinstance(data, Data):
        raise InputError(f"data is a {type(data).__name__}; give what digits() or mnist() return, or a Data")
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise InputError(f"optimizer is a {type(optimizer).__name__}; give an optimizer of torch")
    if isinstance(optimizer, torch.optim.LBFGS):
        raise InputError("the optimizer is LBFGS, whose step calls the loss again; give one that takes a gradient")
    own = {id(parameter) for parameter in model.parameters()}
    if not any(id(p) in own and p.requires_grad for group in optimizer.param_groups for p in group["params"]):
        raise InputError("the optimizer has no parameter of the model that requires a gradient; nothing would learn")
    for number, group in enumerate(optimizer.param_groups):
        if not isinstance(group.get("lr"), Real | torch.Tensor):
            raise InputError(f"lr of group {number} of the optimizer is {group.get('lr')!r}; give a number")


def _called(monitors: Any, schedulers: Any, penalty: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Monitors and schedulers as tuples; InputError for what cannot be called."""
    found = []
    for name, given in (("monitors", monitors), ("schedulers", schedulers)):
        try:
            found.append(tuple(given))
        except TypeError:
            raise InputError(f"{name} is {given!r:.60}; give a list of them") from None
    for monitor in found[0]:
        if not callable(monitor):
            raise InputError(f"monitors holds {monitor!r:.60}; give functions of an epoch")
    for scheduler in found[1]:
        if not callable(getattr(scheduler, "step", None)):
            raise InputError(f"schedulers holds {scheduler!r:.60}; give schedulers of torch, or objects with step()")
    if penalty is not None and not callable(penalty):
        raise InputError(f"penalty is {penalty!r:.60}; give a function of (x, model), as JacobianPenalty(0.01)")
    return found[0], found[1]


def _shapes(model: torch.nn.Module, data: Data, named_loss: bool) -> None:
    """InputError before training for inputs that the model does not take, and classes that it has no output for."""
    with _undisturbed(model), torch.no_grad():
        model.train(False)
        try:
            output = model(data.X[:2])
        except torch.cuda.OutOfMemoryError:
            raise
        except RuntimeError as error:
            first = next((tuple(p.shape) for p in model.parameters() if p.ndim > 1), ())
            raise InputError(
                f"the model does not take inputs of shape {tuple(data.X.shape[1:])} (its first weights have shape "
                f"{first}): {error}"
            ) from error
    for name, y in (("y", data.y), ("y_test", data.y_test)):
        if not named_loss or y.dtype.is_floating_point or y.ndim != 1 or output.ndim != 2 or not len(y):
            continue
        if int(y.max()) >= output.shape[1]:
            raise InputError(
                f"{name} holds classes up to {int(y.max())}; the model returns shape {tuple(output.shape)}, "
                f"for classes 0..{output.shape[1] - 1}; give it more outputs"
            )


def _at_home(data: Data, model: torch.nn.Module) -> Data:
    first = next(model.parameters())
    return data.to(first.device, first.dtype if first.is_floating_point() else None)


@contextmanager
def _undisturbed(model: torch.nn.Module) -> Iterator[None]:
    """Modes of modules and global random numbers are afterwards what they were before."""
    devices = sorted({p.device.index or 0 for p in model.parameters() if p.device.type == "cuda"})
    with kept_modes(model), torch.random.fork_rng(devices):
        yield


def _numbers(said: Any, row: Mapping[str, float], monitor: Any) -> dict[str, float]:
    """What a monitor returned, as columns."""
    who = type(monitor).__name__
    if said is None:
        return {}
    if not isinstance(said, Mapping):
        raise InputError(f"the monitor {who} returned a {type(said).__name__}; give a mapping of names to numbers")
    taken = [name for name in said if name in row or name == "seconds"]
    if taken:
        raise InputError(f"the monitor {who} returned {taken[0]!r}, a column that is there already; rename it")
    return {str(name): float(value) for name, value in said.items()}


def _history(record: Record, data: Data, optimizer: torch.optim.Optimizer, loss: str, stopped: str) -> xarray.Dataset:
    names = dict.fromkeys(name for row in record.rows for name in row if name != "epoch")
    columns = {name: [row.get(name, nan) for row in record.rows] for name in names}
    kinds = {"step": np.int64}
    return dataset(
        {
            name: (
                "epoch",
                np.array(values, dtype=kinds.get(name, np.float64)),
                {"units": "s"} if name == "seconds" else {},
            )
            for name, values in columns.items()
        },
        {"epoch": np.array([row["epoch"] for row in record.rows], dtype=np.int64)},
        {
            "kind": "training",
            "seed": record.settings["seed"],
            "batch": record.settings["batch"],
            "loss": loss,
            "optimizer": type(optimizer).__name__,
            "data": data.name,
            "stopped": stopped,
            "steps": record.step,
        },
    )
