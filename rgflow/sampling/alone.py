"""Layers that reach the next one through a single Gaussian matrix alone: given the neurons below, all is Gaussian.

    z' = b + W s(z),    s(z) made of z without further weights, neuron by neuron or all together.

Of such layers no weights need be drawn (:mod:`rgflow.sampling.collapsed`): s and ds/dz are all that they say.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache

import numpy as np

import rgflow.sampling.kinds  # noqa: F401  (every kind says how it is drawn)
from rgflow.activations import Activation
from rgflow.errors import InputError
from rgflow.network import Layer
from rgflow.sampling.draw import Array
from rgflow.sampling.jets import activate
from rgflow.sampling.normalized import Normalized, refuse_without_mean
from rgflow.sampling.routes import Routes, routes
from rgflow.sampling.signals import Activated, Signal, Start


@lru_cache(maxsize=256)
def alone(layer: Layer) -> bool:
    """Whether a layer, not the first, is of this form."""
    look = _Look()
    try:
        found = routes(layer, Start({(): np.zeros((1, 1, 1))}), look, 1)
    except InputError:
        # Nobody draws it: that is said where it is drawn.
        return False
    return not (look.more or found.carried or [w for w in found.weights if w.orthogonal]) and len(found.weights) == 1


def made(layer: Layer, z: Array, sigma: Activation, order: int, number: int, names: Collection[str]) -> Routes:
    """The routes from neurons z (m, N, n) to a layer of this form, the ``number``-th; slopes if ``order`` is 1.

    Raises what its norms raise, InputError or AccuracyError.
    """
    stages = _Stages(sigma, order, number)
    found = routes(layer, Start({(): z}), stages, z.shape[-1])
    refuse_without_mean(stages.normalised, names, f"layer {number}, {layer!r},")
    return found


class _Stages:
    """Stages that are made of neurons alone."""

    def __init__(self, sigma: Activation, order: int, layer: int):
        self._sigma, self._order, self._layer = sigma, order, layer
        self.normalised: list[Normalized] = []

    def activated(self, x: Signal) -> Signal:
        found = self._sigma.derivatives(x.values, self._order)
        return Activated(x, activate(found, x.jets), activate(found[1:], x.jets) if self._order else {})

    def normalized(self, x: Signal, epsilon: float, centred: bool) -> Signal:
        self.normalised.append(Normalized(x, epsilon, centred, f"layer {self._layer}"))
        return self.normalised[-1]

    def scaled(self, x: Signal, factor: float) -> Signal:
        raise AssertionError("a layer that scales is not of this form")

    def sum(self, *parts: Signal) -> Signal:
        raise AssertionError("a layer that adds is not of this form")

    def dense(self, x: Signal, width: int, C_b: float, C_W: float, lambda_b: float, lambda_W: float) -> Signal:
        raise AssertionError("a layer that holds weights is not of this form")


class _Look:
    """Stages that make nothing, and see whether a layer asks for more."""

    more = False

    def activated(self, x: Signal) -> Signal:
        return x

    def normalized(self, x: Signal, epsilon: float, centred: bool) -> Signal:
        return x

    def scaled(self, x: Signal, factor: float) -> Signal:
        self.more = True
        return x

    def sum(self, *parts: Signal) -> Signal:
        self.more = True
        return parts[0]

    def dense(self, x: Signal, width: int, C_b: float, C_W: float, lambda_b: float, lambda_W: float) -> Signal:
        self.more = True
        return x
