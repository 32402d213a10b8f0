r"""The exact posterior of a network with one hidden layer, by importance average over sampled kernels.

Given its hidden neurons the network is Gaussian with the kernel Khat = C_b + (C_W/n) sum_j s_j s_j^T. So

    p(y) = E[N(y; 0, Khat_AA + noise)],    E[f | y] = E[f(Khat) N(y; 0, Khat_AA + noise)] / p(y),

for f the mean of Gaussian regression with Khat, or its covariance plus the product of its means. Averages are over n
neurons, drawn many times; no expansion in 1/n, and nothing of rgflow.

What an average of h(Khat) does beyond third order in D = Khat - K is small, O(1/n^2), and so is its noise; up to third
order it is known: D is a mean of n independent terms, so that E[D D] and E[D D D] are those of *one* neuron over n and
n^2, an average over three numbers. The Taylor terms h_p come from differences of h along all directions, and together
E h = h(K) + E h_2 + E h_3 + E[h - h_1 - h_2 - h_3].
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import qmc

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Problem:
    """Inputs as the kernel of layer 1 (train first), targets (N, o), and the layer on top."""

    first_kernel: Array
    targets: Array
    noise: float
    sigma: object
    C_b: float
    C_W: float

    @property
    def pairs(self) -> tuple[Array, Array]:
        return np.triu_indices(len(self.first_kernel))


@dataclass(frozen=True)
class Posterior:
    """Of the test inputs: mean (M, o), covariance (M, M, o, o), log evidence; standard errors beside them."""

    mean: Array
    covariance: Array
    log_evidence: float
    errors: tuple[Array, Array, float]


def regress(problem: Problem, kernels: Array) -> tuple[Array, Array, Array]:
    """log N(y; 0, K_AA + noise), means (S, M, o) and covariances (S, M, M) for kernels (S, P, P)."""
    y = problem.targets
    N, o = y.shape
    noisy = kernels[:, :N, :N] + problem.noise * np.eye(N)
    solved = np.linalg.solve(noisy, np.broadcast_to(y, (len(kernels), N, o)))
    sign, determinant = np.linalg.slogdet(noisy)
    assert (sign > 0).all()
    logs = -((y * solved).sum(axis=(1, 2)) + o * (determinant + N * np.log(2 * np.pi))) / 2
    cross = kernels[:, N:, :N]
    reach = np.linalg.solve(noisy, cross.transpose(0, 2, 1))
    return logs, cross @ solved, kernels[:, N:, N:] - cross @ reach


def weighed(problem: Problem, kernels: Array, reference: float) -> Array:
    """(S, 1 + M o + M M o o): the evidence over a reference, times 1, the means, and their second moments."""
    logs, means, spreads = regress(problem, kernels)
    S, o = len(kernels), problem.targets.shape[1]
    second = spreads[:, :, :, None, None] * np.eye(o) + np.einsum("smi,spj->smpij", means, means)
    rows = np.concatenate([np.ones((S, 1)), means.reshape(S, -1), second.reshape(S, -1)], axis=1)
    return np.exp(logs - reference)[:, None] * rows


def neurons(problem: Problem, rng: np.random.Generator, *shape: int) -> Array:
    root = np.linalg.cholesky(problem.first_kernel)
    return problem.sigma(rng.standard_normal((*shape, len(root))) @ root.T)


def exact_posterior(problem: Problem, kernel: Array, n: int, draws: int, seed: int, single: int = 1 << 17) -> Posterior:
    """The posterior at width n; ``kernel`` is K of the outputs at infinite width, which only reduces noise."""
    rng = np.random.default_rng(seed)
    a, b = problem.pairs
    size = len(a)
    reference = float(regress(problem, kernel[None])[0][0])
    centre = weighed(problem, kernel[None], reference)[0]
    step = 2e-3 * np.sqrt(np.outer(np.diagonal(kernel), np.diagonal(kernel)))[a, b]

    def derivatives(order: int) -> Array:
        """All of one order, (size ** order, X), by central differences."""
        places = np.indices((size,) * order).reshape(order, -1)
        total: Array | float = 0.0
        for signs in product((1, -1), repeat=order):
            moved = np.repeat(kernel[None], places.shape[1], axis=0)
            by = sum(sign * np.eye(size)[place] for sign, place in zip(signs, places, strict=True)) * step
            moved[:, a, b] += by
            moved[:, b, a] = moved[:, a, b]
            total = total + np.prod(signs) * weighed(problem, moved, reference)
        return total / np.prod(2 * step[places], axis=0)[:, None]

    first, second, third = derivatives(1), derivatives(2) / 2, derivatives(3) / 6
    u = qmc.Sobol(len(kernel), rng=rng).random(single)
    s = problem.sigma(ndtri(u) @ np.linalg.cholesky(problem.first_kernel).T)
    one = problem.C_b + problem.C_W * s[:, a] * s[:, b] - kernel[a, b]
    pairs = powers(one, 2)
    known = (pairs.mean(axis=0) @ second) / n + (pairs.T @ one / single).ravel() @ third / n**2
    total, squares = np.zeros_like(centre), np.zeros((len(centre), len(centre)))
    batch = max(1, (1 << 20) // n)
    for start in range(0, draws, batch):
        s = neurons(problem, rng, min(batch, draws - start), n)
        hat = problem.C_b + problem.C_W / n * np.matmul(s.transpose(0, 2, 1), s)
        D = (hat - kernel)[:, a, b]
        rest = weighed(problem, hat, reference) - centre - D @ first - powers(D, 2) @ second - powers(D, 3) @ third
        total += rest.sum(axis=0)
        squares += rest.T @ rest
    mean = total / draws
    spread = (squares / draws - np.outer(mean, mean)) / draws
    return _ratios(problem, len(kernel), centre + known + mean, spread, reference)


def powers(D: Array, order: int) -> Array:
    """All products of ``order`` entries of each row."""
    out = D
    for _ in range(order - 1):
        out = (out[:, :, None] * D[:, None, :]).reshape(len(D), -1)
    return out


def _ratios(problem: Problem, points: int, found: Array, spread: Array, reference: float) -> Posterior:
    N, o = problem.targets.shape
    M = points - N

    def of(values: Array) -> Array:
        mean = values[1 : 1 + M * o] / values[0]
        second = (values[1 + M * o :] / values[0]).reshape(M, M, o, o)
        moments = mean.reshape(M, o)
        covariance = second - np.einsum("mi,pj->mpij", moments, moments)
        return np.concatenate([mean, covariance.ravel(), [reference + np.log(values[0])]])

    values = of(found)
    jacobian = np.array([(of(found + h) - of(found - h)) / 2e-6 for h in 1e-6 * np.eye(len(found))])
    errors = np.sqrt(np.einsum("ix,ij,jx->x", jacobian, spread, jacobian))

    def split(flat: Array) -> tuple[Array, Array, float]:
        return flat[: M * o].reshape(M, o), flat[M * o : -1].reshape(M, M, o, o), float(flat[-1])

    return Posterior(*split(values), split(errors))
