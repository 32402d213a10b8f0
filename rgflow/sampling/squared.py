"""Products of two tangent kernels averaged over everything that neurons do not say about the weights, exactly.

For dense layers, whose s_j depends on z_j alone.

As that of the tangent kernel itself (:mod:`rgflow.sampling.expected`), their average keeps its form. The four
legs, neurons j, m of H_jm;12 and k, l of H_kl;34, are joined in pairs or carry the normals xi:

    E[H_jm;12 H_kl;34 | neurons] = sum_S c_S prod_{pairs in S} delta prod_{other legs} xi

over sets S of disjoint pairs: one without a pair, six with one, three with two. The next layer's weights close the legs
of N_12 N_34, where N_jm;12 = sigma'_j1 sigma'_m2 H_jm;12, again in one of these ways: a leg carries a direction E, and
then the next xi, or two legs are joined by 1 - E^T E, the covariance of what is left of a row of weights, and then by
delta. What remains are sums over neurons: legs that are joined, by delta below or by 1 above, belong to one neuron j,
and each such chain is

    sum_j prod_{its legs} sigma'_j . (nothing, or xi or E at either end).

Chains have at most four legs, so that all of it costs O(n N^6), beside N^9 for the terms. Own parameters of the next
layer add to H their known average.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import combinations

import numpy as np

from rgflow.sampling.collapsed import products
from rgflow.sampling.draw import Array
from rgflow.sampling.expected import ExpectedTangent

Joined = frozenset[tuple[int, int]]
Terms = dict[Joined, Array]

# Letters of the subscripts: inputs of the four legs, their xi below and their E above.
_INPUTS, _BELOW, _ABOVE = "ABCD", "abcd", "efgh"
_SINGLE = [frozenset([pair]) for pair in combinations(range(4), 2)]
_BOTH = [frozenset(pairs) for pairs in (((0, 1), (2, 3)), ((0, 2), (1, 3)), ((0, 3), (1, 2)))]
_STRAIGHT, _ACROSS = _BOTH[:2]
_OPEN: Joined = frozenset()


@dataclass(frozen=True, eq=False)
class ExpectedSquares:
    """What the layer after a hidden one says of products of two tangent kernels.

    Attributes
    ----------
    A2 : covariance of Hbar_12 and Hbar_34 given the neurons, over pairs of inputs: (m, p, p)
    B : (m, N, N, N, N), arguments [1, 3, 2, 4]
    """

    A2: Array
    B: Array


def expected_squares(layers: Iterator[ExpectedTangent], tangent: Array, last: int) -> Iterator[ExpectedSquares]:
    """A2 and B after each hidden layer; ``tangent`` is Theta^1, (N, N), and ``last`` the last layer."""
    terms: Terms = {_STRAIGHT: np.asarray(tangent[:, :, None, None] * tangent)[None]}
    for after in layers:
        share = after.hidden.C_W / after.hidden.width
        chains = _Chains(after)
        whole = {pairs: chains.close(terms, pairs) * share**2 for pairs in (_STRAIGHT, _ACROSS)}
        covariance = whole[_STRAIGHT] - after.trace[:, :, :, None, None] * after.trace[:, None, None]
        one, two = np.triu_indices(covariance.shape[-1])
        yield ExpectedSquares(
            covariance[:, one, two][..., one, two], whole[_ACROSS].transpose(0, 1, 3, 2, 4) * after.hidden.width
        )
        if after.hidden.layer < last:
            closed = {pairs: chains.close(terms, pairs) * share**2 for pairs in [_OPEN, *_SINGLE, _BOTH[2]]} | whole
            terms = _with_own_parameters({pairs: _without_known(closed, pairs) for pairs in closed}, after)


def _without_known(closed: Terms, pairs: Joined) -> Array:
    """Pairs joined by 1 - E^T E: inclusion and exclusion of the directions that are known."""
    total = closed[pairs]
    for sign, left, subscripts in _traces(pairs):
        total = total + sign * np.einsum(subscripts, closed[left])
    return np.asarray(total)


@cache
def _traces(pairs: Joined) -> tuple[tuple[int, Joined, str], ...]:
    """Sign, pairs that stay joined and the sum over E of the others, for each choice of some others."""
    found = []
    for size in range(1, len(pairs) + 1):
        for known in combinations(sorted(pairs), size):
            left, labels = pairs - frozenset(known), dict(enumerate(_ABOVE))
            for x, y in known:
                labels[y] = labels[x]
            found.append(((-1) ** size, left, f"...{_free(left, labels)}->...{_free(pairs, labels)}"))
    return tuple(found)


def _with_own_parameters(terms: Terms, after: ExpectedTangent) -> Terms:
    """H' = own delta + the rest: products of own with itself and with the average of the rest."""
    own, h, Q = after.hidden.own, after.h, after.Q
    rest = h - own
    left, right = (frozenset([pair]) for pair in ((0, 1), (2, 3)))
    terms[_STRAIGHT] = terms[_STRAIGHT] + _beside(h, h) - _beside(rest, rest)
    terms[left] = terms[left] + own[:, :, :, None, None, None, None] * Q[:, None, None]
    terms[right] = terms[right] + own[:, None, None, :, :, None, None] * Q[:, :, :, None, None]
    return terms


