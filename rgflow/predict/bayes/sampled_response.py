r"""What fluctuations of the metric do to a regression, as averages over drawn neurons (see ``neurons``).

The sums over modes of :mod:`rgflow.predict.bayes.regression` with one neuron's D in the place of a mode, D taken by its
products with vectors: exact contractions for the last hidden layer, where D has rank one but for its mean; further down
traces of products go through one random vector for every draw.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rgflow.predict.bayes.neurons import HiddenLayer, Neurons
from rgflow.predict.bayes.regression import Regression, Response, nothing

Floats = NDArray[np.float64]


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


def _pull(problem: Regression, layer: HiddenLayer, s: Floats, slopes: Floats) -> tuple[Floats, Floats]:
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


def _last(problem: Regression, layer: HiddenLayer, s: Floats, generator: np.random.Generator) -> Response:
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


def _deeper(problem: Regression, layer: HiddenLayer, s: Floats, generator: np.random.Generator) -> Response:
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
