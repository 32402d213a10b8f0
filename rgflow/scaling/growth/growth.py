r"""Growth with depth, as far as it is known: products, powers and logarithms.

.. math:: x(l) \simeq x_0\, l^d\, \ln(l)^m
    \prod_i \Big[\prod_{k \le l} (1 + T_i k^{-\kappa_i} \ln(k)^{-\mu_i})\Big]^{n_i}

A product is kept as it stands, so that the ratio of two quantities that grow alike is exact; to leading order it is
exp(T l^{1-kappa}/(1 - kappa)), or (1 + T)^l for kappa = 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from rgflow.errors import NoClosedForm

Product = tuple[Any, Any, Any]  # T, kappa, mu


class Signs(Protocol):
    """Who decides the sign of an expression in the exponents."""

    def sign(self, expression: Any) -> int:
        """-1, 0 or 1."""

    def equalities(self) -> dict[Any, Any]:
        """Symbols that the signs so far make equal to others."""


@dataclass(frozen=True)
class Growth:
    """One monomial in the depth; ``amplitude`` is None where only the layers near the input determine it."""

    amplitude: Any
    power: Any = 0
    logs: Any = 0
    products: tuple[tuple[Product, int], ...] = ()

    def __mul__(self, other: Growth) -> Growth:
        from sympy import expand, simplify

        unknown = self.amplitude is None or other.amplitude is None
        merged = dict(self.products)
        for key, count in other.products:
            alike = next((k for k in merged if all(simplify(a - b) == 0 for a, b in zip(k, key, strict=True))), key)
            merged[alike] = merged.get(alike, 0) + count
        return Growth(
            None if unknown else self.amplitude * other.amplitude,
            expand(self.power + other.power),
            expand(self.logs + other.logs),
            tuple((key, count) for key, count in merged.items() if count),
        )

    def __pow__(self, exponent: Any) -> Growth:
        """Products to whole powers only; a fraction of one is refused."""
        from sympy import Integer, expand

        if self.products and int(exponent) != exponent:
            raise NoClosedForm(f"the power {exponent} of a product over the layers is not followed")
        return Growth(
            None if self.amplitude is None else (Integer(1) * self.amplitude) ** exponent,
            expand(self.power * exponent),
            expand(self.logs * exponent),
            tuple((key, int(count * exponent)) for key, count in self.products),
        )

    def __truediv__(self, other: Growth) -> Growth:
        return self * other**-1

    def subs(self, values: Any) -> Growth:
        """With values for symbols."""
        import sympy as sp

        def put(x: Any) -> Any:
            return None if x is None else (x + sp.Integer(0)).subs(values)

        keys = tuple(((put(T), put(kappa), put(mu)), count) for (T, kappa, mu), count in self.products)
        return Growth(put(self.amplitude), put(self.power), put(self.logs), keys)

    def compare(self, other: Growth, signs: Signs) -> int:
        """1 if it outgrows the other, -1 if it is outgrown, 0 if both are alike but for an amplitude."""
        return (self / other).direction(signs)

    def direction(self, signs: Signs) -> int:
        """1 if it grows without bound, 0 if it stays, -1 if it vanishes."""
        product = self.leading_product(signs)
        if product is not None:
            return 1 if product[1] > 0 else -1
        return signs.sign(self.power) or signs.sign(self.logs)

    def leading_product(self, signs: Signs) -> tuple[Product, int] | None:
        """The product that wins: the smallest kappa, then the smallest mu, then the largest T."""
        best: tuple[Product, int] | None = None
        for key, count in self.products:
            if best is None:
                best = key, count
                continue
            for mine, theirs, smaller in (
                (key[1], best[0][1], True),
                (key[2], best[0][2], True),
                (key[0], best[0][0], 0),
            ):
                order = signs.sign(mine - theirs)
                if order:
                    best = (key, count) if (order < 0) == bool(smaller) else best
                    break
        return best


def total(parts: Sequence[Growth], signs: Signs) -> Growth:
    """The parts that win, with their amplitudes added."""
    best: list[Growth] = []
    for part in parts:
        order = part.compare(best[0], signs) if best else 1
        if order > 0:
            best = [part]
        elif order == 0:
            best.append(part)
    if not best:
        raise NoClosedForm("nothing is left: every term is zero")
    unknown = any(part.amplitude is None for part in best)
    amplitude = None if unknown else sum(part.amplitude for part in best)
    return Growth(amplitude, best[0].power, best[0].logs, best[0].products)


def summed(step: Growth, signs: Signs) -> Growth:
    """The sum over layers k <= l: S l^{1-u}/(1-u), S ln l, or a constant that is not known."""
    if step.products:
        raise NoClosedForm("a sum of products over the layers is not followed")
    side = signs.sign(step.power + 1)
    if side > 0:
        return Growth(_over(step.amplitude, step.power + 1), step.power + 1, step.logs)
    if side == 0:
        later = signs.sign(step.logs + 1)
        if later > 0:
            return Growth(_over(step.amplitude, step.logs + 1), 0, step.logs + 1)
        if later == 0:
            raise NoClosedForm("the logarithm of a logarithm of the depth is not followed")
    return Growth(None)


def multiplied(step: Growth, signs: Signs) -> Growth:
    """The product over layers k <= l of 1 + step(k)."""
    if step.products or signs.sign(step.power) > 0 or (signs.sign(step.power) == 0 and signs.sign(step.logs) > 0):
        raise NoClosedForm("the factor from layer to layer grows with the depth: faster than exponential")
    if step.amplitude is None:
        raise NoClosedForm("the factor from layer to layer has an amplitude that the layers near the input determine")
    side = signs.sign(step.power + 1)
    if side > 0:
        return Growth(None, products=(((step.amplitude, -step.power, -step.logs), 1),))
    if side == 0:
        later = signs.sign(step.logs + 1)
        if signs.sign(step.logs) == 0:
            return Growth(None, power=step.amplitude)
        if later > 0:
            return Growth(None, products=(((step.amplitude, -step.power, -step.logs), 1),))
        if later == 0:
            return Growth(None, logs=step.amplitude)
    return Growth(None)


def fed_by_both(candidates: Sequence[Growth], degree: Any, signs: Signs) -> Any:
    """The amplitude of p where S alone would make it A, r p^degree alone B: x = A + B (x/B)^degree, one zero."""
    import sympy as sp

    alike = signs.equalities()
    own, other = ((sp.Integer(1) * c.amplitude).subs(alike) for c in candidates)
    if not (own.is_number and other.is_number):
        raise NoClosedForm(
            f"C_a and <s s> feed p alike: amplitudes {own} and {other} make an equation for its own; give numbers for "
            "the variances and powers"
        )
    A, B, d = float(own), float(other), float(degree)
    low, high = max(A, B), A + B  # the right side falls
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if A + B * (middle / B) ** d > middle else (low, middle)
    return sp.Float(low, 15)


def _over(amplitude: Any, divisor: Any) -> Any:
    return None if amplitude is None else amplitude / divisor
