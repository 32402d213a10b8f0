r"""``jacobian_law``: what partial Jacobians become in a deep network of equal layers, derived.

.. math:: J^{l_0, l} \sim l^{-\zeta} \text{ (critical)}, \qquad J^{l_0, l} \sim \chi_J^l, \; \xi_J = 1/|\ln \chi_J|,
          \qquad J^{l_0, l} \sim e^{\rho\, l^x}, \; 0 < x < 1

One sign convention: zeta is positive where Jacobians fall, so that growth as a power of the depth is a negative zeta.

With K' = c + a K + w <sigma sigma> and chi_J = a + w <sigma'sigma'> (:mod:`rgflow.universality.kernel_step`):

- a < 1: the kernel ends at the fixed point of a dense layer with c/(1 - a), w/(1 - a), where chi_J - 1 is 1 - a times
  that of the dense layer. At a critical point zeta follows from the way there: chi_J = 1 - zeta/l.
- a = 1: the kernel grows, and the average of a slope falls with it. Bounded sigma has <sigma sigma> -> s^2 and
  <sigma'sigma'> -> I/sqrt(2 pi K), I = int sigma'^2 dz, so that K = (c + w s^2) l and

.. math:: \ln J = 2 w I \sqrt{l} / \sqrt{2\pi (c + w s^2)} = \sqrt{l/\lambda}.

- a > 1: the kernel grows as a power of a number, and chi_J tends to a, or a + w A_2 for sigma that tends to lines.

Source: Doshi, He, Gromov (arXiv:2111.12143), who have erf and relu; equation numbers not seen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from rgflow.activations import Activation
from rgflow.activations import activation as find_activation
from rgflow.errors import InputError, NoCriticalPoint
from rgflow.network import Dense, Layer
from rgflow.network.layer import not_negative
from rgflow.scaling.growth.printing import latex_of, text_of
from rgflow.scaling.growth.tails import far
from rgflow.scaling.normalised_law import normalised_law
from rgflow.scaling.normalised_step import normalises
from rgflow.scaling.regimes import DIGITS, Regime, approaching, exponential, power, without_sigma
from rgflow.universality.averages import average_at, bracket_node
from rgflow.universality.fixed_points import fixed_points
from rgflow.universality.kernel_step import exact, kernel_step
from rgflow.universality.points import HALF_STABLE, VANISHING, CriticalPoint, points
from rgflow.universality.rates import exponents

SAME = 1e-12  # hyperparameters this near to a critical point's are those
# < d^2[sigma'sigma'] > and < d^4[sigma sigma] >
SLOPE_BENDS, SQUARE_BENDS = ((1, 1), 2), ((0, 0), 4)


@dataclass(frozen=True)
class JacobianLaw:
    """J^{l0,l} for l far above l0, up to a factor that the layers between determine.

    Attributes
    ----------
    activation : Activation
    layer : Layer
        With its hyperparameters.
    regime : "constant", "power", "stretched exponential" or "exponential"
    expression : sympy.Expr
        In Symbol("l"): l^-zeta, exp(rate l^power) or chi_J^l.
    chi_J : SymPy number
        The limit of the factor from one layer to the next.
    zeta : SymPy number or None
        J ~ l^-zeta, positive where J falls; 0 where it tends to a constant, None where it is no power.
    rate, power : SymPy numbers or None
        ln J ~ rate l^power of a stretched exponential; with power 1/2 the rate is 1/sqrt(lambda).
    K_star : float or None
        Where the kernel ends, inf if it grows for ever; None where every kernel stays.
    """

    activation: Activation
    layer: Layer
    regime: str
    expression: Any
    chi_J: Any
    zeta: Any = None
    rate: Any = None
    power: Any = None
    K_star: float | None = None

    @property
    def xi_J(self) -> float:
        """Correlation length 1/|ln chi_J| in layers: inf where chi_J tends to 1, 0 where it tends to 0."""
        chi = float(self.chi_J)
        return math.inf if chi == 1 else 0.0 if chi in (0.0, math.inf) else 1 / abs(math.log(chi))

    @property
    def length(self) -> Any:
        """lambda in J ~ exp(sqrt(l/lambda)), in layers; None for any other law."""
        import sympy as sp

        return sp.simplify(1 / self.rate**2) if self.power == sp.Rational(1, 2) else None

    def latex(self) -> str:
        """As LaTeX (without delimiters)."""
        return rf"\mathcal{{J}}^{{\ell_0,\ell}} \propto {latex_of(self.expression)}"

    def __str__(self) -> str:
        return f"J ~ {text_of(self.expression)}"


def jacobian_law(activation: Any, layer: Layer | None = None, *, first_kernel: float | None = None) -> JacobianLaw:
    r"""How the partial Jacobians of a deep network grow or fall with depth, all layers but the first being alike.

    .. math:: J^{l_0, l} \sim l^{-\zeta}, \quad e^{\text{rate}\, l^{\text{power}}} \quad \text{or} \quad \chi_J^{\,l}

    Parameters
    ----------
    activation : str, sympy expression or Activation
    layer : a layer description, default the critical ``Dense``
        With its variances and its skip strength; dense, linear, residual and normalised layers. Others raise
        NoCriticalPoint.
    first_kernel : float, optional
        The kernel of layer 1, which decides between several fixed points; 1 by default. At a half-stable critical point
        the fixed point itself by default, where zeta = 0: other kernels approach it as 1/l, and zeta is another.

    Returns
    -------
    JacobianLaw

    Raises
    ------
    NoCriticalPoint
        For a layer whose kernel is not followed: several weight matrices.
    NoClosedForm
        Where sigma tends neither to lines nor to constants, and its kernel grows.
    InputError, UnknownName, FormulaError, KinkError, AccuracyError

    >>> from rgflow.network.kinds.residual import Residual
    >>> print(jacobian_law("tanh"), "|", jacobian_law("erf", Residual(skip=1.0, C_W=1.0)))
    J ~ 1/l | J ~ exp(4 sqrt(l)/pi)
    >>> jacobian_law("relu", Residual(skip=1.0, C_W=1.0)).chi_J
    3/2
    """
    sigma = find_activation(activation)
    if first_kernel is not None:
        first_kernel = not_negative("first_kernel", first_kernel)
    if layer is None:
        best = points(sigma)[0]
        layer = Dense(C_b=best.C_b, C_W=best.C_W)
    found = normalised_law(sigma, layer) if normalises(layer) else _plain_law(sigma, layer, first_kernel)
    return JacobianLaw(sigma, layer, *found)


def _plain_law(sigma: Activation, layer: Layer, first_kernel: float | None) -> Regime:
    """Of layers without a norm."""
    step = kernel_step(layer)
    if step.odd and sigma.parity != -1:
        raise NoCriticalPoint(f"the law of {step.named} layer holds for odd activations, and {sigma.name} is not odd")
    hyper = {name: exact(layer.value(name)) for name in layer.hyperparameters()}
    added, kept, weight = step.values(hyper)
    if not weight:
        return without_sigma(added, kept)
    if kept < 1:
        return _renewed(sigma, added / (1 - kept), weight / (1 - kept), kept, first_kernel)
    if kept == 1:
        return _growing(sigma, added, weight)
    tail = far(sigma)
    return exponential(kept + (weight * tail.slope if tail.degree == 1 else 0), math.inf)


# The kernel ends at a fixed point -------------------------------------------------------------------------------------


def _renewed(sigma: Activation, C_b: Any, C_W: Any, kept: Any, first_kernel: float | None) -> Regime:
    """By the dense layer with C_b, C_W; at one of its critical points with the exponent that belongs to it."""
    for point in _points(sigma):
        if _same(point.C_b, C_b) and _same(point.C_W, C_W) and point.stable:
            return _critical(point, first_kernel)
    found = fixed_points(
        sigma, C_b=float(C_b), C_W=float(C_W), first_kernel=1.0 if first_kernel is None else first_kernel
    )
    K_star = float(found.K_star)
    if int(found.phase) == 0:
        return power(0, K_star)
    chi = kept + (1 - kept) * float(found.chi_perpendicular)
    return exponential(chi, K_star)


def _points(sigma: Activation) -> tuple[CriticalPoint, ...]:
    try:
        return points(sigma)
    except NoCriticalPoint:
        return ()


def _same(value: float, given: Any) -> bool:
    return abs(value - float(given)) <= SAME * max(abs(value), abs(float(given)))


def _critical(point: CriticalPoint, first_kernel: float | None) -> Regime:
    """l^-zeta at a critical point, the same with and without a skip."""
    zeta: Any = 0
    if point.universality_class == VANISHING:
        zeta = exponents(point)[1]
    elif point.universality_class == HALF_STABLE and first_kernel is not None and not _same(first_kernel, point.K_star):
        zeta = beside(point, first_kernel)
    return power(zeta, point.K_star)


def beside(point: CriticalPoint, first_kernel: float | None = None) -> Any:
    r"""zeta where a kernel flows to a half-stable fixed point from the side that it attracts.

    With F(K) the next kernel, K - K* = -2/(F'' l) and chi_J - 1 = (d chi_J/dK)(K - K*) give

    .. math:: \zeta = \frac{2}{F''} \frac{d\chi_J}{dK}
              = \frac{4 \langle\partial^2[\sigma'\sigma']\rangle}{\langle\partial^4[\sigma\sigma]\rangle}.

    Raises InputError for a first kernel on the other side, from which flows leave.
    """
    kernel = point.values["K_star"]
    slope, bend = (average_at(point.activation, bracket_node(*x), kernel) for x in (SLOPE_BENDS, SQUARE_BENDS))
    attracts = "below" if bend > 0 else "above"
    if first_kernel is not None and (first_kernel < float(kernel)) != (attracts == "below"):
        raise InputError(
            f"first_kernel is {first_kernel:g}, and K* = {float(kernel):.6g} of {point.activation.name} attracts "
            f"kernels {attracts} it alone: from there the flow runs away; choose a kernel {attracts} K*"
        )
    return (4 * slope / bend).evalf(DIGITS)


# The kernel grows -----------------------------------------------------------------------------------------------------


def _growing(sigma: Activation, added: Any, weight: Any) -> Regime:
    """a = 1: K' - K = c + w <sigma sigma>_K and chi_J - 1 = w <sigma'sigma'>_K at large kernels."""
    import sympy as sp

    tail = far(sigma)
    if tail.degree == 1:
        return exponential(1 + weight * tail.slope, math.inf)
    # dK/dl = c + w square K^degree
    if tail.degree < 0 and added:
        amplitude, grown = added, sp.Integer(1)
    elif tail.degree == 0:
        amplitude, grown = added + weight * tail.square, sp.Integer(1)
    else:
        grown = 1 / (1 - tail.degree)
        amplitude = (weight * tail.square / grown) ** grown
    return approaching(weight * tail.slope * amplitude**-tail.fall, tail.fall * grown)
