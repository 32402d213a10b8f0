"""How one quantity grows with depth: its regime in a word, exponent and coefficient, and the formula."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rgflow.scaling.growth.growth import Growth
from rgflow.scaling.growth.printing import depth_symbol, latex_of, text_of
from rgflow.scaling.growth.signs import Decisions

CONSTANT, LOGARITHMIC, POLYNOMIAL = "constant", "logarithmic", "polynomial"
BETWEEN, STRETCHED, EXPONENTIAL = "subpolynomial", "stretched exponential", "exponential"
REGIMES = (CONSTANT, LOGARITHMIC, BETWEEN, POLYNOMIAL, STRETCHED, EXPONENTIAL)
"""From slow to fast; subpolynomial is exp(c ln(l)^x) with x < 1."""

QUANTITIES = {
    "p": "p(l), mean square of a neuron",
    "q": "q(l), mean square of a hidden neuron",
    "chi": "chi(0)/chi(l), gradients of neurons",
    "chi_W": "chi_W(1)/chi_W(l), gradients of the weights W",
    "chi_V": "chi_V(1)/chi_V(l), gradients of the weights V",
    "chi_b": "chi_b(1)/chi_b(l), gradients of the biases b",
    "chi_a": "chi_a(1)/chi_a(l), gradients of the biases a",
}

UP_TO = ", up to a factor"  # what follows a law whose amplitude only the layers near the input determine
LETTERS = {"p": "p", "q": "q", "chi": r"\chi^{(0)}/\chi^{(\ell)}"}


@dataclass(frozen=True)
class DepthLaw:
    """x(l) to leading order.

    Attributes
    ----------
    name : str
    growth : Growth
        With every product over the layers as it is.
    regime : str
        One of :data:`REGIMES`.
    exponent : sympy.Expr
        Of l in a power law or inside of a stretched exponential; of ln(l) where it is logarithmic or subpolynomial.
    coefficient : sympy.Expr or None
        In front of the power, or inside of the exponential; None where the layers near the input determine it.
    """

    name: str
    growth: Growth
    regime: str
    exponent: Any
    coefficient: Any

    @classmethod
    def of(cls, name: str, growth: Growth, signs: Decisions) -> DepthLaw:
        """The law of a growth; ``signs`` decides between its products. A power that may be zero counts as a power."""
        import sympy as sp

        leading = growth.leading_product(signs)
        if leading is not None:
            (T, kappa, mu), count = leading
            if signs.implied(kappa) == 0 and mu == 0:
                return cls(name, growth, EXPONENTIAL, sp.Integer(1), sp.log(1 + T) * count)
            if signs.implied(1 - kappa) == 0:
                return cls(name, growth, BETWEEN, sp.expand(1 - mu), tidy(T * count / (1 - mu)))
            return cls(name, growth, STRETCHED, sp.expand(1 - kappa), tidy(T * count / (1 - kappa)))
        amplitude = None if growth.amplitude is None else tidy(growth.amplitude)
        if signs.implied(growth.power) != 0:
            return cls(name, growth, POLYNOMIAL, sp.expand(growth.power), amplitude)
        if signs.implied(growth.logs) != 0:
            return cls(name, growth, LOGARITHMIC, sp.expand(growth.logs), amplitude)
        return cls(name, growth, CONSTANT, sp.Integer(0), amplitude)

    @property
    def expression(self) -> Any:
        """The leading formula in Symbol("l"), 1 in place of an amplitude that is not known."""
        return expression(self.growth)

    def latex(self) -> str:
        """As LaTeX (without delimiters)."""
        label = self.name.removeprefix("chi_")
        left = LETTERS.get(self.name) or rf"\chi_{{{label}}}^{{(1)}}/\chi_{{{label}}}^{{(\ell)}}"
        sign = r"\simeq" if self._known else r"\propto"
        return f"{left} {sign} {latex_of(self.expression)}"

    @property
    def _known(self) -> bool:
        return self.growth.amplitude is not None

    @property
    def factor(self) -> str:
        """Words to follow the formula: none, or that layers near the input decide a factor."""
        return "" if self._known else UP_TO

    def __str__(self) -> str:
        return f"{self.name} ~ {text_of_growth(self.growth)}{self.factor}"


def expression(growth: Growth) -> Any:
    """A growth as a SymPy expression, each product to its leading order."""
    import sympy as sp

    l = depth_symbol()
    found = sp.Integer(1) if growth.amplitude is None else tidy(growth.amplitude)
    found *= l**growth.power * sp.log(l) ** growth.logs
    inside = sp.Integer(0)
    for (T, kappa, mu), count in growth.products:
        if kappa == 0 and mu == 0:
            found *= (1 + T) ** (count * l)
        elif kappa == 1:
            inside += count * T * sp.log(l) ** (1 - mu) / (1 - mu)
        else:
            inside += tidy(count * T / (1 - kappa)) * l ** (1 - kappa) * sp.log(l) ** (-mu)
    return found * sp.exp(inside)


def tidy(expression: Any) -> Any:
    """Simplified where it is a number; with symbols a common factor is enough."""
    import sympy as sp

    return sp.simplify(expression) if expression.is_number else sp.factor_terms(expression)


def text_of_growth(growth: Growth) -> str:
    """As ``2 l``, ``l^(1/2)``, ``exp(2 l^(1/2))``."""
    return text_of(expression(growth))
