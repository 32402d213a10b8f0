"""The value of a diagram, differentiated leg by leg, and that of a term as it is printed, in exact rational numbers.

A leg is 1/2 sum over all jets a, b of d_a d_b, a hyperedge the cumulant of the entries ab that its legs choose. Nothing
is expanded, contracted or made canonical: integrands are polynomials in the jets, and averages follow Isserlis.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import product

from rgflow.algebra.jets import Jet, Pair
from rgflow.algebra.tensor import Tensor
from rgflow.algebra.terms import Term
from rgflow.derive.steps.graphs import Edges
from rgflow.derive.steps.polynomials import Average, Polynomial, factor, integrand, times
from rgflow.derive.steps.trusted import R, cumulant, symbol
from rgflow.layers import Part

Chosen = tuple[tuple[Pair, ...], Fraction]


def average_of(integrands: Sequence[tuple[Part, ...]], degree: int) -> Average:
    """The bracket of a product of integrands over one neuron."""
    found: Polynomial = {(): 1}
    for parts in integrands:
        found = times(found, integrand(parts, degree))
    return Average(found)


def value_of_diagram(brackets: Sequence[Average], edges: Edges, weight: Fraction, cost: int) -> Fraction:
    """weight r^cost prod kappa prod <derivatives of a product of integrands>."""
    ends = [end for edge in edges for end in edge.legs]
    choices = [list(_chosen(bracket, ends.count(b))) for b, bracket in enumerate(brackets)]
    total = Fraction(0)
    for each in product(*choices):
        value = Fraction(1)
        waiting = [iter(pairs) for pairs, _ in each]
        for edge in edges:
            value *= cumulant(tuple(next(waiting[end]) for end in edge.legs), edge.order)
            if not value:
                break
        else:
            for _, average in each:
                value *= average
            total += value
    return total * weight * R**cost


def _chosen(bracket: Average, legs: int) -> Iterator[Chosen]:
    """What the legs on a bracket may act on, with its average: 1/2 for equal jets, 1/2 + 1/2 for different ones."""
    for pairs in bracket.choices(legs):
        average = bracket(jet for pair in pairs for jet in pair)
        if average:
            yield pairs, Fraction(average, 2 ** sum(a == b for a, b in pairs))


def value_of_term(term: Term, degree: int) -> Fraction:
    """A term as it is printed: summed indices run over the samples of the bracket on which their derivative acts."""
    value = term.coefficient * R**term.r * symbol([name for name, power in term.symbols for _ in range(power)])
    one = not any(v.indices for v in term.tensors)
    averages = [_bracket(bracket.factors, degree) for bracket in term.brackets]
    if one:
        for v in term.tensors:
            value *= _component(v.tensor, (0,) * (2 * v.tensor.level))
        for bracket, average in zip(term.brackets, averages, strict=True):
            value *= average([Jet(0)] * bracket.pending)
        return value
    return value * _summed(term, averages)


def _summed(term: Term, averages: Sequence[Average]) -> int:
    summed = [(v, i) for v, each in enumerate(term.tensors) for i, index in enumerate(each.indices) if index < 0]
    on = [-term.tensors[v].indices[i] - 1 for v, i in summed]
    total = 0
    for samples in product(*(sorted({a for a, _ in term.brackets[b].factors}) for b in on)):
        indices = [list(each.indices) for each in term.tensors]
        acting: list[list[Jet]] = [[] for _ in averages]
        for (v, i), b, sample in zip(summed, on, samples, strict=True):
            indices[v][i] = sample
            acting[b].append(Jet(sample))
        value = 1
        for average, jets in zip(averages, acting, strict=True):
            value *= average(jets)
        if value:
            for each, found in zip(term.tensors, indices, strict=True):
                value *= _component(each.tensor, tuple(found))
            total += value
    return total


@lru_cache(maxsize=256)
def _bracket(factors: tuple[tuple[int, int], ...], degree: int) -> Average:
    found: Polynomial = {(): 1}
    for sample, order in factors:
        found = times(found, factor(sample, order, degree))
    return Average(found)


@lru_cache(maxsize=1 << 16)
def _component(tensor: Tensor, samples: tuple[int, ...]) -> int:
    """A tensor at given samples, from the jets of its definition."""
    jets = [(Jet(samples[a.sample - 1], a.edges), Jet(samples[b.sample - 1], b.edges)) for a, b in tensor.pairs]
    return cumulant(tuple(jets), tensor.order)
