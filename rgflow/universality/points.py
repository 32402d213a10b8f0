r"""Critical points: the (C_b, C_W) at which perturbations of an input neither grow nor shrink.

.. math:: K^* = C_b + C_W \langle\sigma\sigma\rangle_{K^*}, \qquad
          \chi_\parallel = \tfrac12 C_W \langle\partial^2[\sigma\sigma]\rangle_{K^*} = 1, \qquad
          \chi_\perp = C_W \langle\sigma'\sigma'\rangle_{K^*} = 1.

Three kinds of solutions exist. Every K is fixed if sigma(a z) = a sigma(z), a > 0 (scale-invariant). K* = 0 is one if
sigma(0) = 0 and sigma'(0) is not zero; it attracts if <sigma sigma> bends downwards. And K* > 0 is one wherever
chi_parallel = chi_perp, that is <d^2[sigma sigma]> = 2 <sigma'sigma'>, if C_b comes out not negative; there K' - K
starts quadratically, so that K is attracted from one side only (half-stable). Source: PDLT chapter 5.

Other layers than dense ones keep a part of the kernel themselves and leave the rest to sigma, see
:mod:`rgflow.universality.kernel_step`: their points are those of dense layers with C_b and C_W in proportion.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np

from rgflow.activations import Activation
from rgflow.brackets import gaussian_moments
from rgflow.brackets.closed import closed_bracket
from rgflow.brackets.series import derivatives_at_zero, kernel_series
from rgflow.errors import AccuracyError, NoCriticalPoint
from rgflow.network import Dense, Layer
from rgflow.universality.half_stable import CERTAIN, SPARE_DIGITS, SQUARE, positive_kernels
from rgflow.universality.kernel_step import KernelStep, bare, kernel_step

SCALE_INVARIANT, VANISHING, HALF_STABLE = "scale-invariant", "K*=0", "half-stable"
MARGINAL = "marginal: a kernel stays where it is"

MOST_FLAT = 6  # powers of K that may vanish before the average itself is asked


@dataclass(frozen=True)
class CriticalPoint:
    """One critical point of an activation.

    Attributes
    ----------
    activation : Activation
    universality_class : "scale-invariant", "K*=0" or "half-stable"
    C_b, C_W : float
    K_star : float or None
        The fixed point; None when every kernel is one.
    stable : bool
        Whether kernels near K_star flow to it or stay (of a half-stable point: from one side).
    stability : str
        The same in words.
    exact : tuple of (name, SymPy number)
        C_b, C_W and K_star as SymPy numbers, exact where ``symbolic``.
    symbolic : bool
        Whether these are exact; else they are good to 15 digits.
    layer : Layer
        The layer that is critical; of its hyperparameters only a skip strength counts.
    """

    activation: Activation
    universality_class: str
    C_b: float
    C_W: float
    K_star: float | None
    stable: bool
    stability: str
    exact: tuple[tuple[str, Any], ...]
    symbolic: bool
    layer: Layer = field(default_factory=Dense)

    @property
    def values(self) -> dict[str, Any]:
        """C_b, C_W, K_star as SymPy numbers."""
        return dict(self.exact)

    def __repr__(self) -> str:
        return f"CriticalPoint({named(self.activation, self.layer)}: {self})"

    def __str__(self) -> str:
        where = "every K is fixed" if self.K_star is None else f"K* = {self.K_star:.10g}"
        kind = "" if self.stability.startswith(self.universality_class) else f"{self.universality_class}, "
        return f"C_b = {self.C_b:.10g}, C_W = {self.C_W:.10g}, {where}: {kind}{self.stability}"


def named(activation: Activation, layer: Layer) -> str:
    """The activation, and the layer if it is not dense."""
    kind = kernel_step(layer)
    if type(layer) is Dense:
        return activation.name
    skip = f", skip = {layer.value('skip'):g}" if kind.carries else ""
    return f"{activation.name} in {kind.named} layer{skip}"


def points(activation: Activation, layer: Layer | None = None) -> tuple[CriticalPoint, ...]:
    """All critical points, stable ones first, those with the smaller kernel before the others.

    Raises NoCriticalPoint with the reason if there is none.

    >>> from rgflow.activations import activation
    >>> [(p.C_b, p.C_W, p.universality_class) for p in points(activation("relu"))]
    [(0.0, 2.0, 'scale-invariant')]
    """
    step = kernel_step(bare(layer))
    found, reasons = _of_layer(activation, step.layer)
    if not found:
        raise NoCriticalPoint(f"{named(activation, step.layer)} has no critical point: {'; '.join(reasons)}")
    return found


def recommended(activation: Activation, layer: Layer | None = None) -> CriticalPoint:
    """The stable critical point with the smallest kernel.

    Raises NoCriticalPoint with the reason if there is none.

    >>> from rgflow.activations import activation
    >>> recommended(activation("gelu")).K_star
    3.5615528128088303
    """
    best = points(activation, layer)[0]
    if not best.stable:
        _, reasons = _of_layer(activation, best.layer)
        raise NoCriticalPoint(
            f"{named(activation, best.layer)} has no stable critical point, only {best}; {'; '.join(reasons)}"
        )
    return best


# A layer and its own part of the kernel -------------------------------------------------------------------------------


def _of_layer(activation: Activation, layer: Layer) -> tuple[tuple[CriticalPoint, ...], tuple[str, ...]]:
    step = kernel_step(layer)
    if step.odd and activation.parity != -1:
        return (), (f"its law holds for odd activations, and {activation.name} is not",)
    if step.weight is None:
        return (_without_activation(activation, step),), ()
    kept = step.carried
    if kept >= 1:
        how = (
            "K' = K + C_b + C_W <sigma sigma> grows in every layer unless C_b = C_W = 0"
            if kept == 1
            else f"skip^2 = {float(kept):g} > 1 alone makes every kernel grow exponentially"
        )
        return (), (how,)
    found, reasons = _search(activation)
    refused = []
    if step.added is None:
        for point in found:
            if point.C_b:
                refused.append(
                    f"K* = {point.K_star:.6g} would need C_b = {point.C_b:.6g}, and {step.named} layer has none"
                )
        found = tuple(point for point in found if not point.C_b)
    if type(layer) is not Dense:
        found = tuple(_left_over(point, layer, 1 - kept) for point in found)
    return found, (*refused, *reasons)


def _left_over(point: CriticalPoint, layer: Layer, left: Any) -> CriticalPoint:
    """The point of a dense layer where only a part ``left`` of the kernel is renewed."""
    if left == 1:
        return replace(point, layer=layer)
    values = point.values
    moved = {name: value if name == "K_star" else _times(left, value) for name, value in values.items()}
    C_b, C_W = (float(moved[name].evalf(SPARE_DIGITS)) for name in ("C_b", "C_W"))
    return replace(point, layer=layer, C_b=C_b, C_W=C_W, exact=tuple(moved.items()))


def _times(left: Any, value: Any) -> Any:
    import sympy

    return left * value if value.has(sympy.Float) else sympy.cancel(left * value)


def _without_activation(activation: Activation, step: KernelStep) -> CriticalPoint:
    """K' = C_b + C_W K: every kernel is fixed at C_W = 1, C_b = 0, whatever sigma the network has."""
    import sympy

    values = (sympy.Integer(0), sympy.Integer(1), None)
    point = _point(activation, SCALE_INVARIANT, values, True, MARGINAL, True)
    return replace(point, layer=step.layer)


