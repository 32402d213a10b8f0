"""From a diagram to terms: what its legs take of the jets, what the others contract to, what stays pending.

Each bracket is an average of a product of integrands, a sum of monomials in written sigma factors and jets. A leg is
1/2 sum_ab d_a d_b: it takes two jets, or a jet and a derivative that stays pending on the sigmas, or two pending
derivatives (then 1/2 stays). Jets that no leg takes contract on the leading Gaussian: in pairs with one direction to
Theta, plain z in pairs to K, or with the sigmas, <z f> = K <d f>. A hyperedge that holds a direction only once
vanishes.

One leg after the other, on a diagram that is already there; :mod:`rgflow.derive.step` goes the other way about.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import product
from typing import NamedTuple

from rgflow.algebra.jets import Jet, Pair, activated
from rgflow.algebra.tensor import Tensor, canonical
from rgflow.algebra.terms import Bracket, Term, Value
from rgflow.derive.steps.graphs import Edges, Hyperedge
from rgflow.derive.steps.names import edge_letter
from rgflow.layers import Part

Sum = tuple[Part, ...]  # an integrand: a sum of products s_a s_b

ONCE = "whatever its legs take, a hyperedge holds a direction only once, and such a cumulant is zero"
CONSTANT = "a leg would differentiate what does not depend on z"


class Monomial(NamedTuple):
    """symbols * prod sigma^{(k)}(z_a) * prod of jets."""

    symbols: tuple[str, ...]
    factors: tuple[tuple[int, int], ...]
    jets: tuple[Jet, ...]


class Contracted(NamedTuple):
    """One way to dispose of a bracket's jets.

    taken : for each leg on the bracket the jets that it takes. pairs : contracted with each other. attached : plain z
    contracted with the sigmas.
    """

    taken: tuple[tuple[Jet, ...], ...]
    pairs: tuple[Pair, ...] = ()
    attached: tuple[Jet, ...] = ()


class Way(NamedTuple):
    """One way to contract a diagram, with the term that it gives; ways that differ by equal legs are one.

    taken : for each leg, in the order of the hyperedges, the jets that it takes. pairs : contracted with each other.
    attached : plain z contracted with the sigmas.
    """

    taken: tuple[tuple[Jet, ...], ...]
    pairs: tuple[Pair, ...]
    attached: tuple[Jet, ...]
    term: Term


def monomials(integrand: Sum) -> tuple[Monomial, ...]:
    """An integrand with its directions distributed (Faa di Bruno).

    >>> from rgflow.layers import Part
    >>> for each in monomials((Part(("C_W",), Jet(1, (0,)), Jet(2)),)):
    ...     print(*each)
    ('C_W',) ((1, 1), (2, 0)) (Jet(sample=1, edges=(0,)),)
    """
    found = []
    for part in integrand:
        if part.linear:
            found.append(Monomial(part.symbols, (), (part.left, part.right)))
            continue
        for one, other in product(activated(part.left), activated(part.right)):
            found.append(Monomial(part.symbols, one.factors + other.factors, one.jets + other.jets))
    return tuple(found)


def contract(
    brackets: Sequence[Sequence[Sum]], edges: Edges, weight: Fraction, cost: int, one: bool
) -> tuple[tuple[Way, ...], str]:
    """The ways to contract a diagram; and why there is none, if there is none.

    Parameters
    ----------
    brackets : for each bracket its integrands.
    edges : legs end on brackets.
    weight : its sign and symmetry; the halves of legs are not in it.
    cost : the power of r.
    one : one input, so that tensors carry no indices.
    """
    ends = _ends(edges)
    legs = [[i for i, end in enumerate(ends) if end == b] for b in range(len(brackets))]
    collected: dict[Way, Fraction] = defaultdict(Fraction)
    reasons: Counter[str] = Counter()
    for chosen in product(*(_multiplied(integrands) for integrands in brackets)):
        options = [_options(m, len(here), reasons) for m, here in zip(chosen, legs, strict=True)]
        for disposed in product(*options):
            taken: dict[int, tuple[Jet, ...]] = {}
            for here, each in zip(legs, disposed, strict=True):
                taken.update(zip(here, each.taken, strict=True))
            if not _twice(edges, taken):
                reasons[ONCE] += 1
                continue
            halves = Fraction(1, 2 ** sum(not jets for jets in taken.values()))
            pairs = tuple(sorted(pair for each in disposed for pair in each.pairs))
            attached = tuple(sorted(jet for each in disposed for jet in each.attached))
            term = _term(chosen, disposed, edges, taken, cost, one)
            collected[Way(_alike(edges, taken), pairs, attached, term)] += weight * halves
    ways = tuple(way._replace(term=replace(way.term, coefficient=c)) for way, c in collected.items())
    return ways, "" if ways else reasons.most_common(1)[0][0]


def _alike(edges: Edges, taken: dict[int, tuple[Jet, ...]]) -> tuple[tuple[Jet, ...], ...]:
    """What legs take, the same for all ways that differ by equal legs or equal hyperedges."""
    first = 0
    held: dict[Hyperedge, list[tuple[tuple[int, tuple[Jet, ...]], ...]]] = {}
    for edge in edges:
        legs = range(first, first + len(edge.legs))
        held.setdefault(edge, []).append(tuple(sorted(zip(edge.legs, (taken[i] for i in legs), strict=True))))
        first += len(edge.legs)
    rest = {edge: iter(sorted(each)) for edge, each in held.items()}
    return tuple(jets for edge in edges for _, jets in next(rest[edge]))


def _ends(edges: Edges) -> list[int]:
    return [end for edge in edges for end in edge.legs]


def _multiplied(integrands: Sequence[Sum]) -> Iterator[Monomial]:
    """The product of integrands over one neuron."""
    for choice in product(*(monomials(integrand) for integrand in integrands)):
        symbols = tuple(s for m in choice for s in m.symbols)
        factors = tuple(sorted(f for m in choice for f in m.factors))
        yield Monomial(symbols, factors, tuple(sorted(j for m in choice for j in m.jets)))


def _options(monomial: Monomial, legs: int, reasons: Counter[str]) -> list[Contracted]:
    """All ways to dispose of a bracket's jets; derivatives need a sigma on which to act."""
    disposed = list(_disposed(monomial.jets, Contracted(((),) * legs), bool(monomial.factors)))
    if not disposed:
        reasons[_lonely(monomial)] += 1
    if monomial.factors:
        return disposed
    found = [each for each in disposed if all(len(jets) == 2 for jets in each.taken)]
    if disposed and not found:
        reasons[CONSTANT] += 1
    return found


