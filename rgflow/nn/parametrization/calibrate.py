"""``calibrate``: the rates of a large first step, layer by layer, from what that step does to a second batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rgflow.checks import positive
from rgflow.errors import InputError
from rgflow.nn.parametrization.parametrized import Parametrized

Loss = Callable[[Tensor, Tensor], Tensor]


def calibrate(
    parametrized: Parametrized,
    loss: Loss,
    x: Tensor,
    y: Tensor,
    x_second: Tensor,
    *,
    target: float = 1.0,
    output_target: float = 0.1,
    most: float = 500.0,
) -> Parametrized:
    r"""Base learning rates of the first step with which every layer's own update has the size it shall have.

    A mock step on the batch (x, y) with base rate 1 gives the updates :math:`\Delta W^l = - r^{-(2a+c_0)} \nabla L`.
    Then a second batch goes through the layers in the order in which they run; at each from the second on, the base
    rate is

    .. math:: \eta_l = \min\Big(\text{most},\; \frac{\text{target}}{\text{mean} |\Delta W^l x^{l-1}|}\Big)

    with x^{l-1} what comes out of the layers below *after* their own calibrated update, the mean over neurons and
    samples, and ``output_target`` for the last layer. The first layer and all else keep the learning rate that
    :func:`rgflow.nn.parametrize` was given. Of order one at every width: without it the prefactors of deep products
    hide the exponents at practical widths.

    Parameters
    ----------
    parametrized : Parametrized
        Of a family with a first step of its own: "ip-llr", or the "hybrid", whose layers below have forgotten their
        initial weights, as after the step.
    loss : callable
        ``loss(module(x), y)`` is a number.
    x, y, x_second : Tensor
        First batch with its targets, and the second.
    target, output_target, most : float
        Above 0.

    Returns
    -------
    Parametrized
        With first rates :math:`\eta_l r^{-(2a+c_0)}`; its ``first_step`` uses them. The module is as it was.

    Raises
    ------
    InputError
        If the family has no first step, a loss is not finite, an update changes nothing or nothing finite, or a layer
        is no Linear, Conv1d or Conv2d.

    Source: Hajjar, Chizat, Giraud (arXiv:2110.15596), initial base learning rates.

    >>> from rgflow.nn.parametrization.parametrize import parametrize
    >>> model = nn.Sequential(nn.Linear(3, 64), nn.GELU(), nn.Linear(64, 64), nn.GELU(), nn.Linear(64, 2))
    >>> done = parametrize(model, "ip-llr", base_width=1, learning_rate=0.01, C_W=4.0, seed=0)
    >>> x, y = torch.eye(3), torch.tensor([0, 1, 1])
    >>> calibrated = calibrate(done, F.cross_entropy, x, y, x)
    >>> [after.first_rate > before.first_rate for after, before in zip(calibrated.rows, done.rows)][::2]
    [False, True, True]
    """
    if not parametrized.switches:
        raise InputError(f"the family {parametrized.family.name!r} has no first step of its own; nothing to calibrate")
    targets = positive("target", target), positive("output_target", output_target)
    largest = positive("most", most)
    module = parametrized.module
    trained = {e.parameter: e for e in parametrized.entries if e.group != "frozen"}
    updates = _mock_step(parametrized, loss, x, y)
    found: dict[str, float] = {}
    eta = parametrized.learning_rate
    order = _order(module, trained, x_second)
    forget = parametrized.family.forget
    kept = 1.0 if forget is None else float(parametrized.growth.factor) ** float(forget)

    def calibrated(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        place = order.index(layer)
        entry = trained[layer.weight]  # type: ignore[index]
        size = float(_alone(layer, updates[entry.name], inputs[0]).abs().mean())
        if place and not 0 < size < math.inf:
            raise InputError(
                f"the first update of {entry.name!r} changes the second batch by {size} in the mean, which gives no "
                "rate; give an x_second of finite numbers and some samples, and a first batch whose gradient is not 0"
            )
        goal = targets[1] if place == len(order) - 1 else targets[0]
        base = min(largest, goal / size) if place else eta
        found[entry.name] = base / eta * entry.row.first_rate
        if entry.row.role == "hidden":
            layer.weight.mul_(kept)  # type: ignore[operator]
        layer.weight.add_(updates[entry.name], alpha=base)  # type: ignore[operator]
        bias = trained.get(layer.bias) if isinstance(layer.bias, nn.Parameter) else None
        if bias is not None:
            layer.bias.add_(updates[bias.name], alpha=eta)  # type: ignore[operator]

    with torch.no_grad(), _kept(module), _hooked(order, calibrated):
        module(x_second)
    return parametrized.with_first_rates(found)


def _mock_step(
    parametrized: Parametrized, loss: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor
) -> dict[str, Tensor]:
    """Updates of base rate 1, by name; gradients of the module are left alone."""
    entries = [e for e in parametrized.entries if e.group != "frozen"]
    with torch.enable_grad():
        value = loss(parametrized.module(x), y)
    if not isinstance(value, Tensor) or value.numel() != 1 or not bool(torch.isfinite(value).all()):
        raise InputError(f"the loss of the first batch is {value!r}; it must be one finite number")
    gradients = torch.autograd.grad(value.reshape(()), [e.parameter for e in entries], allow_unused=True)
    eta = parametrized.learning_rate
    return {
        e.name: torch.zeros_like(e.parameter) if g is None else -(e.row.first_rate / eta) * g
        for e, g in zip(entries, gradients, strict=True)
    }


def _order(module: nn.Module, trained: dict[nn.Parameter, Any], x: Tensor) -> list[nn.Module]:
    """Layers with a weight that is a matrix, in the order in which they run."""
    holders = [m for m in module.modules() if isinstance(getattr(m, "weight", None), nn.Parameter)]
    layers = [m for m in holders if m.weight in trained and trained[m.weight].is_matrix]  # type: ignore[index]
    for layer in layers:
        if not isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d):
            raise InputError(f"{type(layer).__name__} cannot be calibrated; Linear, Conv1d and Conv2d can")
    seen: list[nn.Module] = []
    with torch.no_grad(), _hooked(layers, lambda layer, _: seen.append(layer)):
        module(x)
    matrices = [e.name for e in trained.values() if e.is_matrix]
    if len(seen) != len(set(seen)) or len(seen) != len(matrices):
        raise InputError(
            f"every layer must run once, by its module; {len(seen)} ran, there are {len(matrices)} matrices"
        )
    return seen


def _alone(layer: nn.Module, update: Tensor, x: Tensor) -> Tensor:
    """Delta W x, without the bias."""
    if isinstance(layer, nn.Linear):
        return F.linear(x, update)
    assert isinstance(layer, nn.Conv1d | nn.Conv2d)
    out: Tensor = layer._conv_forward(x, update, None)
    return out


@contextmanager
def _hooked(layers: list[nn.Module], hook: Callable[[nn.Module, tuple[Tensor, ...]], None]) -> Iterator[None]:
    """The hook before each layer."""
    handles = [layer.register_forward_pre_hook(hook) for layer in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _kept(module: nn.Module) -> Iterator[None]:
    """Parameters and buffers are put back, whatever happens."""
    before = [(t, t.detach().clone()) for t in (*module.parameters(), *module.buffers())]
    try:
        yield
    finally:
        with torch.no_grad():
            for tensor, value in before:
                tensor.copy_(value)