@lru_cache(maxsize=128)
def _search(activation: Activation) -> tuple[tuple[CriticalPoint, ...], tuple[str, ...]]:
    """Those of dense layers."""
    if activation.slopes is not None and any(activation.slopes):
        return (_scale_invariant(activation),), ()
    reasons: list[str] = []
    found = [*_vanishing(activation, reasons), *_half_stable(activation, reasons)]
    return tuple(sorted(found, key=lambda p: (not p.stable, p.K_star))), tuple(reasons)


def _point(
    activation: Activation, kind: str, values: tuple[Any, Any, Any], stable: bool, stability: str, symbolic: bool
) -> CriticalPoint:
    C_b, C_W, K_star = values
    if not np.isfinite(float(C_W.evalf(SPARE_DIGITS))):
        raise AccuracyError(
            f"C_W = {C_W.evalf(3)} of {activation.name} is beyond double precision; scale the activation"
        )
    exact = tuple((name, v) for name, v in zip(("C_b", "C_W", "K_star"), values, strict=True) if v is not None)
    return CriticalPoint(
        activation,
        kind,
        float(C_b.evalf(SPARE_DIGITS)),
        float(C_W.evalf(SPARE_DIGITS)),
        None if K_star is None else float(K_star.evalf(SPARE_DIGITS)),
        stable,
        stability,
        exact,
        symbolic,
    )


