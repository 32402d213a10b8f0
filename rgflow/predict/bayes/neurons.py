r"""The fluctuations of a multilayer perceptron's metric as an average over its neurons, for many inputs.

To leading order each hidden layer adds to the covariance of the metric above it that of one neuron, over its width:
with s = sigma(z), z ~ N(0, K^l), the metric of layer l + 1 fluctuates by C_W (s s^T - <s s^T>) / sqrt(n_l). Further up
it goes through the linear part of each layer's kernel map (:mod:`rgflow.predict.bayes.kernel_map`), which keeps its
form:

.. math:: D = P \circ s s^T + Q \circ d\,1^T + (Q \circ d\,1^T)^T - \text{mean}, \qquad d = s \circ s,

with two matrices (P, Q) for each layer in which a neuron may sit; at the last hidden layer P = C_W/sqrt(n), Q = 0. So D
times a vector costs N^2 operations at most, and no N^4 array is ever built: the covariance V/n is an average over draws
of z, here scrambled Sobol points; independent scrambles tell the standard error.

These are the derived recursions of K, V and K_1 (:func:`rgflow.derive`), with V written as a mean over neurons before
it is averaged: its source is C_W^2 (<ssss> - <ss><ss>), and what carries it on is two brackets <d d[ss]>, one for each
pair of inputs. :func:`rgflow.flow` evaluates them index by index, N^4 of them; here they are typed, and the tests hold
K, K_1 and V of a few inputs against it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rgflow.activations import Activation
from rgflow.errors import InputError
from rgflow.network import MLP
from rgflow.network.inputs import given
from rgflow.predict.bayes.kernel_map import KernelMap, Second, kernel_map, pairs
from rgflow.progress import progress_bar

Floats = NDArray[np.float64]
NUMBERS = 1 << 22  # in one array of a batch: 32 MiB
MOST_DIMENSIONS = 21201  # of SciPy's Sobol points


@dataclass(frozen=True, eq=False)
class HiddenLayer:
    """Neurons of one hidden layer and what they do to the metric of the outputs.

    Attributes
    ----------
    root : (N, rank of K), z = root x normal; columns in order of size, which suits Sobol points
    P, Q : (N, N)
    mean : (N, N), the mean of P ss^T + Q d1^T + transpose
    last : whether it is the last hidden layer, where P is one number and Q = 0
    """

    root: Floats
    P: Floats
    Q: Floats
    mean: Floats
    last: bool


@dataclass(frozen=True, eq=False)
class Neurons:
    """The network at its inputs: leading kernel, and the layers whose neurons fluctuate; N inputs as given."""

    activation: Activation
    kernel: Floats
    maps: tuple[KernelMap, ...]
    layers: tuple[tuple[HiddenLayer, ...], ...]  # for the metric of each layer 2..L, those below it
    weights: tuple[float, ...]  # C_W of layers 2..L

    @property
    def top(self) -> tuple[HiddenLayer, ...]:
        """The layers below the outputs; none if there is one layer of weights."""
        return self.layers[-1] if self.layers else ()

    def draw(
        self, layer: HiddenLayer, count: int, seed: np.random.SeedSequence, single: bool = False
    ) -> Iterator[Floats]:
        """``count`` draws of s = sigma(z), in batches (T, N); ``single`` precision if so."""
        from scipy.special import ndtri
        from scipy.stats import qmc

        N, dimensions = layer.root.shape
        engine = qmc.Sobol(dimensions, scramble=True, rng=np.random.default_rng(seed))
        batch = 1 << max(0, (NUMBERS // N).bit_length() - 1)
        root = layer.root.T.astype(np.float32 if single else np.float64)
        for start in range(0, count, batch):
            u = engine.random(min(batch, count - start))
            yield self.sigma(ndtri(np.clip(u, 2.0**-54, 1 - 2.0**-53)).astype(root.dtype) @ root)

    def sigma(self, z: Any) -> Any:
        """sigma(z); of two slopes without a detour, and in the precision of z."""
        if self.activation.slopes is None:
            return self.activation(z).astype(z.dtype, copy=False)
        minus, plus = self.activation.slopes
        s = np.maximum(z, 0.0)
        if plus != 1.0:
            s *= plus
        if minus != 0.0:
            s += minus * np.minimum(z, 0.0)
        return s


def neurons(net: MLP, inputs: Any, progress: bool = False) -> Neurons:
    """Kernels of all layers and the matrices of every hidden layer, at inputs (N, n_0).

    Raises InputError for more inputs than there are dimensions of Sobol points.
    """
    found = given(net, inputs)
    if len(inputs) > MOST_DIMENSIONS:
        raise InputError(f"{len(inputs)} inputs; sampled modes are offered for {MOST_DIMENSIONS} at most")
    first = net.layers[0]
    K = first.C_b + first.C_W * found.overlap
    at = np.ix_(found.place, found.place)
    maps, layers = [], []
    below: tuple[HiddenLayer, ...] = ()
    steps = net.layers[1:]
    with progress_bar(progress, "averages over pairs of inputs", len(steps) * pairs(len(K))) as advance:
        for l, step in enumerate(steps):
            here = kernel_map(net.activation, K, 2 if l else 0, advance)
            maps.append(_spread(here, at))
            scale = step.C_W / np.sqrt(net.widths[l + 1])
            one = np.full((len(inputs), len(inputs)), scale)
            new = HiddenLayer(_root(K)[found.place], one, np.zeros_like(one), scale * maps[-1].value, True)
            below = (*(_pushed(layer, maps[-1], step.C_W) for layer in below), new)
            layers.append(below)
            K = step.C_b + step.C_W * here.value
    return Neurons(net.activation, K[at], tuple(maps), tuple(layers), tuple(step.C_W for step in steps))


def _spread(found: KernelMap, at: Any) -> KernelMap:
    """From different inputs to the inputs as given."""
    return KernelMap(found.value[at], found.cross[at], found.square[at], Second(*(part[at] for part in found.second)))


def _pushed(layer: HiddenLayer, through: KernelMap, C_W: float) -> HiddenLayer:
    """One layer further up: the diagonal of D is diag(P) d, since Q has none."""
    A, B = C_W * through.cross, C_W * through.square
    Q = A * layer.Q + np.diagonal(layer.P)[:, None] * B
    return HiddenLayer(layer.root, A * layer.P, Q, C_W * through.push(layer.mean), False)


def _root(K: Floats) -> Floats:
    values, vectors = np.linalg.eigh(K)
    kept = values > len(K) * np.finfo(float).eps * values[-1]
    return np.asarray((vectors[:, kept] * np.sqrt(values[kept]))[:, ::-1])


# The correction K_1 ---------------------------------------------------------------------------------------------------


def correction(found: Neurons, count: int, seed: np.random.SeedSequence) -> Floats:
    """K_1/n of the outputs, (N, N): the curvature of each kernel map, averaged over the fluctuations below it.

    K_1 needs V on pairs of inputs only, (11)(11), (11)(12), (12)(12), (11)(22); zero with one hidden layer.
    """
    N = len(found.kernel)
    change = np.zeros((N, N))
    for l, (through, C_W) in enumerate(zip(found.maps, found.weights, strict=True)):
        total = through.push(change) if l else change
        for layer, child in zip(found.layers[l - 1] if l else (), seed.spawn(l), strict=True):
            total = total + _curved(through.second, layer, found.draw(layer, count, child), count)
        change = C_W * total
    return change


def _curved(second: Second, layer: HiddenLayer, batches: Iterator[Floats], count: int) -> Floats:
    """Half the second derivative of <sigma sigma>, averaged over the fluctuations of one layer's neurons."""
    s11, s31, s22 = (np.zeros_like(layer.P) for _ in range(3))
    for s in batches:
        d = s * s
        s11 += s.T @ s / count
        s31 += (d * s).T @ s / count
        s22 += d.T @ d / count
    P, Q = layer.P, layer.Q
    d, g = np.diagonal(s11), np.diagonal(P)
    s40 = np.broadcast_to(np.diagonal(s22)[:, None], P.shape)  # E d_a^2
    mean = P * s11 + Q * d[:, None] + (Q * d[:, None]).T
    # D_ab = P s_a s_b + Q_ab d_a + Q_ba d_b and D_aa = g_a d_a
    both = P**2 * s22 + Q**2 * s40 + (Q**2 * s40).T + 2 * P * (Q * s31 + (Q * s31).T) + 2 * Q * Q.T * s22 - mean**2
    three = g[:, None] * (P * s31 + Q * s40 + Q.T * s22 - d[:, None] * mean)
    four = (g**2)[:, None] * (s40 - d[:, None] ** 2)
    apart = np.outer(g, g) * (s22 - np.outer(d, d))
    found = second.cross * both / 2 + second.squares * apart
    half = second.square * four / 2 + second.mixed * three
    return np.asarray(found + half + half.T)
