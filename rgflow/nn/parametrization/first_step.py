"""``FirstStep``: learning rates of the first step that are unlike all others, and what is forgotten after it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch.optim.lr_scheduler import LRScheduler

from rgflow.errors import InputError
from rgflow.nn.parametrization.growth import Growth
from rgflow.scaling.families.family import Family


class Switching(Protocol):
    """What the scheduler asks of a :class:`rgflow.nn.parametrization.parametrized.Parametrized`."""

    @property
    def family(self) -> Family:
        """Whose exponents."""

    @property
    def growth(self) -> Growth:
        """n / n_base."""

    @property
    def entries(self) -> Sequence[Any]:
        """Parameters with their rates."""

    @property
    def switches(self) -> bool:
        """Whether the first step is unlike the others."""


class FirstStep(LRScheduler):
    r"""The exponents of the first step (IP-LLR), then those of all others; the initial hidden weights are forgotten.

    .. math:: W_1 = W_0 - \eta\, r^{-(2a+c_0)} \nabla L, \qquad W_{t+1} = W_t - \eta\, r^{-(2a+c)} \nabla L

    and, in a family with ``forget`` (the hybrid), right after the first step W_1 -> W_1 - (1 - r^{forget}) W_0 for the
    hidden matrices, r = n/n_base.

    The switch follows the optimizer: it happens at the end of its first ``step()``, however often ``step()`` of the
    scheduler is called. That one only counts, as schedulers do, so that loops that call it by step or by epoch are both
    right. Weight decay is such that rate times decay stays.

    Rates are those of the weights themselves (a = 0), numbers of Python. The paper's own w = n^a W has gradients and
    rates that are apart by 2^40 at n = 1024 and six hidden layers; here a rate multiplies a gradient of its own scale.

    Parameters
    ----------
    optimizer : Optimizer
        Of ``parametrized.groups``, before its first step.
    parametrized : Parametrized
        Of a family with a first step: "ip-llr", "hybrid".

    Raises
    ------
    InputError
        If the family has no first step, the optimizer does not hold the groups, or another scheduler set their rates.

    Source: Hajjar, Chizat, Giraud (arXiv:2110.15596).

    >>> from torch import nn
    >>> from rgflow.nn.parametrization.parametrize import parametrize
    >>> model = nn.Sequential(nn.Linear(3, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2))
    >>> done = parametrize(model, "ip-llr", base_width=1, learning_rate=0.01, C_W=2.0, seed=0)
    >>> optimizer = torch.optim.SGD(done.groups)
    >>> first = done.first_step(optimizer)
    >>> [f"{group['lr']:.3g}" for group in optimizer.param_groups][::2]
    ['5.12', '0.01', '0.00125']
    """

    def __init__(self, optimizer: torch.optim.Optimizer, parametrized: Switching):
        if not parametrized.switches:
            raise InputError(
                f"the family {parametrized.family.name!r} has no first step of its own; leave the scheduler out"
            )
        self.done = False
        self._rates = _matched(optimizer, parametrized)
        super().__init__(optimizer)
        self._start = _to_forget(parametrized)
        for group, (rate, first, decay) in self._rates_of_groups():
            group["lr"], group["weight_decay"] = first, decay * rate / first if first else 0.0
        self._last_lr = [group["lr"] for group in optimizer.param_groups]
        self._handles = (
            optimizer.register_step_pre_hook(self._before_step),
            optimizer.register_step_post_hook(self._after_step),
        )

    def _before_step(self, *_: Any) -> None:
        """Another scheduler may multiply all rates; one that sets them anew (LambdaLR) undoes the first step."""
        factors = [float(group["lr"]) / first for group, (_, first, _) in self._rates_of_groups() if first]
        if factors and max(factors) - min(factors) > 1e-6 * max(factors):
            raise InputError(
                "the rates of the optimizer are not those of the first step: a scheduler made after FirstStep has set "
                "them anew (LambdaLR and others do, from the rates of .groups); make it before FirstStep, or take one "
                "that multiplies the rates it finds (MultiplicativeLR, StepLR)"
            )

    def get_lr(self) -> list[Any]:
        """The rates as they are: the switch is made when the optimizer steps."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def _after_step(self, *_: Any) -> None:
        self._switch()
        with torch.no_grad():
            for parameter, start, factor in self._start:
                parameter.sub_(start, alpha=1.0 - factor)
        self._start = []

    def _switch(self) -> None:
        """Rates of all steps but the first."""
        for group, (rate, first, decay) in self._rates_of_groups():
            # What another scheduler did to the rate in between is kept.
            group["lr"] = rate if group["lr"] == first else group["lr"] * (rate / first if first else 1.0)
            group["weight_decay"] = decay
        self.done = True
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]
        self._leave()

    def _leave(self) -> None:
        for handle in self._handles:
            handle.remove()

    def _rates_of_groups(self) -> list[tuple[dict[str, Any], tuple[float, float, float]]]:
        return [(group, self._rates[i]) for i, group in enumerate(self.optimizer.param_groups) if i in self._rates]

    def state_dict(self) -> dict[str, Any]:
        """Whether the first step is over, and counters: plain numbers. What is to be forgotten is W_0 itself."""
        return {"done": self.done, "last_epoch": self.last_epoch, "_step_count": self._step_count}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where that state was; InputError for a state of another scheduler, or from before the first step."""
        if set(state_dict) != set(self.state_dict()):
            raise InputError(f"{sorted(state_dict)} is no state of FirstStep")
        if self.done and not state_dict["done"]:
            raise InputError("this scheduler is past its first step and cannot go back; make a new one")
        if state_dict["done"] and not self.done:
            self._start = []
            # The optimizer's own state may have been loaded before, or is to be loaded after.
            for group, (rate, first, decay) in self._rates_of_groups():
                if group["lr"] == first:
                    group["lr"] = rate
                group["weight_decay"] = decay
            self.done = True
            self._leave()
        self.last_epoch, self._step_count = state_dict["last_epoch"], state_dict["_step_count"]
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]


def _matched(optimizer: torch.optim.Optimizer, parametrized: Switching) -> dict[int, tuple[float, float, float]]:
    """(rate, first rate, weight decay) by the number of the optimizer's group."""
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise InputError(f"{optimizer!r} is not an optimizer; give torch.optim.SGD(parametrized.groups)")
    if optimizer.state:
        raise InputError("the optimizer has already made steps; make the scheduler before the first one")
    rows = {entry.parameter: entry.row for entry in parametrized.entries}
    found = {}
    for number, group in enumerate(optimizer.param_groups):
        kinds = {
            (r.learning_rate, r.first_rate, r.weight_decay) for p in group["params"] if (r := rows.get(p)) is not None
        }
        if len(kinds) > 1:
            raise InputError(f"group {number} of the optimizer mixes parameters of different rates; give it .groups")
        if kinds:
            found[number] = kinds.pop()
            if group["lr"] not in found[number][:2]:
                raise InputError(
                    f"group {number} of the optimizer has the rate {group['lr']}, not {found[number][0]} of .groups, "
                    "and what changed it would be lost; make other schedulers that start with a factor after FirstStep"
                )
    held = {p for number in found for p in optimizer.param_groups[number]["params"]}
    missing = [entry.name for entry in parametrized.entries if entry.group != "frozen" and entry.parameter not in held]
    if missing:
        raise InputError(f"the optimizer does not hold {missing[0]!r}; make it of the .groups of this parametrisation")
    return found


def _to_forget(parametrized: Switching) -> list[tuple[torch.nn.Parameter, torch.Tensor, float]]:
    """Hidden matrices, what they are now, and the factor on it after the first step."""
    if parametrized.family.forget is None:
        return []
    factor = float(parametrized.growth.factor) ** float(parametrized.family.forget)
    hidden = [entry.parameter for entry in parametrized.entries if entry.row.role == "hidden"]
    return [(parameter, parameter.detach().clone(), factor) for parameter in hidden]
