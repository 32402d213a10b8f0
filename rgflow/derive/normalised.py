"""What weights read behind a norm, as a polynomial in averages over neurons, to second order in what fluctuates.

With x = z or sigma(z) of one input, N = (1/n) sum_j (x_j - m)^2 + epsilon and nu^2 its leading value,

    y = (x - m) N^(-1/2),        D_S y = sum over T in S of D_{S-T} (x - m) D_T N^(-1/2),

and the derivatives D_T of N along directions are averages again. Of N = nu^2 (1 + delta) powers are expanded in delta;
averages with a direction that occurs once have no leading value. A norm before sigma, at nu = 1, moves the argument of
sigma by w = y - z, which acts on a product of sigmas as 1 + sum_a w_a d_a + 1/2 sum_ab w_a w_b d_a d_b.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from itertools import product
from typing import NamedTuple

from rgflow.algebra.jets import Edges, Jet, activated
from rgflow.algebra.partitions import set_partitions
from rgflow.algebra.response import Neuron
from rgflow.layers import Part
from rgflow.layers.law import Norm

ONE = Fraction(1)
MOST = 2  # factors that fluctuate: means at next order need two


class Piece(NamedTuple):
    """coefficient / (nu of each sample of norms) * averages of constants * f of one neuron * what of stats fluctuates.

    f = 1 is a neuron without factors and jets. Of ``stats`` the fluctuations of their averages over neurons.
    """

    coefficient: Fraction
    f: Neuron = Neuron()
    norms: tuple[int, ...] = ()
    constants: tuple[Neuron, ...] = ()
    stats: tuple[Neuron, ...] = ()


Pieces = tuple[Piece, ...]


@lru_cache(maxsize=4096)
def pieces(part: Part) -> Pieces:
    """s_left s_right behind the norm of a part."""
    assert part.norm is not None
    left, right, norm = part.left, part.right, part.norm
    if not norm.inside:
        return _product(_normalised(left, norm), _normalised(right, norm))
    found: list[Piece] = []
    for one in activated(left):
        for other in activated(right):
            sigmas = Neuron(tuple(sorted(one.factors + other.factors)))
            jets = [_normalised(jet, norm) for jet in one.jets + other.jets]
            for moved in _moved(sigmas, norm):
                found += _product((moved,), *jets)
    return _collected(found)


def _moved(sigmas: Neuron, norm: Norm) -> Pieces:
    """A product of sigmas whose arguments have moved from z to y."""
    found = [Piece(ONE, sigmas)]
    steps = {a: _less_itself(_normalised(Jet(a), norm), a) for a in sigmas.samples}
    for a in sigmas.samples:
        found += _product((Piece(ONE, sigmas.under(a)),), steps[a])
        for b in sigmas.samples:
            found += _product((Piece(Fraction(1, 2), sigmas.under(a, b)),), steps[a], steps[b])
    return tuple(found)


def _less_itself(found: Pieces, sample: int) -> Pieces:
    """y - z."""
    return tuple(piece for piece in found if piece != Piece(ONE, Neuron(jets=(Jet(sample),))))


@lru_cache(maxsize=4096)
def _normalised(jet: Jet, norm: Norm) -> Pieces:
    """D_S y of one input."""
    found: list[Piece] = []
    for inner in _subsets(jet.edges):
        rest = tuple(edge for edge in jet.edges if edge not in inner)
        found += _product(_centred(Jet(jet.sample, rest), norm), _inverse(Jet(jet.sample, inner), norm))
    return _collected(found)


def _values(jet: Jet, norm: Norm) -> tuple[Neuron, ...]:
    """D_S x."""
    if norm.inside:
        return (Neuron(jets=(jet,)),)
    return tuple(Neuron(each.factors, (), each.jets) for each in activated(jet))


def _mean(jet: Jet, norm: Norm) -> Pieces:
    """D_S m: its leading value, if it has one, and its fluctuation."""
    if not norm.centred:
        return ()
    values = _values(jet, norm)
    leading = [Piece(ONE, constants=(x,)) for x in values if not norm.inside and not jet.edges]
    return (*leading, *(Piece(ONE, stats=(x,)) for x in values))


def _centred(jet: Jet, norm: Norm) -> Pieces:
    """D_S (x - m)."""
    local = tuple(Piece(ONE, x) for x in _values(jet, norm))
    return (*local, *_times(-ONE, _mean(jet, norm)))


@lru_cache(maxsize=4096)
def _square(jet: Jet, norm: Norm) -> Pieces:
    """D_T N / nu^2, without the leading value: sum over T = A + B of <x_A x_B> - m_A m_B."""
    found: list[Piece] = []
    scale = () if norm.inside else (jet.sample,) * 2
    for inner in _subsets(jet.edges):
        a, b = Jet(jet.sample, inner), Jet(jet.sample, tuple(edge for edge in jet.edges if edge not in inner))
        for x, y in product(_values(a, norm), _values(b, norm)):
            found.append(Piece(ONE, norms=scale, stats=(_both(x, y),)))
        for piece in _product(_mean(a, norm), _mean(b, norm)):
            if piece.stats:
                found.append(piece._replace(coefficient=-piece.coefficient, norms=(*piece.norms, *scale)))
    return _collected(found)


@lru_cache(maxsize=4096)
def _inverse(jet: Jet, norm: Norm) -> Pieces:
    """D_T N^(-1/2): over set partitions of T, with (1 + delta)^p to second order in all that fluctuates."""
    scale = () if norm.inside else (jet.sample,)
    delta = _square(Jet(jet.sample), norm)
    found: list[Piece] = []
    for blocks in set_partitions(len(jet.edges)) if jet.edges else ((),):
        power, weight = Fraction(-1, 2), ONE
        for _ in blocks:
            weight, power = weight * power, power - 1
        slopes = [_square(Jet(jet.sample, tuple(jet.edges[i] for i in block)), norm) for block in blocks]
        series = [Piece(weight, norms=scale), *_times(weight * power, _product((Piece(ONE, norms=scale),), delta))]
        twice = _product((Piece(ONE, norms=scale),), delta, delta)
        series += _times(weight * power * (power - 1) / 2, twice)
        found += _product(tuple(series), *slopes)
    return _collected(found)


def _product(*factors: Pieces) -> Pieces:
    """The product of sums, without what is of higher order."""
    total: Pieces = (Piece(ONE),)
    for factor in factors:
        total = _collected(
            Piece(
                p.coefficient * q.coefficient,
                _both(p.f, q.f),
                p.norms + q.norms,
                p.constants + q.constants,
                p.stats + q.stats,
            )
            for p in total
            for q in factor
            if len(p.stats) + len(q.stats) <= MOST
        )
    return total


def _both(f: Neuron, g: Neuron) -> Neuron:
    """f g of one neuron; derivatives that are pending act on the sigmas of one of them, the other has none."""
    assert not (f.acting and g.factors)
    assert not (g.acting and f.factors)
    return Neuron(
        tuple(sorted(f.factors + g.factors)), tuple(sorted(f.acting + g.acting)), tuple(sorted(f.jets + g.jets))
    )


def _times(number: Fraction, sums: Iterable[Piece]) -> Pieces:
    return tuple(piece._replace(coefficient=number * piece.coefficient) for piece in sums)


def _collected(found: Iterable[Piece]) -> Pieces:
    """Like pieces added up."""
    sums: dict[Piece, Fraction] = defaultdict(Fraction)
    for piece in found:
        key = Piece(
            ONE,
            replace(piece.f),
            tuple(sorted(piece.norms)),
            tuple(sorted(piece.constants, key=repr)),
            tuple(sorted(piece.stats, key=repr)),
        )
        sums[key] += piece.coefficient
    return tuple(key._replace(coefficient=total) for key, total in sums.items() if total)


def _subsets(edges: Edges) -> list[Edges]:
    found: list[Edges] = [()]
    for edge in edges:
        found += [(*each, edge) for each in found]
    return found
