"""One step of the derivation: the recursion of one cumulant of the metric, exact and then truncated in 1/n.

1. Law of total cumulance over independent neurons: kappa(G_1..G_k)^{l+1} is a sum over set partitions pi of the
   entries, prod_B n_l^{1-|B|} times the cumulant of the c_B, the cumulants of the integrands over one neuron.
2. The cumulant of the c_B, functions of the metric of layer l, is a sum over connected hypergraphs.
3. Brackets are evaluated on the leading Gaussian: jets that no leg has taken contract in pairs to Theta.
4. Like terms are collected, in canonical form.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import product
from math import factorial
from typing import NamedTuple

from rgflow.algebra.jets import Edges, Jet, Pair, Product, activated
from rgflow.algebra.partitions import Blocks, set_partitions
from rgflow.algebra.recursion import term_order
from rgflow.algebra.tensor import Structure, Tensor, canonical
from rgflow.algebra.terms import Bracket, Term, Value
from rgflow.derive.hypergraphs import Cluster, Hyperedge, hypergraphs
from rgflow.layers import Law

THETA: Structure = (((0,), (0,)),)


class Body(NamedTuple):
    """A term without its coefficient: what like terms have in common."""

    symbols: tuple[tuple[str, int], ...]
    r: int
    tensors: tuple[Value, ...]
    brackets: tuple[Bracket, ...]


class Monomial(NamedTuple):
    """A product of integrands, expanded: hyperparameters, written sigma factors and the jets that are left."""

    symbols: tuple[str, ...]
    factors: tuple[tuple[int, int], ...]
    jets: tuple[Jet, ...]
    number: int


class Legs(NamedTuple):
    """One way to dispose of the jets of a bracket: contracted in pairs, or taken by legs."""

    thetas: tuple[tuple[int, int], ...]
    mixed: tuple[Jet, ...]
    double: tuple[Pair, ...]


def step(tensor: Tensor, samples: str, law: Law) -> tuple[Term, ...]:
    """The terms of the recursion of ``tensor`` through a layer with the given law.

    Parameters
    ----------
    tensor : Tensor
        kappa_k^{[p]} of the new layer.
    samples : "one" or "many"
        One input (total derivatives, no indices) or a different sample in every argument.
    law : Law
        Constants and integrand of the layer.
    """
    one = samples == "one"
    pairs = _pairs_of(tensor, one)
    integrands = [_expand(pair, law) for pair in pairs]
    collected: dict[Body, Fraction] = defaultdict(Fraction)
    k = len(pairs)
    if k == 1 and tensor.order == 0:
        for symbol in law.constants(*pairs[0]):
            collected[Body(((symbol, 1),), 0, (), ())] += 1
    for blocks in set_partitions(k):
        cost = len(blocks) - 1 + tensor.order
        for weight, brackets, vertex_of in _cumulants(blocks):
            choices = [_multiply([integrands[i] for i in bracket]) for bracket in brackets]
            for monomials in product(*choices):
                _place_jets(collected, monomials, weight, vertex_of, len(blocks), cost, one)
    terms = (Term(coefficient, *body) for body, coefficient in collected.items() if coefficient)
    return tuple(sorted(terms, key=term_order))


def _pairs_of(tensor: Tensor, one: bool) -> tuple[Pair, ...]:
    if not one:
        return tensor.pairs
    return tuple((Jet(0, a.edges), Jet(0, b.edges)) for a, b in tensor.pairs)


def _expand(pair: Pair, law: Law) -> tuple[Monomial, ...]:
    """The integrand of one entry as monomials in written sigma factors and jets (Faa di Bruno)."""
    return tuple(
        _join((symbol,), left, right)
        for symbol, c, d in law.integrand(*pair)
        for left in activated(c)
        for right in activated(d)
    )


def _join(symbols: tuple[str, ...], left: Product, right: Product) -> Monomial:
    return Monomial(symbols, left.factors + right.factors, left.jets + right.jets, 1)


def _multiply(factors: Sequence[tuple[Monomial, ...]]) -> tuple[Monomial, ...]:
    """The product of several integrands over the same neuron, like monomials collected."""
    counts: dict[tuple[tuple[str, ...], tuple[tuple[int, int], ...], tuple[Jet, ...]], int] = defaultdict(int)
    for choice in product(*factors):
        symbols = tuple(sorted(s for m in choice for s in m.symbols))
        written = tuple(sorted(f for m in choice for f in m.factors))
        jets = tuple(sorted(j for m in choice for j in m.jets))
        number = 1
        for m in choice:
            number *= m.number
        counts[symbols, written, jets] += number
    return tuple(Monomial(*key, number) for key, number in counts.items())


def _cumulants(blocks: Blocks) -> Iterator[tuple[Fraction, tuple[tuple[int, ...], ...], tuple[int, ...]]]:
    """Each block's cumulant as moments: (-1)^{m-1} (m-1)! for a partition of the block into m brackets."""
    for inner in product(*(set_partitions(len(block)) for block in blocks)):
        weight, brackets, owners = Fraction(1), [], []
        for vertex, (block, parts) in enumerate(zip(blocks, inner, strict=True)):
            weight *= (-1) ** (len(parts) - 1) * factorial(len(parts) - 1)
            for part in parts:
                brackets.append(tuple(block[i] for i in part))
                owners.append(vertex)
        yield weight, tuple(brackets), tuple(owners)


