"""``FluctuationScheduler``: lower the learning rate when training at the present one has become stationary."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

from rgflow.checks import not_negative, positive, whole
from rgflow.errors import InputError
from rgflow.nn.fluctuation.monitor import FluctuationMonitor


class FluctuationScheduler:
    r"""Lower the learning rate, and average anew, whenever training is stationary.

    .. math:: \eta \leftarrow (1 - Y)\, \eta \qquad \text{when} \qquad |O_L/O_R - 1| < X

    over the later half of the steps at this rate.

    Parameters
    ----------
    monitor : FluctuationMonitor
        Of the optimizer whose rates are lowered.
    X : float
        How near to 1 the ratio must be; above 0.
    Y : float
        By which part rates are lowered, in (0, 1): 0.1 to nine tenths, 0.9 to a tenth.
    check_every : int, optional
        Steps between looks. None: whenever :meth:`step` is called; after every epoch, as the paper does.
    min_window : int
        Steps at a rate before the first look. The paper has none; then a ratio that still moves by much more than X
        crosses 1 by chance, and rates fall too early.
    error_bar : float
        Ask for |O_L/O_R - 1| + error_bar * (its standard error) < X instead; 0 asks nothing more, as the paper.
        A few windows of a length at which the error is X pass first.
    per_group : bool
        Each group of parameters by its own ratio, instead of all by that of the total.
    least : float
        Rates are not lowered below this.

    Attributes
    ----------
    drops : list of dict
        One for each lowering: ``step`` of the monitor, ``group`` (-1: all), ``rate`` afterwards (of the first group,
        or of that one), ``FDR1`` that caused it, ``window`` in steps.

    References
    ----------
    S. Yaida, arXiv:1810.00004, section 3.3: X = 0.01, Y = 0.1; variation X = 0.1, Y = 0.3.

    Examples
    --------
    >>> import torch, rgflow as rg
    >>> model = rg.nn.build(rg.MLP([64, 10], "relu"), seed=0, dtype=torch.float32)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.1)
    >>> monitor = rg.nn.FluctuationMonitor(optimizer)
    >>> scheduler = rg.nn.FluctuationScheduler(monitor, X=0.05, Y=0.5, min_window=100)
    >>> history = rg.nn.fit(model, rg.nn.digits(), optimizer=optimizer, epochs=40, monitors=[monitor],
    ...                     schedulers=[scheduler], progress=False)
    >>> bool(history["learning_rate"][-1] < 0.1)
    True
    """

    def __init__(
        self,
        monitor: FluctuationMonitor,
        *,
        X: float = 0.01,
        Y: float = 0.1,
        check_every: int | None = None,
        min_window: int = 0,
        error_bar: float = 0.0,
        per_group: bool = False,
        least: float = 0.0,
    ):
        if not isinstance(monitor, FluctuationMonitor):
            raise InputError(f"monitor is a {type(monitor).__name__}; give a FluctuationMonitor of the optimizer")
        self.monitor = monitor
        self.X, self.Y = positive("X", X), positive("Y", Y)
        if self.Y >= 1:
            raise InputError(f"Y is {Y!r}; rates become (1 - Y) times as large, so that it must be below 1")
        self.check_every = None if check_every is None else whole("check_every", check_every, 1)
        self.min_window = whole("min_window", min_window, 0)
        self.error_bar = not_negative("error_bar", error_bar)
        self.per_group, self.least = bool(per_group), not_negative("least", least)
        self.drops: list[dict[str, float]] = []
        self._looked: dict[int, int] = {}

    @property
    def every_step(self) -> bool:
        """Whether :func:`fit` calls :meth:`step` after each step; after each epoch without ``check_every``."""
        return self.check_every is not None

    def step(self) -> None:
        """Look, if it is time, and lower the rates of what has become stationary."""
        groups: list[int] = list(range(len(self.monitor.optimizer.param_groups))) if self.per_group else [-1]
        for group in groups:
            if self._time_to_look(group) and self._stationary(group):
                self._lower(group)

    def _time_to_look(self, group: int) -> bool:
        window = self.monitor.window(None if group < 0 else group)
        if window < max(self.min_window, 1):
            return False
        if self.check_every is not None:
            looked = self._looked.get(group, 0)
            if window - (looked if looked <= window else 0) < self.check_every:
                return False
        self._looked[group] = window
        return True

    def _stationary(self, group: int) -> bool:
        ratio, error = self.monitor.ratio(None if group < 0 else group)
        if not isfinite(ratio):
            return False
        if not self.error_bar:
            return abs(ratio) < self.X
        return isfinite(error) and abs(ratio) + self.error_bar * error < self.X

    def _lower(self, group: int) -> None:
        one = None if group < 0 else group
        every = self.monitor.optimizer.param_groups
        drop = {"step": self.monitor.steps, "group": group, "FDR1": self.monitor.ratio(one)[0]}
        drop["window"] = self.monitor.window(one)
        before = [float(chosen["lr"]) for chosen in every]
        for chosen in every if group < 0 else [every[group]]:
            lowered = max(float(chosen["lr"]) * (1 - self.Y), min(self.least, float(chosen["lr"])))
            # a rate that is a tensor stays the same tensor, which compiled steps hold on to
            chosen["lr"] = chosen["lr"].fill_(lowered) if hasattr(chosen["lr"], "fill_") else lowered
        if [float(chosen["lr"]) for chosen in every] == before:
            return
        drop["rate"] = float(every[max(group, 0)]["lr"])
        self.drops.append(drop)
        self.monitor.reset(*(() if group < 0 else (group,)))
        self._looked.pop(group, None)

    def state_dict(self) -> dict[str, Any]:
        """What has been lowered, and when was looked; the averages are in the state of the monitor."""
        return {"drops": [dict(drop) for drop in self.drops], "looked": dict(self._looked)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """What :meth:`state_dict` returned; rates are in the state of the optimizer."""
        self.drops = [dict(drop) for drop in state["drops"]]
        self._looked = {int(group): int(window) for group, window in state["looked"].items()}
