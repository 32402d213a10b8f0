"""The first layer: what the overlaps of the inputs say about it, exactly.

z^1 = b + W x is linear in its parameters and depends on the inputs only through g = x.x'/n_0:

    K^1 = C_b + C_W g,    H^1_jm = delta_jm Theta^1,   Theta^1 = lambda_b + lambda_W g.

With Gaussian weights its neurons are Gaussian and independent; with orthogonal ones they are components of a random
frame, and V^1, V6^1 do not vanish.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rgflow.errors import InputError
from rgflow.network import Layer, Network
from rgflow.network.inputs import Given
from rgflow.sampling import haar
from rgflow.sampling.draw import Array, Purpose, Streams, Together, covariance_root, neurons
from rgflow.sampling.estimators import refuse_too_narrow
from rgflow.sampling.routes import Routes, routes
from rgflow.sampling.signals import Signal, Start


@dataclass(frozen=True, eq=False)
class FirstLayer:
    """K^1 and Theta^1, both (N, N), with their roots, and the routes that lead from the inputs to it."""

    kernel: Array
    tangent: Array
    routes: Routes
    width: int

    @property
    def root(self) -> Array:
        """L with L L^T = K^1."""
        return covariance_root(self.kernel)

    @property
    def tangent_root(self) -> Array:
        """L with L L^T = Theta^1."""
        return covariance_root(self.tangent)

    def neurons(self, streams: Streams | Together, count: int) -> Array:
        """z^1 of ``count`` networks, (count, N, n_1)."""
        generator = streams(Purpose.NEURONS, 1)
        (weights,) = self.routes.weights
        if not weights.orthogonal:
            return neurons(generator, self.root, count, self.width)
        return haar.image(generator, weights.source.values, count, self.width, weights.C)

    def cumulant(self, name: str) -> Array | float:
        """The letter at layer 1: K, Theta (N, N), over pairs of inputs V (p, p), V6 (p, p, p); 0 for the others."""
        if name in ("K", "Theta"):
            return self.kernel if name == "K" else self.tangent
        (weights,) = self.routes.weights
        if not weights.orthogonal or name not in ("V", "V6"):
            return 0.0
        pairs = np.triu_indices(len(self.kernel))
        n_0, room = weights.source.width, weights.room(self.width)
        if name == "V":
            return np.asarray(n_0 * haar.second(self.kernel[None], room, pairs)[0])
        return np.asarray(n_0**2 * haar.third(self.kernel[None], room, pairs)[0])


class _Inputs:
    """The first layer takes the inputs as they are, and nothing is made of them before its weights act."""

    def __init__(self, layer: Layer):
        self._layer = layer

    def activated(self, x: Signal) -> Signal:
        return x

    def normalized(self, x: Signal, epsilon: float, centred: bool) -> Signal:
        raise self.refusal()

    def scaled(self, x: Signal, factor: float) -> Signal:
        raise self.refusal()

    def sum(self, *parts: Signal) -> Signal:
        raise self.refusal()

    def dense(self, x: Signal, width: int, C_b: float, C_W: float, lambda_b: float, lambda_W: float) -> Signal:
        raise self.refusal()

    def refusal(self) -> InputError:
        return InputError(f"layer 1 is {self._layer!r}; the first layer is sampled where it is z = b + W x and no more")


def first_layer(net: Network, given: Given, names: tuple[str, ...] = ()) -> FirstLayer:
    """K^1 and Theta^1 of the different inputs.

    Raises InputError where there are no such inputs of n_0 dimensions, which orthogonal weights would act on, for names
    that need more neurons than the layer has, and for a layer that is more than z = b + W x.
    """
    overlap, layer, width = given.overlap, net.layers[0], net.widths[1]
    x, stages = Start({(): _inputs(overlap, net.widths[0])[None]}), _Inputs(layer)
    found = routes(layer, x, stages, width)
    if found.carried or len(found.weights) != 1 or found.weights[0].source is not x:
        raise stages.refusal()
    (weights,) = found.weights
    if weights.orthogonal:
        _refuse_too_many(overlap, net.widths[0])
    refuse_too_narrow(found, width, names, f"layer 1, {layer!r},")
    kernel, tangent = found.C_b + weights.C * overlap, found.lambda_b + weights.rate * overlap
    return FirstLayer(kernel, tangent, found, width)


def _inputs(overlap: Array, n_0: int) -> Array:
    """Inputs (N, n_0) with these overlaps: others are the same up to a rotation."""
    x = np.zeros((len(overlap), n_0))
    if len(overlap) <= n_0:
        x[:, : len(overlap)] = covariance_root(overlap * n_0)
    else:
        values, vectors = np.linalg.eigh(overlap * n_0)
        x[:] = vectors[:, -n_0:] * np.sqrt(np.maximum(values[-n_0:], 0.0))
    return x


def _refuse_too_many(overlap: Array, n_0: int) -> None:
    values = np.linalg.eigvalsh(overlap)
    # Eigenvalues of a matrix rounded at eps are off by N eps times the largest.
    beyond = values[: max(0, len(values) - n_0)]
    if np.any(beyond > 16 * len(values) * np.finfo(float).eps * values[-1]):
        raise InputError(
            f"first_kernel is that of {len(overlap)} independent inputs, and the network takes n_0 = {n_0} dimensions: "
            "orthogonal weights of the first layer act on the inputs themselves; make n_0 larger"
        )
