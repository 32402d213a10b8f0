r"""``variation_phases``: how signals and gradients grow with depth when variances fall as powers of it, symbolically.

With sigma_.^2 = C_. l^{-beta_.} at block l every quantity is exponential, polynomial, logarithmic or constant in l
(with two forms between); exponents and coefficients follow by dominant balance from the recurrences of the block's
laws and the averages of sigma at large kernels.

Source: Yang and Schoenholz, arXiv:1712.08969 (beta = 0) and "Deep Mean Field Theory: Layerwise Variance and Width
Variation" (2018).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Any

from rgflow.activations import Activation
from rgflow.errors import InputError, UnknownName
from rgflow.network.kinds.branch import Branch
from rgflow.network.kinds.reduced import Reduced
from rgflow.scaling.growth.balance import balance
from rgflow.scaling.growth.cases import PhaseCase
from rgflow.scaling.growth.depth_law import QUANTITIES, DepthLaw
from rgflow.scaling.growth.diagram import diagram
from rgflow.scaling.growth.expressivity import Expressivity, expressivity
from rgflow.scaling.growth.growth import Growth
from rgflow.scaling.growth.signs import Condition, Decisions, every_case, feasible
from rgflow.scaling.homogeneous import Homogeneous, find, formula, refuse_jumps
from rgflow.scaling.recurrences import recurrences

if TYPE_CHECKING:
    import xarray

NAMES = ("C_W", "C_V", "C_a", "C_b")
SHORT = 10_000  # denominators up to this one are looked for in a float


@dataclass(frozen=True)
class VariationPhases:
    """The regimes of an activation; one case for numbers, several for symbols.

    Attributes
    ----------
    sigma : Activation or Homogeneous
    block : str
        "Branch" or "Reduced".
    betas, sizes : dict
        The powers of the depth, and the variances C_W, ...
    cases : tuple of PhaseCase
    """

    sigma: Activation | Homogeneous
    block: str
    betas: Mapping[str, Any]
    sizes: Mapping[str, Any]
    cases: tuple[PhaseCase, ...]

    @property
    def activation(self) -> str:
        """Its formula."""
        return formula(self.sigma)

    @cached_property
    def symbols(self) -> tuple[Any, ...]:
        """The symbols among the powers, sorted."""
        return tuple(sorted({s for beta in self.betas.values() for s in beta.free_symbols}, key=str))

    @property
    def regime(self) -> dict[str, str]:
        """The regime of every quantity, of the only case; InputError if there are several."""
        return self._only().regime

    def __getitem__(self, name: str) -> DepthLaw:
        only = self._only()
        if name not in only.laws:
            raise UnknownName("quantity", name, only.laws)
        return only.laws[name]

    @property
    def e(self) -> Expressivity | None:
        """The correlation of two inputs, of the only case."""
        return self._only().e

    def at(self, **values: Any) -> PhaseCase:
        """The case of numbers for the symbols, by their names; InputError for a symbol without a number."""
        known = {str(s): s for s in self.symbols}
        for name in values:
            if name not in known:
                raise UnknownName("symbol", name, known or ["none: all powers are numbers"])
        missing = sorted(set(known) - set(values))
        if missing:
            raise InputError(f"no value for {', '.join(missing)}")
        numbers = {known[name]: exact(name, value) for name, value in values.items()}
        betas: dict[str, Any] = {name: beta.subs(numbers) for name, beta in self.betas.items()}
        found = variation_phases(self.sigma, **self.sizes, **betas, reduced=self.block == "Reduced")
        return found._only()

    def diagram(self, quantity: str = "chi", **values: Any) -> xarray.Dataset:
        """Regimes and exponents over a grid of the two symbols among the powers.

        Parameters
        ----------
        quantity : which laws to follow; p and e come along
        **values : increasing arrays for the two symbols, by their names

        Returns
        -------
        xarray.Dataset
            Dims are the two names: ``regime_NAME`` (flags), ``exponent_NAME`` for every quantity, ``e``.

        Raises InputError unless exactly two powers are symbols, both with values, and the variances numbers.
        """
        if any(size.free_symbols for size in self.sizes.values()):
            raise InputError("the variances are symbols; give numbers for a diagram")
        found = diagram(self.cases, self.symbols, quantity, values)
        found.attrs |= {
            "activation": self.activation,
            "block": self.block,
            "powers": ", ".join(f"{name} = {beta}" for name, beta in self.betas.items()),
        }
        if isinstance(self.sigma, Homogeneous) and self.sigma.degree != 1:
            found.attrs |= {"activation": "relu", "power": str(self.sigma.degree)}
        return found

    def latex(self) -> str:
        """Every case as an aligned block of LaTeX."""
        return "\n".join(case.latex() for case in self.cases)

    def _only(self) -> PhaseCase:
        if len(self.cases) != 1:
            raise InputError(f"there are {len(self.cases)} cases; choose one of .cases, or .at(...)")
        return self.cases[0]

    def __str__(self) -> str:
        powers = ", ".join(f"{name} = {beta}" for name, beta in self.betas.items())
        return "\n".join([f"{self.activation}, {self.block}: {powers}", *map(str, self.cases)])

    def _repr_latex_(self) -> str:
        return f"$$\n{self.latex()}\n$$"


def variation_phases(
    activation: Any,
    *,
    C_W: Any = 1,
    C_V: Any = 1,
    C_a: Any = 1,
    C_b: Any = 1,
    beta_W: Any = 0,
    beta_V: Any = 0,
    beta_a: Any = 0,
    beta_b: Any = 0,
    reduced: bool = False,
) -> VariationPhases:
    """The regimes of p, q, of gradients and of e when variances are C l^-beta at block l.

    Parameters
    ----------
    activation : Activation, name, formula or SymPy expression
        Also ``relu(z)^(3/4)``.
    C_W, C_V, C_a, C_b : number or SymPy expression, or "symbolic"
        sigma_w^2, ..., at l = 1; symbols are positive.
    beta_W, beta_V, beta_a, beta_b : number, SymPy symbol or linear expression, or "symbolic"
        Not negative. With symbols every regime is listed, with its conditions.
    reduced : bool
        Reduced blocks x + sigma(W x + b); the activation must be odd.

    Returns
    -------
    VariationPhases
        Leading order in 1/width, leading growth in depth.

    Raises
    ------
    InputError
        For powers or variances that are negative, an activation that is not odd with reduced blocks.
    KinkError
        For an activation that jumps.
    NoClosedForm
        For an activation that tends neither to lines nor to constants, or a balance of another kind.

    >>> found = variation_phases("tanh")
    >>> print(found["p"], found["chi"], sep="; ")
    p ~ 2 l; chi ~ exp(4 sqrt(l)/(3 sqrt(pi))), up to a factor
    >>> variation_phases("relu", C_a=0, C_b=0).regime["p"]
    'exponential'
    """
    sigma = find(activation)
    refuse_jumps(sigma)
    layer = Reduced() if reduced else Branch()
    odd = sigma.odd if isinstance(sigma, Homogeneous) else sigma.parity == -1
    if reduced and not odd:
        raise InputError(f"the recurrences of a reduced block hold for odd activations; {sigma} is not odd")
    names = ("C_W", "C_b") if reduced else NAMES
    given = {"C_W": (C_W, beta_W), "C_V": (C_V, beta_V), "C_a": (C_a, beta_a), "C_b": (C_b, beta_b)}
    sizes = {n: _size(n, given[n][0]) for n in names}
    betas = {n.replace("C_", "beta_"): _beta(n.replace("C_", "beta_"), given[n][1]) for n in names}
    values = {n: None if sizes[n] == 0 else Growth(sizes[n], -betas[n.replace("C_", "beta_")]) for n in names}
    bounded = frozenset(s for beta in betas.values() for s in beta.free_symbols)
    rule = recurrences(layer)

    def calculate(signs: Decisions) -> tuple[dict[str, DepthLaw], Expressivity | None]:
        found = balance(rule, values, sigma, signs)
        e = expressivity(found, sigma, signs)
        grown = {"p": found.p, "q": found.q, "chi": found.chi}
        grown |= {f"chi_{name}": growth for name, growth in found.gradients.items()}
        equal = signs.equalities()
        laws = {n: DepthLaw.of(n, grown[n].subs(equal), signs) for n in QUANTITIES if n in grown}
        if e is not None and e.approach is not None:
            e = Expressivity(e.limit, e.approach.subs(equal), e.equation)
        return laws, e

    cases = [PhaseCase(_shortest(c, bounded), laws, e) for c, (laws, e) in every_case(calculate, bounded)]
    return VariationPhases(sigma, type(layer).__name__, betas, sizes, tuple(cases))


def _shortest(conditions: list[Condition], bounded: frozenset[Any]) -> tuple[Condition, ...]:
    """Without conditions that follow from the others."""
    kept = list(conditions)
    for condition in list(conditions):
        others = [c for c in kept if c is not condition]
        expression, sign = condition
        if not any(feasible([*others, (expression, s)], bounded) for s in (-1, 0, 1) if s != sign):
            kept = others
    return tuple(kept)


def exact(name: str, value: Any) -> Any:
    """A number as the rational that was written, 1/3 too; SymPy expressions as they are."""
    import sympy as sp

    if isinstance(value, sp.Expr):
        return value
    try:
        if isinstance(value, (str, Fraction)):
            number = Fraction(value)
        else:
            short = Fraction(float(value)).limit_denominator(SHORT)
            number = short if float(short) == float(value) else Fraction(repr(float(value)))
    except (TypeError, ValueError, OverflowError, ZeroDivisionError):
        raise InputError(f"{name} is {value!r}; give a number, a SymPy expression or 'symbolic'") from None
    return sp.Rational(number.numerator, number.denominator)


def _size(name: str, value: Any) -> Any:
    import sympy as sp

    if isinstance(value, str) and value == "symbolic":
        return sp.Symbol(name, positive=True)
    found = exact(name, value)
    if found.is_positive or found == 0:
        return found
    raise InputError(f"{name} is {value!r}; it must be finite and not negative, a symbol positive")


def _beta(name: str, value: Any) -> Any:
    import sympy as sp

    if isinstance(value, str) and value == "symbolic":
        return sp.Symbol(name, nonnegative=True)
    found = sp.expand(exact(name, value))
    if found.is_number and not found.is_nonnegative:
        raise InputError(f"{name} is {value!r}; it must not be negative: variances fall with depth, or stay")
    symbols = sorted(found.free_symbols, key=str)
    if symbols and (not found.is_polynomial(*symbols) or sp.Poly(found, *symbols).total_degree() > 1):
        raise InputError(f"{name} is {value!r}; it must be linear in its symbols")
    return found


__all__ = ["NAMES", "VariationPhases", "variation_phases"]
