"""Brackets of a smooth activation: rules for each axis, refined until the error is small enough."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from rgflow.activations import Activation
from rgflow.brackets.covariance import EPSILON, pivot_orders, square_root
from rgflow.brackets.leibniz import leibniz
from rgflow.brackets.nested import BUDGET, contract, plan
from rgflow.brackets.rules import Rule, first_step, hermite, point, trapezoid
from rgflow.brackets.traits import Traits, traits

Array = NDArray[np.float64]
Entry = tuple[tuple[int, ...], int]
MOST_POINTS = {1: 1 << 15, 2: 4_000_000, 3: 20_000_000, 4: 150_000_000}
_SINH_STEP = {True: 0.24, False: 0.12}  # with the extrapolated estimate, with the plain one
_SINH_FROM = 0.5
_CELL = 0.25
_CANCELLED = 1e-7  # of the terms before they cancel: less than this is rounding, not a size to judge errors by
_LOOKUP = 8.0  # an innermost average read from a table costs about as much as so many nodes


def smooth_averages(
    activation: Activation, kernels: Array, moments: Sequence[tuple[Entry, ...]], tolerance: float
) -> tuple[Array, Array, Array]:
    """Values, errors and absolute integrals (G, M) for a smooth sigma.

    Law: <prod_u h_u(z_u)>_K with h_u = d^m/dz^m prod sigma^{(k)} in derivative form (Leibniz), so that nothing is
    divided by K: small and singular kernels lose no digits.
    """
    count = kernels.shape[0]
    out = (np.zeros((count, len(moments))), np.zeros((count, len(moments))), np.zeros((count, len(moments))))
    even = activation.parity != 0
    live = [i for i, moment in enumerate(moments) if not is_odd(activation, moment)]
    if not live or not count:
        return out
    orders = pivot_orders(kernels)
    for permutation in np.unique(orders, axis=0):
        members = np.nonzero((orders == permutation).all(axis=1))[0]
        permuted = kernels[np.ix_(members, permutation, permutation)]
        turned = [tuple(moments[i][u] for u in permutation) for i in live]
        found = _refined(activation, permuted, turned, tolerance, even)
        for target, source in zip(out, found, strict=True):
            target[np.ix_(members, np.array(live))] = source
    return out


def is_odd(activation: Activation, moment: tuple[Entry, ...]) -> bool:
    """Whether the bracket vanishes because its integrand is odd under z -> -z."""
    if activation.parity == 0:
        return False
    sign = 1
    for orders, pending in moment:
        sign *= activation.parity ** len(orders) * (-1) ** (sum(orders) + pending)
    return sign < 0


def _refined(
    activation: Activation, kernels: Array, moments: Sequence[tuple[Entry, ...]], tolerance: float, even: bool
) -> tuple[Array, Array, Array]:
    count, size = kernels.shape[:2]
    work = plan([tuple(leibniz(*entry) for entry in moment) for moment in moments])
    L, _ = square_root(kernels)
    trait = traits(activation)
    rules = _Rules(trait, L, moments, even)
    mean = np.zeros((count, size))
    value, error, absolute = (np.zeros((count, len(moments))) for _ in range(3))
    natural = natural_size(activation, kernels, moments)
    hopeless = rules.overflows()
    value[hopeless] = np.nan
    left = np.nonzero(~hopeless)[0]
    attempt = 0
    while left.size:
        for part, chosen in rules.chunks(left, attempt):
            cells = np.full(part.size, _CELL) if size > 2 else None
            found = contract(activation.derivatives, L[part], mean[part], work, chosen, size > 1, cells)
            for target, source in zip((value, error, absolute), found, strict=True):
                target[part] = source.T
        attempt += 1
        wanting = error[left] > tolerance * absolute[left] + 64 * EPSILON * natural[left]
        finite = np.isfinite(value[left]).all(axis=1)
        left = left[wanting.any(axis=1) & finite & ~rules.exhausted(left, attempt)]
    reach = np.sqrt(np.einsum("gii->gi", kernels)).max(axis=1)
    shaky = 1 + (trait.growth * rules.factors * reach) ** 2 + trait.frequency * rules.factors * reach
    error += 16 * EPSILON * shaky[:, None] * absolute + 2 * EPSILON * natural
    return value, error, np.maximum(absolute, _CANCELLED * natural)


def natural_size(activation: Activation, kernels: Array, moments: Sequence[tuple[Entry, ...]]) -> Array:
    """A bound (G, M) on the average of the absolute terms before they cancel, where Leibniz' rule has several.

    Hoelder: E prod_u |h_u| <= prod_u E[|h_u|^d]^{1/d}. A bracket that vanishes identically, such as d^4 (1 + z^2), is
    nothing but rounding of this size.
    """
    polynomials = [[leibniz(*entry) for entry in moment] for moment in moments]
    natural = np.zeros((kernels.shape[0], len(moments)))
    several = [m for m, row in enumerate(polynomials) if any(len(terms) > 1 for terms in row)]
    if not several:
        return natural
    size = kernels.shape[1]
    t = np.linspace(-9.0, 9.0, 65)
    w = np.exp(-0.5 * t * t)
    w /= w.sum()
    order = max(k for m in several for terms in polynomials[m] for _, product in terms for k in product)
    scale = np.sqrt(np.einsum("gii->gi", kernels))
    table = np.abs(activation.derivatives(scale[:, :, None] * t, order))
    for m in several:
        natural[:, m] = 1.0
        for u, terms in enumerate(polynomials[m]):
            h = sum(c * np.prod([table[k][:, u] for k in product], axis=0) for c, product in terms)
            natural[:, m] *= (h**size @ w) ** (1 / size)
    return np.where(np.isfinite(natural), natural, 0.0)


class _Rules:
    """Rules for each kernel of a batch, at each attempt; the outermost axis clusters its nodes about z = 0."""

    def __init__(self, trait: Traits, L: Array, moments: Sequence[tuple[Entry, ...]], even: bool):
        self.trait, self.L, self.even = trait, L, even
        size = L.shape[1]
        per_axis = np.array([max(len(moment[k][0]) for moment in moments) for k in range(size)], dtype=float)
        self.per_axis = per_axis
        self.factors = float(max(sum(len(orders) for orders, _ in moment) for moment in moments))
        reach = np.einsum("gjk,j->gk", np.abs(L), per_axis)
        self.scale = np.einsum("gkk->gk", L)
        self.cut = math.sqrt(69 + 4 * trait.power * self.factors) + trait.growth * reach
        self.ratio = 2.0 if size == 1 else 1.5
        self.step = first_step(self.scale)
        if size == 1:
            self.step = self.step / 1.5  # pays for the error estimate of the double step
        if trait.frequency > 0:
            # both the even and the odd nodes must resolve the fastest product
            self.step = np.minimum(self.step, np.pi / (trait.frequency * reach + 8.3))
        self.sinh = (self.scale[:, 0] > _SINH_FROM) & (trait.frequency == 0) & (trait.growth == 0)
        self.sinh_step = np.where(self.sinh, _SINH_STEP[size > 1], self.step[:, 0])

    def _sizes(self, members: NDArray[np.intp], attempt: int) -> tuple[Array, Array, Array]:
        """Steps and cuts (members, d) at an attempt, and points of the whole grid (members,)."""
        cut = self.cut[members] + 0.5 * attempt
        step = self.step[members] / self.ratio**attempt
        step[:, 0] = self.sinh_step[members] / self.ratio**attempt
        span = cut.copy()
        c = 1 / np.maximum(1.0, self.scale[members, 0])
        span[:, 0] = np.where(self.sinh[members], np.arcsinh(cut[:, 0] / c), cut[:, 0])
        number = np.where(self.scale[members] > 0, 2 * np.ceil(span / step) + 1, 1.0)
        if self.L.shape[1] > 2:
            number[:, -1] = np.minimum(number[:, -1], _LOOKUP)
        points = number.prod(axis=1)
        most = MOST_POINTS[self.L.shape[1]]
        stretch = np.maximum(1.0, points / most) ** (1 / self.L.shape[1])
        return step * stretch[:, None], cut, np.minimum(points, most)

    def overflows(self) -> NDArray[np.bool_]:
        """Whether exponential growth leaves the range of floats at the outermost nodes, (G,)."""
        furthest = np.einsum("gjk,gk,j->gj", np.abs(self.L), self.cut, self.trait.growth * self.per_axis)
        return np.asarray((furthest > 700.0).any(axis=1))

    def exhausted(self, members: NDArray[np.intp], attempt: int) -> NDArray[np.bool_]:
        """Whether the next attempt would need more points than are allowed."""
        if self.trait.polynomial_degree is not None or attempt > 12:
            return np.ones(members.size, dtype=bool)
        return self._sizes(members, attempt)[2] >= MOST_POINTS[self.L.shape[1]]

    def chunks(self, members: NDArray[np.intp], attempt: int) -> Iterator[tuple[NDArray[np.intp], list[Rule]]]:
        """Parts of the batch with their rules, of bounded memory and similar demands."""
        step, cut, points = self._sizes(members, attempt)
        order = np.lexsort((points, self.sinh[members]))
        start = 0
        while start < order.size:
            length = max(1, int(BUDGET // points[order[start]]))
            part = order[start : start + length]
            part = part[self.sinh[members[part]] == self.sinh[members[part[0]]]]
            part = part[points[part] <= 4 * points[part[0]]]
            start += part.size
            axes = range(cut.shape[1])
            yield members[part], [self._rule(k, members[part], step[part, k], cut[part, k]) for k in axes]

    def _rule(self, k: int, members: NDArray[np.intp], step: Array, cut: Array) -> Rule:
        scale = self.scale[members, k]
        if not scale.any():
            return point()
        if self.trait.polynomial_degree is not None:
            return hermite(int(self.trait.polynomial_degree * self.factors))
        first = k == 0
        return trapezoid(
            scale,
            cut,
            step,
            sinh=first and bool(self.sinh[members[0]]),
            even=first and self.even,
        )
