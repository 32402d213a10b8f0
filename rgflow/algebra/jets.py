"""Jets: derivatives of a neuron along independent random tangent directions.

Every parameter derivative that is contracted with the learning-rate tensor is an *edge*: a Gaussian tangent direction
eps_e with covariance lambda that occurs exactly twice. The jet of a neuron z_{i;alpha} with the edges S is

    z_{i;(alpha, S)} = (prod_{e in S} eps_e . d/dtheta) z_{i;alpha},

so that every tensor of the theory is an average of a product of jets, e.g. the neural tangent kernel z_{1,e} z_{2,e}.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from rgflow.algebra.partitions import set_partitions
from rgflow.errors import InputError, NotForest

Edges = tuple[int, ...]


class Jet(NamedTuple):
    """A neuron's output on one sample, differentiated along the directions ``edges`` (sorted)."""

    sample: int
    edges: Edges = ()

    def without(self, edge: int) -> Jet:
        """The jet with one direction less."""
        return Jet(self.sample, tuple(e for e in self.edges if e != edge))


Pair = tuple[Jet, Jet]


class Product(NamedTuple):
    """prod sigma^{(order)}(z_sample) times a product of jets that carry at least one edge."""

    factors: tuple[tuple[int, int], ...]
    jets: tuple[Jet, ...]


def activated(jet: Jet) -> tuple[Product, ...]:
    """D_S sigma(z): Faa di Bruno's sum over the set partitions of the directions S.

    >>> [p.factors for p in activated(Jet(1, (0, 1)))]
    [((1, 1),), ((1, 2),)]
    """
    return tuple(
        Product(
            ((jet.sample, len(blocks)),),
            tuple(Jet(jet.sample, tuple(jet.edges[i] for i in block)) for block in blocks),
        )
        for blocks in set_partitions(len(jet.edges))
    )


def check_forest(pairs: Sequence[Pair]) -> None:
    """Raise unless every edge joins two different jets and the edges form a forest.

    Raises
    ------
    InputError
        If an edge does not occur in exactly two jets.
    NotForest
        If the edges close a ring (a trace of a Hessian, say): such cumulants are outside the closure.
    """
    jets = [jet for pair in pairs for jet in pair]
    counts = Counter(edge for jet in jets for edge in jet.edges)
    for edge, times in counts.items():
        if times != 2:
            raise InputError(
                f"edge {_letter(edge)!r} occurs {times} times in {write_jets(pairs)!r}; each edge occurs twice"
            )
    parent = list(range(len(jets)))

    def root(i: int) -> int:
        while parent[i] != i:
            i = parent[i]
        return i

    for edge in counts:
        ends = [i for i, jet in enumerate(jets) for e in jet.edges if e == edge]
        one, two = root(ends[0]), root(ends[1])
        if one == two:
            raise NotForest(
                f"the edges of {write_jets(pairs)!r} close a ring at {_letter(edge)!r}; only forest-shaped cumulants "
                "close under the recursion: leave out an edge"
            )
        parent[one] = two


def _letter(edge: int) -> str:
    return "efghijklmnopqrstuvwxyzabcd"[edge] if edge < 26 else f"<{edge}>"


def write_jets(pairs: Sequence[Pair]) -> str:
    """The text of a list of pairs of jets, as in ``1 2|3e 4e``."""
    return "|".join(" ".join(f"{jet.sample}{''.join(map(_letter, jet.edges))}" for jet in pair) for pair in pairs)


def read_jets(text: str) -> tuple[Pair, ...]:
    """Read ``1 2|3e 4e``: pairs separated by bars, each of two jets: a sample number and its edge letters.

    >>> read_jets("1e 2e")
    ((Jet(sample=1, edges=(0,)), Jet(sample=2, edges=(0,))),)
    """
    letters: dict[str, int] = {}
    pairs: list[Pair] = []
    for part in text.split("|"):
        jets = []
        for word in part.split():
            match = re.fullmatch(r"(\d{1,3})([a-z]{0,8})", word)
            if match is None or len(set(match[2])) != len(match[2]):
                raise InputError(
                    f"{word!r} in {text!r} is not a jet; write a sample number and its edge letters, as in '3ef'"
                )
            jets.append(Jet(int(match[1]), tuple(sorted(letters.setdefault(c, len(letters)) for c in match[2]))))
        if len(jets) != 2:
            raise InputError(f"{part!r} in {text!r} has {len(jets)} jets; every entry of the metric is a pair of jets")
        pairs.append((jets[0], jets[1]))
    check_forest(pairs)
    return tuple(pairs)
