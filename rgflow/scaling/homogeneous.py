r"""Activations that are powers on either side of zero: sigma(c z) = c^alpha sigma(z) for c > 0.

Lines that meet at zero are such (alpha = 1), and so is max(0, z)^alpha of the mean-field papers, which for 1/2 < alpha
< 1 has an infinite slope at zero and is no formula of :func:`rgflow.activation`. Their averages are exact powers,

.. math:: \langle\sigma\sigma\rangle_q = c\, q^\alpha, \qquad \langle\sigma'\sigma'\rangle_q = c'\, q^{\alpha-1}, \qquad
    c = \frac{|a_-|^2 + |a_+|^2}{2} E|z|^{2\alpha},
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

from rgflow.activations import Activation
from rgflow.activations import activation as find_activation
from rgflow.errors import InputError, KinkError

_WRITTEN = re.compile(
    r"(?:relu\(\s*z\s*\)|Max\(\s*(?:z\s*,\s*0|0\s*,\s*z)\s*\))\s*(?:\*\*|\^)\s*\(?\s*([\d./ ]+)\s*\)?"
)


@dataclass(frozen=True)
class Homogeneous:
    """sigma(z) = right z^degree for z > 0, left |z|^degree for z < 0; 1/2 < degree <= 1.

    >>> print(Homogeneous(Fraction(3, 4)))
    relu(z)^(3/4)
    """

    degree: Fraction
    left: Fraction = Fraction(0)
    right: Fraction = Fraction(1)
    name: str = ""

    def __post_init__(self) -> None:
        if not Fraction(1, 2) < self.degree <= 1:
            raise InputError(
                f"the power is {self.degree}; it must be above 1/2, or <sigma'sigma'> diverges, and at most 1, or "
                "kernels grow doubly exponentially"
            )

    @property
    def odd(self) -> bool:
        """sigma(-z) = -sigma(z)."""
        return self.left == -self.right

    def square(self) -> Any:
        """c in <sigma sigma>_q = c q^degree, a SymPy number."""
        return self._half() * _moment(2 * self.degree)

    def slope(self) -> Any:
        """c' in <sigma'sigma'>_q = c' q^(degree - 1), branch by branch."""
        import sympy as sp

        degree = sp.Rational(self.degree)
        return self._half() * degree**2 * _moment(2 * self.degree - 2)

    def _half(self) -> Any:
        import sympy as sp

        return sp.Rational(self.left**2 + self.right**2) / 2

    def __str__(self) -> str:
        return self.name or f"relu(z)^({self.degree})"


@lru_cache(maxsize=64)
def _moment(power: Fraction) -> Any:
    """E|z|^power of a standard normal z."""
    import sympy as sp

    z, k = sp.Symbol("z", positive=True), sp.Rational(power)
    return sp.simplify(sp.integrate(z**k * sp.exp(-(z**2) / 2), (z, 0, sp.oo)) * 2 / sp.sqrt(2 * sp.pi))


def find(spec: Any) -> Activation | Homogeneous:
    """The activation of a name, a formula or an object; ``relu(z)^(3/4)`` is read as a power, never evaluated.

    Lines through zero come as powers of degree 1.

    >>> find("relu(z)^(3/4)").degree, find("relu").degree, find("tanh").name
    (Fraction(3, 4), Fraction(1, 1), 'tanh')
    """
    if isinstance(spec, Homogeneous):
        return spec
    if isinstance(spec, str):
        written = _WRITTEN.fullmatch(spec.strip())
        if written is not None:
            return _power(spec, written[1])
    act = find_activation(spec)
    if act.slopes is None:
        return act
    left, right = (Fraction(repr(float(x))) for x in act.slopes)
    return Homogeneous(Fraction(1), -left, right, act.formula_text)


def _power(spec: str, written: str) -> Homogeneous:
    try:
        degree = Fraction(written.replace(" ", ""))
    except (ValueError, ZeroDivisionError):
        raise InputError(f"{spec!r}: the power {written!r} is not a number such as 0.75 or 3/4") from None
    return Homogeneous(degree, name="relu" if degree == 1 else f"relu(z)^({degree})")


def refuse_jumps(sigma: Activation | Homogeneous) -> None:
    """KinkError for an activation that jumps: gradients take <sigma'sigma'>, and sigma' is no function there."""
    if isinstance(sigma, Activation) and not sigma.continuous:
        raise KinkError(
            f"{sigma.name} jumps at z = {', '.join(f'{z:g}' for z in sigma.kinks)}: gradients take <s' s'>, and s' is "
            "not a function there; take an activation without jumps, such as tanh(10*z) for sign(z)"
        )


def formula(sigma: Activation | Homogeneous) -> str:
    """The text from which :func:`find` makes it again."""
    return str(sigma) if isinstance(sigma, Homogeneous) else sigma.formula_text
