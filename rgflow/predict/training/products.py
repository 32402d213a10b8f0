"""Products of trees as products of jets, and the terms of their averages over initialisations.

Following the Kronecker deltas of a term, neurons form paths: from an output that is asked to a target or to the other
output, from target to target, or closed ones, each of which counts the outputs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import count

from rgflow.algebra.jets import Jet
from rgflow.predict.training.clock import Placed, places
from rgflow.predict.training.moments import Moment, moments
from rgflow.predict.training.trees import Diagram


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


@dataclass(frozen=True)
class Term:
    """A term of an average.

    Attributes
    ----------
    moment : Moment
        Its tensors.
    targets : tuple of labels
        The nodes whose error is a target, with a minus sign each; those of the others are outputs at initialisation.
    paths : tuple of sets of labels
        Which neurons are the same.
    """

    moment: Moment
    targets: tuple[int, ...]
    paths: tuple[frozenset[int], ...]

    @property
    def letter(self) -> str:
        """What carries the order in 1/n; "" at leading order."""
        return next((tensor.name for tensor, _ in self.moment.tensors if tensor.cost), "")


@dataclass(frozen=True)
class Product:
    """One diagram, or two whose covariance is asked, and the terms of the average.

    Attributes
    ----------
    factors : tuple of Grown
    terms : tuple of Term
        For two diagrams only what joins them.
    """

    factors: tuple[Grown, ...]
    terms: tuple[Term, ...]

    @property
    def roots(self) -> tuple[int, ...]:
        """The labels of what is asked."""
        return tuple(root for one in self.factors for root in one.roots)


@lru_cache(maxsize=1024)
def product(diagrams: tuple[Diagram, ...], order: int) -> Product:
    """The product of diagrams, averaged to n^-order."""
    labels = count()
    factors = tuple(grown(diagram, labels) for diagram in diagrams)
    return Product(factors, tuple(_terms(factors, order)))


def _terms(factors: tuple[Grown, ...], order: int) -> Iterator[Term]:
    jets = tuple(jet for one in factors for jet in one.jets)
    neurons = tuple(neuron for one in factors for neuron in one.neurons)
    errors = tuple(label for one in factors for label in one.errors)
    means = tuple(pair for one in factors for pair in one.means)
    labels = tuple(label for one in factors for label in one.labels)
    centred = frozenset(edge for one in factors for edge in one.centred)
    for targets in _subsets(errors):
        fields = tuple(label for label in errors if label not in targets)
        whose = neurons + fields
        for moment in moments(jets + tuple(Jet(label) for label in fields), centred, order):
            if len(factors) == 1 or _joins(moment, factors):
                same = [(whose[a], whose[b]) for a, b in moment.pairs]
                yield Term(moment, targets, _paths((*same, *means), labels))


def _joins(moment: Moment, factors: tuple[Grown, ...]) -> bool:
    """Whether a tensor has samples of each factor: otherwise it is in the product of their averages."""
    return any(all(set(samples) & one.labels for one in factors) for _, samples in moment.tensors)


def _subsets(labels: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    for mask in range(2 ** len(labels)):
        yield tuple(label for i, label in enumerate(labels) if mask >> i & 1)


def _paths(joined: Iterable[tuple[int, int]], labels: Iterable[int]) -> tuple[frozenset[int], ...]:
    """The classes of neurons that Kronecker deltas make one."""
    classes = {label: {label} for label in labels}
    for a, b in joined:
        if classes[a] is not classes[b]:
            classes[a] |= classes[b]
            for label in classes[b]:
                classes[label] = classes[a]
    return tuple({id(one): frozenset(one) for one in classes.values()}.values())
