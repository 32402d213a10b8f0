"""``FluctuationMonitor``: whether stochastic gradient descent has become stationary, measured while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from rgflow.checks import whole
from rgflow.errors import InputError
from rgflow.nn.fluctuation.centre import Centre
from rgflow.nn.fluctuation.covered import refuse, refuse_closure, refuse_group
from rgflow.nn.fluctuation.full import Full
from rgflow.nn.fluctuation.half_running import HalfRunning
from rgflow.nn.fluctuation.observables import Motion, dot, gradient, motion, moving, velocity
from rgflow.nn.fluctuation.second import learning, left_sides, right_side
from rgflow.nn.fluctuation.table import ratio_of, row_of, table_of
from rgflow.nn.training.data import Data
from rgflow.nn.training.losses import Loss, loss_function

if TYPE_CHECKING:
    import xarray

    from rgflow.nn.training.fit import Epoch

_FLUSH = 256  # steps whose numbers wait on the device, so that it is asked rarely
TOTAL = "total"


class FluctuationMonitor:
    r"""Watch torch.optim.SGD: the two sides of the fluctuation-dissipation relations, averaged over the later half.

    With theta' = theta + eta v', v' = mu v - (1 - nu) g, where g is the gradient of a mini-batch with weight decay in
    it, averages over a stationary state obey O_L = O_R (FDR1), and FDR2,

    .. math::
        \langle \theta \cdot g \rangle &= \Big\langle \frac{\eta}{2}\, \frac{1+\mu}{1-\nu}\, v'^2 \Big\rangle \\
        (1-\nu) \langle |\nabla f|^2 \rangle - \mu \langle v \cdot \nabla f \rangle
        &= \frac{\eta}{2} \langle v' \cdot H v' \rangle + O(\text{third derivatives of } f)

    whatever the noise and the shape of f; no more than necessary for stationarity. The first holds for every group of
    parameters by itself. Hooks of the optimizer measure at every step; the loop need not be that of :func:`fit`.

    Parameters
    ----------
    optimizer : torch.optim.SGD
        With momentum, dampening, weight decay, several groups with rates of their own.
    shift : None, "start" or "mean"
        FDR1 holds for theta - theta_c with any constant theta_c, which changes fluctuations, not averages. None: 0, as
        the paper. "start": theta where averages began, one copy of the parameters. "mean": means of theta over
        stretches from step 2^(k-1) to 2^k, each used for the next stretch; two copies.
    full_gradient : bool
        Measure |grad f|^2 over the full training set whenever :func:`fit` calls the monitor (an epoch's work without
        steps); otherwise :meth:`measure` does, when called.
    curvature : int
        Mini-batches on which v' . H v' is measured then, too; each costs a pass with second derivatives.
    error : "batch_means" or "bootstrap"
        How standard errors are found from ``pieces`` pieces of the later half. Correlations longer than a piece make
        them too small. For FDR1 they are rather too large: O_L - O_R is the change of a function of (theta, v) over a
        step, see Notes, so that pieces are anticorrelated.
    pieces : int
        At least 2.
    blocks : int
        Memory of the averages, see :class:`HalfRunning`: exact up to so many steps, then to one part in so many.

    Raises
    ------
    InputError
        For Adam, Nesterov momentum, maximize, LBFGS or steps with a closure, with the reason.

    Notes
    -----
    Averages start anew, for a group and for the total, when its rate, momentum, dampening or decay changes. A gradient
    that is clipped, scaled or masked before the step is the g of the relations. Step by step,

        (1-nu) (O_L - O_R) = -(1-mu) (|theta'|^2 - |theta|^2) / (2 eta) - mu (theta'.v' - theta.v)

    so that a ratio near 1 says that these have stopped drifting over the window; it also crosses 1 by chance.
    Memory: a temporary the size of the largest parameter, the copies of ``shift``, and the averages.

    References
    ----------
    S. Yaida, Fluctuation-dissipation relations for stochastic gradient descent, arXiv:1810.00004.

    Examples
    --------
    >>> import torch, rgflow as rg
    >>> data = rg.nn.digits()
    >>> model = rg.nn.build(rg.MLP([64, 10], "relu"), seed=0, dtype=torch.float32)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.1)
    >>> monitor = rg.nn.FluctuationMonitor(optimizer)
    >>> history = rg.nn.fit(model, data, optimizer=optimizer, epochs=40, monitors=[monitor], progress=False)
    >>> bool(abs(history["FDR1"][-1]) < 0.1)
    True
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        *,
        shift: str | None = None,
        full_gradient: bool = False,
        curvature: int = 0,
        error: str = "batch_means",
        pieces: int = 16,
        blocks: int = 4096,
    ):
        refuse(optimizer)
        if shift not in (None, "start", "mean"):
            raise InputError(f"shift is {shift!r}; it must be None, 'start' or 'mean'")
        if error not in ("batch_means", "bootstrap"):
            raise InputError(f"error is {error!r}; it must be 'batch_means' or 'bootstrap'")
        self.optimizer = optimizer
        self.full_gradient = bool(full_gradient)
        self.curvature = whole("curvature", curvature, 0)
        self.error, self.pieces = error, whole("pieces", pieces, 2)
        self.shift = shift
        self.steps = 0
        self._blocks = blocks
        self._motions: list[Motion] = []
        self._centres: list[Centre] = []
        self._averages = {TOTAL: HalfRunning(3, blocks)}  # O_L, O_R, -mu v.g
        self._measured = {TOTAL: HalfRunning(2, 1024)}  # (1-nu) |grad f|^2, (eta/2) v'.H v'
        self._pending: list[Tensor] = []
        self._now: tuple[list[Tensor], list[Tensor], list[Tensor]] | None = None
        self._follow()
        self._hooks = [
            optimizer.register_step_pre_hook(self._before),
            optimizer.register_step_post_hook(self._after),
        ]

    def detach(self) -> None:
        """Stop watching the optimizer; what was averaged stays."""
        for hook in self._hooks:
            hook.remove()

    # While it runs --------------------------------------------------------------------------------------------------

    def _follow(self) -> None:
        """Take note of groups and how they move; averages of what changed start anew."""
        now = [motion(group) for group in self.optimizer.param_groups]
        if now == self._motions:
            return
        for number, group in enumerate(self.optimizer.param_groups):
            refuse_group(number, group)
        self._flush()
        for number in range(len(self._motions), len(now)):
            self._averages[str(number)] = HalfRunning(3, self._blocks)
            self._measured[str(number)] = HalfRunning(2, 1024)
            self._centres.append(Centre(self.shift))
        changed = [n for n, moves in enumerate(now) if n >= len(self._motions) or moves != self._motions[n]]
        self._motions = now
        self.reset(*changed)

    def _before(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        """theta . g and v . g, with theta and v before the step."""
        refuse_closure(optimizer, args, kwargs)
        self._follow()
        lefts, rights, drags = [], [], []
        with torch.no_grad():
            for group, moves, centre in zip(optimizer.param_groups, self._motions, self._centres, strict=True):
                left, right, drag = [], [], []
                for parameter in moving(group):
                    g = gradient(parameter, moves.decay)
                    left.append(dot(centre.from_it(parameter), g))
                    if not moves.momentum:
                        right.append(dot(g, g))
                    elif (v := velocity(optimizer, parameter)) is not None:
                        drag.append(dot(v, g))
                lefts.append(_sum(left))
                rights.append(_sum(right) * moves.left)
                drags.append(_sum(drag) * -moves.momentum)
                centre.next()
        self._now = (lefts, rights, drags)

    def _after(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        """v'^2, with the velocity of this very step."""
        if self._now is None:
            return
        lefts, rights, drags = self._now
        self._now = None
        with torch.no_grad():
            for number, (group, moves) in enumerate(zip(optimizer.param_groups, self._motions, strict=True)):
                if moves.momentum:
                    found = [velocity(optimizer, parameter) for parameter in moving(group)]
                    rights[number] = _sum([dot(v, v) for v in found if v is not None]) * moves.left
            home = lefts[0].device
            rows = [torch.stack([number.to(home).double() for number in three]) for three in (lefts, rights, drags)]
            self._pending.append(torch.stack(rows, dim=1))
        self.steps += 1
        if len(self._pending) >= _FLUSH:
            self._flush()

    def _flush(self) -> None:
        if not self._pending:
            return
        rows = torch.stack(self._pending).cpu().numpy()
        self._pending = []
        shares = np.array([moves.rate for moves in self._motions]) / (self._motions[0].rate or 1.0)
        weights = np.stack([np.ones_like(shares), np.ones_like(shares), shares], axis=1)
        with np.errstate(all="ignore"):  # a run that explodes says so by what is not finite
            total = (rows * weights).sum(axis=1)
            for step, sums in zip(rows, total, strict=True):
                self._averages[TOTAL].add(sums)
                for number, values in enumerate(step):
                    self._averages[str(number)].add(values)

    def reset(self, *groups: int) -> None:
        """Start averages anew, of some groups (by number) and the total; of all without arguments."""
        self._flush()
        chosen = groups or range(len(self._motions))
        for name in (TOTAL, *map(str, chosen)):
            self._averages[name].reset()
            self._measured[name].reset()
        for number in chosen:
            self._centres[number].reset()

    # The full batch -------------------------------------------------------------------------------------------------

    def __call__(self, epoch: Epoch) -> dict[str, float]:
        """What :func:`fit` asks after an epoch: O_L, O_R, FDR1 = O_L/O_R - 1, its standard error, window in steps.

        With ``full_gradient`` also ``G``, the left side of FDR2, and with ``curvature`` its right side ``G_H``.
        """
        if self.full_gradient or self.curvature:
            self.measure(epoch.model, epoch.data, loss=epoch.loss, penalty=epoch.penalty, batch=epoch.batch)
        self._flush()
        found = self._row(TOTAL, self._motions[0].rate)
        names = ["O_L", "O_R", "FDR1", "FDR1_se", "window"]
        names += ["G"] if self.full_gradient or self.curvature else []
        names += ["G_H"] if self.curvature else []
        return {name: found[name] for name in names}

    def measure(
        self,
        model: torch.nn.Module,
        data: Data,
        *,
        loss: str | Loss = "cross_entropy",
        penalty: Any = None,
        batch: int = 100,
        rows: int = 2000,
    ) -> None:
        """Measure the full-batch side of FDR2 at the parameters as they stand, and add it to its own averages.

        Parameters
        ----------
        model, data, loss, penalty
            What is trained, on the device on which it is; ``penalty`` as of :func:`fit`.
        batch : int
            Examples of a mini-batch, for ``curvature``.
        rows : int
            Examples at a time.
        """
        self._follow()
        groups = learning(self.optimizer)
        home = next((p for group in groups for p in group), None)
        if home is None:
            raise InputError("the optimizer has no parameter that requires a gradient; there is nothing to measure")
        full = Full(model, data.to(home.device, home.dtype), loss_function(loss), penalty, rows)
        squares = left_sides(full, groups, self._motions)
        how = {"batches": self.curvature, "batch": whole("batch", batch, 1), "seed": self.steps}
        bent = right_side(full, groups, self._motions, self.optimizer, **how)
        rate = self._motions[0].rate or 1.0
        total = sum(moves.rate / rate * square for moves, square in zip(self._motions, squares, strict=True))
        self._measured[TOTAL].add([total, bent / rate])
        for number, square in enumerate(squares):
            self._measured[str(number)].add([square, np.nan])

    # What is found --------------------------------------------------------------------------------------------------

    def window(self, group: int | None = None) -> int:
        """Steps since averages began, of the total or of a group."""
        return self._of(self._averages, group).count + len(self._pending)

    def ratio(self, group: int | None = None) -> tuple[float, float]:
        """(O_L/O_R - 1, its standard error) over the later half, of the total or of a group; NaN without steps."""
        self._flush()
        return ratio_of(self._of(self._averages, group), self.pieces, self.error)

    def averages(self) -> xarray.Dataset:
        """Averages over the later half since they last began.

        Returns
        -------
        xarray.Dataset
            Over ``group``, "total" and the numbers of the groups: ``O_L``, ``O_R`` with ``O_L_se``, ``O_R_se``;
            ``FDR1`` = O_L/O_R - 1 with ``FDR1_se``; ``G`` = (1-nu) |grad f|^2 - mu v.g, the left side of FDR2 (its
            first term from :meth:`measure`, the second from mini-batches), with ``G_se``, the error of its first
            term; ``G_H`` = (eta/2) v'.H v' with ``G_H_se``, of the total alone; ``learning_rate``; ``window``, steps
            since averages began, and ``start``, those of them left out. Of groups with unequal rates, the total of
            the second relation weights each by its rate over that of the first.
        """
        self._flush()
        names = [TOTAL, *map(str, range(len(self._motions)))]
        rates = [self._motions[0].rate, *(moves.rate for moves in self._motions)]
        rows = {name: self._row(name, rate) for name, rate in zip(names, rates, strict=True)}
        return table_of(rows, {"steps": self.steps, "error": self.error, "pieces": self.pieces})

    def _row(self, name: str, rate: float) -> dict[str, float]:
        return row_of(self._averages[name], self._measured[name], self.pieces, self.error, rate)

    def _of(self, averages: dict[str, HalfRunning], group: int | None) -> HalfRunning:
        if group is None:
            return averages[TOTAL]
        if whole("group", group, 0) >= len(self._motions):
            raise InputError(f"group is {group}; the optimizer has {len(self._motions)} groups, numbered from 0")
        return averages[str(group)]

    # Checkpoints ----------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next numbers depend on."""
        self._flush()
        return {
            "steps": self.steps,
            "motions": [[m.rate, m.momentum, m.dampening, m.decay] for m in self._motions],
            "averages": {name: found.state_dict() for name, found in self._averages.items()},
            "measured": {name: found.state_dict() for name, found in self._measured.items()},
            "centres": [
                centre.state_dict(group["params"])
                for centre, group in zip(self._centres, self.optimizer.param_groups, strict=True)
            ],
            "shift": self.shift,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """What :meth:`state_dict` returned, of a monitor made in the same way; InputError otherwise."""
        if state["shift"] != self.shift or len(state["motions"]) != len(self._motions):
            raise InputError(
                f"the state has shift={state['shift']!r} and {len(state['motions'])} groups, here shift={self.shift!r} "
                f"and {len(self._motions)}; make the monitor in the same way"
            )
        self._pending = []
        for name in self._averages:
            self._averages[name].load_state_dict(state["averages"][name])
            self._measured[name].load_state_dict(state["measured"][name])
        for centre, group, kept in zip(self._centres, self.optimizer.param_groups, state["centres"], strict=True):
            centre.load_state_dict(kept, group["params"])
        self.steps = int(state["steps"])
        self._motions = [Motion(*numbers) for numbers in state["motions"]]


def _sum(values: list[Tensor]) -> Tensor:
    return torch.stack([value.to(values[0].device) for value in values]).sum() if values else torch.zeros(())
