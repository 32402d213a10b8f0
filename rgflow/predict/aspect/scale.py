"""The scale depth over width of a critical network: nu, r*, information and cut-offs as functions of L/n alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rgflow.checks import not_negative, positive, whole
from rgflow.errors import NoClosedForm
from rgflow.predict.aspect.growth import Growth, growth, most_layers, tangent_depth
from rgflow.universality.criticality import Criticality
from rgflow.universality.kernel_step import kernel_step
from rgflow.universality.points import named

if TYPE_CHECKING:
    import sympy


@dataclass(frozen=True)
class Scale:
    """What depends on depth over width alone.

    Attributes
    ----------
    criticality : Criticality
        Of the activation in its layer: the class, the critical point, nu.
    n_out : int
        Output neurons, over which information is shared.
    first_kernel : float
        K of the first layer where flows start; K* at a half-stable point.
    """

    criticality: Criticality
    n_out: int
    first_kernel: float

    @property
    def universality_class(self) -> str:
        """ "scale-invariant", "K*=0" or "half-stable"."""
        return self.criticality.universality_class

    @property
    def nu(self) -> Any:
        """V/(n K^2) -> nu l/n, a SymPy number; with all that neurons remember, if layers have a skip."""
        return self.criticality.vertex_growth

    @cached_property
    def nu_book(self) -> Any:
        """The same in the book's closure in one time: nu itself where neurons remember nothing; None if not solved."""
        import sympy as sp

        from rgflow.universality.solve import solve

        layer = self.criticality.layer
        if not kernel_step(layer).remembers or self.criticality.K_star == 0:
            return self.nu  # where the kernel vanishes odd correlators do with it, and both closures agree
        try:
            found = solve("V", self.criticality.activation, layer=layer, closure="book")
            given = {"k": self.first_kernel} if self.criticality.K_star is None else {}
            at = [sp.Float(found.at(depth, **given)) / self.first_kernel**2 for depth in (2, 3)]
        except NoClosedForm:
            return None
        return at[1] - at[0]

    @property
    def groups(self) -> tuple[int, int]:
        """The two groups of outputs that share information, n_out//2 and the rest; of one output, two neurons."""
        return (self.n_out // 2, self.n_out - self.n_out // 2) if self.n_out > 1 else (1, 1)

    @property
    def continued(self) -> bool:
        """Whether n_out = 1, to which the formula is only continued: one neuron shares nothing with another."""
        return self.n_out == 1

    @cached_property
    def best_fluctuation(self) -> Any:
        """v*, where the truncated series of the information is largest: exact."""
        return _largest(self.n_out)[0]

    @property
    def best_ratio_exact(self) -> Any:
        """r* = v*/nu as a SymPy number; infinite where fluctuations do not grow."""
        import sympy as sp

        return sp.oo if self.nu == 0 else self.best_fluctuation / self.nu

    @property
    def best_ratio(self) -> float:
        """r*, the depth over width that PDLT proposes: the maximum of a truncated series."""
        return float(self.best_ratio_exact)

    @property
    def end(self) -> float:
        """The depth over width beyond which the truncated series is negative."""
        return float(self.best_ratio_exact * _largest(self.n_out)[1] / self.best_fluctuation)

    def fluctuation(self, ratio: float | None = None) -> float:
        """v = nu L/n at a depth over width, by default r*."""
        if ratio is None:
            return float(self.best_fluctuation)
        return float(self.nu) * not_negative("ratio", ratio)

    def series(self, ratio: float | None = None) -> float:
        """I(n_1; n_2) in nats as the series through v^3, at a depth over width (by default r*).

        Of one output it is I(1; 1) of two neurons, and not the continued series, whose maximum is r*:
        :func:`continued_at`.
        """
        return series_at(self.groups, self.fluctuation(ratio))

    def mixture(self, ratio: float | None = None, law: str = "gamma") -> float:
        """I(n_1; n_2) in nats of the scale mixture, not truncated, with the same v = nu L/n.

        ``law`` of the common variance: "gamma" or "log-normal"; V fixes its width, not its shape.
        """
        from rgflow.predict.information.mixture import mixture_information

        return mixture_information(*self.groups, self.fluctuation(ratio), law)[0]

    def kurtosis_cutoff(self, bound: float = 1.0) -> float:
        """The depth over width at which the excess kurtosis of an output, 3 nu L/n, reaches a bound."""
        return positive("bound", bound) / (3 * float(self.nu)) if self.nu != 0 else np.inf

    @property
    def tangent_depth(self) -> float | None:
        """At a half-stable K*: the depth beyond which tangent kernels fluctuate faster than nu says; else None."""
        return tangent_depth(self.criticality.activation, self.criticality.point)

    def growth(self, depth: int) -> Growth:
        """Fluctuations layer by layer, as coefficients of 1/n, from a flow at the critical point."""
        return growth(self.criticality.point, whole("depth", depth, 2), self.first_kernel)

    def most_layers(self) -> int:
        """How many layers are flowed at most; deeper networks go by nu."""
        return most_layers(self.criticality.point)

    def __repr__(self) -> str:
        where = named(self.criticality.activation, self.criticality.layer)
        nu, ratio = f"{float(self.nu):.6g}", f"{self.best_ratio:.6g}"
        return f"{type(self).__name__}({where}: nu = {nu}, n_out = {self.n_out}, r* = {ratio})"


def series_at(groups: tuple[int, int], v: float) -> float:
    """The truncated series of the information of two groups at a number."""
    from rgflow.predict.information.series import shared

    expression = shared(*groups)
    return float(expression.subs(next(iter(expression.free_symbols)), v))


def continued_at(found: Scale, v: Any) -> NDArray[np.float64]:
    """The series of which v* is the maximum, at numbers: n_1 n_2 times that of a pair, continued to one output."""
    import sympy as sp

    from rgflow.predict.information.series import per_pair

    expression = per_pair().subs(sp.Symbol("N", positive=True), found.n_out)
    coefficients = sp.Poly(expression, sp.Symbol("v", positive=True)).all_coeffs()
    pairs = found.groups[0] * found.groups[1]
    return np.asarray(pairs * np.polyval([float(c) for c in coefficients], v), np.float64)


def _largest(n_out: int) -> tuple[sympy.Expr, sympy.Expr]:
    from rgflow.predict.information.series import largest

    best, end = (x.subs(next(iter(x.free_symbols)), n_out) for x in largest())
    return best, end
