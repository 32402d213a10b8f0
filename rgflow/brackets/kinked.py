r"""Brackets of a kinked activation: pending derivatives act exactly, as distributions.

Each input carries h = d^m f, f = prod sigma^{(k)}; its jumps are delta functions, eliminated one by one:

.. math:: E[\delta^{(i)}(z_u - c)\, g] = (-1)^i \frac{d^i}{dx^i} \Big( p_u(x)\, E[g \mid z_u = x] \Big)_{x=c}

Conditioning leaves a Gaussian of one dimension less, mean mu_v + beta_v (x - mu_u), covariance the Schur complement;
d/dx raises the pending orders of the rest by factors beta_v = K_uv / K_uu. What remains are averages of piecewise
smooth functions (leaves), done by nested quadrature that is split at the kinks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np
from numpy.typing import NDArray

from rgflow.activations import Activation
from rgflow.brackets.covariance import EPSILON
from rgflow.brackets.jumps import branch_function, jump
from rgflow.brackets.smooth import Entry
from rgflow.brackets.split import split_averages
from rgflow.errors import AccuracyError

Array = NDArray[np.float64]
Key = tuple[tuple[int, int], ...]  # eliminated inputs with the number of the kink they sit at
Factor = tuple[tuple[int, ...], int, int]  # f, level of its branch derivative, pending derivatives on top
Leaf = tuple[Key, tuple[tuple[tuple[int, ...], int], ...]]
_FAR = 38.0  # a density this many deviations from its mean underflows


@dataclass
class _Sum:
    """Linear combination of leaves: for each its coefficient (G,) and the error of that coefficient in units of eps."""

    terms: dict[Leaf, list[Array]] = field(default_factory=dict)

    def add(self, other: _Sum, factor: Array, loss: Array) -> None:
        for leaf, (coefficient, error) in other.terms.items():
            mine = self.terms.setdefault(leaf, [np.zeros_like(coefficient), np.zeros_like(error)])
            mine[0] += factor * coefficient
            mine[1] += np.abs(factor) * error + loss * np.abs(coefficient)


@dataclass(frozen=True)
class _Conditional:
    """The Gaussian of the inputs that are left: mean (G, r), covariance (G, r, r), loss (G, r) = K_uu / variance."""

    inputs: tuple[int, ...]
    mean: Array
    covariance: Array
    loss: Array


def kinked_averages(
    activation: Activation, kernels: Array, moments: Sequence[tuple[Entry, ...]], tolerance: float
) -> tuple[Array, Array, Array]:
    """Values, errors and absolute sums (G, M) for a kinked sigma; written orders mean branch derivatives.

    The absolute sum adds the sizes of the terms, so that cancellation between them shows as error.

    Raises
    ------
    AccuracyError
        If a variance vanishes where the integrand jumps, or two inputs are so close that a term diverges.
    """
    expansion = _Expansion(activation, kernels)
    sums = [expansion.expand((), tuple((orders, 0, m) for orders, m in moment)) for moment in moments]
    wanted: dict[Key, dict[Leaf, None]] = {}
    for one in sums:
        for leaf in one.terms:
            wanted.setdefault(leaf[0], {})[leaf] = None
    known: dict[Leaf, tuple[Array, Array, Array]] = {}
    for key, leaves in wanted.items():
        known.update(expansion.leaves(key, list(leaves), tolerance))
    shape = (kernels.shape[0], len(moments))
    values, errors, absolute = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    for m, one in enumerate(sums):
        for leaf, (coefficient, loss) in one.terms.items():
            value, error, size = known[leaf]
            values[:, m] += coefficient * value
            errors[:, m] += np.abs(coefficient) * error + EPSILON * (loss + 8 * np.abs(coefficient)) * size
            absolute[:, m] += np.abs(coefficient) * size
    return values, errors, absolute


class _Expansion:
    """Reduction of brackets to leaves, for a batch of kernels at once."""

    def __init__(self, activation: Activation, kernels: Array):
        self.activation, self.kernels = activation, kernels
        size = kernels.shape[1]
        start = _Conditional(tuple(range(size)), np.zeros(kernels.shape[:2]), kernels, np.ones(kernels.shape[:2]))
        self.conditionals: dict[Key, _Conditional] = {(): start}
        self.known: dict[tuple[Key, tuple[Factor, ...]], _Sum] = {}

    def conditional(self, key: Key) -> _Conditional:
        """The Gaussian of the rest, given that the inputs of the key sit at their kinks."""
        if key not in self.conditionals:
            before = self.conditional(key[:-1])
            u, place = key[-1]
            at = before.inputs.index(u)
            rest = [i for i in range(len(before.inputs)) if i != at]
            variance = before.covariance[:, at, at]
            inverse = np.divide(1.0, variance, out=np.zeros_like(variance), where=variance > 0)
            beta = before.covariance[:, rest, at] * inverse[:, None]
            shift = self.activation.kinks[place] - before.mean[:, at]
            mean = before.mean[:, rest] + beta * shift[:, None]
            covariance = before.covariance[np.ix_(range(variance.size), rest, rest)]
            covariance = covariance - beta[:, :, None] * before.covariance[:, at, rest][:, None, :]
            inputs = tuple(before.inputs[i] for i in rest)
            own = np.stack([self.kernels[:, v, v] for v in inputs], axis=1) if inputs else np.zeros((variance.size, 0))
            left = np.einsum("gii->gi", covariance).copy()
            left[left <= 16 * EPSILON * own] = 0.0
            np.einsum("gii->gi", covariance)[...] = left
            loss = np.divide(own, left, out=np.full_like(left, np.inf), where=left > 0)
            self.conditionals[key] = _Conditional(inputs, mean, covariance, np.where(own > 0, loss, 1.0))
        return self.conditionals[key]

    def expand(self, key: Key, factors: tuple[Factor, ...]) -> _Sum:
        """A bracket of the conditional Gaussian as a combination of leaves."""
        if (key, factors) not in self.known:
            self.known[key, factors] = self._expand(key, factors)
        return self.known[key, factors]

    def _expand(self, key: Key, factors: tuple[Factor, ...]) -> _Sum:
        out = _Sum()
        one = np.ones(self.kernels.shape[0])
        for at, (orders, level, pending) in enumerate(factors):
            if not orders and (pending or level):
                return out  # the derivative of a constant
            if not pending:
                continue
            smooth = (*factors[:at], (orders, level + 1, pending - 1), *factors[at + 1 :])
            out.add(self.expand(key, smooth), one, 0 * one)
            for place in range(len(self.activation.kinks)):
                size = jump(self.activation, orders, level, place)
                if size != 0.0:
                    out.add(self._delta(key, factors, at, place, pending - 1), size * one, 0 * one)
            return out
        if all(branch_function(self.activation, orders, level) for orders, level, _ in factors):
            out.terms[key, tuple((orders, level) for orders, level, _ in factors)] = [one, 0 * one]
        return out

    def _delta(self, key: Key, factors: tuple[Factor, ...], at: int, place: int, times: int) -> _Sum:
        """E[delta^{(times)}(z_at - c) prod of the other factors]."""
        here = self.conditional(key)
        u, c = here.inputs[at], self.activation.kinks[place]
        variance, loss = here.covariance[:, at, at], here.loss[:, at]
        others = [i for i in range(len(factors)) if i != at]
        self._refuse_divergence(here, at, c)
        deviation = np.sqrt(variance)
        x = np.divide(c - here.mean[:, at], deviation, out=np.full_like(variance, 2 * _FAR), where=variance > 0)
        alive = np.abs(x) < _FAR
        x = np.where(alive, x, 0.0)
        inverse = np.divide(1.0, deviation, out=np.zeros_like(variance), where=variance > 0)
        density = np.where(alive, np.exp(-0.5 * x * x) * inverse / math.sqrt(2 * math.pi), 0.0)
        plain, sizes = _hermite(times, x)
        beta = here.covariance[:, others, at] * (inverse**2)[:, None]
        # adding an input to the key keeps the order of elimination sorted, so equal sets share their leaves
        below = tuple(sorted((*key, (u, place))))
        out = _Sum()
        for spread in product(range(times + 1), repeat=len(others)):
            used = sum(spread)
            if used > times:
                continue
            ways = math.factorial(times) / (math.factorial(times - used) * math.prod(map(math.factorial, spread)))
            # (-1)^times d^{times-used} p = (-1)^{used} He p / s^{times-used}
            power = inverse ** (times - used) * density * ways * (-1) ** used
            tilt = np.prod([beta[:, i] ** r for i, r in enumerate(spread)], axis=0) if others else 1.0
            moved = [(*factors[i][:2], factors[i][2] + r) for i, r in zip(others, spread, strict=True)]
            inner = self.expand(below, tuple(moved))
            factor = plain[times - used] * power * tilt
            error = sizes[times - used] * np.abs(power * tilt) * loss * (times + 2.0) * (1 + x * x)
            out.add(inner, factor, np.where(np.abs(factor) + sizes[times - used] * density > 0, error, 0.0))
        return out

    def _refuse_divergence(self, here: _Conditional, at: int, c: float) -> None:
        variance, mean = here.covariance[:, at, at], here.mean[:, at]
        u = here.inputs[at]
        scale = np.sqrt(np.maximum(self.kernels[:, u, u], 0.0))
        bad = (variance == 0) & (np.abs(c - mean) <= 1e-7 * scale)
        if not bad.any():
            return
        g = int(np.argmax(bad))
        name, kernel = self.activation.name, self.kernels[g].tolist()
        if self.kernels[g, u, u] == 0:
            raise AccuracyError(
                f"the kernel of input {u} vanishes at K = {kernel}: it sits on the kink of {name} at {c}, where a "
                "bracket with this derivative has no value; use C_b > 0 or drop the zero input"
            )
        raise AccuracyError(
            f"a bracket of {name} with pending derivatives diverges at K = {kernel}: input {u} is a function of the "
            "others; merge equal inputs, or keep collinear inputs apart (C_b > 0)"
        )

    def leaves(self, key: Key, leaves: list[Leaf], tolerance: float) -> dict[Leaf, tuple[Array, Array, Array]]:
        """Values, errors and absolute integrals (G,) of leaves that share a conditional Gaussian."""
        here = self.conditional(key)
        count = self.kernels.shape[0]
        if not here.inputs:
            return {leaf: (np.ones(count), np.zeros(count), np.ones(count)) for leaf in leaves}
        self._refuse_standing_on_a_jump(here, leaves)
        products = [tuple(branch_function(self.activation, *factor) for factor in leaf[1]) for leaf in leaves]
        most = max(sum(len(orders) for orders, _ in leaf[1]) for leaf in leaves)
        found = split_averages(self.activation, here.mean, here.covariance, here.loss, products, most, tolerance)
        return {leaf: (found[0][:, i], found[1][:, i], found[2][:, i]) for i, leaf in enumerate(leaves)}

    def _refuse_standing_on_a_jump(self, here: _Conditional, leaves: list[Leaf]) -> None:
        for at, u in enumerate(here.inputs):
            still = here.covariance[:, at, at] == 0
            if not still.any():
                continue
            for place, c in enumerate(self.activation.kinks):
                if any(jump(self.activation, *leaf[1][at], place) != 0.0 for leaf in leaves):
                    on = still & (np.abs(here.mean[:, at] - c) <= 1e-7 * np.sqrt(np.abs(self.kernels[:, u, u])))
                    if on.any():
                        g = int(np.argmax(on))
                        raise AccuracyError(
                            f"input {u} has no variance left at K = {self.kernels[g].tolist()} and sits on the kink of "
                            f"{self.activation.name} at {c}, where the integrand jumps; use C_b > 0 or drop that input"
                        )


def _hermite(order: int, x: Array) -> tuple[list[Array], list[Array]]:
    """He_0..He_order at x, and the sums of the sizes of their terms."""
    plain, sizes = [np.ones_like(x)], [np.ones_like(x)]
    if order:
        plain.append(x)
        sizes.append(np.abs(x))
    for k in range(2, order + 1):
        plain.append(x * plain[-1] - (k - 1) * plain[-2])
        sizes.append(np.abs(x) * sizes[-1] + (k - 1) * sizes[-2])
    return plain, sizes
