r"""How a Gaussian average goes with the kernel: the power of K that its integrand says.

The activation is sigma(z) = c_p z^p + ... at the origin, perhaps with other coefficients on either side, and

.. math:: \Big\langle \partial^m \prod_i \sigma^{(k_i)} \Big\rangle_K = \sum_d K^{(d-m)/2}\,
    \Big\langle He_m(g)\, f_d(g) \Big\rangle_1,

f_d being the term of degree d of the integrand. Where K -> 0 the first power whose coefficient is not zero counts;
sigma of one power alone (relu, z^2, relu(z)^3) has but one, at every K. Where K stays of order one, so do all averages.
Sums of products of averages are taken coefficient by coefficient, so that leading terms may cancel, as those of a
variance do for a linear sigma. Written derivatives are those of the pieces, almost everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import factorial, gamma, pi, sqrt

import numpy as np

from rgflow.activations import Activation
from rgflow.errors import InputError, NoClosedForm
from rgflow.scaling.families.powers import NOTHING, NOTHING_TO_ADD, Power

Average = tuple[tuple[int, ...], int]
Combination = tuple[tuple[Fraction, tuple[Average, ...]], ...]
"""Sum of coefficient times product of averages (orders, pending)."""

MOST_TERMS = 15  # of the series of sigma at the origin
NOISE = 1e-11  # of a Taylor coefficient, relative to the largest one
CANCELLED = 1e-9  # what is left of terms that cancel, relative to them
ENDLESS = 10**6


@dataclass(frozen=True)
class Sizes:
    """Powers of n of averages over a neuron, given that of its kernel."""

    activation: Activation

    @property
    def homogeneous(self) -> bool:
        """Whether sigma(t z) = t^p sigma(z) for all t > 0."""
        return _homogeneous(self.activation)

    @property
    def has_even_part(self) -> bool:
        """Whether the leading term keeps something when the sign of z is averaged over."""
        left, right = _series(self.activation)
        for p in range(MOST_TERMS):
            if left[p] or right[p]:
                return bool(right[p] + (-1) ** p * left[p])
        raise NoClosedForm(f"{self.activation.name} vanishes at the origin to order {MOST_TERMS}: no powers of n")

    def combined(self, terms: Combination, kernel: Power) -> Power:
        """Of a sum of products of averages at K ~ n^kernel.

        >>> from rgflow.activations import activation
        >>> variance = ((Fraction(1), (((0, 0, 1, 1), 0),)), (Fraction(-1), (((0, 0), 0), ((1, 1), 0))))
        >>> print(Sizes(activation("relu")).combined(variance, Power.of(-1)))
        -1
        >>> print(Sizes(activation("linear")).combined(variance, Power.of(-1)))
        -oo
        """
        if not kernel.at_most(0) and not self.homogeneous:
            raise InputError(
                f"a kernel grows like n^({kernel}) and {self.activation.name} is not homogeneous: its averages have no "
                "one power; take relu or another homogeneous activation, or other exponents"
            )
        if kernel.is_everywhere(0) and not _ends(self.activation):
            return NOTHING_TO_ADD  # a number, whatever sigma does at the origin
        degree = _lowest(self.activation, terms)
        return NOTHING if degree is None else kernel * Fraction(degree, 2)

    def square(self, order: int, size: Power) -> Power:
        """Of <sigma^(k) sigma^(k)> for z ~ n^size; of order one where z grows and sigma is not homogeneous.

        A family in which z grows is unstable, whatever the layers above do.
        """
        if not size.at_most(0) and not self.homogeneous:
            return NOTHING_TO_ADD
        return self.combined(((Fraction(1), (((order, order), 0),)),), size * 2)


@lru_cache(maxsize=256)
def _series(activation: Activation) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Taylor coefficients at the origin of the pieces left and right of it, noise removed."""
    places = (sum(kink < 0 for kink in activation.kinks), sum(kink <= 0 for kink in activation.kinks))
    found = []
    for place in places:
        derivatives = np.asarray(activation.piece_derivatives(place, 0.0, MOST_TERMS - 1), float).reshape(-1)
        scaled = derivatives / [float(factorial(k)) for k in range(MOST_TERMS)]
        if not np.isfinite(scaled).all():
            raise NoClosedForm(f"{activation.name} has no series at the origin, and so no powers of a small kernel")
        found.append(tuple(np.where(abs(scaled) > NOISE * abs(scaled).max(), scaled, 0.0).tolist()))
    return found[0], found[1]


