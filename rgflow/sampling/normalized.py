"""Neurons brought to mean zero and variance one, input by input: a stage whose neurons depend on each other.

    y = r xbar,    xbar_i = x_i - <x>  (or x_i),    r = (<xbar^2> + epsilon)^(-1/2),    <> over the n neurons

Its jets follow from the product rule, those of r from Faa di Bruno in <xbar^2>, whatever the directions. The Jacobian

    J = dy/dx = r (1 - 1 1^T/n) - r y y^T/n        (1 1^T only where the mean is taken away)

is symmetric, and every jet of it, J_S = r_S (1 - 1 1^T/n) - sum_{A in S} (r y)_A y_{S-A}^T/n, is a multiple of the
identity less a few columns times as many rows, which acts on a kernel in O(n^2).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import cached_property

import numpy as np

from rgflow.errors import AccuracyError, InputError
from rgflow.sampling.draw import Array
from rgflow.sampling.jets import Directions, Jets, activate, subsets_of
from rgflow.sampling.mixing import Mixing
from rgflow.sampling.names import JETS
from rgflow.sampling.signals import Signal

# Variances below (rounding of the mean)^2 times the mean square are nothing but rounding: _ROUNDING eps for each side.
_ROUNDING = 32 * np.finfo(float).eps


class Normalized(Signal):
    """norm(x): x less its mean over neurons (if ``centred``), over the root of its mean square plus ``epsilon``.

    Parameters
    ----------
    where : the layer that asks for it, for messages

    Raises
    ------
    InputError
        For one neuron less its mean, which is zero, with epsilon = 0.
    AccuracyError
        Where the neurons of a network are all equal (all zero, unless ``centred``) and epsilon = 0: 0/0.
    """

    def __init__(self, source: Signal, epsilon: float, centred: bool, where: str):
        super().__init__(source._number)
        self._source, self.epsilon, self.centred = source, epsilon, centred
        if centred and not epsilon and source.width == 1:
            raise InputError(
                f"{where} divides one neuron less its mean by its deviation, 0/0; take epsilon > 0 or more neurons"
            )
        x = {chosen: _centred(jet) if centred else jet for chosen, jet in source.jets.items()}
        square = {chosen: _mean_product(x, x, chosen) for chosen in x}
        self._refuse_nothing(square[()], where)
        square[()] = square[()] + epsilon
        root = square[()] ** -0.5
        # Relative to the square itself, lest its powers over- or underflow.
        relative = {chosen: jet / square[()] for chosen, jet in square.items()}
        self._root = activate(np.stack([c * root for c in _powers(max(map(len, x)))]), relative)
        self.jets: Jets = {chosen: _product(self._root, x, chosen) for chosen in x}

    @property
    def freedom(self) -> int:
        """Dimensions of what is brought to length one."""
        return self.width - self.centred

    @cached_property
    def _scaled(self) -> Jets:
        """Jets of r y."""
        return {chosen: _product(self._root, self.jets, chosen) for chosen in self.jets}

    def back(self, delta: Array) -> list[tuple[Signal, Array]]:
        columns, rows = self._jacobian(())
        found = np.matmul(np.matmul(delta[:, :, None], columns), rows)[:, :, 0]
        return [(self._source, self._root[()] * delta - found)]

    def slopes(self) -> tuple[Array, Mixing | None]:
        columns, rows = self._jacobian(())
        diagonal, mixing = self._source.slopes()
        found = Mixing(columns, rows * diagonal[:, :, None])
        if mixing:
            across = mixing.columns * self._root[()][..., None] - np.matmul(columns, np.matmul(rows, mixing.columns))
            both = (across, found.columns), (mixing.rows, found.rows)
            found = Mixing(np.concatenate(both[0], axis=3), np.concatenate(both[1], axis=2))
        return self._root[()] * diagonal, found

    def _left(self, other: Signal, a: Directions, b: Directions) -> Array:
        parts = [self._times(_rest(a, d), self._source.kernel(other, d, b)) for d in subsets_of(a)]
        return _total(parts)

    def _right(self, other: Signal, a: Directions, b: Directions) -> Array:
        # M J^T = (J M^T)^T, with inputs and neurons exchanged.
        swapped = (other.kernel(self._source, a, c).transpose(0, 2, 1, 4, 3) for c in subsets_of(b))
        parts = [self._times(_rest(b, c), M) for c, M in zip(subsets_of(b), swapped, strict=True)]
        return _total(parts).transpose(0, 2, 1, 4, 3)

    def _times(self, chosen: Directions, matrix: Array) -> Array:
        """J_S M over the first neurons and inputs of M, (m, N, N, n, n')."""
        columns, rows = self._jacobian(chosen)
        found = self._root[chosen][:, :, None, :, None] * matrix
        found -= np.matmul(columns[:, :, None], np.matmul(rows[:, :, None], matrix))
        return np.asarray(found)

    def _jacobian(self, chosen: Directions) -> tuple[Array, Array]:
        """What J_S has beside r_S: columns (m, N, n, k) times rows (m, N, k, n)."""
        y, scaled, n = self.jets, self._scaled, self.width
        columns = [scaled[a] for a in subsets_of(chosen)]
        rows = [y[_rest(chosen, a)] / n for a in subsets_of(chosen)]
        if self.centred:
            columns.append(np.broadcast_to(self._root[chosen], y[()].shape))
            rows.append(np.full_like(y[()], 1 / n))
        return np.stack(columns, axis=3), np.stack(rows, axis=2)

    def _refuse_nothing(self, square: Array, where: str) -> None:
        """AccuracyError if what is divided by is zero but for rounding."""
        if self.epsilon:
            return
        largest = np.max(np.abs(self._source.values), axis=-1, keepdims=True)
        if np.any(square <= (_ROUNDING * largest) ** 2 if self.centred else square == 0):
            what = "equal" if self.centred else "zero"
            raise AccuracyError(
                f"{where} normalises {self._source.width} neurons that are all {what} in a sampled network, 0/0; take "
                "epsilon > 0, or more neurons"
            )


def refuse_without_mean(stages: Iterable[Normalized], names: Collection[str], where: str, asked: str = "") -> None:
    """Refuse tensors whose average over networks, or the standard error of it, is infinite.

    Every direction of a tensor brings a factor r^2, and the square of r^(2k) has a mean if there are more than 4 k
    dimensions to divide by: near zero, r^-2 of d dimensions is chi-squared with d degrees of freedom. (Behind relu
    fewer dimensions may be alive; that only two are has probability n^2 2^-n, which is not counted here.)

    Parameters
    ----------
    asked : what the caller was asked for, if not for these names

    Raises
    ------
    InputError
        With the number of neurons that would do; never for epsilon > 0.
    """
    for stage in stages:
        for name in names:
            least = 4 * len(set(filter(str.isalpha, JETS.get(name, "e")))) + 1
            if not stage.epsilon and least > 1 and stage.freedom < least:
                without = f", or leave {name} out" if not asked else ""
                raise InputError(
                    f"{asked or name} of {where} normalises {stage.width} neurons: averages over so few of what it "
                    f"divides by are infinite; take epsilon > 0 or at least {least + stage.centred} neurons{without}"
                )


def _centred(x: Array) -> Array:
    return np.asarray(x - x.mean(axis=-1, keepdims=True))


def _powers(order: int) -> list[float]:
    """The derivatives of (1 + t)^(-1/2) at 0."""
    found = [1.0]
    for k in range(order):
        found.append(found[-1] * (-0.5 - k))
    return found


def _product(x: Jets, y: Jets, chosen: Directions) -> Array:
    """(x y)_S = sum over A in S of x_A y_{S-A}."""
    return _total([x[a] * y[_rest(chosen, a)] for a in subsets_of(chosen)])


def _mean_product(x: Jets, y: Jets, chosen: Directions) -> Array:
    """Its mean over neurons, (m, N, 1)."""
    return np.asarray(_product(x, y, chosen).mean(axis=-1, keepdims=True))


def _total(parts: list[Array]) -> Array:
    found = parts[0]
    for part in parts[1:]:
        found += part
    return np.asarray(found)


def _rest(chosen: Directions, a: Directions) -> Directions:
    return tuple(e for e in chosen if e not in a)
