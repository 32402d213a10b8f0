r"""The fluctuations of a multilayer perceptron's metric as an average over its neurons, for many inputs.

To leading order each hidden layer adds to the covariance of the metric above it that of one neuron, over its width:
with s = sigma(z), z ~ N(0, K^l), the metric of layer l + 1 fluctuates by C_W (s s^T - <s s^T>) / sqrt(n_l). Further up
it goes through the linear part of each layer's kernel map (:mod:`rgflow.predict.bayes.kernel_map`), which keeps its
form:

.. math:: D = P \circ s s^T + Q \circ d\,1^T + (Q \circ d\,1^T)^T - \text{mean}, \qquad d = s \circ s,

with two matrices (P, Q) for each layer in which a neuron may sit; at the last hidden layer P = C_W/sqrt(n), Q = 0. So D
times a vector costs N^2 operations at most, and no N^4 array is ever built: the covariance V/n is an average over draws
of z, here scrambled Sobol points; independent scrambles tell the standard error.
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
from rgflow.predict.bayes.kernel_map import KernelMap, kernel_map, pairs
from rgflow.predict.bayes.regression import Regression, Response, nothing
from rgflow.progress import progress_bar

Floats = NDArray[np.float64]
NUMBERS = 1 << 22  # in one array of a batch: 32 MiB
MOST_DIMENSIONS = 21201  # of SciPy's Sobol points


@dataclass(frozen=True, eq=False)
class Layer:
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
    layers: tuple[tuple[Layer, ...], ...]  # for the metric of each layer 2..L, those below it
    weights: tuple[float, ...]  # C_W of layers 2..L

    @property
    def top(self) -> tuple[Layer, ...]:
        """The layers below the outputs; none if there is one layer of weights."""
        return self.layers[-1] if self.layers else ()

    def draw(self, layer: Layer, count: int, seed: np.random.SeedSequence, single: bool = False) -> Iterator[Floats]:
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
    below: tuple[Layer, ...] = ()
    steps = net.layers[1:]
    with progress_bar(progress, "averages over pairs of inputs", len(steps) * pairs(len(K))) as advance:
        for l, step in enumerate(steps):
            here = kernel_map(net.activation, K, 2 if l else 0, advance)
            maps.append(_spread(here, at))
            scale = step.C_W / np.sqrt(net.widths[l + 1])
            one = np.full((len(inputs), len(inputs)), scale)
            new = Layer(_root(K)[found.place], one, np.zeros_like(one), scale * maps[-1].value, True)
            below = (*(_pushed(layer, maps[-1], step.C_W) for layer in below), new)
            layers.append(below)
            K = step.C_b + step.C_W * here.value
    return Neurons(net.activation, K[at], tuple(maps), tuple(layers), tuple(step.C_W for step in steps))


def _spread(found: KernelMap, at: Any) -> KernelMap:
    """From different inputs to the inputs as given."""
    second = None if found.second is None else tuple(part[at] for part in found.second)
    return KernelMap(found.value[at], found.cross[at], found.square[at], second)


def _pushed(layer: Layer, through: KernelMap, C_W: float) -> Layer:
    """One layer further up: the diagonal of D is diag(P) d, since Q has none."""
    A, B = C_W * through.cross, C_W * through.square
    Q = A * layer.Q + np.diagonal(layer.P)[:, None] * B
    return Layer(layer.root, A * layer.P, Q, C_W * through.push(layer.mean), False)


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
            assert through.second is not None
            total = total + _curved(through.second, layer, found.draw(layer, count, child), count)
        change = C_W * total
    return change


def _curved(second: tuple[Floats, ...], layer: Layer, batches: Iterator[Floats], count: int) -> Floats:
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
    cross, twice, mixed, different = second
    found = cross * both / 2 + different * apart
    half = twice * four / 2 + mixed * three
    return np.asarray(found + half + half.T)


# The response of a regression -----------------------------------------------------------------------------------------


def sampled_response(
    problem: Regression, found: Neurons, count: int, seed: np.random.SeedSequence, advance: Any
) -> Response:
    """The sums over fluctuations from ``count`` draws of a neuron at every hidden layer; unbiased."""
    total = nothing(problem)
    for layer, child in zip(found.top, seed.spawn(len(found.top)), strict=True):
        points, probes = child.spawn(2)
        generator = np.random.default_rng(probes)
        each = _last if layer.last else _deeper
        for s in found.draw(layer, count, points):
            total = total.plus(each(problem, layer, s, generator))
            advance(len(s))
    return Response(*(np.asarray(part) / count for part in total))


def _pull(problem: Regression, layer: Layer, s: Floats, slopes: Floats) -> tuple[Floats, Floats]:
    """Sum of Dl[D] D: columns at training inputs, and at test inputs."""
    N, d, all_slopes = problem.N, s * s, slopes.sum()
    weighted = slopes[:, None] * s
    squares = slopes @ d
    P, Q = layer.P, layer.Q
    columns = P[:, :N] * (weighted.T @ s[:, :N]) + Q[:, :N] * squares[:, None]
    columns += Q[:N].T * squares[:N] - all_slopes * layer.mean[:, :N]
    mean = problem.at_test(layer.mean)
    test = problem.at_test(P) * problem.pairs(weighted[:, N:], s[:, N:]) - all_slopes * mean
    if problem.joint:
        mixed = Q[N:, N:] * squares[N:, None]
        test += mixed + mixed.T
    return columns, test


def _last(problem: Regression, layer: Layer, s: Floats, generator: np.random.Generator) -> Response:
    """Neurons of the last hidden layer: D = c (s s^T) - mean has rank one but for its mean; exact contractions."""
    N, o, a, inverse, M = problem.N, problem.outputs, problem.a, problem.inverse, problem.M
    c, T = float(layer.P[0, 0]), len(s)
    known, r = s[:, :N], s[:, N:] - s[:, :N] @ M.T
    t, u = known @ a, ((known @ inverse) * known).sum(axis=1)
    mean = layer.mean[:N, :N]
    rho = layer.mean[N:, :N] - M @ mean
    mean_a = mean @ a
    solved = inverse @ mean
    slopes = (c * (t**2).sum(axis=1) - c * o * u) / 2 - float(problem.slope(mean))
    # Means of c r s^T, c s t and c u are known: u, which is large, multiplies deviations only.
    middle = float(np.trace(solved))
    excess = c * u - middle
    bend = -(c * r.T @ (excess[:, None] * t) + T * (middle * (rho @ a) - rho @ (inverse @ mean_a)))
    both = problem.regressed(layer.mean[:, :N], problem.at_test(layer.mean))
    narrowing = c * problem.pairs(excess[:, None] * r, r)
    narrowing = narrowing + T * (middle * both - problem.pairs((rho @ inverse).T, rho.T))
    Ra = c * r[:, :, None] * t[:, None, :] - rho @ a
    sizes = c * excess * (t**2).sum(axis=1) + middle * float((problem.a * mean_a).sum())
    sizes -= float((mean_a * (inverse @ mean_a)).sum())
    traces = excess**2 + middle**2 - float((solved * solved.T).sum())
    second = -sizes + o / 2 * traces
    return Response(
        *_pull(problem, layer, s, slopes),
        bend,
        -narrowing,
        problem.pairs(Ra, Ra),
        (second + slopes**2).sum() / 2,
    )


def lean_response(
    problem: Regression, found: Neurons, count: int, seed: np.random.SeedSequence, advance: Any
) -> tuple[Floats, float]:
    """One hidden layer: the shift of the mean (M, o) and of the log evidence alone, in single precision.

    The same averages as :func:`sampled_response`, without matrices over pairs of inputs: what they cost is the product
    of each draw with Kt^-1/2. Rounding is far below sampling noise, which needs many draws.
    """
    (layer,) = found.top
    N, o = problem.N, problem.outputs
    c = float(layer.P[0, 0])
    mean = layer.mean[:N, :N]
    rho_a = (layer.mean[N:, :N] - problem.M @ mean) @ problem.a
    mean_a, solved = mean @ problem.a, problem.inverse @ mean
    bent = problem.inverse @ mean_a
    middle, centre = float(np.trace(solved)), float(problem.slope(mean))
    root, M, a = (np.ascontiguousarray(x, np.float32) for x in (problem.root, problem.M.T, problem.a))
    sizes = middle * float((problem.a * mean_a).sum()) - float((mean_a * bent).sum())
    traces = middle**2 - float((solved * solved.T).sum())
    total, evidence = np.zeros_like(rho_a), 0.0
    for s in found.draw(layer, count, seed, single=True):
        known = s[:, :N]
        r = s[:, N:] - known @ M
        t, white = known @ a, known @ root
        u = np.einsum("tn,tn->t", white, white).astype(np.float64)
        squares = np.einsum("to,to->t", t, t).astype(np.float64)
        slopes, excess = c * (squares - o * u) / 2 - centre, c * u - middle
        total += c * r.T @ ((slopes - excess).astype(np.float32)[:, None] * t) - slopes.sum() * rho_a
        evidence += float((o / 2 * (excess**2) - c * excess * squares + slopes**2).sum()) / 2
        advance(len(s))
    rho_bent = (layer.mean[N:, :N] - problem.M @ mean) @ bent
    return total / count - middle * rho_a + rho_bent, evidence / count + (o / 2 * traces - sizes) / 2


def _deeper(problem: Regression, layer: Layer, s: Floats, generator: np.random.Generator) -> Response:
    """Neurons further down: D by its products with vectors; traces through one random vector for every draw."""
    N, o, inverse, M = problem.N, problem.outputs, problem.inverse, problem.M
    known, d = s[:, :N], s * s

    def times(vectors: Any) -> Floats:
        """D v at all inputs, for one vector (N,) or one for every draw (T, N); (T, N + M)."""
        straight = s * ((known * vectors) @ layer.P[:, :N].T)
        mixed = d * (vectors @ layer.Q[:, :N].T) + (d[:, :N] * vectors) @ layer.Q[:N]
        return np.asarray(straight + mixed - vectors @ layer.mean[:N])

    def regressed(rows: Floats) -> Floats:
        return np.asarray(rows[:, N:] - rows[:, :N] @ M.T)

    Da = np.stack([times(column) for column in problem.a.T], axis=2)  # (T, N + M, o)
    Ra = np.stack([regressed(Da[:, :, i]) for i in range(o)], axis=2)
    moved = [Da[:, :N, i] @ inverse for i in range(o)]
    bend = -np.stack([regressed(times(w)).sum(axis=0) for w in moved], axis=1)
    probe = times(generator.standard_normal((len(s), N)) @ problem.root.T)  # covariance of v: Kt^-1
    Rv = regressed(probe)
    trace = ((known @ (layer.P[:N, :N] * inverse)) * known).sum(axis=1)
    trace += 2 * d[:, :N] @ (layer.Q[:N, :N] * inverse).sum(axis=1) - (inverse * layer.mean[:N, :N]).sum()
    slopes = (np.einsum("no,tno->t", problem.a, Da[:, :N]) - o * trace) / 2
    second = -sum((Da[:, :N, i] * w).sum(axis=1) for i, w in enumerate(moved))
    second = second + o / 2 * ((probe[:, :N] @ inverse) * probe[:, :N]).sum(axis=1)
    return Response(
        *_pull(problem, layer, s, slopes),
        bend,
        -problem.pairs(Rv, Rv),
        problem.pairs(Ra, Ra),
        (second + slopes**2).sum() / 2,
    )
