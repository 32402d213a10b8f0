"""Stages of a layer in the networks of a chunk: with weights drawn, or, O(n) a network, with neurons alone.

Without weights the neurons of b + W x come from their exact conditional law given x: Gaussian of covariance
C_b + C_W/n sum_j x_j1 x_j2, or, for orthogonal W, a random frame with the overlaps of x.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from rgflow.network import Network
from rgflow.sampling import draw, haar
from rgflow.sampling.draw import Array, Purpose, Streams, Together
from rgflow.sampling.jets import Directions, activate, tangents
from rgflow.sampling.normalized import Normalized
from rgflow.sampling.routes import Routes, Weights
from rgflow.sampling.signals import Activated, Scaled, Signal, Start, Sum, Weighted, overlap, sum_of, total
from rgflow.sampling.tangent import Sides, TangentKernel


class DrawnStages(ABC):
    """How stages on the way to one layer follow from each other; see :class:`rgflow.sampling.routes.Stages`.

    Parameters
    ----------
    layer : the number of the layer that is being made, 2..L
    count : networks of the chunk
    order : highest derivative of sigma used

    Attributes
    ----------
    normalised : list of Normalized
        What was brought to variance one on the way, in order.
    """

    def __init__(self, net: Network, streams: Streams | Together, layer: int, count: int, order: int = 0):
        self._sigma, self._order = net.activation, order
        self._streams, self._layer, self._count = streams, layer, count
        self._place = 0
        self.normalised: list[Normalized] = []

    @abstractmethod
    def activated(self, x: Signal) -> Signal:
        """sigma(x)."""

    def scaled(self, x: Signal, factor: float) -> Signal:
        """factor x."""
        return Scaled(x, factor)

    def normalized(self, x: Signal, epsilon: float, centred: bool) -> Signal:
        """x less its mean if ``centred``, over the root of its mean square plus epsilon."""
        self.normalised.append(Normalized(x, epsilon, centred, f"layer {self._layer}"))
        return self.normalised[-1]

    def sum(self, *parts: Signal) -> Signal:
        """x + y + ..."""
        return Sum(parts)

    @abstractmethod
    def dense(self, x: Signal, width: int, C_b: float, C_W: float, lambda_b: float, lambda_W: float) -> Signal:
        """b + W x with drawn Gaussian parameters: weights inside a layer."""

    @abstractmethod
    def output(self, routes: Routes, width: int) -> Signal:
        """The layer itself, its own parameters drawn."""

    def _next_place(self) -> int:
        """Weights inside a layer have streams of their own, beside those of its first own weights (place 0)."""
        self._place += 1
        return self._place


class NeuronStages(DrawnStages):
    """Neurons alone."""

    def activated(self, x: Signal) -> Signal:
        s = activate(self._sigma.derivatives(x.values, self._order), x.jets)
        return Activated(x, s, {})

    def dense(self, x: Signal, width: int, C_b: float, C_W: float, lambda_b: float, lambda_W: float) -> Signal:
        return Start({(): self._gaussian(overlap(x, C_W) + C_b, width, self._next_place())})

    def output(self, routes: Routes, width: int) -> Signal:
        parts = [routes.carried] if routes.carried else []
        gaussian = [w for w in routes.weights if not w.orthogonal]
        if gaussian:
            covariance = sum_of([overlap(w.source, w.C) for w in gaussian]) + routes.C_b
            parts.append(Start({(): self._gaussian(covariance, width, 0)}))
        elif routes.C_b:
            generator = self._streams(Purpose.BIASES, self._layer)
            bias = draw.biases(generator, self._count, width, routes.C_b)
            parts.append(Start({(): np.broadcast_to(bias, (self._count, routes.inputs, width))}))
        for w in routes.weights:
            if w.orthogonal:
                generator = self._streams(Purpose.WEIGHTS, self._layer, self._next_place())
                parts.append(Start({(): haar.image(generator, w.source.values, self._count, width, w.C)}))
        return total(parts)

    def _gaussian(self, covariance: Array, width: int, place: int) -> Array:
        root = draw.covariance_root(covariance)
        return draw.neurons(self._streams(Purpose.NEURONS, self._layer, place), root, self._count, width)


class WeightStages(DrawnStages):
    """Weights, and the jets and tangent kernels that they transport.

    Attributes
    ----------
    inner, own : lists of Weighted
        What was made with weights inside the layer and with its own, in order.
    """

    def __init__(self, net: Network, streams: Streams | Together, layer: int, count: int, order: int, pool: int):
        super().__init__(net, streams, layer, count, order)
        self._pool = pool
        self.inner: list[Weighted] = []
        self.own: list[Weighted] = []

    def activated(self, x: Signal) -> Signal:
        derivatives = self._sigma.derivatives(x.values, self._order)
        return Activated(x, activate(derivatives, x.jets), activate(derivatives[1:], x.jets))

    def dense(self, x: Signal, width: int, C_b: float, C_W: float, lambda_b: float, lambda_W: float) -> Signal:
        self.inner.append(self._weighted(Weights(x, C_W, lambda_W), width, self._next_place(), C_b, lambda_b))
        return self.inner[-1]

    def output(self, routes: Routes, width: int) -> Signal:
        for i, w in enumerate(routes.weights):
            # One bias for all weights.
            b = (routes.C_b, routes.lambda_b) if not i else (0.0, 0.0)
            self.own.append(self._weighted(w, width, self._next_place() if i else 0, *b))
        return total([*([routes.carried] if routes.carried else []), *self.own])

    def _weighted(self, w: Weights, width: int, place: int, C_b: float, lambda_b: float) -> Weighted:
        n, count = w.source.width, self._count
        generator = self._streams(Purpose.WEIGHTS, self._layer, place)
        W = (haar if w.orthogonal else draw).weights(generator, count, n, width, w.C)
        b = draw.biases(self._streams(Purpose.BIASES, self._layer, place), count, width, C_b)
        eps = tangents(self._streams, self._layer, place, (w.rate, lambda_b), (count, n, width), self._pool)
        return Weighted(w.source, W, b, eps, w.rate, lambda_b)


def settled(layer: Signal, sides: Sequence[Sides]) -> Start:
    """The finished layer with what the next one needs of its tangent kernel; its stages can be forgotten."""
    empty: Directions = ()
    kernel = TangentKernel({side: layer.kernel(layer, *side) for side in sides}) if sides else None
    return Start(layer.jets if sides else {empty: layer.values}, kernel)
