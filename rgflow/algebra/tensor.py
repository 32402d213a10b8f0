"""Tensors: the joint cumulants of the random metric, in canonical form, and their names.

A tensor of level k and order q is the coefficient kappa_k^{[q]} in

    kappa(G_{a1 b1}, ..., G_{ak bk}) = n^{1-k} sum_q kappa_k^{[q]} n^{-q},      n = n_{l-1}, the fan-in of the layer,

where a = (sample, edges) are jets. The letters of PDLT are the tensors below; every other one is named by its jets.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations, product
from typing import Any

from rgflow.algebra.jets import Edges, Jet, Pair, check_forest, read_jets, write_jets
from rgflow.checks import whole
from rgflow.errors import InputError, OrderError, UnknownName

Structure = tuple[tuple[Edges, Edges], ...]
Labels = tuple[int, ...]

MOST_DRESSED = 6  # entries with directions: beyond, the search for a canonical form takes minutes
MOST_PLAIN = 6  # entries without: their symmetries are 2^k k!

# Letter: its jets, numbered by the position of the sample among the arguments (PDLT's order), and its meaning.
LETTERS: dict[str, tuple[str, str]] = {
    "K": ("1 2", "kernel: covariance of preactivations"),
    "Theta": ("1e 2e", "neural tangent kernel, mean"),
    "V": ("1 2|3 4", "four-point vertex"),
    "D": ("1 2|3e 4e", "preactivations and NTK, neurons paired (z z)(NTK)"),
    "F": ("1 2e|3 4e", "preactivations and NTK, neurons paired across"),
    "A": ("1e 2e|3f 4f", "NTK fluctuation, neurons paired within each NTK"),
    "B": ("1e 2f|3e 4f", "NTK fluctuation, neurons paired across"),
    "P": ("1ef 4|2e 3f", "differential of the NTK with a preactivation"),
    "Q": ("1ef 2e|3f 4", "differential of the NTK with a preactivation"),
    "R": ("1efg 2e|3f 4g", "second differential of the NTK, type I"),
    "S": ("1ef 2eg|3f 4g", "second differential of the NTK, type II"),
    "T": ("1ef 2f|3g 4eg", "second differential of the NTK, type II"),
    "U": ("1ef 2g|3eg 4f", "second differential of the NTK, type II"),
    "V6": ("1 2|3 4|5 6", "six-point vertex"),
}


@dataclass(frozen=True)
class Tensor:
    """One coefficient tensor: jets in canonical form and the order q of its correction.

    Attributes
    ----------
    structure : tuple of pairs of edge tuples
        The jets of the k entries of the metric, without their samples.
    order : int
        q, the power of 1/n beyond the leading one.

    >>> Tensor.named("V_1").order, Tensor.named("1e 2e|3 4").name
    (1, 'D')
    """

    structure: Structure
    order: int = 0

    def __post_init__(self) -> None:
        _check_order(self.order)
        pairs = [(Jet(0, a), Jet(0, b)) for a, b in self.structure]
        if not pairs or canonical(pairs)[0] != self.structure:
            raise InputError(f"structure {self.structure!r} is not in canonical form; use Tensor.of or Tensor.named")

    @classmethod
    def of(cls, pairs: Sequence[Pair], order: int = 0) -> Tensor:
        """The tensor of given pairs of jets (their samples do not matter).

        Raises NotForest if the edges close a ring, InputError if an edge does not occur twice.
        """
        check_forest(pairs)
        return cls(canonical(pairs)[0], _check_order(order))

    @classmethod
    def named(cls, name: str | Tensor) -> Tensor:
        """The tensor of a name: a letter, or jets such as ``1 2|3e 4e`` or ``G[1 2|3e 4e]``; ``_q`` for corrections."""
        if isinstance(name, Tensor):
            return name
        if not isinstance(name, str):
            raise InputError(f"{name!r} is not the name of a tensor; give text such as 'V' or 'K_1'")
        return _named(name)

    @property
    def level(self) -> int:
        """k, the number of metric entries in the cumulant."""
        return len(self.structure)

    @property
    def cost(self) -> int:
        """k - 1 + q, the total power of 1/n of this coefficient."""
        return self.level - 1 + self.order

    @property
    def letter(self) -> str:
        """The name without the order: K, Theta, V, ... or G[jets]."""
        return _names().get(self.structure) or f"G[{write_jets(self.pairs)}]"

    @property
    def name(self) -> str:
        """The name that values of this tensor carry."""
        return f"{self.letter}_{self.order}" if self.order else self.letter

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The jets in canonical form, samples numbered 1..2k by their argument position."""
        position = {slot: argument for argument, slot in enumerate(self.slots)}
        flat = [Jet(position[i] + 1, edges) for i, edges in enumerate(e for pair in self.structure for e in pair)]
        return tuple((flat[i], flat[i + 1]) for i in range(0, len(flat), 2))

    @property
    def slots(self) -> tuple[int, ...]:
        """For each argument, in PDLT's order, the slot of the flattened canonical jets that it fills."""
        return _slots().get(self.structure) or tuple(range(2 * self.level))

    @property
    def symmetries(self) -> tuple[tuple[int, ...], ...]:
        """The permutations s of the arguments with T[x_0, x_1, ..] = T[x_s(0), x_s(1), ..]."""
        return _symmetries(self.structure, self.slots)

    def __str__(self) -> str:
        return self.name


