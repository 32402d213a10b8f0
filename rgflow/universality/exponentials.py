r"""Exponential polynomials in the layer, and linear recursions over them solved exactly.

.. math:: X(l) = \sum_{p, j} c_{p j} \binom{l - 1}{p}\, \mu^{j (l - 1)}

with coefficients c in a ring D[symbols], D a field, and mu an element of D. Everything is canonical: X vanishes if and
only if it has no terms. Binomials instead of powers, since one layer more is then C(m + 1, p) = C(m, p) + C(m, p - 1).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from math import comb
from typing import Any, TypeAlias

from sympy import QQ, Expr, Poly, Symbol, cancel, factor, ff
from sympy import Add as Sum
from sympy import Mul as Product
from sympy.polys.rings import PolyRing

from rgflow.errors import NoClosedForm

l = Symbol("l", integer=True, positive=True)

Number: TypeAlias = Any  # an element of the field D
Coefficient: TypeAlias = Any  # an element of the ring D[symbols]
Exponential: TypeAlias = dict[tuple[int, int], Coefficient]
"""{(p, j): c}, the sum of c C(l-1, p) mu^(j(l-1)); no c is zero."""

_FACTORED = 40  # terms up to which a coefficient is factored: beyond, it is no easier to read


class Exponentials:
    """The ring of exponential polynomials over D[symbols].

    Parameters
    ----------
    symbols : sequence of sympy.Symbol
    domain : SymPy domain, a field
        D. Its zero test is what makes results exact: rationals, rational functions, algebraic numbers.
    mu : sympy.Expr
        The base of the exponentials, in D and not zero. With mu = 1 they are polynomials in l.

    >>> from sympy import QQ, Rational
    >>> ring = Exponentials([Symbol("k")], QQ, Rational(1, 2))
    >>> one = ring.constant(ring.number(1))
    >>> print(ring.expression(ring.solve(ring.number(0), 1, one)))
    2 - 2*2**(1 - l)
    """

    def __init__(self, symbols: Sequence[Symbol], domain: Any, mu: Any = 1) -> None:
        self.coefficients = PolyRing(symbols, domain)
        self.domain = domain
        self.base = mu
        self.mu = domain.convert(domain.from_sympy(mu) if isinstance(mu, Expr) else mu)
        self.flat = self.mu == domain.one

    def number(self, value: Any) -> Coefficient:
        """An element of D[symbols]: one of the symbols, an expression that is in D, a fraction or an integer."""
        if isinstance(value, Expr):
            if value in self.coefficients.symbols:
                return self.coefficients.gens[self.coefficients.symbols.index(value)]
            return self.coefficients.ground_new(self.domain.from_sympy(value))
        return self.coefficients.ground_new(self.domain.convert(value))

    def constant(self, value: Coefficient) -> Exponential:
        """A constant in l."""
        return {(0, 0): value} if value else {}

    def sum(self, parts: Iterable[tuple[Coefficient, Exponential]]) -> Exponential:
        """The sum of coefficient * X."""
        out: Exponential = {}
        for scale, x in parts:
            for key, c in x.items():
                out[key] = out[key] + scale * c if key in out else scale * c
        return _clean(out)

    def product(self, x: Exponential, y: Exponential) -> Exponential:
        """x y, by C(m, a) C(m, b) = sum_i (a+b-i)! / (i! (a-i)! (b-i)!) C(m, a+b-i)."""
        out: Exponential = {}
        for (a, i), c in x.items():
            for (b, j), d in y.items():
                together = c * d
                for p, times in _binomials(a, b):
                    key = (p, i + j)
                    out[key] = out[key] + times * together if key in out else times * together
        return _clean(out)

    def shift(self, x: Exponential) -> Exponential:
        """X(l + 1)."""
        out: Exponential = {}
        for (p, j), c in x.items():
            moved = c.mul_ground(self.power(j))
            for key in ((p, j), (p - 1, j)) if p else ((p, j),):
                out[key] = out[key] + moved if key in out else moved
        return _clean(out)

    def solve(self, first: Coefficient, power: int, source: Exponential) -> Exponential:
        r"""X with X(1) = first and X(l+1) = mu^power X(l) + S(l).

        For an exponential of another base than mu^power the polynomial keeps its degree, from the top
        x_p = (s_p - mu^j x_{p+1}) / (mu^j - mu^power); for the same one (resonance) its degree rises by one.
        """
        own = 0 if self.flat else power
        out: Exponential = {}
        for j in {j for _, j in source}:
            part = {p: c for (p, i), c in source.items() if i == j}
            if j == own:
                out.update({(p + 1, j): c.quo_ground(self.power(j)) for p, c in part.items()})
                continue
            gap = self.power(j) - self.power(own)
            above = self.coefficients.zero
            for p in range(max(part), -1, -1):
                above = (part.get(p, self.coefficients.zero) - above.mul_ground(self.power(j))).quo_ground(gap)
                out[p, j] = above
        start = sum((c for (p, _), c in out.items() if p == 0), self.coefficients.zero)
        out[0, own] = out.get((0, own), self.coefficients.zero) + first - start
        return _clean(out)

    def exponent(self, factor: Coefficient, highest: int) -> int:
        """The j <= highest with mu^j = factor; NoClosedForm if there is none."""
        if factor.is_ground:
            ground = factor.coeff(1)
            for j in range(highest + 1):
                if self.power(j) == ground:
                    return j
        raise NoClosedForm(f"a layer multiplies by {factor.as_expr()}, which is no power of {self.base}")

    def power(self, j: int) -> Number:
        """mu^j."""
        return self.domain.one if self.flat else self.mu**j

    # Expressions

    def expression(self, x: Exponential) -> Expr:
        """As it reads best: for each exponential, its polynomial in l with the common factors in front."""
        parts = []
        for j in sorted({j for _, j in x}):
            part = self._polynomial({p: c for (p, i), c in x.items() if i == j})
            parts.append(part if self.flat or j == 0 else part * cancel(self.base) ** (j * (l - 1)))
        return Sum(*parts)

    def _polynomial(self, part: Mapping[int, Coefficient]) -> Expr:
        """sum_p c_p C(l-1, p) as factors times a polynomial in l and all symbols, over its denominator."""
        fraction = self.domain if self.domain.is_FractionField else None
        ground = fraction.domain if fraction else self.domain
        inner = fraction.symbols if fraction else ()
        ring = PolyRing((*self.coefficients.symbols, l, *inner), ground)
        outer = len(self.coefficients.symbols)
        below: Any = fraction.one.denom if fraction else ground.one
        for number in (number for c in part.values() for number in c.values() if fraction):
            below = below.lcm(number.denom)
        total = ring.zero
        for p, c in part.items():
            falling = Poly(ff(l - 1, p) / ff(p, p), l, domain=QQ).terms()
            for monomial, number in c.terms():
                above = (number.numer * below.exquo(number.denom)).terms() if fraction else [((), number)]
                for (q,), times in falling:
                    scale = ground.from_sympy(times)
                    total += ring.from_dict({(*monomial, q, *powers): scale * value for powers, value in above})
        whole = _factored(total, outer) if ground.is_Exact else _collected(total, outer)
        return whole / factor(below.as_expr()) if fraction else whole


def _factored(total: Any, outer: int) -> Expr:
    """A polynomial as a product; a long one is only freed of what all coefficients of the symbols share."""
    ring = total.ring
    if ring.domain.is_QQ and len(total) <= _FACTORED:
        number, found = total.factor_list()
        return _times(ring.domain.to_sympy(number), *(_collected(f, outer) ** times for f, times in found))
    powers = tuple(map(min, zip(*total.itermonoms(), strict=True)))
    shared = ring.from_dict({powers: ring.domain.one})
    total, common = total.exquo(shared), ring.zero
    for one in _parts(total, outer).values():
        common = common.gcd(one)
    rest = total.exquo(common)
    number, rest = rest.primitive() if ring.domain.is_QQ else (ring.domain.one, rest)
    return _times(ring.domain.to_sympy(number), shared.as_expr(), factor(common.as_expr()), _collected(rest, outer))


def _collected(total: Any, outer: int) -> Expr:
    """A polynomial as a sum over monomials of the symbols, each times a factored polynomial in l."""
    ring = total.ring
    parts = _parts(total, outer)
    if len(parts) == 1:
        return total.as_expr()
    summands = []
    for monomial, one in parts.items():
        symbols = ring.from_dict({monomial + (0,) * (ring.ngens - outer): ring.domain.one}).as_expr()
        if ring.domain.is_QQ and not one.is_ground:
            number, found = one.factor_list()
            factors = [f.as_expr() ** times for f, times in found]
            summands.append(_times(ring.domain.to_sympy(number), symbols, *factors))
        else:
            summands.append(symbols * one.as_expr())
    return Sum(*summands)


def _times(number: Expr, *factors: Expr) -> Expr:
    """A product whose number SymPy does not spread over a sum."""
    rest = Product(*factors)
    return Product(number, rest, evaluate=False) if rest.is_Add and number != 1 else number * rest


def _parts(total: Any, outer: int) -> dict[tuple[int, ...], Any]:
    """The coefficients of the monomials in the first ``outer`` symbols, as elements of the same ring."""
    found: dict[tuple[int, ...], dict[tuple[int, ...], Any]] = {}
    for powers, value in total.terms():
        found.setdefault(powers[:outer], {})[(0,) * outer + powers[outer:]] = value
    return {monomial: total.ring.from_dict(one) for monomial, one in found.items()}


def _clean(x: Exponential) -> Exponential:
    return {key: c for key, c in x.items() if c}


@lru_cache(maxsize=1024)
def _binomials(a: int, b: int) -> tuple[tuple[int, int], ...]:
    return tuple((a + b - i, comb(a + b - i, a) * comb(a, i)) for i in range(min(a, b) + 1))
