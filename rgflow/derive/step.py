"""One step of the derivation: the recursion of one cumulant of the metric, exact and then truncated in 1/n.

1. Law of total cumulance over independent neurons: kappa(G_1..G_k)^{l+1} is a sum over set partitions pi of the
   entries, prod_B n_l^{1-|B|} times the cumulant of the c_B, the cumulants of the integrands over one neuron.
2. The cumulant of the c_B, functions of the metric of layer l, is a sum over connected hypergraphs.
3. Brackets are evaluated on the leading Gaussian: jets that no leg has taken contract in pairs to Theta, plain values z
   to K, or with an activation, <z f> = K <d f>.
4. Like terms are collected, in canonical form.

With a carry an entry may also stand for the own past of its neuron, which is no average; entries of different neurons
do not meet there. That is the one-time closure, in which each neuron's past is Gaussian but for the cumulants of z.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import product
from math import factorial
from typing import NamedTuple

from rgflow.algebra.jets import Edges, Jet, Pair, activated
from rgflow.algebra.partitions import Blocks, set_partitions
from rgflow.algebra.recursion import term_order
from rgflow.algebra.tensor import Structure, Tensor, canonical
from rgflow.algebra.terms import Bracket, Term, Value
from rgflow.derive.hypergraphs import Cluster, Hyperedge, hypergraphs
from rgflow.layers import Law

THETA: Structure = (((0,), (0,)),)
KERNEL: Structure = (((), ()),)


class Body(NamedTuple):
    """A term without its coefficient: what like terms have in common."""

    symbols: tuple[tuple[str, int], ...]
    r: int
    tensors: tuple[Value, ...]
    brackets: tuple[Bracket, ...]


class Monomial(NamedTuple):
    """A product of integrands, expanded: hyperparameters, written sigma factors and the jets that are left.

    own : how many of them are of the neuron's own past.
    """

    symbols: tuple[str, ...]
    factors: tuple[tuple[int, int], ...]
    jets: tuple[Jet, ...]
    own: int
    number: int


class Legs(NamedTuple):
    """One way to dispose of the jets of a bracket.

    pairs : contracted with each other, to Theta or K. attached : plain values contracted with the activations.
    mixed, double : taken by legs, with a bare derivative or two by two.
    """

    pairs: tuple[Pair, ...]
    attached: tuple[Jet, ...]
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
                if _own_neurons_differ(monomials, vertex_of):
                    _place_jets(collected, monomials, weight, vertex_of, len(blocks), cost, one)
    if k == 2 and tensor.order == 0:
        for exchange in law.intrinsic(*pairs):
            choices = [_plain(pair) for pair in exchange.pairs]
            for monomials in product(*choices):
                held = monomials[0]._replace(symbols=exchange.symbols)
                _place_jets(collected, (held, monomials[1]), exchange.coefficient, (0, 0), 1, 0, one)
    terms = (Term(coefficient, *body) for body, coefficient in collected.items() if coefficient)
    return tuple(sorted(terms, key=term_order))


def _pairs_of(tensor: Tensor, one: bool) -> tuple[Pair, ...]:
    if not one:
        return tensor.pairs
    return tuple((Jet(0, a.edges), Jet(0, b.edges)) for a, b in tensor.pairs)


def _expand(pair: Pair, law: Law) -> tuple[Monomial, ...]:
    """The integrand of one entry as monomials in written sigma factors and jets (Faa di Bruno)."""
    return tuple(
        monomial
        for part in law.integrand(*pair)
        for monomial in _plain((part.left, part.right), part.symbols, part.linear, part.own)
    )


def _plain(pair: Pair, symbols: tuple[str, ...] = (), linear: bool = False, own: bool = False) -> tuple[Monomial, ...]:
    """s_a s_b as monomials; the jets themselves if s is z."""
    if linear:
        return (Monomial(symbols, (), pair, int(own), 1),)
    left, right = (activated(jet) for jet in pair)
    return tuple(
        Monomial(symbols, one.factors + other.factors, one.jets + other.jets, int(own), 1)
        for one in left
        for other in right
    )


def _own_neurons_differ(monomials: Sequence[Monomial], vertex_of: tuple[int, ...]) -> bool:
    """A vertex is one neuron: it is the own neuron of one entry at most."""
    own = [0] * (1 + max(vertex_of))
    for monomial, vertex in zip(monomials, vertex_of, strict=True):
        own[vertex] += monomial.own
    return max(own) <= 1


def _multiply(factors: Sequence[tuple[Monomial, ...]]) -> tuple[Monomial, ...]:
    """The product of several integrands over the same neuron, like monomials collected."""
    counts: dict[tuple[tuple[str, ...], tuple[tuple[int, int], ...], tuple[Jet, ...], int], int] = defaultdict(int)
    for choice in product(*factors):
        symbols = tuple(sorted(s for m in choice for s in m.symbols))
        written = tuple(sorted(f for m in choice for f in m.factors))
        jets = tuple(sorted(j for m in choice for j in m.jets))
        number = 1
        for m in choice:
            number *= m.number
        counts[symbols, written, jets, sum(m.own for m in choice)] += number
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
    """All ways to contract jets, or to give them to legs (alone with a bare field, or two by two)."""
    if not jets:
        yield Legs((), (), (), ())
        return
    first, rest = jets[0], jets[1:]
    for legs in _dispositions(rest):
        yield legs._replace(mixed=(first, *legs.mixed))
        if not first.edges:
            yield legs._replace(attached=(first, *legs.attached))
    for i, other in enumerate(rest):
        remaining = rest[:i] + rest[i + 1 :]
        contracts = len(first.edges) <= 1 and first.edges == other.edges
        for legs in _dispositions(remaining):
            if contracts:
                yield legs._replace(pairs=((first, other), *legs.pairs))
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
    options = [[legs for legs in _dispositions(m.jets) if _useful(m, legs, total_legs)] for m in monomials]
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
        held = tuple((bracket, legs) for bracket, legs in enumerate(chosen))
        for graph in hypergraphs(vertex_of, vertices, tuple(clusters), cost):
            _collect(collected, monomials, weight * graph.weight, held, graph.edges, groups, taken, cost, one)


def _useful(monomial: Monomial, legs: Legs, most: int) -> bool:
    """Not too many legs, and derivatives only where there is an activation for them to act on."""
    few = len(legs.mixed) + len(legs.double) <= most
    return few and (bool(monomial.factors) or not (legs.mixed or legs.attached))


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
    held: tuple[tuple[int, Legs], ...],
    edges: tuple[Hyperedge, ...],
    groups: list[list[int]],
    taken: list[tuple[int, tuple[Jet, ...]]],
    cost: int,
    one: bool,
) -> None:
    """Add one hypergraph, in canonical form: brackets in order, indices of tensors by bracket."""
    pending = [len(legs.attached) for _, legs in held]
    for edge in edges:
        for bracket in edge.bare:
            pending[bracket] += 2
        for cluster in edge.clusters:
            for i in groups[cluster]:
                bracket, jets = taken[i]
                if len(jets) == 1:
                    pending[bracket] += 1
    if any(count and not m.factors for count, m in zip(pending, monomials, strict=True)):
        return  # the derivative of a constant
    unsorted = [Bracket(m.factors, pending[b]) for b, m in enumerate(monomials)]
    order = sorted((b for b, m in enumerate(monomials) if m.factors), key=lambda b: unsorted[b])
    place = {b: i for i, b in enumerate(order)}
    values = []
    for bracket, legs in held:
        for a, b in legs.pairs:
            values.append(_value(THETA if a.edges else KERNEL, (a.sample, b.sample), one))
        values += [_value(KERNEL, (jet.sample, -place[bracket] - 1), one) for jet in legs.attached]
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


def _value(structure: Structure, indices: tuple[int, int], one: bool) -> Value:
    """Theta or K of two samples, external ones first."""
    first, second = sorted(indices, key=lambda index: (index < 0, abs(index)))
    return Value(_tensor(structure, 0), () if one else (first, second))


@lru_cache(maxsize=4096)
def _tensor(structure: Structure, order: int) -> Tensor:
    """The tensor of a canonical structure, made once (checking and hashing it is most of the work of collecting)."""
    return Tensor(structure, order)