@lru_cache(maxsize=4096)
def _named(name: str) -> Tensor:
    base, order = split_order(name)
    if base in LETTERS:
        return Tensor(_letter_structures()[base], order)
    jets = re.fullmatch(r"G\[(.*)\]", base)
    if jets is None and not base[:1].isdigit():
        raise UnknownName("tensor", name, LETTERS)
    return Tensor.of(read_jets(jets[1] if jets else base), order)


def listed(names: Any) -> list[str | Tensor]:
    """One name or several, as a list that is not empty; InputError otherwise."""
    if isinstance(names, (str, Tensor)):
        return [names]
    try:
        found = list(names)
    except TypeError:
        raise InputError(f"{names!r} does not name tensors; give one name such as 'V', or several") from None
    if not found:
        raise InputError("no tensor is named; give at least one, such as 'V'")
    return found


def split_order(name: str) -> tuple[str, int]:
    """Split ``V_1`` into its base and its order in 1/n.

    >>> split_order("V_1"), split_order("V6")
    (('V', 1), ('V6', 0))
    """
    match = re.fullmatch(r"(.+?)_(\d{1,2})", name)
    if match is None:
        return name, 0
    return match[1], int(match[2])


def _check_order(order: int) -> int:
    return whole("order", order, 0)


# Canonical form ------------------------------------------------------------------------------------------------------


def canonical(pairs: Sequence[Pair]) -> tuple[Structure, Labels]:
    """Canonical structure of pairs of jets, and the samples in its slots: equal tensors get equal results.

    Entries without edges come first. Pairs may be permuted, their jets swapped and edges renamed.
    """
    bare = [(a.sample, b.sample) for a, b in pairs if not a.edges and not b.edges]
    plain = sorted((sorted(pair, key=_rank) for pair in bare), key=lambda pair: (_rank(pair[0]), _rank(pair[1])))
    labels = tuple(sample for pair in plain for sample in pair)
    structure: Structure = (((), ()),) * len(plain)
    dressed = [pair for pair in pairs if pair[0].edges or pair[1].edges]
    if not dressed:
        return structure, labels
    flat = [jet for pair in dressed for jet in pair]
    if len(dressed) > MOST_DRESSED:
        raise OrderError(
            f"a cumulant of {len(dressed)} metric entries with directions: its canonical form takes "
            f"{len(dressed)}! 2^{len(dressed)} arrangements and is offered up to {MOST_DRESSED}; ask a lower order"
        )
    form, orders = _dressed_form(_rename([jet.edges for jet in flat]))
    samples = [jet.sample for jet in flat]
    arrangements = (tuple(samples[i] for i in order) for order in orders)
    return structure + form, labels + min(arrangements, key=lambda labels: tuple(map(_rank, labels)))


