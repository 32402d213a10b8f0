"""How one entry of the metric answers to those below it: what layers whose neurons keep their past need.

With a carry the neurons of a layer are not independent given the metric of the layer below, since each remembers its
own past. They are independent on the leading Gaussian, and what fluctuates is a sum of two: the *noise* of finitely
many neurons, and the *response* to the fluctuating metric of the layers below,

    dG_ab(l+1) = skip^2 dG_ab(l) + sum over legs of <..> dG_cd(l) + C_W eta[s_a s_b](l) + ...

where eta[f](l) is the average of f - <f> over the n neurons of layer l, and at leading order in 1/n

    n <eta[f](l) eta[g](m)> = <f(z^l) g(z^m)> - <f(z^l)> <g(z^m)>,     <z^l z^m> = skip^(l-m) K(m)  for l >= m.

All cumulants of two entries, at any two layers, and the first correction to one follow from these lines. Jets carry the
sample that they belong to: 0 with one input; where samples coincide, derivatives are total, over each different sample
once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from itertools import permutations, product
from typing import Any

from rgflow.algebra.jets import Jet, Pair

Entry = Pair  # the two jets of one entry of the metric
Samples = tuple[int, int]


@dataclass(frozen=True)
class Neuron:
    """A function f of one neuron: derivatives of prod sigma^{(k)}(z) times jets, or a product of jets alone.

    Attributes
    ----------
    factors : tuple of (sample, k)
        The written factors sigma^{(k)}(z_sample), sorted.
    acting : tuple of int
        The sample of each pending derivative, which acts on all factors of that sample; sorted.
    jets : tuple of Jet
        Without directions: z itself.
    """

    factors: tuple[tuple[int, int], ...] = ()
    acting: tuple[int, ...] = ()
    jets: tuple[Jet, ...] = ()

    @property
    def orders(self) -> tuple[int, ...]:
        """The written orders k."""
        return tuple(order for _, order in self.factors)

    @property
    def pending(self) -> int:
        """The number of pending derivatives."""
        return len(self.acting)

    @property
    def samples(self) -> tuple[int, ...]:
        """The different samples of the factors, sorted."""
        return tuple(sorted({sample for sample, _ in self.factors}))

    def under(self, *samples: int) -> Neuron:
        """With further pending derivatives."""
        return replace(self, acting=tuple(sorted((*self.acting, *samples))))

    def without_jets(self) -> Neuron:
        """Its factors under their derivatives."""
        return replace(self, jets=())


@dataclass(frozen=True)
class Answer:
    """coefficient * symbols * brackets * Thetas * Ks / nus * what fluctuates ``back`` stages below.

    Of what fluctuates: ``entries``, one (its fluctuation, or in the line of a mean also its mean) or two (their
    cumulant); ``noises``, functions of one neuron, in the line of a mean together with one entry, to whose fluctuation
    they are correlated, or two; none in the line of a leading mean.

    Attributes
    ----------
    brackets : tuple of Neuron
        Each averaged at the leading kernel; without jets.
    thetas, kernels : tuple of pairs of samples
        One for each Theta and each K.
    norms : tuple of samples
        Divided by nu of each, what the law normalises by at leading order.
    """

    coefficient: Fraction
    symbols: tuple[str, ...]
    brackets: tuple[Neuron, ...]
    thetas: tuple[Samples, ...]
    kernels: tuple[Samples, ...]
    back: int
    entries: tuple[Entry, ...] = ()
    noises: tuple[Neuron, ...] = ()
    norms: tuple[int, ...] = ()

    @property
    def bracket(self) -> Neuron | None:
        """The bracket of an answer that has one at most."""
        (found,) = self.brackets or (None,)
        return found

    @property
    def noise(self) -> Neuron | None:
        """The noise of an answer that has one at most."""
        (found,) = self.noises or (None,)
        return found


# nu^2 - epsilon, where nu is what a norm divides by at leading order: K, <s s>, or <s s> - <s>^2 of one input.
OF_KERNEL, OF_SQUARE, OF_VARIANCE = "kernel", "square", "variance"

# What a line is the line of: a leading mean, the fluctuation of an entry, or the mean at next order.
MEAN, FLUCTUATION, SHIFT = "mean", "fluctuation", "shift"


@dataclass(frozen=True)
class Line:
    """One entry of the metric at one weight matrix of the layer.

    Attributes
    ----------
    kind : "mean", "fluctuation" or "shift"
    entry : pair of jets
    stage : int
        Which of the layer's laws, from 0; the last is the layer's z.
    constants : tuple of str
        Hyperparameters that enter as they are.
    answers : tuple of Answer
    """

    kind: str
    entry: Entry
    stage: int
    constants: tuple[str, ...]
    answers: tuple[Answer, ...]


Joint = tuple[Entry, Entry]
Ask = tuple[Neuron, Entry]


@lru_cache(maxsize=262144)
def joint(first: Entry, second: Entry) -> Joint:
    """Two entries with their directions renamed and their jets in order, so that equal cumulants are equal.

    >>> z, z_f = Jet(0), Jet(0, (5,))
    >>> joint((z, z_f), (z_f, z)) == joint((z_f, z), (z_f, z)) == ((Jet(0, (0,)), z), (Jet(0, (0,)), z))
    True
    """
    found = (
        ((jets[0], jets[1]), (jets[2], jets[3]))
        for one, two in product((first, first[::-1]), (second, second[::-1]))
        for jets in renamings((*one, *two))
    )
    return min(found, key=_rank)


@lru_cache(maxsize=262144)
def ask(f: Neuron, q: Entry) -> Ask:
    """The noise of a function with an entry, renamed and in order like :func:`joint`."""
    found = [
        (replace(f, jets=tuple(sorted(jets[2:]))), (jets[0], jets[1]))
        for entry in (q, q[::-1])
        for jets in renamings((*entry, *f.jets))
    ]
    return min(found, key=lambda each: (_sizes(each[1]), each[1], each[0].jets))


@lru_cache(maxsize=65536)
def both(f: Neuron, g: Neuron) -> tuple[Neuron, Neuron]:
    """Two noises of the same neurons, in order and with their directions renamed, so that equal ones are equal."""
    found = []
    for one, other in ((f, g), (g, f)):
        cut = len(one.jets)
        for jets in renamings((*one.jets, *other.jets)):
            sides = replace(one, jets=tuple(sorted(jets[:cut]))), replace(other, jets=tuple(sorted(jets[cut:])))
            found.append(sides)
    return min(found, key=lambda sides: tuple(map(_written, sides)))


def _written(f: Neuron) -> tuple[Any, ...]:
    return f.factors, f.acting, f.jets


@lru_cache(maxsize=65536)
def alone(entry: Entry) -> Entry:
    """One entry by itself, in the same order."""
    found = ((jets[0], jets[1]) for one in (entry, entry[::-1]) for jets in renamings(one))
    return min(found, key=lambda each: (_sizes(each), each))


def renamings(jets: tuple[Jet, ...]) -> Iterator[tuple[Jet, ...]]:
    """The same jets under every naming of their directions by 0, 1, ..."""
    edges = sorted({edge for jet in jets for edge in jet.edges})
    for order in permutations(range(len(edges))):
        names = dict(zip(edges, order, strict=True))
        yield tuple(Jet(jet.sample, tuple(sorted(names[edge] for edge in jet.edges))) for jet in jets)


def collected(answers: Iterable[Answer]) -> tuple[Answer, ...]:
    """Like answers added up, with their directions named alike."""
    sums: dict[Answer, Fraction] = defaultdict(Fraction)
    for answer in answers:
        entries, noises = answer.entries, answer.noises
        if noises and entries:
            noise, only = ask(noises[0], entries[0])
            entries, noises = (only,), (noise,)
        elif len(noises) == 2:
            noises = both(*noises)
        elif len(entries) == 2:
            first, second = entries
            one, other = joint(first, second), joint(second, first)
            entries = one if _rank(one) <= _rank(other) else other
        like = replace(
            answer,
            coefficient=Fraction(1),
            brackets=tuple(sorted(answer.brackets, key=_written)),
            thetas=tuple(sorted(answer.thetas)),
            kernels=tuple(sorted(answer.kernels)),
            entries=entries,
            noises=noises,
            norms=tuple(sorted(answer.norms)),
        )
        sums[like] += answer.coefficient
    return tuple(replace(answer, coefficient=total) for answer, total in sums.items() if total)


def _rank(pair: Joint) -> tuple[Any, ...]:
    return (_sizes(pair[0]), _sizes(pair[1]), pair)


def _sizes(entry: Entry) -> tuple[int, int]:
    """Jets with many directions first."""
    return -len(entry[0].edges), -len(entry[1].edges)