@lru_cache(maxsize=256)
def _ends(activation: Activation) -> bool:
    """Whether sigma is a polynomial on either side of the origin: its series is all of it."""
    if activation.kinks not in ((), (0.0,)):
        return False
    return activation.slopes is not None or all(
        piece is not None and len(piece) <= MOST_TERMS for piece in activation.piece_polynomials
    )


@lru_cache(maxsize=256)
def _homogeneous(activation: Activation) -> bool:
    if not _ends(activation):
        return False
    powers = {k for side in _series(activation) for k, c in enumerate(side) if c}
    return len(powers) == 1 and 0 not in powers


@lru_cache(maxsize=4096)
def _average(activation: Activation, orders: tuple[int, ...], pending: int) -> tuple[dict[int, float], int]:
    """Coefficients of K^{power/2} by power, and the first power that is no longer known."""
    product = [np.array([1.0]), np.array([1.0])]
    length = MOST_TERMS - max(orders, default=0)
    for order in orders:
        for side, series in enumerate(_series(activation)):
            factor = [c * factorial(k) / factorial(k - order) for k, c in enumerate(series) if k >= order]
            product[side] = np.convolve(product[side], factor)
            if not _ends(activation):
                product[side] = product[side][:length]
    found = {}
    for degree, (left, right) in enumerate(zip(*product, strict=True)):
        seen = right + (-1) ** (degree + pending) * left
        if seen and (moment := _moment(degree, pending)):
            found[degree - pending] = seen * moment
    return found, ENDLESS if _ends(activation) else length - pending


@lru_cache(maxsize=1024)
def _moment(degree: int, pending: int) -> float:
    """E[He_m(g) g^d; g > 0] of a standard normal g; exactly zero where the polynomials are orthogonal."""
    if (degree + pending) % 2 == 0 and degree < pending:
        return 0.0
    hermite = np.polynomial.hermite_e.herme2poly([0.0] * pending + [1.0])
    halves = [2 ** ((degree + k) / 2 - 1) * gamma((degree + k + 1) / 2) / sqrt(pi) for k in range(pending + 1)]
    return float(np.dot(hermite, halves))


@lru_cache(maxsize=8192)
def _lowest(activation: Activation, terms: Combination) -> int | None:
    """The lowest power of K^{1/2} whose coefficient is not zero; None if all are."""
    total: dict[int, float] = {}
    size: dict[int, float] = {}
    known = ENDLESS
    for coefficient, averages in terms:
        product, end = {0: float(coefficient)}, ENDLESS
        for orders, pending in averages:
            series, last = _average(activation, tuple(sorted(orders)), pending)
            start = min(product, default=0), min(series, default=min(last, 0))
            end = min(end + start[1], last + start[0])
            multiplied: dict[int, float] = {}
            for a, x in product.items():
                for b, y in series.items():
                    multiplied[a + b] = multiplied.get(a + b, 0.0) + x * y
            product = multiplied
        known = min(known, end)
        for power, value in product.items():
            total[power] = total.get(power, 0.0) + value
            size[power] = size.get(power, 0.0) + abs(value)
    left = [power for power, value in total.items() if abs(value) > CANCELLED * size[power]]
    lowest = min(left, default=ENDLESS)
    if lowest < known:
        return lowest
    if known >= ENDLESS // 2:
        return None
    raise NoClosedForm(
        f"averages of {activation.name} vanish at the origin to power {known}/2 of the kernel: too high for its series"
    )
