"""Means and covariances over initialisations of the trees of training, as numbers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rgflow.algebra import Tensor
from rgflow.predict.training.clock import Clock
from rgflow.predict.training.ensemble import Ensemble
from rgflow.predict.training.products import Product, Term, product
from rgflow.predict.training.trees import Diagram, cost, weight

Floats = NDArray[np.float64]
THETA = Tensor.named("Theta")
NEURONS = 1000  # labels of neurons in contractions, above all labels of samples


@dataclass
class Terms:
    """Sums by the letter that carries the order in 1/n ("" at leading order).

    ``paired`` multiplies delta_ij of the two outputs that are asked, ``apart`` depends on each: (.., n_out, n_out); for
    one output only ``apart``, (.., n_out).
    """

    paired: dict[str, Any] = field(default_factory=lambda: defaultdict(float))
    apart: dict[str, Any] = field(default_factory=lambda: defaultdict(float))

    def add(self, other: Terms) -> None:
        """Add other sums to these."""
        for mine, theirs in ((self.paired, other.paired), (self.apart, other.apart)):
            for letter, value in theirs.items():
                mine[letter] = mine[letter] + value

    def swapped(self) -> Terms:
        """The same with the two samples exchanged, and the two outputs."""
        return Terms(
            {letter: value.T for letter, value in self.paired.items()},
            {letter: value.transpose(1, 0, 3, 2) for letter, value in self.apart.items()},
        )


def mean(ensemble: Ensemble, clock: Clock, diagrams: Iterable[Diagram], order: int) -> Terms:
    """E of a sum of diagrams at all test samples: arrays (M, n_out), or (M, M, ..) for those of two roots."""
    found = Terms()
    for diagram in diagrams:
        found.add(_average(ensemble, clock, (diagram,), order))
    return found


def covariance(ensemble: Ensemble, clock: Clock, diagrams: Sequence[Diagram], order: int) -> Terms:
    """Cov of a sum of diagrams between all test samples."""
    found = Terms()
    for i, first in enumerate(diagrams):
        for second in diagrams[: i + 1]:
            if cost(first) + cost(second) <= 2 * order:
                terms = _average(ensemble, clock, (first, second), order)
                found.add(terms)
                if second is not first:
                    found.add(terms.swapped())
    return found


def _average(ensemble: Ensemble, clock: Clock, diagrams: tuple[Diagram, ...], order: int) -> Terms:
    """E of a diagram, or Cov of two."""
    what = product(diagrams, order)
    factor = 1.0
    shared: list[Any] = []  # operands of every term: the weights of the times, mean kernels
    for diagram, one in zip(diagrams, what.factors, strict=True):
        factor *= float(np.prod([float(weight(forest)) for forest in diagram]))
        if one.nodes:
            shared += [clock.weights(diagram, ensemble.eigenvalues), list(one.nodes)]
        for pair in one.means:
            shared += [_slice(ensemble, THETA, pair, what), list(pair)]
    found = Terms()
    for term in what.terms:
        paired, value = _value(ensemble, what, term, shared)
        into = found.paired if paired else found.apart
        into[term.letter] = into[term.letter] + factor * value
    return found


def _value(ensemble: Ensemble, what: Product, term: Term, shared: list[Any]) -> tuple[bool, Floats]:
    """A term as an array over roots, and over the outputs asked unless they are paired (a delta of the two)."""
    operands = list(shared)
    for tensor, samples in term.moment.tensors:
        operands += [_slice(ensemble, tensor, samples, what), list(samples)]
    factor = (-1.0) ** len(term.targets) / ensemble.width**term.moment.order
    paired, output = False, {}
    for number, path in enumerate(term.paths):
        ends = [root for root in what.roots if root in path]
        known = [label for label in term.targets if label in path]
        if not ends and not known:
            factor *= ensemble.outputs  # a closed path
        if len(ends) == 2:
            paired = True
        if len(ends) == 1:
            output[ends[0]] = NEURONS + number
        for label in known:
            operands += [ensemble.targets, [label, NEURONS + number]]
    asked = [output[root] for root in what.roots if root in output]
    return paired, factor * _contract(operands, [*what.roots, *asked])


def _slice(ensemble: Ensemble, tensor: Tensor, samples: tuple[int, ...], what: Product) -> Floats:
    """A tensor with test samples where a root stands and training modes elsewhere."""
    size = len(ensemble.eigenvalues)
    where = tuple(slice(size, None) if sample in what.roots else slice(size) for sample in samples)
    return ensemble.tensors[tensor][where]


def _contract(operands: list[Any], output: list[int]) -> Floats:
    """numpy.einsum over labels of any size, in an order of contractions that is looked for once."""
    names: dict[int, int] = {}
    arrays = operands[::2]
    labels = tuple(tuple(names.setdefault(label, len(names)) for label in labels) for labels in operands[1::2])
    final = tuple(names[label] for label in output)
    path = _path(labels, tuple(array.shape for array in arrays), final)
    operands = [operand for pair in zip(arrays, map(list, labels), strict=True) for operand in pair]
    return np.asarray(np.einsum(*operands, list(final), optimize=path))


@lru_cache(maxsize=16384)
def _path(labels: tuple[tuple[int, ...], ...], shapes: tuple[tuple[int, ...], ...], output: tuple[int, ...]) -> Any:
    dummies = [np.broadcast_to(0.0, shape) for shape in shapes]
    operands = [operand for pair in zip(dummies, map(list, labels), strict=True) for operand in pair]
    return np.einsum_path(*operands, list(output), optimize="greedy")[0]
