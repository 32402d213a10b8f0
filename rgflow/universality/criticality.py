r"""``criticality``: how an activation must be tuned, and what depth then does to every tensor.

The class of an activation, for K* = 0 with the way in which sigma bends at 0, fixes the exponents; sigma itself fixes
the amplitudes. All of it is derived: the points from the averages, the power laws from the recursions (PDLT chapters 5,
8, 9, 11 derive some by hand).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from typing import Any

import numpy as np

from rgflow.activations import Activation
from rgflow.activations import activation as find_activation
from rgflow.errors import InputError
from rgflow.network import Dense, Layer
from rgflow.universality.assumptions import (
    ALL_MEMORY,
    ALMOST_EVERYWHERE,
    AT_THE_FIXED_POINT,
    NEAR_THE_INPUT,
    RATES_BY_LAYER,
    SAME_RATES,
    SCALED_START,
    equal_widths,
)
from rgflow.universality.fixed_points import CorrelationLengths, correlation_lengths
from rgflow.universality.kernel_step import kernel_step
from rgflow.universality.kernel_table import at_zero, averages
from rgflow.universality.laws import DOUBLE, TABLE, fixed_with_memory, power_laws
from rgflow.universality.numbers import simplest
from rgflow.universality.points import HALF_STABLE, VANISHING, CriticalPoint, named, points, recommended
from rgflow.universality.power_law import PowerLaw
from rgflow.universality.rates import exponents, parallel_exponent


@dataclass(frozen=True)
class Criticality:
    """The critical behaviour of an activation, at its recommended point.

    Attributes
    ----------
    point : CriticalPoint
        The stable one with the smallest kernel; its values are also attributes here.
    points : tuple of CriticalPoint
        All of them; unstable ones say so.
    """

    point: CriticalPoint
    points: tuple[CriticalPoint, ...]

    @property
    def activation(self) -> Activation:
        """Whose."""
        return self.point.activation

    @property
    def layer(self) -> Layer:
        """The kind of layer that is critical, with its skip strength if it has one."""
        return self.point.layer

    @property
    def universality_class(self) -> str:
        """ "scale-invariant", "K*=0" or "half-stable"."""
        return self.point.universality_class

    @property
    def C_b(self) -> float:
        """Critical variance of biases."""
        return self.point.C_b

    @property
    def C_W(self) -> float:
        """Critical variance of weights, times fan-in."""
        return self.point.C_W

    @property
    def K_star(self) -> float | None:
        """The fixed point of the kernel; None when every kernel is one."""
        return self.point.K_star

    @property
    def stability(self) -> str:
        """What kernels near the fixed point do."""
        return self.point.stability

    @cached_property
    def _chi(self) -> tuple[float, float]:
        """(chi_parallel, chi_perpendicular), evaluated at the fixed point from the averages there."""
        step = kernel_step(self.layer)
        skip = {"skip": self.layer.value("skip")} if step.carries else {}
        _, kept, weight = step.values({"C_b": self.C_b, "C_W": self.C_W, **skip})
        if not weight:
            return float(kept), float(kept)
        if self.K_star == 0:
            _, curvature_there, slopes_there, _ = at_zero(self.activation)
            return kept + weight * curvature_there, kept + weight * slopes_there
        kernel = 1.0 if self.K_star is None else self.K_star
        (_, curvature, slopes), _ = averages(self.activation, np.array([kernel]))
        return kept + weight * float(curvature[0]), kept + weight * float(slopes[0])

    @property
    def chi_parallel(self) -> float:
        """skip^2 + C_W d<sigma sigma>/dK at the fixed point, from quadrature: 1 but for rounding."""
        return self._chi[0]

    @property
    def chi_perpendicular(self) -> float:
        """skip^2 + C_W <sigma'sigma'> at the fixed point, from quadrature: 1 but for rounding."""
        return self._chi[1]

    @cached_property
    def p_0(self) -> Any:
        """K ~ l^{-p_0}."""
        return exponents(self.point)[0]

    @cached_property
    def p_perpendicular(self) -> Any:
        """chi_perp = 1 - p_perpendicular/l + ...: the distance of nearby inputs falls as l^{-p_perpendicular}."""
        return exponents(self.point)[1]

    @property
    def zeta(self) -> Any:
        """J ~ l^{-zeta}, the partial Jacobian norm: positive where it falls, and the same number as p_perpendicular.

        At a half-stable point for flows that start there; off it, and off criticality, see ``rgflow.jacobian_law``.
        """
        return self.p_perpendicular

    @cached_property
    def p_parallel(self) -> Any:
        """chi_parallel = 1 - p_parallel/l + ..., as fluctuations of the kernel itself fall."""
        return parallel_exponent(self.point)

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What the power laws hold for."""
        step = kernel_step(self.layer)
        widths = equal_widths(step.kind)
        memory = (SCALED_START, ALL_MEMORY) if step.remembers else ()
        if self.universality_class == VANISHING:
            return (widths, f"{RATES_BY_LAYER}: x_b = -p_perp, x_W = p_0 - p_perp", NEAR_THE_INPUT, *memory)
        start = (AT_THE_FIXED_POINT,) if self.universality_class == HALF_STABLE else ()
        kinks = (ALMOST_EVERYWHERE,) if self.activation.kinks else ()
        return (widths, SAME_RATES, *start, *kinks, *memory)

    @property
    def laws(self) -> Mapping[str, PowerLaw]:
        """The power laws of K, Theta, the eleven letters, K_1 and Theta_1.

        They hold for the rates lambda_b l^{-p_perp}, lambda_W l^{p_0 - p_perp}, an equal share for every layer. Those
        of a residual layer hold with all that neurons remember; the ones that are not known so are left out, and
        asking for one raises NoClosedForm.
        """
        return power_laws(self.point)

    @property
    def exponents(self) -> dict[str, Any]:
        """The power of the depth of each tensor, as in V ~ l^exponent; None for one that vanishes."""
        return {name: None if law.vanishes else law.exponent for name, law in self.laws.items()}

    @property
    def amplitudes(self) -> dict[str, Any]:
        """The amplitude of each tensor, a SymPy expression in lambda_b, lambda_W and k."""
        return {name: law.amplitude for name, law in self.laws.items()}

    @cached_property
    def vertex_growth(self) -> Any:
        """nu in V/(n K^2) -> nu l/n, the rate at which fluctuations grow with depth; 0 if they level off."""
        import sympy as sp

        from rgflow.universality.exponentials import l
        from rgflow.universality.memory import growth

        if fixed_with_memory(self.point):
            return sp.Float(growth(self.point).rate, DOUBLE)
        laws = power_laws(self.point, ("K", "V"))
        if laws["V"].vanishes or (laws["V"].exponent - 2 * laws["K"].exponent - 1).is_negative:
            return sp.Integer(0)
        return simplest(sp.cancel(sp.powsimp(laws["V"].leading / (laws["K"].leading ** 2 * l))))

    def onset(self, tolerance: float = 0.1, first_kernel: float = 1.0) -> dict[str, int | None]:
        """The layer from which each tensor stays within a relative ``tolerance`` of its leading power law.

        With lambda_b = lambda_W = 1. Where the solution is not exact the size of the next power of the depth decides,
        with the constants of a flow that starts at ``first_kernel``. None where that is not within 1e9 layers.

        >>> criticality("relu").onset(tolerance=0.01)["V"]
        101
        """
        from rgflow.universality.onset import onset

        for name, value, most in (("tolerance", tolerance, 1.0), ("first_kernel", first_kernel, np.inf)):
            if not isinstance(value, Real) or isinstance(value, bool) or not 0 < value < most:
                upper = "" if most == np.inf else f" and below {most:g}"
                raise InputError(f"{name} is {value!r}; give a number above 0{upper}")
        return onset(self.point, self.laws, tolerance, first_kernel)

    def correlation_lengths(self, *, C_b: float, C_W: float, first_kernel: float = 1.0) -> CorrelationLengths:
        """Fixed point, susceptibilities and correlation lengths at other hyperparameters, of dense layers."""
        if type(self.layer) is not Dense:
            raise InputError(f"correlation lengths are known for dense layers, not for {self.layer!r}; flow instead")
        return correlation_lengths(self.activation, C_b=C_b, C_W=C_W, first_kernel=first_kernel)

    def __repr__(self) -> str:
        return f"Criticality({named(self.activation, self.layer)}: {self.point})"

    def __str__(self) -> str:
        lines = [f"{named(self.activation, self.layer)}: {self.point}"]
        lines += [f"  also {other}" for other in self.points if other != self.point]
        return "\n".join(lines)


