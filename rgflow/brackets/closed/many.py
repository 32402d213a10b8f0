r"""Averages of atoms over two correlated Gaussian variables, and of polynomials and exponentials over any number.

With D = diag(a), :math:`\tilde K = K(1+DK)^{-1}` and :math:`\Delta = \det(1+DK)`, by parts

.. math:: \langle z_i\, g \rangle = \sum_j \tilde K_{ij} \langle \partial_j g \rangle
          + (\tilde K b)_i \langle g \rangle, \qquad \langle 1 \rangle = \Delta^{-1/2} e^{b \cdot \tilde K b/2}

.. math:: \langle \operatorname{erf}(c z_i) \operatorname{erf}(d z_j) \rangle = \Delta^{-1/2}\, \tfrac{2}{\pi} \arcsin
          \frac{2 c d\, \Delta \tilde K_{ij}}{\sqrt{\Delta(a + 2c^2 e_i)\, \Delta(a + 2d^2 e_j)}}

sign(z) is c = oo: with it the second line is the arc-cosine family, and its derivative fixes one variable at zero and
leaves the other with the variance det K / K_ii.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any

import sympy as sp

from rgflow.brackets.closed.atoms import (
    NIL,
    ONE,
    Atom,
    Constant,
    Erfs,
    NoRule,
    Numbers,
    count,
    numbers,
    plus,
    slope,
    times,
    twice_square,
    without,
)
from rgflow.brackets.closed.distributions import Distribution
from rgflow.brackets.closed.erf_moments import W
from rgflow.brackets.closed.form import NONE, Form, Powers, accumulate, as_product, join, power, single
from rgflow.brackets.closed.one import Variance, average, line, shifted, signed, wave


class Kernel:
    """The covariance of d inputs as symbols K11, K12, ...; the same d, the same kernel.

    >>> K = Kernel(2)
    >>> K.determinant((ONE, ONE), 2)
    frozenset({(-K12**2 + (K11 + 1)*(K22 + 1), 2)})
    """

    def __init__(self, size: int):
        self.size = size
        self.entries = [
            [
                sp.Symbol(f"K{min(i, j) + 1}{max(i, j) + 1}", **({"positive": True} if i == j else {"real": True}))
                for j in range(size)
            ]
            for i in range(size)
        ]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Kernel) and other.size == self.size

    def __hash__(self) -> int:
        return hash(self.size)

    def determinant(self, a: tuple[Constant, ...], halves: int) -> Powers:
        """Delta^(halves/2)."""
        support = [i for i, x in enumerate(a) if x != 0]
        if len(support) > 2:
            raise NoRule(f"Gaussian factors in {len(support)} inputs")
        out = sp.Mul(*(1 + a[i] * self.entries[i][i] for i in support))
        if len(support) == 2:
            i, j = support
            out -= a[i] * a[j] * self.entries[i][j] ** 2
        return power(out, halves)

    def minor(self, i: int, j: int, a: tuple[Constant, ...]) -> Powers:
        """Delta times the tilted covariance of i and j."""
        others = [k for k, x in enumerate(a) if x != 0 and k not in (i, j)]
        if any(x != 0 for x in a) and self.size > 2:
            raise NoRule(f"Gaussian factors with {self.size} inputs")
        own = self.entries[i][j]
        return power(own + a[others[0]] * self.rest if i == j and others else own, 2)

    @property
    def rest(self) -> Any:
        """K11 K22 - K12^2, of two inputs."""
        (one, mixed), (_, two) = self.entries
        return one * two - mixed**2

    def tilted(self, i: int, j: int, a: tuple[Constant, ...]) -> Powers:
        """The tilted covariance."""
        return join(self.minor(i, j, a), self.determinant(a, -2))


class Conditional(Variance):
    """The variance det K / K_ii of one of two inputs when the other, i, is fixed."""

    def __init__(self, kernel: Kernel, fixed: int):
        self.kernel, self.fixed = kernel, fixed
        self.other = kernel.entries[fixed][fixed]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Conditional) and (other.kernel, other.fixed) == (self.kernel, self.fixed)

    def __hash__(self) -> int:
        return hash((self.kernel, self.fixed))

    def own(self, halves: int) -> Powers:
        """K^(halves/2)."""
        return join(power(self.kernel.rest, halves), power(self.other, -halves))

    def plus(self, a: Constant, halves: int) -> Powers:
        """(1 + aK)^(halves/2)."""
        return join(power(self.other + a * self.kernel.rest, halves), power(self.other, -halves)) if a != 0 else join()


# Atoms ----------------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=65536)
def space(
    K: Kernel,
    m: tuple[int, ...],
    a: tuple[Constant, ...],
    b: tuple[Constant, ...],
    erfs: tuple[Erfs, ...],
) -> Form:
    """< prod_i z_i^m_i e^{-a_i z_i^2/2 + b_i z_i} prod erf(c z_i) >_K."""
    factors = sum(map(count, erfs))
    wavy = any(x != 0 for x in b)
    if not wavy and (sum(m) + factors) % 2:
        return {}
    i = next((i for i, n in enumerate(m) if n), None)
    if i is None:
        return _bottom(K, a, b, erfs)
    out: Form = {}
    lower = _changed(m, i, m[i] - 1)
    for j in range(K.size):
        tilted = K.tilted(i, j, a)
        if lower[j]:
            rest = space(K, _changed(lower, j, lower[j] - 1), a, b, erfs)
            accumulate(out, rest, {ONE: Fraction(lower[j])}, tilted)
        if b[j] != 0:
            accumulate(out, space(K, lower, a, b, erfs), numbers(b[j]), tilted)
        for c, n in erfs[j]:
            left = _changed(erfs, j, without(erfs[j], c))
            if c == sp.oo:
                if not lower[j] and not left[j]:
                    k = 1 - j
                    fixed = line(Conditional(K, j), lower[k], a[k], b[k], left[k])
                    own = power(K.entries[j][j], -1)
                    accumulate(out, fixed, numbers(sp.sqrt(2 / sp.pi)), join(tilted, own))
                continue
            q, u = slope(c)
            steeper = _changed(a, j, plus(a[j], twice_square(c)))
            accumulate(out, space(K, lower, steeper, b, left), {u: q * n}, tilted)
    return out


def _changed(row: tuple[Any, ...], place: int, value: Any) -> tuple[Any, ...]:
    return (*row[:place], value, *row[place + 1 :])


def _bottom(K: Kernel, a: tuple[Constant, ...], b: tuple[Constant, ...], erfs: tuple[Erfs, ...]) -> Form:
    front = K.determinant(a, -1)
    rates = [(i, c) for i, row in enumerate(erfs) for c, n in row for _ in range(n)]
    live = [i for i, x in enumerate(b) if x != 0]
    tilt = wave(front, [(b[i] * b[j], as_product(K.tilted(i, j, a)) / 2) for i in live for j in live])
    if not rates:
        return tilt
    parts = [_wider(K, i, c, a) for i, c in rates]
    sizes = [1 / sp.sqrt(2) if c == sp.oo else c for _, c in rates]
    if live:
        if len(rates) > 1:
            raise NoRule(f"{len(rates)} error functions (or kinks) meet an exponential, sine or cosine")
        i = rates[0][0]
        outer = join(K.determinant(a, -1), *parts)
        return shifted(tilt, [(b[j], sizes[0] * as_product(join(K.minor(i, j, a), outer))) for j in live])
    if len(rates) == 2:
        (i, _), (j, _) = rates
        angle = sp.asin(sp.Mul(2, *sizes) * as_product(join(K.minor(i, j, a), *parts)))
        return single(join(front, power(angle, 2)), 2 / sp.pi)
    if len(set(rates)) == 1:
        i, c = rates[0]
        node = W(len(rates), c**2 * as_product(K.tilted(i, i, a)))
        return single(join(front, power(node, 2)), ONE)
    raise NoRule(f"the average of {len(rates)} error functions of two inputs is no arcsine and no W_2m")


def _wider(K: Kernel, i: int, c: Constant, a: tuple[Constant, ...]) -> Powers:
    """Delta(a + 2c^2 e_i)^(-1/2), without its factor 2c^2 at c = oo."""
    if c == sp.oo:
        return _root_inverse(K.minor(i, i, a))
    return K.determinant(_changed(a, i, plus(a[i], twice_square(c))), -1)


def _root_inverse(powers: Powers) -> Powers:
    return frozenset((base, -halves // 2) for base, halves in powers)


# Distributions --------------------------------------------------------------------------------------------------------


def joint_average(functions: Sequence[Distribution], K: Kernel) -> Form:
    """< prod_u f_u(z_u) >_K."""
    if K.size > 2 and any(f.kinks for f in functions):
        raise NoRule(f"kinks with {K.size} inputs")
    smooth = [_atoms(f) for f in functions]
    out: Form = {}
    stack: list[tuple[int, tuple[Atom, ...], Fraction, Constant]] = [(0, (), Fraction(1), ONE)]
    while stack:
        u, chosen, q, v = stack.pop()
        if u < len(smooth):
            for atom, p in smooth[u].items():
                r, w = times(v, atom.constant)
                stack.append((u + 1, (*chosen, atom), q * p * r, w))
            continue
        columns = [tuple(getattr(atom, name) for atom in chosen) for name in ("power", "decay", "rate", "erfs")]
        accumulate(out, space(K, *columns), {v: q})
    if any(any(f.deltas) for f in functions):
        _add_deltas(out, functions, K)
    return out


def _atoms(f: Distribution) -> dict[Atom, Fraction]:
    if f.kinks not in ((), (NIL,)):
        raise NoRule(f"with several inputs a kink must be at 0, not at {', '.join(map(str, f.kinks))}")
    found = signed(f)
    if any(not atom.decay.is_nonnegative for atom in found):
        raise NoRule("a Gaussian factor that grows")
    return found


def _add_deltas(out: Form, functions: Sequence[Distribution], K: Kernel) -> None:
    f, g = functions
    for j, weight in enumerate(f.deltas[0] if f.deltas else ()):
        _at_zero(out, K, 0, j, g, weight)
    for j, weight in enumerate(g.deltas[0] if g.deltas else ()):
        _at_zero(out, K, 1, j, f.smooth_part, weight)


def _at_zero(out: Form, K: Kernel, i: int, order: int, g: Distribution, weight: Numbers, powers: Powers = NONE) -> None:
    """Add weight * powers * < delta^{(order)}(z_i) g(z_other) >, by parts in z_i."""
    if not weight:
        return
    own = K.entries[i][i]
    if order == 0:
        inner = average(g, Conditional(K, i))
        density = numbers(1 / sp.sqrt(2 * sp.pi))
        spread = [(times(u, v), p * q) for u, p in weight.items() for v, q in density.items()]
        for (r, constant), q in spread:
            accumulate(out, inner, {constant: q * r}, join(powers, power(own, -1)))
        return
    if order > 1:
        lower = {u: -(order - 1) * q for u, q in weight.items()}
        _at_zero(out, K, i, order - 2, g, lower, join(powers, power(own, -2)))
    mixed = join(powers, power(own, -2), power(K.entries[0][1], 2))
    _at_zero(out, K, i, order - 1, g.derivative(), {u: -q for u, q in weight.items()}, mixed)
