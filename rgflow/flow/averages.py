"""Gaussian averages of one neuron of a network of stages: at one stage, and of two stages of its past."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from rgflow.activations import Activation
from rgflow.algebra.response import Answer
from rgflow.brackets import gaussian_moments
from rgflow.derive.noise import Overlap
from rgflow.flow.leading import Leading
from rgflow.layers.stages import Stage

Entry = tuple[tuple[int, ...], int]  # written orders, pending derivatives
EPSILON = np.finfo(float).eps


class Averages:
    """Brackets of one input at every stage and between stages of one population.

    Parameters
    ----------
    single : brackets (orders, pending) at one stage
    double : pairs of them, of a later stage and an earlier one
    displaced : every average moved by its error, to see what that does to a flow
    """

    def __init__(
        self,
        activation: Activation,
        stages: Sequence[Stage],
        means: Leading,
        single: Iterable[Entry],
        double: Iterable[tuple[Entry, Entry]],
        displaced: bool = False,
    ):
        self.K, self.Theta = means.K[:, 0, 0].copy(), means.Theta[:, 0, 0].copy()
        if displaced:
            self.K, self.Theta = self.K + means.K_error[:, 0, 0], self.Theta + means.Theta_error[:, 0, 0]
        self.activation, self.displaced = activation, displaced
        self.skip = _skips(stages)
        self.single = self._at_one_stage(tuple(dict.fromkeys(single)))
        self.double = self._between(stages, tuple(dict.fromkeys(double)))

    def product(self, answer: Answer, t: int) -> float:
        """bracket * Theta^thetas * K^kernels at stage t."""
        value = float(self.Theta[t] ** answer.thetas * self.K[t] ** answer.kernels)
        if answer.bracket is not None:
            value *= self.single[answer.bracket.orders, answer.bracket.pending][t]
        return value

    def overlap(self, term: Overlap, T: int, u: int) -> float:
        """One term of the covariance of two functions of a neuron at stages T >= u."""
        skip = self.skip[T, u]
        value = 1.0
        for counts, here in ((term.thetas, self.Theta), (term.kernels, self.K)):
            value *= here[T] ** counts[0] * (skip * here[u]) ** counts[1] * here[u] ** counts[2]
        later, earlier = (term.later.orders, term.later.pending), (term.earlier.orders, term.earlier.pending)
        if later[0] and earlier[0]:
            both = self.double[later, earlier][T, u]
            return float(value * (both - term.connected * self.single[later][T] * self.single[earlier][u]))
        for side, stage in ((later, T), (earlier, u)):
            if side[0]:
                value *= self.single[side][stage]
        return float(value)

    def _moved(self, values: Any, errors: Any) -> Any:
        return values + errors + EPSILON * np.abs(values) if self.displaced else values

    def _at_one_stage(self, entries: tuple[Entry, ...]) -> dict[Entry, Any]:
        if not entries:
            return {}
        moments = [(entry,) for entry in entries]
        found = gaussian_moments(self.activation, self.K[:, None, None], moments, kinks="almost_everywhere")
        values = self._moved(*found)
        return {entry: values[:, i] for i, entry in enumerate(entries)}

    def _between(self, stages: Sequence[Stage], pairs: tuple[tuple[Entry, Entry], ...]) -> dict[Any, Any]:
        count = len(stages)
        table = {pair: np.zeros((count, count)) for pair in pairs}
        for T in range(count if pairs else 0):
            earlier = [u for u in range(T) if self.skip[T, u] != 0]
            if earlier:
                crossed = self.skip[T, earlier] * self.K[earlier]
                kernels = np.empty((len(earlier), 2, 2))
                kernels[:, 0, 0], kernels[:, 1, 1] = self.K[T], self.K[earlier]
                kernels[:, 0, 1] = kernels[:, 1, 0] = crossed
                found = gaussian_moments(self.activation, kernels, pairs, kinks="almost_everywhere")
                for i, values in enumerate(self._moved(*found).T):
                    table[pairs[i]][T, earlier] = values
        together = [((*one[0], *other[0]), 0) for one, other in pairs if one[1] == other[1] == 0]
        at_once = self._at_one_stage(tuple(dict.fromkeys(together)))
        independent = self.skip == 0
        for one, other in pairs:
            apart = self.single[one][:, None] * self.single[other][None, :]
            table[one, other][independent] = apart[independent]
            if one[1] == other[1] == 0:
                np.fill_diagonal(table[one, other], at_once[(*one[0], *other[0]), 0])
        return table


def _skips(stages: Sequence[Stage]) -> Any:
    """<z^T z^u> = skip[T, u] K(u) for T >= u: what a neuron at stage T keeps of stage u (1 at T = u)."""
    kept = np.eye(len(stages))
    for t, stage in enumerate(stages):
        if t and stage.law.carry is not None:
            name, back = stage.law.carry
            kept[t, :t] = (stage.value(name) if name else 1.0) * kept[t - back, :t]
    return kept