def criticality(activation: Any, layer: Layer | None = None) -> Criticality:
    r"""The critical points of an activation, its universality class, exponents and amplitudes.

    .. math:: K^* = C_b + C_W \langle \sigma\sigma \rangle_{K^*}, \qquad
              \chi_\parallel = \tfrac12 C_W \langle \partial^2 (\sigma\sigma) \rangle_{K^*} = 1, \qquad
              \chi_\perp = C_W \langle \sigma' \sigma' \rangle_{K^*} = 1

    Parameters
    ----------
    activation : str, sympy expression or Activation
        Any activation, also one's own formula.
    layer : a layer description, default ``Dense()``
        Its kind, and its skip strength if it has one, count; its other hyperparameters are what is looked for.

    Returns
    -------
    Criticality
        Points at once; exponents and amplitudes of tensors when they are asked for.

    Raises
    ------
    NoCriticalPoint
        With the reason, if no choice of C_b and C_W is critical and stable, and for layers of two weight matrices.
    UnknownName, FormulaError

    >>> c = criticality("tanh")
    >>> c.universality_class, c.C_b, c.C_W, c.p_perpendicular, c.vertex_growth
    ('K*=0', 0.0, 1.0, 1, 2/3)
    >>> c.amplitudes["V"], c.exponents["V"]
    (1/6, -1)
    >>> from rgflow.network.kinds.residual import Residual
    >>> c = criticality("tanh", Residual(skip=0.5))
    >>> c.C_W, c.vertex_growth
    (0.75, 5/8)
    """
    sigma = find_activation(activation)
    best = recommended(sigma, layer)
    return Criticality(best, points(sigma, layer))


__all__ = ["TABLE", "Criticality", "criticality"]
