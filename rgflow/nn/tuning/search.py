"""How scales are found: block by block from below, by Gauss-Newton steps, or by gradient descent."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from rgflow.errors import AccuracyError, InputError
from rgflow.nn.tuning.loss import Measure

Scales = tuple[Tensor, Tensor]
TRIES = 40  # secant steps of one block
FARTHEST = 12.0  # of ln a: beyond e^12 nothing is tuned, something is wrong
SOLVED = 1e-6  # of ln J with directions held, in single precision or better


def from_below(measure: Measure, a: Tensor, a_b: Tensor, moved: Callable[[], None]) -> Scales:
    """ln J^{k-1,k} = 0 for one block after the other: it depends on the scales of its own block and those below alone.

    Where J goes as a^2, as it does unless a skip passes the weights by, one step does it.
    """
    for k in range(1, len(a)):
        a = _solve(measure, k, a, a_b)
        moved()
    return a, a_b


def _solve(measure: Measure, k: int, a: Tensor, a_b: Tensor) -> Tensor:
    """a with a_k such that J^{k-1,k} = 1: secants in ln a, the first slope that of a^2."""
    name = measure.blocks.names[k]

    def at(s: float) -> tuple[float, Tensor]:
        tried = a.clone()
        tried[k] = a[k] * torch.tensor(s, dtype=a.dtype).exp().to(a)
        J = measure.block(k, tried, a_b)
        if not J > 0:
            raise InputError(
                f"{name!r} does not move at all with the block below it (J = {J:.3g}): all neurons are dead on these "
                "inputs; draw its weights again, move its biases, or give other inputs"
            )
        return float(torch.tensor(J, dtype=torch.float64).log()), tried

    solved = max(SOLVED, 20 * torch.finfo(measure.dtype).eps)
    s, slope = 0.0, 2.0
    f, tried = at(s)
    for _ in range(TRIES):
        if abs(f) < solved:
            return tried
        step = min(max(-f / slope, -2.0), 2.0)
        if abs(s + step) > FARTHEST:
            break
        g, tried = at(s + step)
        if abs(g - f) < 1e-12 * (1 + abs(f)) and abs(step) > 1e-3:
            raise InputError(
                f"J of {name!r} is {torch.tensor(g).exp():.4g} whatever its weights are scaled by (a norm after them "
                "takes the scale away); end the block before the norm, by modules=[...]"
            )
        slope = (g - f) / step if step else slope
        # a flat stretch would send the secant far away, the wrong way if it bends
        slope = max(slope, 0.05)
        s, f = s + step, g
    bare = a.clone()
    bare[k] = 0.0
    alone = measure.block(k, bare, a_b)
    if alone >= 1 - 1e-3:
        raise InputError(
            f"no scale of its weights makes {name!r} critical: J is {alone:.4g} without them, by the skip alone; "
            "scale the skip below 1, or leave such blocks as they are: behind a norm they are near criticality anyway"
        )
    raise AccuracyError(f"{name!r} was not brought to J = 1 (ln J = {f:.3g} after {TRIES} steps); give more inputs")


def gauss_newton(
    measure: Measure, a: Tensor, a_b: Tensor, kernel: float, steps: int, moved: Callable[[], None]
) -> Scales:
    """Least squares in ln a of all blocks, and of their biases if kernels count; damped as Levenberg does."""
    free = _free(measure, kernel)
    s, damping = torch.zeros(len(free), dtype=a.dtype, device=a.device), 1e-3
    r, slopes = _linearised(measure, a, a_b, free, s, kernel)
    for _ in range(steps):
        moved()
        loss = 0.5 * float(r @ r)
        normal, gradient = slopes.T @ slopes, slopes.T @ r
        for _ in range(20):
            shift = torch.linalg.solve(normal + damping * torch.eye(len(s)).to(s), -gradient).clamp(-1.5, 1.5)
            if _loss(measure, _with(a, a_b, free, s + shift), kernel) < loss:
                break
            damping = max(4 * damping, 1e-6)
        else:
            break  # nothing better is near
        s, damping = s + shift, damping / 10
        r, slopes = _linearised(measure, a, a_b, free, s, kernel)
        if 0.5 * float(r @ r) > (1 - 1e-6) * loss or float(shift.abs().max()) < 1e-6:
            break
    return _with(a, a_b, free, s)


def _loss(measure: Measure, scales: Scales, kernel: float) -> float:
    """The loss, infinite where outputs overflow or neurons die."""
    try:
        r = measure.residuals(*scales, kernel).detach()
    except InputError:
        return float("inf")
    return 0.5 * float(r @ r) if bool(torch.isfinite(r).all()) else float("inf")


def _linearised(
    measure: Measure, a: Tensor, a_b: Tensor, free: Tensor, s: Tensor, kernel: float
) -> tuple[Tensor, Tensor]:
    """Residuals and their derivatives with respect to the free ln a."""
    s = s.detach().requires_grad_()
    r = measure.residuals(*_with(a, a_b, free, s), kernel)
    _refuse_dead(measure, r)
    rows = [torch.autograd.grad(one, s, retain_graph=True)[0] for one in r]
    return r.detach(), torch.stack(rows)


def _refuse_dead(measure: Measure, r: Tensor) -> None:
    bad = (~torch.isfinite(r.detach())).nonzero()
    if len(bad):
        name = measure.blocks.names[1 + int(bad[0]) % (len(measure.blocks.names) - 1)]
        raise InputError(f"{name!r} does not move with the block below it on these inputs: dead neurons, or overflow")


def _free(measure: Measure, kernel: float) -> Tensor:
    """Indices into (a, a_b) that are searched: weights above the first block, and biases if kernels count."""
    blocks = range(1, len(measure.blocks.names))
    found = list(blocks)
    if kernel:
        found += [len(measure.blocks.names) + k for k in blocks if measure.blocks.biases[k]]
    return torch.tensor(found)


def _with(a: Tensor, a_b: Tensor, free: Tensor, s: Tensor) -> Scales:
    both = torch.cat([a, a_b])
    factors = torch.ones_like(both).index_put((free.to(both.device),), s.exp().to(both))
    both = both * factors
    return both[: len(a)], both[len(a) :]


def descend(
    measure: Measure, a: Tensor, a_b: Tensor, kernel: float, steps: int, rate: float, moved: Callable[[], None]
) -> Scales:
    """a <- a - rate dL/da, weights held: the paper's descent."""
    free = _free(measure, kernel)
    for _ in range(steps):
        both = torch.cat([a, a_b]).requires_grad_()
        r = measure.residuals(both[: len(a)], both[len(a) :], kernel)
        _refuse_dead(measure, r)
        (gradient,) = torch.autograd.grad(0.5 * (r @ r), both)
        step = torch.zeros_like(both).index_put((free.to(both.device),), rate * gradient[free])
        both = both.detach() - step
        if not bool((both[free] > 0).all()):
            raise InputError(f"a step of rate {rate:g} sends a scale below zero; lower the rate")
        a, a_b = both[: len(a)], both[len(a) :]
        moved()
    return a, a_b