def _lonely(monomial: Monomial) -> str:
    """Why no jet of a bracket finds a partner."""
    counts = Counter(e for jet in monomial.jets for e in jet.edges)
    single = [edge_letter(e) for e in sorted(counts) if counts[e] == 1]
    if not single:
        return "the jets of a bracket have no partners, and no leg can take them"
    which = f"the direction {single[0]}" if len(single) == 1 else f"the directions {', '.join(single)}"
    return f"an average holds {which} only once, and no leg can take its jet"


def _disposed(jets: tuple[Jet, ...], so_far: Contracted, sigmas: bool) -> Iterator[Contracted]:
    if not jets:
        yield so_far
        return
    first, rest = jets[0], jets[1:]
    for leg, held in enumerate(so_far.taken):
        if len(held) < 2:
            taken = (*so_far.taken[:leg], (*held, first), *so_far.taken[leg + 1 :])
            yield from _disposed(rest, so_far._replace(taken=taken), sigmas)
    if not first.edges and sigmas:
        yield from _disposed(rest, so_far._replace(attached=(*so_far.attached, first)), sigmas)
    if len(first.edges) < 2:
        for i, other in enumerate(rest):
            if other.edges == first.edges:
                pairs = (*so_far.pairs, (first, other))
                yield from _disposed(rest[:i] + rest[i + 1 :], so_far._replace(pairs=pairs), sigmas)


def _twice(edges: Edges, taken: dict[int, tuple[Jet, ...]]) -> bool:
    """Whether every hyperedge holds each of its directions twice."""
    first = 0
    for edge in edges:
        held = Counter(e for leg in range(first, first + len(edge.legs)) for jet in taken[leg] for e in jet.edges)
        if any(times != 2 for times in held.values()):
            return False
        first += len(edge.legs)
    return True


def _term(
    chosen: Sequence[Monomial],
    disposed: Sequence[Contracted],
    edges: Edges,
    taken: dict[int, tuple[Jet, ...]],
    cost: int,
    one: bool,
) -> Term:
    """One contraction as a term with coefficient 1, in the canonical form of a recursion."""
    ends = _ends(edges)
    pending = [len(each.attached) + sum(2 - len(jets) for jets in each.taken) for each in disposed]
    averages = [Bracket(m.factors, count) for m, count in zip(chosen, pending, strict=True)]
    kept = sorted((b for b, m in enumerate(chosen) if m.factors), key=lambda b: averages[b])
    acting = {b: Jet(-place - 1) for place, b in enumerate(kept)}  # the index that is summed over bracket b
    values = []
    for b, each in enumerate(disposed):
        values += [_value([pair], 0, one) for pair in each.pairs]
        values += [_value([(jet, acting[b])], 0, one) for jet in each.attached]
    first = 0
    for edge in edges:
        pairs: list[Pair] = []
        for leg in range(first, first + len(edge.legs)):
            left, right = (*taken[leg], *(acting.get(ends[leg], Jet(0)),) * 2)[:2]
            pairs.append((left, right))
        values.append(_value(pairs, edge.order, one))
        first += len(edge.legs)
    values.sort(key=lambda v: (v.tensor.level, v.tensor.order, v.tensor.structure, v.indices))
    symbols = Counter(s for m in chosen for s in m.symbols)
    return Term(Fraction(1), tuple(sorted(symbols.items())), cost, tuple(values), tuple(averages[b] for b in kept))


def _value(pairs: Sequence[Pair], order: int, one: bool) -> Value:
    structure, labels = canonical(pairs)
    tensor = Tensor(structure, order)
    return Value(tensor, () if one else tuple(labels[slot] for slot in tensor.slots))
