"""What a layer is made of, drawn: stages of neurons with their jets, and the tangent kernel between any two of them.

A kind of layer says how its stages follow from the one below: activated, normalised, weighted, scaled, summed. Every
stage is linear in the one it is made of as far as derivatives go, so that the tangent kernel between two stages

    M[A|B]_jm;12 = E_e[x_{j1,eA} y_{m2,eB}]

follows by the product rule on its left or its right side from that of the younger one's source. Nothing is computed
that nobody asks for.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from itertools import count

import numpy as np

from rgflow.sampling.draw import Array
from rgflow.sampling.jets import Directions, Jets, propagate, subsets_of, without
from rgflow.sampling.mixing import Mixing
from rgflow.sampling.tangent import TangentKernel


class Signal(ABC):
    """A stage: neurons with jets, each (m, N, n); ``rank`` numbers those made from one layer as they are made.

    A kernel is kept by the younger of its two stages: it knows the older ones, never they it, so that all of them are
    forgotten with the last.
    """

    jets: Jets

    def __init__(self, number: Iterator[int]):
        self._known: dict[tuple[Signal | None, Directions, Directions], Array] = {}
        self._number = number
        self.rank = next(number)

    @property
    def values(self) -> Array:
        """The neurons themselves, (m, N, n)."""
        return self.jets[()]

    @property
    def width(self) -> int:
        """Number of neurons."""
        return int(self.values.shape[-1])

    def kernel(self, other: Signal, a: Directions = (), b: Directions = ()) -> Array:
        """M[a|b] between these neurons (its rows) and others (its columns), (m, N, N, n, n')."""
        older = self.rank < other.rank
        if older or (other is self and (len(a), b) < (len(b), a)):
            # M[b|a]_mj;21 = M[a|b]_jm;12
            return other.kernel(self, b, a).transpose(0, 2, 1, 4, 3)
        key = (None if other is self else other, a, b)
        if key not in self._known:
            self._known[key] = self._right(self, a, b) if other is self else self._left(other, a, b)
        return self._known[key]

    @abstractmethod
    def back(self, delta: Array) -> list[tuple[Signal, Array]]:
        """dE/dx of every stage x that this one is made of, as far as it goes through here, from its own dE/dz."""

    def slopes(self) -> tuple[Array, Mixing | None]:
        """Its derivative by the layer below: a diagonal (m, N, n), less what joins different neurons."""
        raise AssertionError(f"{type(self).__name__} is not asked for its derivative by the layer below")

    @abstractmethod
    def _left(self, other: Signal, a: Directions, b: Directions) -> Array:
        """The kernel with another stage from that of the source with it."""

    @abstractmethod
    def _right(self, other: Signal, a: Directions, b: Directions) -> Array:
        """The kernel of another stage with this one, from that with the source; with itself: all of it."""


class Start(Signal):
    """The layer below (or the inputs), whose tangent kernel is known; None where nobody will ask for it."""

    def __init__(self, jets: Jets, tangent: TangentKernel | None = None):
        super().__init__(count())
        self.jets = jets
        self._tangent = tangent

    def back(self, delta: Array) -> list[tuple[Signal, Array]]:
        return []

    def slopes(self) -> tuple[Array, Mixing | None]:
        return np.ones_like(self.values), None

    def _left(self, other: Signal, a: Directions, b: Directions) -> Array:
        raise AssertionError("the layer below is the oldest stage")

    def _right(self, other: Signal, a: Directions, b: Directions) -> Array:
        assert self._tangent is not None
        return self._tangent(a, b)


class Activated(Signal):
    """sigma(x): its jets, and those of sigma'(x), the slopes.

    s_{eA} = D_A (sigma'(x) x_e) = sum over C in A of (sigma')_{A-C} x_{eC}
    """

    def __init__(self, source: Signal, jets: Jets, slopes: Jets):
        super().__init__(source._number)
        self.jets, self._source, self._slopes = jets, source, slopes

    def back(self, delta: Array) -> list[tuple[Signal, Array]]:
        return [(self._source, delta * self._slopes[()])]

    def slopes(self) -> tuple[Array, Mixing | None]:
        slope, (diagonal, mixing) = self._slopes[()], self._source.slopes()
        return slope * diagonal, mixing and mixing.below(slope)

    def _left(self, other: Signal, a: Directions, b: Directions) -> Array:
        total: Array | None = None
        for d in subsets_of(a):
            term = self._source.kernel(other, d, b) * self._slopes[_rest(a, d)][:, :, None, :, None]
            total = _add(total, term)
        assert total is not None
        return total

    def _right(self, other: Signal, a: Directions, b: Directions) -> Array:
        total: Array | None = None
        for c in subsets_of(b):
            term = other.kernel(self._source, a, c) * self._slopes[_rest(b, c)][:, None, :, None, :]
            total = _add(total, term)
        assert total is not None
        return total


class Weighted(Signal):
    """b + x W of drawn parameters with directions eps: the product rule on either side, and the own parameters.

    M'[A|B] = (W + sum_{f in A} eps_f d_f)^T M[A|B] (W + sum_{g in B} eps_g d_g)
              + delta_ik (lambda_b [A, B empty] + lambda_W/n sum_j x_A x_B)

    with d_f taking f out of its set.

    Parameters
    ----------
    W, bias : (m, n, n') and (m, 1, n')
    tangents : for each sampled direction its parts eps^W (m, n, n') and eps^b (m, 1, n')
    lambda_W, lambda_b : the learning-rate tensor, lambda_W/n for the weights
    """

    def __init__(
        self,
        source: Signal,
        W: Array,
        bias: Array,
        tangents: Sequence[tuple[Array, Array]],
        lambda_W: float,
        lambda_b: float,
    ):
        super().__init__(source._number)
        self.jets = propagate(source.jets, W, tangents, bias)
        self.source, self._W, self._directions = source, W, [eps_W for eps_W, _ in tangents]
        self._lambda_W, self._lambda_b = lambda_W, lambda_b

    def back(self, delta: Array) -> list[tuple[Signal, Array]]:
        return [(self.source, np.matmul(delta, self._W.swapaxes(1, 2)))]

    def _left(self, other: Signal, a: Directions, b: Directions) -> Array:
        half = np.matmul(_transposed(self._W), self.source.kernel(other, a, b))
        for f in a:
            half += np.matmul(_transposed(self._directions[f]), self.source.kernel(other, without(a, f), b))
        return np.asarray(half)

    def _right(self, other: Signal, a: Directions, b: Directions) -> Array:
        full = np.matmul(other.kernel(self.source, a, b), self._W[:, None, None])
        for g in b:
            full += np.matmul(other.kernel(self.source, a, without(b, g)), self._directions[g][:, None, None])
        if other is self:
            own = np.arange(self.width)
            jets = self.source.jets
            full[..., own, own] += own_parameters(jets, a, b, self._lambda_W, self._lambda_b)[..., None]
        return np.asarray(full)


class Scaled(Signal):
    """A number times a stage."""

    def __init__(self, source: Signal, factor: float):
        super().__init__(source._number)
        self.jets = {directions: factor * jet for directions, jet in source.jets.items()}
        self._source, self._factor = source, factor

    def back(self, delta: Array) -> list[tuple[Signal, Array]]:
        return [(self._source, self._factor * delta)]

    def _left(self, other: Signal, a: Directions, b: Directions) -> Array:
        return self._factor * self._source.kernel(other, a, b)

    def _right(self, other: Signal, a: Directions, b: Directions) -> Array:
        return other.kernel(self._source, a, b) * self._factor


class Sum(Signal):
    """The sum of stages of the same width."""

    def __init__(self, parts: Sequence[Signal]):
        super().__init__(parts[0]._number)
        self.jets = {directions: sum_of([part.jets[directions] for part in parts]) for directions in parts[0].jets}
        self._parts = parts

    def back(self, delta: Array) -> list[tuple[Signal, Array]]:
        return [(part, delta) for part in self._parts]

    def _left(self, other: Signal, a: Directions, b: Directions) -> Array:
        return sum_of([part.kernel(other, a, b) for part in self._parts])

    def _right(self, other: Signal, a: Directions, b: Directions) -> Array:
        return sum_of([other.kernel(part, a, b) for part in self._parts])


def total(parts: Sequence[Signal]) -> Signal:
    """The sum of one or more stages."""
    return parts[0] if len(parts) == 1 else Sum(parts)


def overlap(x: Signal, C: float) -> Array:
    """C/n sum_j x_j1 x_j2, (m, N, N)."""
    return np.asarray(np.matmul(x.values, x.values.swapaxes(1, 2)) * (C / x.width))


def own_parameters(s: Jets, a: Directions, b: Directions, lambda_W: float, lambda_b: float) -> Array:
    """E_e[z'_{ea} z'_{eb}] through own parameters, lambda_b [a, b empty] + lambda_W/n sum_j s_a s_b: (m, N, N)."""
    through = np.matmul(s[a], s[b].swapaxes(1, 2)) * (lambda_W / s[a].shape[-1])
    return np.asarray(through + lambda_b if not a and not b else through)


def sum_of(arrays: Sequence[Array]) -> Array:
    """The sum, in order."""
    found = arrays[0]
    for array in arrays[1:]:
        found = found + array
    return found


def _rest(a: Directions, d: Directions) -> Directions:
    return tuple(e for e in a if e not in d)


def _add(so_far: Array | None, term: Array) -> Array:
    if so_far is None:
        return term
    so_far += term
    return so_far


def _transposed(matrix: Array) -> Array:
    return matrix.swapaxes(1, 2)[:, None, None]