def _rank(label: int) -> tuple[bool, int]:
    """Samples come first, then summed indices by the bracket on which they act."""
    return label < 0, abs(label)


def _rename(edges: Sequence[Edges]) -> tuple[Edges, ...]:
    names: dict[int, int] = {}
    return tuple(tuple(sorted(names.setdefault(e, len(names)) for e in jet)) for jet in edges)


@lru_cache(maxsize=4096)
def _dressed_form(flat: tuple[Edges, ...]) -> tuple[Structure, tuple[tuple[int, ...], ...]]:
    """The canonical form of jets with edges, and every arrangement of their positions that attains it."""
    best: tuple[tuple[int, ...], tuple[Edges, ...]] | None = None
    attained: list[tuple[int, ...]] = []
    count = len(flat) // 2
    for order in permutations(range(count)):
        for swaps in product((0, 1), repeat=count):
            positions = tuple(2 * i + (j ^ swaps[i]) for i in order for j in (0, 1))
            form = _best_renaming([flat[i] for i in positions])
            key = (tuple(-len(e) for e in form), form)
            if best is None or key < best:
                best, attained = key, [positions]
            elif key == best:
                attained.append(positions)
    assert best is not None
    form = best[1]
    return tuple((form[i], form[i + 1]) for i in range(0, len(form), 2)), tuple(attained)


def _best_renaming(jets: Sequence[Edges]) -> tuple[Edges, ...]:
    """Rename edges so that the text is smallest: an edge is known by the set of places where it occurs."""
    places: dict[int, list[int]] = {}
    for position, edges in enumerate(jets):
        for edge in edges:
            places.setdefault(edge, []).append(position)
    ranked = sorted(places, key=lambda e: places[e])
    names = {edge: i for i, edge in enumerate(ranked)}
    return tuple(tuple(sorted(names[e] for e in edges)) for edges in jets)


@lru_cache(maxsize=1024)
def _symmetries(structure: Structure, slots: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    argument_of = {slot: argument for argument, slot in enumerate(slots)}
    plain = sum(1 for pair in structure if pair == ((), ()))
    if plain > MOST_PLAIN:
        raise OrderError(f"a cumulant of {plain} metric entries has 2^{plain} {plain}! symmetries; ask a lower order")
    flat = [edges for pair in structure for edges in pair]
    dressed = _dressed_form(_rename(flat[2 * plain :]))[1] if len(structure) > plain else ((),)
    # positions that attain the form, relative to one of them, are the automorphisms
    reference = dressed[0]
    automorphisms = [[0] * len(order) for order in dressed]
    for auto, order in zip(automorphisms, dressed, strict=True):
        for place, position in zip(reference, order, strict=True):
            auto[place] = position
    found = []
    for pair_order in permutations(range(plain)):
        for swaps in product((0, 1), repeat=plain):
            head = [2 * i + (j ^ swaps[i]) for i in pair_order for j in (0, 1)]
            for auto in automorphisms:
                by_slot = head + [2 * plain + i for i in auto]
                found.append(tuple(argument_of[by_slot[slot]] for slot in slots))
    return tuple(sorted(found))


# Names ---------------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _letter_structures() -> dict[str, Structure]:
    return {letter: canonical(read_jets(jets))[0] for letter, (jets, _) in LETTERS.items()}


@lru_cache(maxsize=1)
def _names() -> dict[Structure, str]:
    return {structure: letter for letter, structure in _letter_structures().items()}


@lru_cache(maxsize=1)
def _slots() -> dict[Structure, tuple[int, ...]]:
    """Argument order of each letter: argument i sits in the slot that the letter's own jets give it."""
    table = {}
    for jets, _ in LETTERS.values():
        structure, labels = canonical(read_jets(jets))
        table[structure] = tuple(labels.index(argument + 1) for argument in range(len(labels)))
    return table
