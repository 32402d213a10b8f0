r"""What a network of finite width adds to a Gaussian, in information: the series of a scale mixture.

Given all layers below, the m neurons of a layer are Gaussian with one common random variance, G = K (1 + xi): a scale
mixture. With v = <xi^2> = V/(n K^2), cumulants <xi^k>_c of order v^{k-1}, and x = |z|^2/K, the generating function of
Laguerre's polynomials gives the density relative to the Gaussian of the same variance,

.. math:: \frac{p(z)}{\varphi(z)} = \Big\langle (1+\xi)^{-m/2} e^{\frac x2\frac{\xi}{1+\xi}}\Big\rangle
          = 1 + \sum_{k\ge2} (-1)^k \langle\xi^k\rangle\, L_k^{(m/2-1)}(x/2),

and the negentropy is J_m = <p/phi ln(p/phi)>_phi, expanded in powers of v. As the polynomials are orthogonal, <xi^3>
and all higher cumulants enter at v^4 only: through v^3 the series is the same for every mixture. Two groups of neurons
share I = J_{n_1+n_2} - J_{n_1} - J_{n_2}.

Source: PDLT appendix A.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from rgflow.checks import whole
from rgflow.errors import InputError, OrderError

if TYPE_CHECKING:
    import sympy

HIGHEST = 4
UNIVERSAL = 3  # the highest order that is the same for every mixture


@lru_cache(maxsize=HIGHEST)
def negentropy(order: int = UNIVERSAL) -> sympy.Expr:
    """J_m as a polynomial in v through ``order``, in the symbols m, v and, at order 4, s = <xi^3>/v^2.

    Raises OrderError beyond order 4, which needs more of the mixture than s.

    >>> from sympy import factor, symbols
    >>> m, v = symbols("m v", positive=True)
    >>> [factor(negentropy().coeff(v, k)) for k in (2, 3)]
    [m*(m + 2)/16, -m*(m + 2)*(m + 8)/48]
    """
    import sympy as sp

    order = whole("order", order, 2)
    if order > HIGHEST:
        raise OrderError(f"order={order}: the negentropy is expanded to order {HIGHEST} in v; take the mixture itself")
    m, v, x = sp.symbols("m v x", positive=True)
    g: dict[int, sp.Expr] = {}  # p/phi - 1 by powers of v
    for k, moment in _moments(order).items():
        laguerre = sp.expand(sp.expand_func(sp.assoc_laguerre(k, m / 2 - 1, x / 2)))
        for (power,), c in sp.Poly(moment, v).terms():
            if power <= order:
                g[power] = g.get(power, sp.Integer(0)) + (-1) ** k * c * laguerre
    means = [sp.Integer(1)]  # <x^k> of |z|^2 for m Gaussian neurons
    for k in range(2 * order):
        means.append(sp.expand(means[-1] * (m + 2 * k)))
    total, powers = sp.Integer(0), g
    for j in range(2, order + 1):  # f ln f = g + g^2/2 - g^3/6 + g^4/12 - ... with f = 1 + g
        powers = _product(powers, g, order)
        for p, polynomial in powers.items():
            mean = sum((c * means[k] for (k,), c in sp.Poly(polynomial, x).terms()), sp.Integer(0))
            total += sp.Rational((-1) ** j, j * (j - 1)) * mean * v**p
    found: sp.Expr = sp.collect(sp.expand(total), v, sp.factor)
    return found


def _moments(order: int) -> dict[int, sympy.Expr]:
    """<xi^k> from the cumulants v, s v^2 and t v^3 (higher ones are beyond order 4), as far as ``order``."""
    import sympy as sp

    v, y = sp.Symbol("v", positive=True), sp.Symbol("y")
    s, t = sp.symbols("s t")
    cumulants = v * y**2 / 2 + s * v**2 * y**3 / 6 + t * v**3 * y**4 / 24
    most = 2 * order
    # exp of the cumulants; a factor v comes with two powers of y at most
    total = sp.Integer(1) + sum((cumulants**k / sp.factorial(k) for k in range(1, order + 1)), sp.Integer(0))
    by_power = sp.Poly(sp.expand(total), y)
    return {k: sp.expand(sp.factorial(k) * by_power.coeff_monomial(y**k)) for k in range(2, most + 1)}


def _product(one: dict[int, sympy.Expr], other: dict[int, sympy.Expr], order: int) -> dict[int, sympy.Expr]:
    """The product of two series in v."""
    import sympy as sp

    found: dict[int, sp.Expr] = {}
    for p, a in one.items():
        for q, b in other.items():
            if p + q <= order:
                found[p + q] = sp.expand(found.get(p + q, sp.Integer(0)) + a * b)
    return found


@lru_cache(maxsize=64)
def shared(n_1: int, n_2: int, order: int = UNIVERSAL) -> sympy.Expr:
    """I(n_1; n_2) = J_{n_1+n_2} - J_{n_1} - J_{n_2} as a polynomial in v.

    >>> print(shared(1, 1))
    -13*v**3/24 + v**2/8
    """
    import sympy as sp

    n_1, n_2 = whole("n_1", n_1, 1), whole("n_2", n_2, 1)
    J, m = negentropy(order), sp.Symbol("m", positive=True)
    found: sp.Expr = sp.expand(J.subs(m, n_1 + n_2) - J.subs(m, n_1) - J.subs(m, n_2))
    return found


@lru_cache(maxsize=1)
def per_pair() -> sympy.Expr:
    """I(n_1; n_2)/(n_1 n_2) through v^3: a function of N = n_1 + n_2 alone, and so continued to any N > 0.

    >>> print(per_pair())
    -N*v**3/16 - 5*v**3/12 + v**2/8
    """
    import sympy as sp

    a, b, m = sp.symbols("a b m", positive=True)
    N = sp.Symbol("N", positive=True)
    J = negentropy()
    series = sp.expand(J.subs(m, a + b) - J.subs(m, a) - J.subs(m, b))
    found: sp.Expr = sp.expand(sp.cancel(series.subs(b, N - a) / (a * (N - a))))
    if found.has(a):
        raise InputError(f"the information depends on how {N} neurons are divided: {found}")
    return found


@lru_cache(maxsize=1)
def largest() -> tuple[sympy.Expr, sympy.Expr]:
    """(v*, v_0) for N outputs: where I(n_1; n_2), truncated at v^3, is largest, and beyond which it is negative.

    >>> largest()
    (4/(3*N + 20), 6/(3*N + 20))
    """
    import sympy as sp

    v = sp.Symbol("v", positive=True)
    (best,) = (x for x in sp.solve(sp.diff(per_pair(), v), v) if x != 0)
    (end,) = (x for x in sp.solve(per_pair(), v) if x != 0)
    return sp.factor(best), sp.factor(end)
