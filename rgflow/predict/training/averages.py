"""Means and covariances over initialisations of the trees of training, as numbers.

Each term is a product of tensors, targets, time weights and a power of n_out. Following the Kronecker deltas, neurons
form paths: from an output that is asked to a target or to the other output, from target to target, or closed ones, each
of which counts the outputs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rgflow.algebra import Tensor
from rgflow.algebra.jets import Jet
from rgflow.predict.training.clock import Clock, Placed, places
from rgflow.predict.training.ensemble import Ensemble
from rgflow.predict.training.moments import Moment, moments
from rgflow.predict.training.trees import Diagram, cost, weight

Floats = NDArray[np.float64]
THETA = Tensor.named("Theta")


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


@dataclass(frozen=True)
class Grown:
    """A diagram as jets: sample and neuron labels from a counter, roots first."""

    jets: tuple[Jet, ...]
    neurons: tuple[int, ...]  # of each jet
    errors: tuple[int, ...]  # nodes with a bare error: their sample label, which is their neuron's as well
    nodes: tuple[int, ...]  # sample labels of the nodes, in the order of the axes of the weights
    roots: tuple[int, ...]
    means: tuple[tuple[int, int], ...]  # parent and node joined by the mean kernel
    centred: frozenset[int]  # edges of kernels that fluctuate

    @property
    def labels(self) -> frozenset[int]:
        """All labels of this diagram."""
        return frozenset((*self.nodes, *self.roots))


def grown(diagram: Diagram, labels: Iterator[int]) -> Grown:
    """Give every node and edge of a diagram a label of its own; roots of two are joined by an edge."""
    placed, hanging = places(diagram)
    roots = tuple(next(labels) for _ in diagram)
    nodes = tuple(next(labels) for _ in placed)
    jets: list[Jet] = []
    neurons: list[int] = []
    means: list[tuple[int, int]] = []
    centred: set[int] = set()
    upward: dict[int, int] = {}

    def joined(parent: int, children: tuple[int, ...], lone: bool, edges: tuple[int, ...] = ()) -> None:
        """The jet of a label with edges to the children, unless it has none of either."""
        for child in children:
            if placed[child].node.mean:
                means.append((parent, nodes[child]))
                continue
            upward[child] = next(labels)
            edges = (*edges, upward[child])
        if edges or (lone and not children):
            jets.append(Jet(parent, tuple(sorted(edges))))
            neurons.append(parent)

    between = (next(labels),) if len(roots) == 2 else ()
    for root, children in zip(roots, hanging, strict=True):
        joined(root, children, lone=not between, edges=between)
    for i, one in enumerate(placed):
        own = (upward[i],) if i in upward else ()
        joined(nodes[i], one.children, lone=False, edges=own)
        if one.source is not None:
            joined(nodes[i], one.source, lone=False)
    for i in range(len(placed)):
        if i in upward and _is_kernel(i, placed, hanging, bool(between)):
            centred.add(upward[i])
    bare = tuple(nodes[i] for i, one in enumerate(placed) if one.source is None)
    return Grown(tuple(jets), tuple(neurons), bare, nodes, roots, tuple(means), frozenset(centred))


def _is_kernel(i: int, placed: Sequence[Placed], hanging: Sequence[tuple[int, ...]], joined: bool) -> bool:
    """Whether a node hangs alone from its parent and nothing from it: the edge is a tangent kernel of its own."""
    alone = any(group == (i,) for group in (*(() if joined else hanging), *(one.source for one in placed)))
    return alone and not placed[i].children


def mean(ensemble: Ensemble, clock: Clock, diagrams: Iterable[Diagram], order: int) -> Terms:
    """E of a sum of diagrams at all test samples: arrays (M, n_out), or (M, M, ..) for those of two roots."""
    found = Terms()
    for diagram in diagrams:
        labels = count()
        one = grown(diagram, labels)
        _average(ensemble, [(diagram, one)], clock, order, found, connected=False)
    return found


def covariance(ensemble: Ensemble, clock: Clock, diagrams: Sequence[Diagram], order: int) -> Terms:
    """Cov of a sum of diagrams between all test samples: what joins the two in a term."""
    found = Terms()
    for i, first in enumerate(diagrams):
        for second in diagrams[: i + 1]:
            if cost(first) + cost(second) > 2 * order:
                continue
            terms, labels = Terms(), count()
            pair = [(first, grown(first, labels)), (second, grown(second, labels))]
            _average(ensemble, pair, clock, order, terms, connected=True)
            found.add(terms)
            if second is not first:
                found.add(terms.swapped())
    return found


def _average(
    ensemble: Ensemble, factors: list[tuple[Diagram, Grown]], clock: Clock, order: int, found: Terms, connected: bool
) -> None:
    """Add E of a product of diagrams to ``found``; with ``connected`` only what joins them."""
    several = [one for _, one in factors]
    fixed: list[Any] = []  # operands of einsum that all terms share
    factor = 1.0
    for diagram, one in factors:
        for forest in diagram:
            factor *= float(weight(forest))
        if one.nodes:
            fixed += [clock.weights(diagram, ensemble.eigenvalues), list(one.nodes)]
        for parent, node in one.means:
            fixed += [_slice(ensemble, THETA, (parent, node), several), [parent, node]]
    jets = tuple(jet for one in several for jet in one.jets)
    neurons = tuple(neuron for one in several for neuron in one.neurons)
    errors = tuple(label for one in several for label in one.errors)
    means = tuple(pair for one in several for pair in one.means)
    centred = frozenset().union(*(one.centred for one in several))
    for targets in _subsets(errors):
        fields = tuple(label for label in errors if label not in targets)
        all_jets = jets + tuple(Jet(label) for label in fields)
        all_neurons = neurons + fields
        sign = (-1.0) ** len(targets)
        for moment in moments(all_jets, centred, order):
            if connected and not _joins(moment, several):
                continue
            joined = [(all_neurons[a], all_neurons[b]) for a, b in moment.pairs]
            paths = _paths((*joined, *means), (*several[0].labels, *(several[1].labels if connected else ())))
            _add(ensemble, moment, several, targets, paths, fixed, sign * factor, found)


def _joins(moment: Moment, several: list[Grown]) -> bool:
    return any(all(set(samples) & one.labels for one in several) for _, samples in moment.tensors)


def _subsets(labels: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    for mask in range(2 ** len(labels)):
        yield tuple(label for i, label in enumerate(labels) if mask >> i & 1)


def _paths(joined: Iterable[tuple[int, int]], labels: Iterable[int]) -> list[frozenset[int]]:
    """The classes of neurons that Kronecker deltas make one."""
    classes = {label: {label} for label in labels}
    for a, b in joined:
        if classes[a] is not classes[b]:
            classes[a] |= classes[b]
            for label in classes[b]:
                classes[label] = classes[a]
    return list({id(one): frozenset(one) for one in classes.values()}.values())


def _slice(ensemble: Ensemble, tensor: Tensor, samples: tuple[int, ...], several: list[Grown]) -> Floats:
    """A tensor with test samples where a root stands and training modes elsewhere."""
    size = len(ensemble.eigenvalues)
    roots = {root for one in several for root in one.roots}
    where = tuple(slice(size, None) if sample in roots else slice(size) for sample in samples)
    return ensemble.tensors[tensor][where]


def _add(
    ensemble: Ensemble,
    moment: Moment,
    several: list[Grown],
    targets: tuple[int, ...],
    paths: list[frozenset[int]],
    fixed: list[Any],
    factor: float,
    found: Terms,
) -> None:
    roots = tuple(root for one in several for root in one.roots)
    operands = list(fixed)
    for tensor, samples in moment.tensors:
        operands += [_slice(ensemble, tensor, samples, several), list(samples)]
    output = list(roots)
    paired = False
    outputs_of: dict[int, int] = {}
    for number, path in enumerate(paths):
        ends = [root for root in roots if root in path]
        known = [label for label in targets if label in path]
        if not ends and not known:
            factor *= ensemble.outputs  # a closed path
        elif len(ends) == 2:
            paired = True
        for label in known:
            operands += [ensemble.targets, [label, _NEURONS + number]]
        if len(ends) == 1:
            outputs_of[ends[0]] = _NEURONS + number
    output += [outputs_of[root] for root in roots if root in outputs_of]
    name = _letter(moment)
    value = factor / ensemble.width**moment.order * _contract(operands, output)
    into = found.paired if paired else found.apart
    into[name] = into[name] + value


_NEURONS = 1000  # labels of neurons, above all labels of samples


def _letter(moment: Moment) -> str:
    """What carries the order in 1/n."""
    if moment.order == 0:
        return ""
    return next(tensor.name for tensor, _ in moment.tensors if tensor.cost)


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
