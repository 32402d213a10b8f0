"""Gaussian averages of one neuron of a network of stages: at one stage, and of two stages of its past."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from rgflow.activations import Activation
from rgflow.algebra.jets import Jet
from rgflow.algebra.response import OF_KERNEL, OF_VARIANCE, Answer, Neuron
from rgflow.brackets import gaussian_moments
from rgflow.derive.noise import CROSSED, LATER, Contraction, Overlap
from rgflow.flow.leading import Leading
from rgflow.layers.stages import Stage
from rgflow.progress import Advance

Moment = tuple[tuple[tuple[int, ...], int], ...]  # (written orders, pending derivatives) of each different sample
EPSILON = np.finfo(float).eps


class Averages:
    """Brackets at every stage and between stages of one population; samples are numbers of inputs.

    Parameters
    ----------
    means : K and Theta of every stage
    single : brackets at one stage
    double : pairs of them, of a later stage and an earlier one
    displaced : every average moved by its error, to see what that does to a flow
    advance : hears of every stage whose past is done
    """

    def __init__(
        self,
        activation: Activation,
        stages: Sequence[Stage],
        means: Leading,
        single: Iterable[Neuron],
        double: Iterable[tuple[Neuron, Neuron]],
        displaced: bool = False,
        advance: Advance = lambda count: None,
    ):
        self.activation, self.displaced = activation, displaced
        self.K, self.Theta = means.K, means.Theta
        if displaced:  # variances up and correlations down, to which nearly equal inputs are most sensitive
            outward = np.where(np.eye(self.K.shape[1], dtype=bool), 1.0, -np.sign(self.K))
            self.K, self.Theta = self.K + outward * means.K_error, self.Theta + means.Theta_error
        self.single = self._at_one_stage(single)
        self.nu = nus(stages, self.K, self._of_sigma)
        self.skip = self._skips(stages)
        self.heard = _heard(stages)
        self.double = self._between(double, advance)

    def product(self, answer: Answer, t: int) -> float:
        """brackets * Thetas * Ks / nus at stage t, for a later stage that reads it."""
        value = 1.0
        for a in answer.norms:
            value /= self.nu[t + answer.back][a]
        for a, b in answer.thetas:
            value *= self.Theta[t, a, b]
        for a, b in answer.kernels:
            value *= self.K[t, a, b]
        for bracket in answer.brackets:
            value *= self.single[bracket][t]
        return float(value)

    def overlap(self, term: Overlap, T: int, u: int) -> float:
        """One term of the covariance of two functions of a neuron at stages T >= u."""
        value = 1.0
        for made, means in ((term.thetas, self.Theta), (term.kernels, self.K)):
            for contraction in made:
                value *= self._contracted(contraction, means, T, u)
        if term.later.factors and term.earlier.factors:
            both = self.double[term.later, term.earlier][T, u]
            apart = self.single[term.later][T] * self.single[term.earlier][u] if term.connected else 0.0
            return float(value * (both - apart))
        for side, stage in ((term.later, T), (term.earlier, u)):
            if side.factors:
                value *= self.single[side][stage]
        return float(value)

    def _contracted(self, contraction: Contraction, means: Any, T: int, u: int) -> float:
        a, b = contraction.samples
        if contraction.place == CROSSED:
            return float(self.skip[T, u, a] * means[u, a, b])
        return float(means[T if contraction.place == LATER else u, a, b])

    def _moved(self, values: Any, errors: Any) -> Any:
        return values + errors + EPSILON * np.abs(values) if self.displaced else values

    def _moments(self, kernels: Any, moments: Sequence[Moment]) -> Any:
        return self._moved(*gaussian_moments(self.activation, kernels, moments, kinks="almost_everywhere"))

    def _at_one_stage(self, brackets: Iterable[Neuron]) -> dict[Neuron, Any]:
        """Every bracket at every stage, those of the same samples together."""
        alike: dict[tuple[int, ...], dict[Neuron, None]] = defaultdict(dict)
        for bracket in brackets:
            alike[bracket.samples][bracket] = None
        found: dict[Neuron, Any] = {}
        for samples, members in alike.items():
            values = self._moments(self.K[:, samples][:, :, samples], [_moment(bracket) for bracket in members])
            found |= {bracket: values[:, i] for i, bracket in enumerate(members)}
        return found

    def _between(self, pairs: Iterable[tuple[Neuron, Neuron]], advance: Advance) -> dict[tuple[Neuron, Neuron], Any]:
        count = len(self.K)
        alike: dict[tuple[tuple[int, ...], tuple[int, ...]], dict[tuple[Neuron, Neuron], None]] = defaultdict(dict)
        for later, earlier in pairs:
            alike[later.samples, earlier.samples][later, earlier] = None
        table: dict[tuple[Neuron, Neuron], Any] = {}
        for (ours, theirs), members in alike.items():
            moments = [_moment(later) + _moment(earlier) for later, earlier in members]
            blocks = np.zeros((len(members), count, count))
            for T in range(count):
                past = [u for u in range(T) if u in self.heard and self.skip[T, u].any()]
                if past:
                    blocks[:, T, past] = self._moments(self._kernels(T, past, ours, theirs), moments).T
                advance(1)
            table |= {pair: blocks[i] for i, pair in enumerate(members)}
        self._fill(table)
        return table

    def _kernels(self, T: int, past: list[int], ours: tuple[int, ...], theirs: tuple[int, ...]) -> Any:
        """The covariance of z at stage T and at each earlier one, (G, d, d)."""
        n, size = len(ours), len(ours) + len(theirs)
        kernels = np.empty((len(past), size, size))
        kernels[:, :n, :n] = self.K[T][np.ix_(ours, ours)]
        kernels[:, n:, n:] = self.K[past][:, theirs][:, :, theirs]
        crossed = self.skip[T, past][:, ours][:, :, None] * self.K[past][:, ours][:, :, theirs]
        kernels[:, :n, n:], kernels[:, n:, :n] = crossed, crossed.transpose(0, 2, 1)
        return kernels

    def _skips(self, stages: Sequence[Stage]) -> Any:
        """<z^T_a z^u_b> = skip[T, u, a] K_ab(u) for T >= u: what a neuron at T keeps of stage u (1 at T = u)."""
        kept = np.zeros((len(stages), *self.K.shape[:2]))
        for t, stage in enumerate(stages):
            kept[t, t] = 1.0
            if t and stage.law.carry is not None:
                name, back = stage.law.carry
                strength = (stage.value(name) if name else 1.0) * np.ones(self.K.shape[1])
                if stage.law.scale == OF_KERNEL:
                    strength = strength / self.nu[t]
                kept[t, :t] = strength * kept[t - back, :t]
                for u in range(t - back + 1, t):  # z of the stage below once more, divided by nu
                    if u in self.nu and stages[u].population == stage.population:
                        kept[t, u] = self.nu[u] * kept[t, u - 1]
        return kept

    def _of_sigma(self, t: int, a: int, count: int) -> float:
        """<s^count> of one input at stage t."""
        return float(self._moments(self.K[t : t + 1, a : a + 1, a : a + 1], [(((0,) * count, 0),)])[0, 0])

    def _fill(self, table: dict[tuple[Neuron, Neuron], Any]) -> None:
        """Stages that share nothing, and the same stage, where only plain products are asked for."""
        together = {pair: _product(*pair) for pair in table if not (pair[0].acting or pair[1].acting)}
        at_once = self._at_one_stage(together.values())
        independent = ~self.skip.any(axis=2)
        for (later, earlier), block in table.items():
            apart = self.single[later][:, None] * self.single[earlier][None, :]
            block[independent] = apart[independent]
            if (later, earlier) in together:
                np.fill_diagonal(block, at_once[together[later, earlier]])


def _heard(stages: Sequence[Stage]) -> set[int]:
    """Stages whose averages over neurons any stage reads, so that their noise is heard."""
    z = Jet(0)
    parts = ((t, part) for t, stage in enumerate(stages) for part in stage.law.integrand(z, z))
    return {t - part.back for t, part in parts if not part.own}


def nus(stages: Sequence[Stage], K: Any, of_sigma: Callable[[int, int, int], float]) -> dict[int, Any]:
    """nu of every input, for each stage that normalises what stands below it.

    of_sigma : <s^k> at a stage, of one input
    """
    found: dict[int, Any] = {}
    for t, stage in enumerate(stages):
        if stage.law.scale is None:
            continue
        samples, below = range(K.shape[1]), t - 1
        squares = [K[below, a, a] if stage.law.scale == OF_KERNEL else of_sigma(below, a, 2) for a in samples]
        if stage.law.scale == OF_VARIANCE:
            squares = [square - of_sigma(below, a, 1) ** 2 for a, square in zip(samples, squares, strict=True)]
        found[t] = np.sqrt(np.array(squares) + stage.value("epsilon"))
    return found


def _moment(bracket: Neuron) -> Moment:
    return tuple(
        (tuple(order for sample, order in bracket.factors if sample == each), bracket.acting.count(each))
        for each in bracket.samples
    )


def _product(one: Neuron, other: Neuron) -> Neuron:
    return Neuron(tuple(sorted(one.factors + other.factors)))
