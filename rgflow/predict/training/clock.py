r"""How long each tree of :mod:`rgflow.predict.training.trees` has acted: the projectors of the training algorithm.

The times of a tree's nodes are summed over, children before parents. While m errors are active their product shrinks by
x = prod (1 - eta Theta_a) in each step, Theta_a the eigenvalues of the mean tangent kernel, so that an ordering of the
events with rates x_1, .., x_m between them contributes

    h_{T-m}(x_1, .., x_m, 1)  ->  prod 1/(1 - x_i)   for T = infinity,

h the complete homogeneous symmetric polynomial. Gradient flow is its limit: x^t -> exp(- t sum Theta_a), and h is the
divided difference of the exponential. PDLT calls such sums algorithm projectors.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from math import frexp, inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rgflow.checks import positive, whole
from rgflow.errors import InputError
from rgflow.predict.training.trees import Diagram, Node

Floats = NDArray[np.float64]
MOST_STEPS = 2**53  # a float no longer tells one from the next


@dataclass(frozen=True)
class Placed:
    """A node of a diagram, with the numbers of the nodes that hang from it and from its source."""

    node: Node
    children: tuple[int, ...]
    source: tuple[int, ...] | None


def places(diagram: Diagram) -> tuple[tuple[Placed, ...], tuple[tuple[int, ...], ...]]:
    """The nodes of a diagram, numbered from the top down, and those that hang from each root."""
    found: list[Placed] = []

    def place(nodes: tuple[Node, ...]) -> tuple[int, ...]:
        numbers = []
        for node in nodes:
            number = len(found)
            found.append(Placed(node, (), None))  # keeps its number while those below it get theirs
            below = place(node.children)
            source = None if node.source is None else place(node.source)
            found[number] = Placed(node, below, source)
            numbers.append(number)
        return tuple(numbers)

    hanging = tuple(place(forest) for forest in diagram)
    return tuple(found), hanging


@dataclass(frozen=True)
class Event:
    """Nodes that act at the same time, those active until then, and those that were so before and remain."""

    acting: frozenset[int]
    active: frozenset[int]
    carried: frozenset[int]


def orderings(nodes: tuple[Placed, ...], together: bool) -> Iterator[tuple[Event, ...]]:
    """All orders in time in which the nodes act, children before parents; ``together`` allows equal times."""

    def after(done: frozenset[int]) -> Iterator[tuple[Event, ...]]:
        if len(done) == len(nodes):
            yield ()
            return
        active = _active(nodes, done)
        ready = sorted(i for i in active if set(nodes[i].children) <= done)
        for size in range(1, len(ready) + 1 if together else 2):
            for acting in combinations(ready, size):
                later = done | frozenset(acting)
                # an error that a response creates in this step has not decayed in it
                event = Event(frozenset(acting), active, active & _active(nodes, later))
                for rest in after(later):
                    yield (event, *rest)

    return after(frozenset())


def _active(nodes: tuple[Placed, ...], done: frozenset[int]) -> frozenset[int]:
    """Errors that exist and have not acted: bare ones, and responses whose source has acted."""
    return frozenset(
        i for i, placed in enumerate(nodes) if i not in done and (placed.source is None or set(placed.source) <= done)
    )


@dataclass(frozen=True)
class Clock:
    """A training algorithm: gradient descent with its step and their number, or gradient flow and its time.

    Attributes
    ----------
    step : float or None
        The learning rate eta; None for gradient flow, dtheta/dt = - lambda dL/dtheta.
    end : float
        Number of steps, or the time of gradient flow; infinity for convergence.
    """

    step: float | None
    end: float

    def weights(self, diagram: Diagram, eigenvalues: Floats) -> Floats:
        """The sum over all times of a diagram: an array with one axis of N training modes for each of its nodes."""
        nodes, _ = places(diagram)
        total = np.zeros((len(eigenvalues),) * len(nodes))
        for events in orderings(nodes, together=self.step is not None):
            total = total + self._ordered(events, eigenvalues, len(nodes))
        return total

    def _ordered(self, events: tuple[Event, ...], eigenvalues: Floats, count: int) -> Floats:
        if self.step is None:
            rates = [self._sum(event.active, eigenvalues, count) for event in events]
            return (-1.0) ** count * _simplex_integral(rates, self.end)
        factors = 1 - self.step * eigenvalues
        rates = [_product(event.active, factors, count) for event in events]
        # the step in which an event happens is one more for the errors that it leaves alone
        carried = np.ones((1,) * count)
        for event in events[:-1]:
            carried = carried * _product(event.carried, factors, count)
        return (-self.step) ** count * carried * _simplex_sum(rates, self.end)

    @staticmethod
    def _sum(active: frozenset[int], values: Floats, count: int) -> Floats:
        found = np.zeros((1,) * count)
        for i in active:
            found = found + _along(values, i, count)
        return found

    def left(self, eigenvalues: Floats) -> Floats:
        """What is left of each mode of the errors at the end, at infinite width."""
        if self.end == inf:
            return np.zeros_like(eigenvalues)
        if self.step is None:
            return np.exp(-self.end * eigenvalues)
        return np.asarray((1 - self.step * eigenvalues) ** self.end)

    def check(self, eigenvalues: Floats, doubt: float, kernel: str) -> None:
        """Refuse training that diverges, and training without end on a singular kernel: InputError.

        ``doubt`` is the error of the eigenvalues (ascending) beyond their rounding, ``kernel`` their kernel's name.
        """
        largest, smallest = float(eigenvalues[-1]), float(eigenvalues[0])
        if self.step is not None and self.step * largest >= 2:
            raise InputError(
                f"learning_rate={self.step!r} diverges: the {kernel} has the eigenvalue {largest:.6g}; take less than "
                f"2/{largest:.6g} = {2 / largest:.6g}"
            )
        least = len(eigenvalues) * np.finfo(float).eps * largest + 2 * doubt
        if self.end == inf and smallest <= least:
            raise InputError(
                f"the {kernel} is singular (eigenvalues from {smallest:.3g} to {largest:.3g}): two inputs are the "
                "same, or too near; leave one out, or train for a given number of steps"
            )

    def pull(self, eigenvalues: Floats) -> Floats:
        """What is learnt of each mode over its eigenvalue: the time in which errors, as they decay, have acted."""
        learnt = eigenvalues > np.finfo(float).eps * eigenvalues.max()
        whole_time = self.end * (1.0 if self.step is None else self.step)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(learnt, (1 - self.left(eigenvalues)) / eigenvalues, whole_time)

    @property
    def name(self) -> str:
        """Of the algorithm."""
        return "gradient flow" if self.step is None else "gradient descent"

    @property
    def duration(self) -> str:
        """How long, in words."""
        if self.end == inf:
            return "until convergence"
        return ("time" if self.step is None else "steps") + f" {self.end:g}"


def algorithm(learning_rate: Any, steps: Any, time: Any) -> Clock:
    """The algorithm that a user means: gradient flow without a learning rate; until convergence if nothing is said.

    Raises InputError for values that are not positive, steps without a rate and a time with one.
    """
    if learning_rate is None:
        if steps is not None:
            raise InputError(f"steps={steps!r} without a learning rate; give learning_rate=, or time= of gradient flow")
        return Clock(None, inf if time is None else positive("time", time))
    if time is not None:
        raise InputError(f"time={time!r} is that of gradient flow; gradient descent with a learning rate takes steps=")
    end = inf if steps is None else whole("steps", steps, 1)
    if inf > end > MOST_STEPS:
        raise InputError(f"steps has {len(str(end))} digits; leave it out to train until convergence")
    return Clock(positive("learning_rate", learning_rate), end)


def _along(values: Floats, axis: int, count: int) -> Floats:
    return values.reshape(tuple(-1 if i == axis else 1 for i in range(count)))


def _product(active: frozenset[int], values: Floats, count: int) -> Floats:
    found = np.ones((1,) * count)
    for i in active:
        found = found * _along(values, i, count)
    return found


def _simplex_sum(rates: list[Floats], steps: float) -> Floats:
    """h_{T-m}(x_1, .., x_m, 1), the sum over all orders of m events in T steps: prod 1/(1 - x) if T is infinite."""
    if steps == inf:
        return _inverse([1 - rate for rate in rates])
    return _corner(_power(_chain(rates, 1.0), int(steps)), len(rates))


def _simplex_integral(rates: list[Floats], time: float) -> Floats:
    """The integral over t_1 < .. < t_m < t of exp(- sum of rates times intervals): prod 1/rate for t = infinity."""
    if time == inf:
        return _inverse(rates)
    return _corner(_exponential(_chain([-rate for rate in rates], 0.0), time), len(rates))


def _inverse(rates: list[Floats]) -> Floats:
    found: Any = 1.0
    for rate in rates:
        found = found / rate
    return np.asarray(found)


# Divided differences of t -> x^T and exp(x t) at x_1, .., x_m and the last are corners of functions of the matrix that
# has them on its diagonal and ones beside it: no differences of nearly equal rates are taken.


def _chain(rates: list[Floats], last: float) -> Floats:
    shape = np.broadcast_shapes(*(rate.shape for rate in rates))
    size = len(rates) + 1
    found = np.zeros((*shape, size, size))
    for i, rate in enumerate(rates):
        found[..., i, i] = rate
        found[..., i, i + 1] = 1.0
    found[..., -1, -1] = last
    return found


def _corner(matrix: Floats, events: int) -> Floats:
    return np.asarray(matrix[..., 0, events])


def _power(matrix: Floats, exponent: int) -> Floats:
    return np.linalg.matrix_power(matrix, exponent)


def _exponential(matrix: Floats, time: float) -> Floats:
    """exp(time * matrix) of a stack of small triangular matrices, by scaling, Taylor's series and squaring.

    All at once: scipy.linalg.expm goes one by one, and loses digits of corners that are small.
    """
    size = float(np.abs(time * matrix).sum(axis=-1).max())
    halvings = max(0, frexp(size)[1] + 1)  # norm 1/2 at most
    scaled = time * matrix / 2.0**halvings
    term = found = np.broadcast_to(np.eye(matrix.shape[-1]), matrix.shape)
    for k in range(1, 20):  # 2^-19/19! is far below rounding
        term = term @ scaled / k
        found = found + term
    return np.linalg.matrix_power(found, 2**halvings)
