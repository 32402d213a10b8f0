"""Control variates: how much of a network's G and Hbar its random numbers foretell, and what that part does exactly.

Sums over neurons of monomials in the normals xi of every hidden layer, plain or damped by exp(-|xi|^2/4), have known
mean and covariance. A linear combination P of them, its coefficients fixed beforehand, may therefore be taken away from
what is averaged:

    K = E[G - P],      V = n (Cov(G_12, G_34) - Cov(P_12, P_34) + exact Cov(P_12, P_34)),

where the first two covariances are those of the sample. Both are unbiased for any coefficients, and batches remain
independent of each other, so that standard errors mean what they say; plain monomials go no higher than G itself, since
the spread of rare large values would be seen too late. The coefficients come from networks drawn before
the others and then forgotten: regressions of s_1 s_2 (and sigma'_1 sigma'_2) of a neuron on its monomials, and of G and
Hbar of a layer on what this foretells of all layers below it. A share r of the variance foretold leaves 1 - r of that
of K and 1 - r^2 of that of V.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np
from numpy.typing import NDArray

from rgflow.sampling.collapsed import Hidden, products
from rgflow.sampling.draw import Array

# Neurons for each monomial, and networks for each prediction, from which coefficients are learned: their own errors
# then add a hundredth, and a quarter, of what they leave.
_NEURONS, _NETWORKS, _AT_LEAST = 100, 4, 100
# w = exp(-rate |xi|^2): what is damped is largest where most neurons are.
_RATE = 0.25
# Inputs up to which monomials of degree four, and any, are taken; of one input they go to degree eight.
_QUARTIC, _QUADRATIC = 4, 8
# Of all networks, those that may be drawn to learn from.
_SHARE = 5


@dataclass(frozen=True)
class Monomials:
    """Which monomials in xi_1..xi_N are summed over neurons: plain ones up to degree two, and damped products of rows.

    Attributes
    ----------
    plain, rows : exponents, one tuple for each; the damped are 1, every row and every product of two rows
    """

    plain: tuple[tuple[int, ...], ...]
    rows: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, inputs: int, parity: int) -> Monomials:
        """Even ones if sigma is even or odd."""
        unit = [tuple(int(k == a) for k in range(inputs)) for a in range(inputs)]
        squares = [_sum(unit[a], unit[b]) for a in range(inputs) for b in range(a, inputs)]
        plain = tuple(squares if parity else unit + squares)
        if inputs == 1:
            return cls(plain, ((2,), (4,)) if parity else ((1,), (2,), (3,), (4,)))
        return cls(plain, plain if inputs <= _QUARTIC else ())

    @cached_property
    def exponents(self) -> list[tuple[tuple[int, ...], int]]:
        """Of every function, in order, with its power of the damping."""
        rows = self.rows
        damped = [(0,) * len(self.plain[0]), *rows] if rows else []
        damped += [_sum(rows[r], rows[s]) for r in range(len(rows)) for s in range(r, len(rows))]
        return [*((e, 0) for e in self.plain), *((e, 1) for e in damped)]

    @cached_property
    def means(self) -> Array:
        """Of one neuron, exact."""
        return np.array([_mean(*e) for e in self.exponents])

    @cached_property
    def covariance(self) -> Array:
        """Of one neuron, exact."""
        each = self.exponents
        second = np.array([[_mean(_sum(e, f), p + q) for f, q in each] for e, p in each])
        return np.asarray(second - self.means[:, None] * self.means)

    def centred(self, normal: Array, weights: Array | None = None) -> Array:
        """Averages over neurons less their exact means, (m, functions); of each function times ``weights`` (m, n)."""
        count, _, width = normal.shape
        total = np.ones((count, 1)) if weights is None else weights.mean(axis=-1, keepdims=True)
        plain = _powers(normal, self.plain)
        parts = [plain.sum(axis=-1) if weights is None else products(plain, weights[:, None])[..., 0]]
        if self.rows:
            damping = np.exp(-_RATE * np.einsum("maj,maj->mj", normal, normal))[:, None]
            if weights is not None:
                damping *= weights[:, None]
            rows = plain if self.rows == self.plain else _powers(normal, self.rows)
            damped = rows * damping
            found = products(damped, rows).reshape(count, -1)[:, self._upper]
            parts += [damping.sum(axis=-1), damped.sum(axis=-1), found]
        return np.asarray(np.concatenate(parts, axis=1) / width - self.means * total)

    @cached_property
    def _upper(self) -> NDArray[np.intp]:
        """Places of the products of two rows in a matrix of them."""
        number = len(self.rows)
        return np.array([number * r + s for r in range(number) for s in range(r, number)], dtype=np.intp)


def _powers(normal: Array, exponents: Sequence[tuple[int, ...]]) -> Array:
    """Monomials of every neuron, (m, monomials, n)."""
    found = np.empty((len(normal), len(exponents), normal.shape[-1]))
    for k, powers in enumerate(exponents):
        factors = [a for a, power in enumerate(powers) for _ in range(power)]
        found[:, k] = normal[:, factors[0]]
        for factor in factors[1:]:
            found[:, k] *= normal[:, factor]
    return found


def monomials(inputs: int, parity: int) -> Monomials | None:
    """Which are worth their cost; None for many inputs."""
    return Monomials.of(inputs, parity) if inputs <= _QUADRATIC else None


def to_learn_from(kinds: Monomials, widths: Sequence[int], predictions: int, networks: int) -> tuple[int, int] | None:
    """How many networks teach the coefficients of neurons and of layers; None where that is not worth it."""
    neurons = -(-_NEURONS * len(kinds.exponents) // min(widths))
    layers = _AT_LEAST + _NETWORKS * predictions * len(widths)
    return None if _SHARE * (neurons + layers) > networks else (neurons, layers)


@dataclass(frozen=True, eq=False)
class Controls:
    """The coefficients of all layers.

    Attributes
    ----------
    kinds : the monomials
    within : for each hidden layer (monomials, predictions), of s_1 s_2 and sigma'_1 sigma'_2
    across : for each layer measured (predictions of all hidden layers below it, pairs of inputs of G and Hbar)
    covariance : of P at each layer measured, exact: (L-1, entries, entries)
    """

    kinds: Monomials
    within: list[Array]
    across: list[Array]
    covariance: Array

    def predictions(self, hidden: Hidden, earlier: list[Array]) -> Array:
        """P of the layer after a hidden one, (m, entries); ``earlier`` remembers what lower layers foretold."""
        here = _times(self.kinds.centred(hidden.normal), self.within[hidden.layer - 2])
        earlier.append(here)
        return _times(np.concatenate(earlier, axis=1), self.across[hidden.layer - 2])


def targets(hidden: Hidden) -> Array:
    """s_1 s_2 of every neuron, and sigma'_1 sigma'_2 where it is known: (m, pairs, n)."""
    one, two = np.triu_indices(hidden.s.shape[1])
    rows = [hidden.s] if hidden.slope is None else [hidden.s, hidden.slope]
    return np.concatenate([row[:, one] * row[:, two] for row in rows], axis=1)


def slopes_on_monomials(kinds: Monomials, layers: Iterable[Hidden]) -> list[Array]:
    """For each hidden layer what every network says of E[(monomial - mean) target]: (m, monomials, targets)."""
    found = []
    for hidden in layers:
        each = targets(hidden)
        found.append(np.stack([kinds.centred(hidden.normal, each[:, t]) for t in range(each.shape[1])], axis=2))
    return found


def coefficients(kinds: Monomials, found: Sequence[Array]) -> list[Array]:
    """``within``: the covariance with monomials over theirs, which is exact and singular where some are equal."""
    inverse = np.linalg.pinv(kinds.covariance, rcond=1e-10, hermitian=True)
    return [inverse @ one.mean(axis=0) for one in found]


def learned(
    kinds: Monomials, within: list[Array], foretold: Array, entries: Array, pairs: int, widths: Sequence[int]
) -> Controls:
    """The controls.

    Parameters
    ----------
    within : as in :class:`Controls`
    foretold : predictions of every network for every hidden layer, (m, L-1, predictions)
    entries : G and Hbar of every network at every layer measured, (m, L-1, entries)
    pairs : how many of the entries are of G
    """
    networks, layers, number = foretold.shape
    across, exact = [], []
    each = [B.T @ kinds.covariance @ B / n for B, n in zip(within, widths, strict=True)]
    for layer in range(layers):
        weights = np.zeros((layer + 1, number, entries.shape[-1]))
        # What G is foretold by does not depend on whether Hbar is asked for.
        for used, at in ((slice(0, pairs), slice(0, pairs)), (slice(0, number), slice(pairs, None))):
            x = foretold[:, : layer + 1, used].reshape(networks, -1)
            y = entries[:, layer, at]
            if y.shape[-1]:
                solved = np.linalg.lstsq(x - x.mean(axis=0), y - y.mean(axis=0), rcond=1e-8)[0]
                weights[:, used, at] = solved.reshape(layer + 1, -1, y.shape[-1])
        across.append(weights.reshape(-1, entries.shape[-1]))
        exact.append(sum((w.T @ C @ w for w, C in zip(weights, each[: layer + 1], strict=True)), np.zeros(())))
    return Controls(kinds, within, across, np.array(exact))


def _times(x: Array, matrix: Array) -> Array:
    """(m, p) times (p, q), one network at a time: a product of large matrices would round each as it likes."""
    return np.asarray(np.matmul(x[:, None], matrix)[:, 0])


def _sum(e: tuple[int, ...], f: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(a + b for a, b in zip(e, f, strict=True))


def _mean(exponents: tuple[int, ...], damping: int) -> float:
    """E[prod_a xi_a^e_a w^p], w = exp(-rate |xi|^2): (e_a - 1)!! v^((e_a + 1)/2) for each a, v = 1/(1 + 2 rate p)."""
    if any(e % 2 for e in exponents):
        return 0.0
    variance = 1 / (1 + 2 * _RATE * damping)
    return float(prod(prod(range(e - 1, 0, -2)) * variance ** ((e + 1) / 2) for e in exponents))
