r"""``critical_line``: where networks with normalised layers are critical, derived from the step of one layer.

At the fixed point K* = (C_b + C_W M)/(1 - a), a = skip^2, the factor a + C_W s(K*) of partial Jacobians is 1 where

.. math:: C_W = \frac{1 - a}{s(K^*)}, \qquad C_b = C_W\, [K^* s(K^*) - M].

Before sigma K s(K) is a number, and so it is after a scale-invariant sigma: a straight line, the same for every skip.
For others the bracket changes along the line, which K* parametrises. By the inequality of Poincare K <s's'> is never
below <ss> - <s>^2: LayerNorm after sigma has a line at C_b >= 0 for every sigma, and at C_b = 0 every sigma that is not
linear leaves it chaotic.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

from rgflow.activations import Activation
from rgflow.activations import activation as find_activation
from rgflow.algebra.symbolic import hyperparameter
from rgflow.errors import InputError, NoCriticalPoint
from rgflow.network import Layer
from rgflow.network.kinds.layer_norm import LayerNorm
from rgflow.scaling.growth.printing import latex_of, text_of
from rgflow.scaling.homogeneous import refuse_jumps
from rgflow.scaling.normalised_law import checked_step, given
from rgflow.scaling.normalised_step import (
    NormalisedStep,
    at_large_kernels,
    averages_in,
    evaluated,
    kernel_symbol,
    normalises,
)
from rgflow.scaling.regimes import shortened
from rgflow.universality.averages import odd

ROUNDING = 1e-25  # what is left of a zero of 30 digits


@dataclass(frozen=True)
class CriticalLine:
    """The line chi_J = 1 in the plane of C_b and C_W.

    Attributes
    ----------
    activation : Activation
    layer : Layer
        Its kind, place and skip; its variances play no part.
    everywhere : bool
        |skip| = 1: chi_J tends to 1 for every C_b and C_W > 0, and ``jacobian_law`` says as which power it gets there.
    slope : SymPy number or None
        C_b = slope C_W; None for a curve, or everywhere.
    chi_J : sympy.Expr
        The factor at the fixed point for any C_b and C_W, in Symbols of these names; averages that depend on them and
        have no closed form stay ``Average(orders, pending, kernel)``.
    """

    activation: Activation
    layer: Layer
    everywhere: bool
    slope: Any
    chi_J: Any
    step: NormalisedStep = field(repr=False)

    def at(self, K_star: float) -> tuple[float, float]:
        """(C_b, C_W) of the point of the line with this fixed point of the kernel.

        Raises NoCriticalPoint where C_b would be negative, or if the kernel has no fixed point.
        """
        if self.everywhere:
            raise NoCriticalPoint(
                f"the kernel of {self.layer!r} grows for ever, and has no fixed point; every C_b and C_W is critical"
            )
        kernel = _positive(K_star)
        slope = evaluated(self.step.slope.subs(kernel_symbol(), kernel), self.activation)
        weight = (1 - _kept(self.layer)) / slope
        bias = weight * _number(kernel * slope - evaluated(self.step.read, self.activation))
        if bias < 0:
            raise NoCriticalPoint(
                f"K* = {float(kernel):g} of {self.activation.name} takes C_b = {float(bias):.6g}, which is negative: "
                "networks with this kernel have chi_J < 1"
            )
        return float(bias), float(weight)

    def latex(self) -> str:
        """As LaTeX (without delimiters)."""
        if self.everywhere:
            return r"\chi_J \to 1 \text{ for every } C_b, C_W"
        return ", ".join(f"{name} = {latex_of(value)}" for name, value in self._sides(latex=True))

    def __str__(self) -> str:
        if self.everywhere:
            return "every C_b and C_W > 0 is critical"
        line = ", ".join(f"{name} = {text_of(value)}" for name, value in self._sides(latex=False))
        return line if self.slope is not None else f"{line}, averages at K_star"

    def _sides(self, latex: bool) -> list[tuple[str, Any]]:
        import sympy as sp

        C_W = hyperparameter("C_W")
        if self.slope is not None:
            return [("C_b", self.slope * C_W)]
        K = sp.Symbol("K_star" if not latex else "K^*", positive=True)
        put = {
            node: sp.Integer(0) if odd((orders, pending), self.activation.parity) else sp.Symbol(_named(orders, latex))
            for node, orders, pending, _ in averages_in(self.step.slope)
        }
        slope = self.step.slope.xreplace(put).subs(kernel_symbol(), K)
        return [("C_b", C_W * (K * slope - self.step.read)), ("C_W", (1 - _kept(self.layer)) / slope)]


def critical_line(activation: Any, layer: Layer | None = None) -> CriticalLine:
    r"""The line on which deep networks with normalised layers are critical.

    .. math:: J^{l_0, l+1} = \chi_J\, J^{l_0, l}, \qquad \chi_J(K^*) = 1

    Parameters
    ----------
    activation : str, sympy expression or Activation
    layer : LayerNorm or RMSNorm, default ``LayerNorm()``
        With its place and skip; its variances play no part.

    Returns
    -------
    CriticalLine

    Raises
    ------
    NoCriticalPoint
        For layers without a norm, which have points (see ``rgflow.criticality``); where every network is on one side;
        for an epsilon that is not zero, or |skip| > 1.
    NoClosedForm, KinkError, InputError
        As ``jacobian_law``.

    Source: Doshi, He, Gromov (arXiv:2111.12143).

    >>> from rgflow.network.kinds.layer_norm import LayerNorm
    >>> print(critical_line("gelu"), "|", critical_line("relu", LayerNorm(place="after", skip=0.9)))
    C_b = sqrt(3) C_W/(18 pi) | C_b = C_W/(-1 + pi)
    """
    sigma = find_activation(activation)
    layer = LayerNorm() if layer is None else layer
    if not normalises(layer):
        raise NoCriticalPoint(
            f"{layer!r} has no norm, and its critical points are single ones: rgflow.criticality gives them; a line "
            "belongs to LayerNorm and RMSNorm"
        )
    refuse_jumps(sigma)
    step, kept = checked_step(layer), _kept(layer)
    if kept > 1:
        raise NoCriticalPoint(f"{layer!r} carries z with a factor beyond 1, and chi_J >= skip^2 = {float(kept):g} > 1")
    if kept == 1:
        return _everywhere(sigma, layer, step)
    K = kernel_symbol()
    chi = shortened(_factor(sigma, step, kept))
    slope = evaluated(K * step.slope - step.read, sigma)
    if slope.has(K):
        return CriticalLine(sigma, layer, False, None, chi, step)
    slope = _number(slope)
    if slope < 0:
        raise NoCriticalPoint(
            f"{sigma.name} in {layer!r} has chi_J < 1 for every C_b and C_W: criticality would take C_b = "
            f"{float(slope):.6g} C_W, which is negative; take another activation, or skip=1"
        )
    return CriticalLine(sigma, layer, False, shortened(slope), chi, step)


def _everywhere(sigma: Activation, layer: Layer, step: NormalisedStep) -> CriticalLine:
    import sympy as sp

    amplitude, fall = at_large_kernels(step.slope, sigma)
    if fall <= 0 and amplitude != 0:
        raise NoCriticalPoint(
            f"{sigma.name} in {layer!r} is critical nowhere: chi_J tends to 1 + {float(amplitude):.6g} C_W, since what "
            "the norm divides by falls with growing kernels as slopes do; take place='before'"
        )
    return CriticalLine(sigma, layer, True, None, sp.Integer(1), step)


def _factor(sigma: Activation, step: NormalisedStep, kept: Any) -> Any:
    """a + C_W s(K*), K* = (C_b + C_W M)/(1 - a)."""
    K, C_b, C_W = kernel_symbol(), hyperparameter("C_b"), hyperparameter("C_W")
    kernel = (C_b + C_W * evaluated(step.read, sigma)) / (1 - kept)
    return kept + C_W * evaluated(step.slope, sigma).subs(K, kernel)


def _kept(layer: Layer) -> Any:
    """skip^2."""
    return given(layer.value("skip")) ** 2


def _number(found: Any) -> Any:
    """A number that is zero if nothing but rounding is left of it."""
    import sympy as sp

    return sp.Integer(0) if abs(found.n(30)) < ROUNDING else found


def _positive(K_star: Any) -> Any:
    number = isinstance(K_star, Real) and not isinstance(K_star, bool)
    if not number or not 0 < K_star < math.inf:
        raise InputError(f"K_star is {K_star!r}; give a positive number")
    return given(float(K_star))


def _named(orders: tuple[int, ...], latex: bool) -> str:
    """<σ'σ'>."""
    if latex:
        return r"\langle " + "".join(r"\sigma" + "'" * k for k in orders) + r"\rangle"
    return "<" + "".join("σ" + "'" * k for k in orders) + ">"
