r"""What gradient steps do: powers of n of signals, updates and changes, step after step.

The update of a weight matrix is a sum of outer products, one for each step and input,

.. math:: \Delta W^l = -\eta_l \sum_s \chi_s\, \delta^l_s\, \sigma(z^{l-1}_s)^T, \qquad
    \delta^l = \partial f/\partial z^l,

so that what it adds to a later signal is the rate times an average over n neurons, which has its mean (law of large
numbers):

.. math:: \Delta W^l \sigma(z^{l-1}_t) \sim \lambda_W^l\, \delta^l_s\, \tfrac1n \sigma(z^{l-1}_s) \cdot
    \sigma(z^{l-1}_t), \qquad (\Delta W^{l+1})^T \delta^{l+1}_t \sim \lambda_W^{l+1}\, \sigma(z^l_s)\, \tfrac1n
    \delta^{l+1}_s \cdot \delta^{l+1}_t .

Initial hidden weights act by the central limit theorem, with (C_W)^{1/2}; the initial output weights are those along
which the last layer moves: n times their size. At the start sizes are those of the derived recursions of K and J.

Adam's steps have the size of the rate and the signs of the gradient: the same sums with signs in place of what the
gradient multiplies.

What is counted is a bound that generic signs attain: nothing cancels but for symmetry. One symmetry is followed: the
signs of backward signals are fair, so that the average of sigma(z_0) sigma(z_0 + Delta), with a change much larger than
the start, keeps its first term only if sigma has an even part (relu has, tanh and linear have not); what is left of it
then is the fluctuation of n signs, n^{-1/2} of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from rgflow.scaling.families.counting import LayerPowers, backward
from rgflow.scaling.families.initial import kernels
from rgflow.scaling.families.powers import NOTHING, NOTHING_TO_ADD, Power, largest
from rgflow.scaling.families.sizes import Sizes

HALF = Fraction(1, 2)


@dataclass(frozen=True)
class Plan:
    """What is trained.

    Attributes
    ----------
    layers : tuple of LayerPowers
        Layers 1..L at the start and at all steps but the first.
    first : tuple of LayerPowers
        The same with the rates of the first step.
    forget : Power
        Of the factor on the initial hidden weights after the first step.
    adam : bool
    """

    layers: tuple[LayerPowers, ...]
    first: tuple[LayerPowers, ...]
    forget: Power
    adam: bool


@dataclass(frozen=True)
class Signals:
    """Powers of n after some number of steps, by layer 1..L.

    Attributes
    ----------
    size : tuple of Power
        Of a preactivation z_t; the output last.
    change : tuple of Power
        Of z_t - z_0.
    own : tuple of Power
        Of what the layer's own updates have put into z_t, Delta W sigma(z_t).
    gradient : tuple of Power
        Of df/dz at one neuron.
    """

    size: tuple[Power, ...]
    change: tuple[Power, ...]
    own: tuple[Power, ...]
    gradient: tuple[Power, ...]


def trained(plan: Plan, sizes: Sizes, most: int = 12) -> tuple[Signals, ...]:
    """Signals after 0, 1, 2, ... steps, until one more changes no power, or signals grow with n."""
    history = [_at_start(plan, sizes)]
    while len(history) <= most:
        history.append(_after(plan, sizes, history))
        grown = any(not size.at_most(0) for size in history[-1].size)
        if grown or (len(history) > 2 and history[-1] == history[-2]):
            break
    return tuple(history)


def own_updates(plan: Plan, sizes: Sizes) -> tuple[Power, ...]:
    r"""What the first step of each layer alone puts into its own z, Delta W sigma(z_0), at the signals of the start."""
    start = _at_start(plan, sizes)
    forward = [size * 2 for size in start.size]
    return tuple(
        _step(plan, 0, l) + _input_part(plan, sizes, forward, l) + _sign(plan, start.gradient[l])
        for l in range(len(plan.layers))
    )


def into_moved(plan: Plan, sizes: Sizes) -> tuple[Power, ...]:
    """The same where the layer reads signals that the first step has moved by order one, Delta W sigma(z_1)."""
    start = _at_start(plan, sizes)
    found = []
    for l in range(len(plan.layers)):
        overlap = NOTHING_TO_ADD
        if l:
            x = _activation(sizes, start.size[l - 1] | NOTHING_TO_ADD)
            overlap = _overlap(plan, sizes, start, l - 1, NOTHING, NOTHING_TO_ADD, x)
        found.append(_step(plan, 0, l) + overlap + _sign(plan, start.gradient[l]))
    return tuple(found)


def _at_start(plan: Plan, sizes: Sizes) -> Signals:
    K = kernels(plan.layers, sizes)
    J = backward(K, plan.layers, sizes)
    gradient = [(J[l] - (plan.layers[l + 1].fan_in if l + 1 < len(K) else 0)) * HALF for l in range(len(K))]
    still = (NOTHING,) * len(K)
    return Signals(tuple(k * HALF for k in K), still, still, tuple(gradient))


def _step(plan: Plan, step: int, l: int) -> Power:
    """The rate of the weights of layer l (from 0), times their fan-in."""
    return (plan.first if step == 0 else plan.layers)[l].lambda_W


def _sign(plan: Plan, power: Power) -> Power:
    """A factor of the gradient, of which Adam keeps the sign."""
    return NOTHING_TO_ADD if plan.adam else power


def _input_part(plan: Plan, sizes: Sizes, K: Sequence[Power], l: int) -> Power:
    """The average over inputs of a layer of sigma sigma, at the start; of x x in the first layer."""
    if l == 0:
        return NOTHING_TO_ADD
    both = sizes.square(0, K[l - 1] * HALF)
    return both * HALF if plan.adam else both


def _after(plan: Plan, sizes: Sizes, history: Sequence[Signals]) -> Signals:
    """Signals after one more step than the last of the history."""
    count, start = len(plan.layers), history[0]
    steps = range(len(history))
    size: list[Power] = []
    change: list[Power] = []
    own: list[Power] = []
    for l in range(count):
        if l == 0:
            overlaps = [NOTHING_TO_ADD for _ in steps]
            kept, inherited = start.size[0], NOTHING
        else:
            x, dx = _activation(sizes, size[l - 1]), _moved(sizes, start.size[l - 1], change[l - 1])
            overlaps = [_overlap(plan, sizes, start, l - 1, history[s].change[l - 1], change[l - 1], x) for s in steps]
            half = plan.layers[l].C_W * HALF
            if l + 1 == count:
                kept, inherited = start.size[l], half + dx + plan.layers[l].fan_in * HALF
            else:
                kept, inherited = half + plan.forget + x, half + plan.forget + dx
        own.append(
            largest(_step(plan, s, l) + overlaps[s] + _sign(plan, history[s].gradient[l]) for s in steps)
            | largest(plan.layers[l].lambda_b + _sign(plan, history[s].gradient[l]) for s in steps)
        )
        lost = start.size[l] if 0 < l < count - 1 and not plan.forget.is_everywhere(0) else NOTHING
        change.append(own[l] | inherited | lost)
        size.append(kept | own[l] | inherited)
    gradient = _backward(plan, sizes, history, size)
    return Signals(tuple(size), tuple(change), tuple(own), tuple(gradient))


def _backward(plan: Plan, sizes: Sizes, history: Sequence[Signals], size: Sequence[Power]) -> list[Power]:
    count = len(plan.layers)
    found = [NOTHING_TO_ADD] * count
    for l in range(count - 2, -1, -1):
        above = plan.layers[l + 1]
        last = l + 2 == count
        initial = above.C_W * HALF + (above.fan_in * -HALF if last else plan.forget)
        updates = largest(
            _step(plan, s, l + 1)
            + _sign(plan, _activation(sizes, before.size[l]))
            # n neurons of layer l + 1 over a fan-in of n; the one output
            + (above.fan_in * -1 if last else NOTHING_TO_ADD)
            + _sign(plan, before.gradient[l + 1])
            + found[l + 1]
            for s, before in enumerate(history)
        )
        found[l] = sizes.square(1, size[l]) * HALF + ((initial + found[l + 1]) | updates)
    return found


def _activation(sizes: Sizes, size: Power) -> Power:
    """Of sigma(z)."""
    return sizes.square(0, size) * HALF


def _moved(sizes: Sizes, start: Power, change: Power) -> Power:
    """Of sigma(z) - sigma(z_0)."""
    return NOTHING if change.zero else change + sizes.square(1, start | change) * HALF


def _overlap(plan: Plan, sizes: Sizes, start: Signals, l: int, before: Power, now: Power, x: Power) -> Power:
    """Of the average over neurons of sigma(z_s) sigma(z_t); for Adam of |sigma(z_t)|."""
    if plan.adam:
        return x
    first = start.size[l]
    moved = [_moved(sizes, first, change) for change in (before, now)]
    still = _activation(sizes, first)
    width = plan.layers[l + 1].fan_in
    crossed = [_crossed(sizes, width, first, still, *both) for both in zip((before, now), moved, strict=True)]
    # what the forgotten start has left is counted with the change
    return still * 2 | crossed[0] | crossed[1] | (moved[0] + moved[1])


def _crossed(sizes: Sizes, width: Power, first: Power, still: Power, change: Power, moved: Power) -> Power:
    """Of the average over neurons of sigma(z_0) (sigma(z_0 + change) - sigma(z_0))."""
    if moved.zero or first.is_everywhere(0) or sizes.has_even_part:
        return still + moved
    mean = still + first + moved - change  # one more power of z_0, one less of the change
    return mean | (still + moved + width * -HALF)  # what n fair signs leave
