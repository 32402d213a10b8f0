r"""What gradient descent does to an observable: a sum over trees.

Parameters move along the gradients of the training outputs, and each gradient is the one at the place reached so far:

    theta_t - theta_0 = - eta sum_{s<t} sum_{j,a} eps_{j;a}(s) lambda grad z_{j;a}(theta_s),    eps = z - y.

Taylor's series of z(theta_t) and of every gradient about theta_0 is a sum over rooted trees: each node is the jet of an
output at initialisation, each edge a direction shared by two of them, each node but the root carries -eta eps at a time
before that of its parent, and a node with c children 1/c!. One edge is the tangent kernel, two its differential dNTK,
three the second differentials ddNTK.

The errors eps(s) move as well. With the mean Theta of the tangent kernel summed up they decay as
(1 - eta Theta)^s; what is left, the fluctuation of the kernel and trees of two edges and more, is a source: a node
whose error answers to such a tree is its *response*.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import factorial


@dataclass(frozen=True)
class Node:
    """A training output in a tree: an error eps(s), and the gradient that it pulls.

    Attributes
    ----------
    children : tuple of Node
        Those whose directions join the jet of this node's gradient.
    source : tuple of Node or None
        The tree to which this error responds; None if it is the error at initialisation, decaying.
    mean : bool
        The edge to the parent is the mean Theta of the tangent kernel, not its fluctuation.
    """

    children: tuple[Node, ...] = ()
    source: tuple[Node, ...] | None = None
    mean: bool = False


# An observable after training: for each of its roots the nodes that hang from it.
Diagram = tuple[tuple[Node, ...], ...]

# Powers of n^{-1/2} of a tree with so many edges at fixed parameters: the fluctuation of the tangent kernel is 1, its
# differentials are 2 or their means are.
_COST = {1: 1, 2: 2, 3: 2}
ORDERS = (0, 1)


@lru_cache(maxsize=8)
def output_diagrams(order: int) -> tuple[Diagram, ...]:
    """Everything that z(T) is made of up to n^-order: z itself, the mean kernel, and what fluctuates."""
    budget = 2 * order
    return (((),), *(((*forest,),) for forest in _forests(budget, relay=True)))


@lru_cache(maxsize=8)
def kernel_diagrams(order: int) -> tuple[Diagram, ...]:
    """Everything that changes in the tangent kernel of two samples up to n^-order: trees about the edge of the two."""
    found: list[Diagram] = []
    if order >= 1:
        for edges in (1, 2):
            for left in range(edges + 1):
                found += [(one, two) for one in _hung(left) for two in _hung(edges - left)]
    return tuple(found)


def _forests(budget: int, relay: bool = False) -> Iterator[tuple[Node, ...]]:
    """What may hang from a root: trees, with errors that are bare or responses, up to a budget of n^{-1/2}."""
    if relay:
        yield (Node(mean=True),)
        for source in _forests(budget):
            yield (Node(source=source, mean=True),)
    for edges, cost in _COST.items():
        if cost > budget:
            continue
        yield from _hung(edges)
        if edges == 1:  # a response in a larger tree is beyond order 1
            for source in _forests(budget - cost):
                yield (Node(source=source),)


def _hung(edges: int) -> Iterator[tuple[Node, ...]]:
    """All ways in which ordered children with so many edges altogether hang from a node, errors bare."""
    if edges == 0:
        yield ()
        return
    for first in range(1, edges + 1):
        for below in _hung(first - 1):
            for others in _hung(edges - first):
                yield (Node(children=below), *others)


def weight(children: tuple[Node, ...]) -> Fraction:
    """prod 1/c! over a forest and what hangs in it."""
    found = Fraction(1, factorial(len(children)))
    for child in children:
        found *= weight(child.children)
        if child.source is not None:
            found *= weight(child.source)
    return found


def cost(diagram: Diagram) -> int:
    """The power of n^{-1/2} of a diagram for given parameters."""
    return sum(_cost(forest) for forest in diagram)


def _cost(forest: tuple[Node, ...]) -> int:
    """Of a tree: that of its edges, and of the trees to which its errors respond."""
    if not forest:
        return 0
    responses = sum(_cost(node.source) for node in forest if node.source is not None)
    return responses + (0 if forest[0].mean else _COST[_edges(forest)])


def _edges(forest: tuple[Node, ...]) -> int:
    return sum(1 + _edges(node.children) for node in forest)
