"""The flow of networks whose neurons keep their past: cumulants between all pairs of stages.

For populations of n neurons with noise eta (see :mod:`rgflow.algebra.response`), in this order:

    N(f, T | q, u) = <eta[f](T) dG_q(u)>        by the line of q, stage u after stage, all T at once
    C(p, t | q, u) = <dG_p(t) dG_q(u)>          by the line of p, stage t after stage, all u at once
    tensors = C(p|q) + N(z z|q) + N(z z|p)      the cumulants of z itself, for different neurons
    K_1, Theta_1                                shifts of the mean

Every number is absolute, widths included.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rgflow.algebra.response import Answer, Entry, Neuron, alone, ask, joint
from rgflow.derive.noise import covariance
from rgflow.derive.response import exchanges, response, shift
from rgflow.flow.averages import Averages
from rgflow.flow.needs import Needs, pasts
from rgflow.layers.stages import Stage


class LinkedFlow:
    """All cumulants that ``needs`` lists, through all stages.

    Parameters
    ----------
    stages : S stages
    averages : the brackets at every stage and between stages
    overlap : x.x'/n_0 of the inputs, (N, N)
    """

    def __init__(self, stages: Sequence[Stage], averages: Averages, needs: Needs, overlap: Any):
        self.stages, self.averages, self.overlap = stages, averages, overlap
        count = len(stages)
        self.noises = {key: np.zeros((count, count)) for key in needs.noises}
        self.pairs = {key: np.zeros((count, count)) for key in needs.pairs}
        self.shifts = {key: np.zeros(count) for key in needs.shifts}
        self._flow_noises()
        self._flow_pairs()
        self._flow_shifts()

    def value(self, entries: tuple[Entry, ...]) -> Any:
        """The shift of the mean of one entry, or the cumulant of two, of z at every stage, in absolute size."""
        if len(entries) == 1:
            return self.shifts[alone(entries[0])]
        p, q = entries
        value = np.diagonal(self.pairs[joint(p, q)]).copy()
        for past, other in pasts(p, q):
            value += np.diagonal(self.noises[ask(past, other)])
        return value

    def _flow_noises(self) -> None:
        for u, stage in enumerate(self.stages[1:], start=1):
            for (f, q), values in self.noises.items():
                for answer in response(q, stage.law):
                    below, weight = u - answer.back, self._weight(stage, answer, u)
                    if answer.noise is None:
                        values[:, u] += weight * self.noises[ask(f, answer.entries[0])][:, below]
                    else:
                        values[:, u] += weight * self._covariance(f, answer.noise, below)

    def _covariance(self, f: Neuron, g: Neuron, u: int) -> Any:
        """<eta[f](T) eta[g](u)> for every stage T >= u of the same population (0 elsewhere)."""
        found = np.zeros(len(self.stages))
        stage = self.stages[u]
        for T in range(u, len(self.stages)):
            if self.stages[T].population == stage.population:
                found[T] = sum(self.averages.overlap(term, T, u) for term in covariance(f, g)) / stage.width
        return found

    def _flow_pairs(self) -> None:
        for t in range(len(self.stages)):
            # with earlier stages first: the cumulants of a stage with itself lean on them
            for (p, q), values in self.pairs.items():
                values[t, :t] = self._answered(p, q, t, slice(0, t))
            for (p, q), values in self.pairs.items():
                self.pairs[joint(q, p)][:t, t] = values[t, :t]
            for (p, q), values in self.pairs.items():
                values[t, t] = self._answered(p, q, t, slice(t, t + 1))[0] + self._intrinsic(p, q, t)

    def _answered(self, p: Entry, q: Entry, t: int, u: slice) -> Any:
        """<dG_p(t) dG_q(u)> by the line of p; nothing at the first stage."""
        stage, total = self.stages[t], np.zeros(u.stop - u.start)
        for answer in response(p, stage.law) if t else ():
            below, weight = t - answer.back, self._weight(stage, answer, t)
            if answer.noise is None:
                total += weight * self.pairs[joint(answer.entries[0], q)][below, u]
            else:
                total += weight * self.noises[ask(answer.noise, q)][below, u]
        return total

    def _intrinsic(self, p: Entry, q: Entry, t: int) -> float:
        """Cumulants of parameters that are not Gaussian."""
        stage = self.stages[t]
        total = 0.0
        for exchange in exchanges(p, q, stage.law):
            product = float(exchange.coefficient) * stage.product(exchange.symbols) / stage.fan_in
            for answers, (a, b) in zip(exchange.averages, exchange.pairs, strict=True):
                if t:
                    product *= sum(self._weight(stage, answer, t) for answer in answers)
                else:  # the given input: <x_a x_c>, which has no directions
                    product *= 0.0 if a.edges or b.edges else float(self.overlap[a.sample, b.sample])
            total += product
        return total

    def _flow_shifts(self) -> None:
        for t, stage in enumerate(self.stages[1:], start=1):
            for entry, values in self.shifts.items():
                for answer in shift(entry, stage.law):
                    below, weight = t - answer.back, self._weight(stage, answer, t)
                    if len(answer.noises) == 2:
                        values[t] += weight * self._covariance(*answer.noises, below)[below]
                    elif answer.noises:
                        values[t] += weight * self.noises[ask(answer.noises[0], answer.entries[0])][below, below]
                    elif len(answer.entries) == 2:
                        values[t] += weight * self.pairs[joint(*answer.entries)][below, below]
                    else:
                        values[t] += weight * self.shifts[alone(answer.entries[0])][below]

    def _weight(self, stage: Stage, answer: Answer, t: int) -> float:
        """The number before a fluctuation: symbols, bracket, Theta and K of the stage below."""
        return (
            float(answer.coefficient) * stage.product(answer.symbols) * self.averages.product(answer, t - answer.back)
        )
