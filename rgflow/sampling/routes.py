"""How a layer reaches the next one: what every kind of layer says of itself, and how its output is drawn from it.

    z'_i = carried_i + sum over its weight matrices of sum_j W_ij x_j + b_i

A kind of layer is one file in :mod:`rgflow.sampling.kinds`. It registers with :func:`routes` a function of its
description, the layer below and the :class:`Stages` at work, which returns :class:`Routes`:

    weights   one :class:`Weights` for each weight matrix of z' itself: what it acts on, its variance C/n and learning
              rate rate/n, and whether it is orthogonal instead of Gaussian. These are averaged exactly.
    C_b, lambda_b   of the bias of z' itself
    carried   what is added beside them, neuron by neuron: ``stages.scaled(z, skip)``; None if nothing is

The stages x and ``carried`` are made from z by ``stages.activated``, ``stages.normalized``, ``stages.scaled``,
``stages.sum`` and, where a layer holds weights below its own, ``stages.dense``, which draws them. Everything else
(jets, tangent kernels, averages over the own parameters, over pairs of different neurons) follows from the routes and
is the same for all kinds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import Protocol

from rgflow.errors import InputError
from rgflow.network import Layer
from rgflow.sampling.signals import Signal


@dataclass(frozen=True, eq=False)
class Weights:
    """One weight matrix: the stage it acts on, W_ij of variance C/n and learning rate rate/n, n that stage's width.

    Orthogonal: sqrt(C m/n) times an n' x n block of a Haar-distributed matrix of O(m), m = max(n, n').
    """

    source: Signal
    C: float
    rate: float
    orthogonal: bool = False

    def room(self, width: int) -> int:
        """m = max(n, n'), the size of the orthogonal matrix of which W is a block, to ``width`` neurons n'."""
        return max(self.source.width, width)


@dataclass(frozen=True, eq=False)
class Routes:
    """All that reaches the next layer."""

    weights: Sequence[Weights]
    C_b: float = 0.0
    lambda_b: float = 0.0
    carried: Signal | None = None

    @property
    def inputs(self) -> int:
        """N."""
        stage = self.carried or self.weights[0].source
        return int(stage.values.shape[1])


class Stages(Protocol):
    """How stages are made from stages, whether or not weights are drawn."""

    def activated(self, x: Signal) -> Signal:
        """sigma(x)."""

    def normalized(self, x: Signal, epsilon: float, centred: bool) -> Signal:
        """x less its mean over neurons if ``centred``, over the root of its mean square plus epsilon."""

    def scaled(self, x: Signal, factor: float) -> Signal:
        """factor x."""

    def sum(self, *parts: Signal) -> Signal:
        """x + y + ..."""

    def dense(self, x: Signal, width: int, C_b: float, C_W: float, lambda_b: float, lambda_W: float) -> Signal:
        """b + W x with drawn Gaussian parameters: weights inside a layer."""


@singledispatch
def routes(layer: Layer, below: Signal, stages: Stages, width: int) -> Routes:
    """The routes from the layer below to a layer of this description with ``width`` neurons.

    Raises InputError for a kind of layer that no file of :mod:`rgflow.sampling.kinds` draws.
    """
    raise InputError(f"{layer!r} is not sampled; teach a file of rgflow/sampling/kinds/ to draw it")