# Disposing of jets ---------------------------------------------------------------------------------------------------


def _dispositions(jets: tuple[Jet, ...]) -> Iterator[Legs]:
    """All ways to contract jets in pairs to Theta or to give them to legs (alone with a bare field, or two by two)."""
    if not jets:
        yield Legs((), (), ())
        return
    first, rest = jets[0], jets[1:]
    for legs in _dispositions(rest):
        yield legs._replace(mixed=(first, *legs.mixed))
    for i, other in enumerate(rest):
        remaining = rest[:i] + rest[i + 1 :]
        contracts = len(first.edges) == 1 and first.edges == other.edges
        for legs in _dispositions(remaining):
            if contracts:
                yield legs._replace(thetas=((first.sample, other.sample), *legs.thetas))
            yield legs._replace(double=((first, other), *legs.double))


def _place_jets(
    collected: dict[Body, Fraction],
    monomials: tuple[Monomial, ...],
    weight: Fraction,
    vertex_of: tuple[int, ...],
    vertices: int,
    cost: int,
    one: bool,
) -> None:
    total_legs = cost * 2  # a hyperedge of cost c has at most c + 1 <= 2c legs
    options = [
        [legs for legs in _dispositions(m.jets) if len(legs.mixed) + len(legs.double) <= total_legs] for m in monomials
    ]
    for chosen in product(*options):
        taken = [
            (bracket, jets)
            for bracket, legs in enumerate(chosen)
            for jets in (*((j,) for j in legs.mixed), *legs.double)
        ]
        groups = _share_edges([tuple(e for jet in jets for e in jet.edges) for _, jets in taken])
        clusters = []
        for group in groups:
            mask = 0
            for i in group:
                mask |= 1 << vertex_of[taken[i][0]]
            clusters.append(Cluster(len(group), mask))
        thetas = tuple(pair for legs in chosen for pair in legs.thetas)
        for graph in hypergraphs(vertex_of, vertices, tuple(clusters), cost):
            _collect(collected, monomials, weight * graph.weight, thetas, graph.edges, groups, taken, cost, one)


def _share_edges(legs: list[Edges]) -> list[list[int]]:
    """Group legs that share a direction: they must lie in one hyperedge."""
    groups: list[tuple[set[int], list[int]]] = []
    for i, edges in enumerate(legs):
        held, members = set(edges), [i]
        apart = []
        for other, others in groups:
            if other & held:
                held |= other
                members = others + members
            else:
                apart.append((other, others))
        groups = [*apart, (held, members)]
    return [sorted(members) for _, members in groups]


# Collecting ----------------------------------------------------------------------------------------------------------


def _collect(
    collected: dict[Body, Fraction],
    monomials: tuple[Monomial, ...],
    weight: Fraction,
    thetas: tuple[tuple[int, int], ...],
    edges: tuple[Hyperedge, ...],
    groups: list[list[int]],
    taken: list[tuple[int, tuple[Jet, ...]]],
    cost: int,
    one: bool,
) -> None:
    """Add one hypergraph, in canonical form: brackets in order, indices of tensors by bracket."""
    pending = [0] * len(monomials)
    for edge in edges:
        for bracket in edge.bare:
            pending[bracket] += 2
        for cluster in edge.clusters:
            for i in groups[cluster]:
                bracket, jets = taken[i]
                if len(jets) == 1:
                    pending[bracket] += 1
    unsorted = [Bracket(m.factors, pending[b]) for b, m in enumerate(monomials)]
    order = sorted(range(len(unsorted)), key=lambda b: unsorted[b])
    place = {b: i for i, b in enumerate(order)}
    values = [Value(_tensor(THETA, 0), () if one else tuple(sorted(pair))) for pair in thetas]
    for edge in edges:
        pairs: list[Pair] = [(Jet(-place[b] - 1), Jet(-place[b] - 1)) for b in edge.bare]
        for cluster in edge.clusters:
            for i in groups[cluster]:
                bracket, jets = taken[i]
                pairs.append((jets[0], jets[1] if len(jets) == 2 else Jet(-place[bracket] - 1)))
        structure, labels = canonical(pairs)
        tensor = _tensor(structure, edge.order)
        values.append(Value(tensor, () if one else tuple(labels[slot] for slot in tensor.slots)))
    values.sort(key=lambda v: (v.tensor.level, v.tensor.order, v.tensor.structure, v.indices))
    symbols: dict[str, int] = defaultdict(int)
    number = 1
    for m in monomials:
        number *= m.number
        for symbol in m.symbols:
            symbols[symbol] += 1
    body = Body(tuple(sorted(symbols.items())), cost, tuple(values), tuple(unsorted[b] for b in order))
    collected[body] += weight * number


@lru_cache(maxsize=4096)
def _tensor(structure: Structure, order: int) -> Tensor:
    """The tensor of a canonical structure, made once (checking and hashing it is most of the work of collecting)."""
    return Tensor(structure, order)