# Every kernel is fixed ------------------------------------------------------------------------------------------------


def _scale_invariant(activation: Activation) -> CriticalPoint:
    import sympy

    kernel = sympy.Symbol("K", positive=True)
    C_W = sympy.cancel(kernel / closed_bracket(activation, (0, 0)))
    values = (sympy.Integer(0), C_W, None)
    return _point(activation, SCALE_INVARIANT, values, True, MARGINAL, True)


# K* = 0 ---------------------------------------------------------------------------------------------------------------


def _vanishing(activation: Activation, reasons: list[str]) -> list[CriticalPoint]:
    import sympy

    if not activation.continuous:
        return []  # the reason is given where K* > 0 is looked for
    value, square = _at_zero(activation)
    if value != 0 or square == 0:
        reasons.append("sigma(0) is not 0" if value != 0 else "sigma'(0) = 0")
        return []
    values = (sympy.Integer(0), sympy.cancel(1 / square), sympy.Integer(0))
    bend = _bend(activation, square)
    stable = bend < 0
    how = "stable: small kernels decay to 0" if stable else "unstable: small kernels grow"
    if not stable:
        reasons.append("K* = 0 is unstable")
    return [_point(activation, VANISHING, values, stable, how, not square.has(sympy.Float))]


def _at_zero(activation: Activation) -> tuple[Any, Any]:
    """sigma(0) and the limit of <sigma'sigma'> for K -> 0: sigma'(0)^2, at a kink the mean of both sides."""
    import sympy

    from rgflow.activations.convert import to_sympy

    if 0.0 not in activation.kinks:
        value, slope = derivatives_at_zero(activation, 1)
        return value, slope**2
    z = sympy.Symbol("z", real=True)
    place = activation.kinks.index(0.0)
    left, right = (to_sympy(activation.pieces[i]) for i in (place, place + 1))
    slopes = [side.diff(z).subs(z, 0) for side in (left, right)]
    return left.subs(z, 0), (slopes[0] ** 2 + slopes[1] ** 2) / 2


def _bend(activation: Activation, square: Any) -> float:
    """The sign of <sigma sigma>/<sigma'sigma'>_0 - K: of its first power of K; where none shows, of the average."""
    import sympy

    slope = sympy.sqrt(square)
    for m in range(1, MOST_FLAT + 1) if 0.0 not in activation.kinks else ():
        digits = [(c / slope).evalf(2 * SPARE_DIGITS) for c in derivatives_at_zero(activation, 2 * m + 2)]
        a = kernel_series(digits, (0, 0), 0, m + 2)[m + 1]
        if abs(a) > 1e-20:
            return float(a)
    kernels = np.geomspace(1e-3, 1.0, 13)
    values, errors = gaussian_moments(activation, kernels[:, None, None], [SQUARE])
    excess = values[:, 0] / float(slope) ** 2 - kernels
    certain = np.flatnonzero(np.abs(excess) > CERTAIN * errors[:, 0] / float(slope) ** 2)
    return float(excess[certain[0]]) if certain.size else 0.0


# K* > 0 ---------------------------------------------------------------------------------------------------------------


def _half_stable(activation: Activation, reasons: list[str]) -> list[CriticalPoint]:
    return [
        _point(activation, HALF_STABLE, values, True, how, symbolic)
        for values, how, symbolic in positive_kernels(activation, reasons)
    ]
