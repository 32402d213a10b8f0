r"""Averages of a smooth sigma over pairs, triples and quadruples of many inputs, one grid for each outer pair.

A grid over two of the inputs is shared by all that is averaged with them (:mod:`rgflow.brackets.outer_pairs`); the
third and the fourth are averaged given those two, through tables (:mod:`rgflow.brackets.smoothed`) and Mehler's series
(:mod:`rgflow.brackets.pair_grid`). What does not meet the tolerance is told by its error and left to the nested sums
of :mod:`rgflow.brackets.smooth`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rgflow.activations import Activation
from rgflow.brackets.cells import Smoothed
from rgflow.brackets.leibniz import Polynomial, leibniz
from rgflow.brackets.outer_pairs import arranged
from rgflow.brackets.pair_geometry import Geometry
from rgflow.brackets.pair_steps import FINER, Steps
from rgflow.brackets.sigma_line import line, strip
from rgflow.brackets.smooth import Entry
from rgflow.brackets.smoothed import smoothed
from rgflow.brackets.traits import traits

if TYPE_CHECKING:
    from rgflow.brackets.pair_grid import Inner

Array = NDArray[np.float64]
Whole = NDArray[np.int64]
Moments = tuple[tuple[Entry, ...], ...]
ATTEMPTS = (1.0, 1.4, 2.0, 3.0)  # how much finer the steps of further attempts are
TERMS = (20, 36, 60)  # room for terms of Mehler's series
MOST_NODES = 1 << 19


@dataclass(frozen=True)
class Group:
    """Sets of d inputs, (S, d) in increasing order, and the moments wanted of each."""

    subsets: Whole
    moments: Moments


@dataclass(frozen=True)
class _Functions:
    """Functions of one input: sigma and its derivatives to order ``lowest`` first, then polynomials in them."""

    listed: tuple[Polynomial, ...]
    lowest: int

    @property
    def highest(self) -> int:
        return max(order for terms in self.listed for _, product in terms for order in product)

    def arrays(self) -> tuple[Whole, Array, Whole]:
        """Where the terms of each start; their coefficients; their orders, -1 for none."""
        start = np.cumsum([0, *(len(terms) for terms in self.listed)]).astype(np.int64)
        width = max(len(product) for terms in self.listed for _, product in terms)
        flat = [term for terms in self.listed for term in terms]
        orders = np.array([[*product, *[-1] * (width - len(product))] for _, product in flat], np.int64)
        return start, np.array([float(c) for c, _ in flat]), orders


def suited(activation: Activation, size: int, moments: Sequence[tuple[Entry, ...]]) -> bool:
    """Whether averages over ``size`` inputs are of the form that is done here."""
    if activation.kinks or traits(activation).growth > 0 or size > 4:
        return False
    if size <= 2:
        return True
    several = [sum(_single(leibniz(*entry)) is None for entry in moment) for moment in moments]
    return max(several, default=0) <= (1 if size == 3 else 0)


def conditional_averages(
    activation: Activation, kernels: Array, group: Group, tolerance: float, threads: int = 1
) -> tuple[Array, Array, Array]:
    """Values, errors and absolute integrals (B, S, M) at kernels (B, N, N); NaN where nothing could be had.

    The absolute integral bounds that of |f_c f_d| of the inner inputs by their roots of mean squares.
    """
    job = _Job(activation, kernels, group)
    finer = terms = 0
    while job.left.size and finer < len(ATTEMPTS) and terms < len(TERMS):
        job.run(ATTEMPTS[finer], TERMS[terms], threads)
        finer, terms = job.next(tolerance, finer, terms)
    found = job.out.reshape(len(kernels), len(group.subsets), -1, 5)
    return found[..., 0], found[..., 1], found[..., 4]


class _Job:
    """What is to be averaged, arranged by outer pair, and what has been found."""

    def __init__(self, activation: Activation, kernels: Array, group: Group):
        self.activation, self.kernels = activation, kernels
        self.size = group.subsets.shape[1]
        self.geometry = Geometry(kernels)
        self.functions, self.moments = _read(group)
        self.steps = Steps.of(activation, max(sum(len(orders) for orders, _ in moment) for moment in group.moments))
        self.items = arranged(self.geometry, self.steps, group.subsets, self.moments[:, 4])
        self.line: Smoothed | None = None
        self.inner: dict[int, Inner | None] = {}
        self.out = np.full((len(kernels) * len(group.subsets), len(group.moments), 5), np.nan)
        self.left = np.unique(self.items.jobs_of)

    def run(self, finer: float, terms: int, threads: int) -> None:
        """One attempt at all outer pairs that are left."""
        from rgflow.brackets.pair_grid import Work, run  # loads Numba

        g, items, lowest = self.geometry, self.items, self.functions.lowest
        h1, h2, c = self.steps.at(items.slope1, items.slope2)
        finer *= FINER[self.size]
        h1, h2 = h1 / finer, h2 / finer
        reach = self.steps.reach(h1[self.left], h2[self.left])
        nodes = self.steps.nodes(items.slope1, items.slope2) * finer**2
        jobs = self.left[nodes[self.left] < MOST_NODES]
        if self.line is None:  # later attempts reach less far
            largest = float(np.einsum("bii->bi", self.kernels).max())
            self.line = line(self.activation, reach * math.sqrt(largest) + 1e-300, self.functions.highest)
        if self.line is not None and terms not in self.inner:
            self.inner[terms] = self._inner(lowest + (terms if self.size == 4 else 1), reach, self.line)
        inner = self.inner.get(terms)
        if self.line is None or inner is None:
            self.left = self.left[:0]
            return
        grids = np.stack(
            [g.L11.ravel(), g.L21.ravel(), g.L22.ravel(), h1, h2, np.full_like(h1, self.steps.cut), c], axis=-1
        )
        own = (self.line.cells, self.line.reach)
        work = Work(
            self.steps.even,
            grids,
            own,
            self.functions.arrays(),
            items,
            self.moments,
            inner,
            lowest,
            reach,
            series=self.size == 4,
        )
        if threads == 1 or jobs.size < 2 * threads:
            run(work, jobs, self.out)
            return
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda i: run(work, jobs[i :: 4 * threads], self.out), range(min(4 * threads, len(jobs)))))

    def _inner(self, columns: int, reach: float, own: Smoothed) -> Inner | None:
        """Tables of all inner inputs; ``own`` is that of sigma, whose cells tell how fine they must be."""
        from rgflow.brackets.pair_grid import Inner

        if self.size == 2:
            return Inner.nothing()
        g, (count, _) = self.geometry, self.kernels.shape[1:]
        job, third = np.divmod(self.items.inner, count)
        place = (*np.divmod(job, len(g.pairs)), third)
        along, across, deviation = g.along[place], g.across[place], g.deviation[place]
        reach = reach * float(np.hypot(along, across).max()) + 1e-300
        wide = 0.5 if deviation.min() > 0.3 * strip(self.activation) else 1.0  # what is averaged is smoother than sigma
        cells = max(4, math.ceil(wide * own.cells.shape[3] * reach / own.reach))
        found = smoothed(self.activation, deviation, reach, self.functions.lowest, columns, cells)
        if found is None:
            return None
        lines = np.stack([along, across], axis=-1)
        return Inner(lines, *found.weights(deviation), found.cells, found.reach, found.error, found.size)

    def next(self, tolerance: float, finer: int, terms: int) -> tuple[int, int]:
        """Leave the outer pairs with an average that is not yet good, and say which attempts they need."""
        _, error, absolute, inside, natural = np.moveaxis(self.out, -1, 0)
        coarse = ~(error - inside <= tolerance * absolute)
        short = ~(inside <= tolerance * natural)
        self.left = np.unique(self.items.jobs_of[(coarse | short).any(axis=1)])
        return finer + bool(coarse.any()), terms + bool(short.any())


def _single(terms: Polynomial) -> int | None:
    """The order of a function that is one derivative of sigma, else None."""
    if len(terms) == 1 and terms[0][0] == 1 and len(terms[0][1]) == 1:
        return terms[0][1][0]
    return None


def _read(group: Group) -> tuple[_Functions, Whole]:
    """The functions of one input, and each moment as four numbers of them, and which inner input it is not for.

    An input that is averaged inside has one derivative of sigma, whose number is its order. With three inputs, that
    is another one where a moment has a product of derivatives of the best: the last number says whose, -1 for all.
    """
    size = group.subsets.shape[1]
    terms = [[leibniz(*entry) for entry in moment] for moment in group.moments]
    inner = [order for row in terms for f in row if size > 2 and (order := _single(f)) is not None]
    lowest = max(inner, default=0)
    numbers: dict[Polynomial, int] = {leibniz((j,), 0): j for j in range(lowest + 1)}
    found = []
    for row in terms:
        listed = [numbers.setdefault(f, len(numbers)) for f in row]
        kind = next((i for i, f in enumerate(listed) if f > lowest), 3) if size == 3 else -1
        found.append([*listed, *[0] * (4 - size), kind])
    return _Functions(tuple(numbers), lowest), np.array(found, np.int64)