def _beside(x: Array, y: Array) -> Array:
    return np.asarray(x[:, :, :, None, None] * y[:, None, None])


class _Chains:
    """Sums over the neurons of a layer, by the number of slopes and what stands at the ends."""

    def __init__(self, after: ExpectedTangent):
        slope = after.hidden.slope
        assert slope is not None
        xi, E = after.hidden.normal, after.directions.weights
        count, inputs, width = xi.shape
        two = _outer(slope, slope)
        ends = {"": np.ones((1, 1, width)), "aa": _outer(xi, xi), "ee": _outer(E, E), "ae": _outer(xi, E)}
        shapes = {end: (inputs,) * len(end) for end in ends}

        def found(legs: int, end: str, x: Array, y: Array) -> Array:
            return products(x, y).reshape(count, *(inputs,) * legs, *shapes[end])

        self._sums: dict[tuple[int, str], Array] = {(1, "ae"): found(1, "ae", slope, ends["ae"])}
        self._sums[3, "ae"] = found(3, "ae", two, _outer(slope, ends["ae"]))
        for end in ("", "aa", "ee"):
            more = two if not end else _outer(two, ends[end])
            self._sums[4, end] = found(4, end, two, more)
            if end:
                self._sums[2, end] = found(2, end, two, ends[end])
        self._sums[2, ""] = two.sum(axis=-1).reshape(count, inputs, inputs)

    def close(self, terms: Terms, above: Joined) -> Array:
        """The legs joined in these pairs by 1, the others with E: (m, N, N, N, N, one axis for each E)."""
        total: Array | float = 0.0
        for below, coefficient in terms.items():
            value, recipe = np.asarray(coefficient), _recipe(below, above)
            for key, subscripts in recipe.steps:
                value = np.einsum(subscripts, value, self._sums[key])
            total = total + value.transpose(recipe.axes)
        return np.asarray(total)


@dataclass(frozen=True)
class _Recipe:
    """Sums over neurons by which a term is multiplied one after the other, and the order of axes in the end."""

    steps: tuple[tuple[tuple[int, str], str], ...]
    axes: tuple[int, ...]


@cache
def _recipe(below: Joined, above: Joined) -> _Recipe:
    """Legs joined below by delta and above by 1 form chains; those that sum over xi come first."""
    now, steps = "m" + _INPUTS + _free(below, dict(enumerate(_BELOW))), []
    for legs in sorted(_components(below | above), key=lambda legs: _has_end(legs, below), reverse=True):
        xi = [_BELOW[leg] for leg in legs if _has_end([leg], below)]
        E = [_ABOVE[leg] for leg in legs if _has_end([leg], above)]
        factor = "m" + "".join(_INPUTS[leg] for leg in legs) + "".join(xi + E)
        after = "".join(c for c in now if c not in xi) + "".join(E)
        steps.append(((len(legs), "a" * len(xi) + "e" * len(E)), f"{now},{factor}->{after}"))
        now = after
    order = "m" + _INPUTS + _free(above, dict(enumerate(_ABOVE)))
    return _Recipe(tuple(steps), tuple(now.index(c) for c in order))


def _outer(x: Array, y: Array) -> Array:
    """All products of rows, (m, p, n) and (m, q, n) -> (m, p q, n)."""
    return np.asarray((x[:, :, None] * y[:, None]).reshape(len(x), -1, x.shape[-1]))


def _free(joined: Joined, labels: dict[int, str]) -> str:
    """The labels of the legs that are not joined."""
    return "".join(labels[leg] for leg in range(4) if _has_end([leg], joined))


def _has_end(legs: list[int], joined: Joined) -> bool:
    """Whether one of the legs is not joined."""
    return bool(set(legs) - {leg for pair in joined for leg in pair})


def _components(pairs: Joined) -> list[list[int]]:
    """The legs that belong to one neuron, directly or through others."""
    number = list(range(4))
    for x, y in sorted(pairs):
        number = [number[x] if k == number[y] else k for k in number]
    return [[leg for leg in range(4) if number[leg] == k] for k in sorted(set(number))]
