"""A depth for a width, with the reasons; and where a network that exists stands."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from rgflow.checks import whole
from rgflow.errors import DomainWarning, InputError
from rgflow.network import Network
from rgflow.predict.aspect.growth import BOUND
from rgflow.predict.aspect.scale import Scale, series_at
from rgflow.universality.kernel_step import kernel_step

FARTHER = 1.5  # of r* n: how deep networks are flowed at least
PAST = 0.6  # the V/(n K^2) by nu to which they are flowed: what cut-offs ask for lies before


@dataclass(frozen=True)
class Recommendation:
    """A depth for a width; printing it says why.

    Attributes
    ----------
    width, depth : int
        n of the hidden layers, and L, the number of weight layers.
    fluctuation : float
        V/(n K^2) at the last layer.
    information : float
        I(n_1; n_2) there by the truncated series, in nats.
    mixture : float
        The information of a scale mixture (of a gamma law) with the same V/(n K^2), in nats.
    cutoffs : mapping of str to int or None
        "expansion", "kurtosis", "tangent kernel": the last layer within each bound; None if it is beyond ``flowed``.
    flowed : int
        Layers that were flowed.
    reasons : tuple of str
    """

    width: int
    depth: int
    fluctuation: float
    information: float
    mixture: float
    cutoffs: Mapping[str, int | None]
    flowed: int
    reasons: tuple[str, ...]

    @property
    def ratio(self) -> float:
        """L/n."""
        return self.depth / self.width

    @property
    def trusted(self) -> bool:
        """Whether no cut-off lies before the last layer, among the layers that were flowed."""
        return all(last is None or last >= self.depth for last in self.cutoffs.values())

    def __str__(self) -> str:
        return "\n".join([f"{self.depth} layers for width {self.width}", *(f"  - {text}" for text in self.reasons)])


@dataclass(frozen=True)
class Standing:
    """Where a network stands on the scale L/n.

    Attributes
    ----------
    width : float
        The harmonic mean of its hidden widths, which is what fluctuations see.
    ratio, optimal : float
        L over that width, and r*.
    critical : bool
        Whether its C_b and C_W are those of the critical point, for which r* holds.
    fluctuation : float or None
        V/(n K^2) at its own hyperparameters and widths; None where neurons remember and layers are many.
    """

    width: float
    ratio: float
    optimal: float
    critical: bool
    fluctuation: float | None

    def __str__(self) -> str:
        times = self.ratio / self.optimal
        side = "at" if 0.8 <= times <= 1.25 else "below" if times < 1 else "beyond"
        text = f"L/n = {self.ratio:.4g}, {times:.3g} times r*: {side} it"
        if self.fluctuation is not None:
            text += f"; V/(n K^2) = {self.fluctuation:.3g} at its last layer"
        if not self.critical:
            text += "; not at the critical point, so that nu and r* do not hold: rgflow.tune(net)"
        return text


def recommend(found: Scale, width: int, kurtosis: float, tangent: float) -> Recommendation:
    """See :meth:`AspectRatio.recommend`."""
    from rgflow.predict.information.mixture import mixture_information

    width = whole("width", width, 1)
    rule = found.optimal * width
    if not np.isfinite(rule):
        raise InputError("fluctuations do not grow with depth (nu = 0): no depth is better for its width than others")
    farthest = max(FARTHER * rule, PAST * width / float(found.nu)) + 4
    flowed = int(min(found.most_layers(), max(farthest, 8)))
    growth = found.growth(flowed)
    v = growth.metric / width
    series = _per_pair(found.n_out, v)
    if not series[1] > 0:
        end = found.end * float(found.nu)
        raise InputError(
            f"width {width} is too narrow: two layers have V/(n K^2) = {v[1]:.3g}, and beyond {end:.3g} the series of "
            "the information is negative, so that no depth can be recommended; take width "
            f"{int(growth.metric[1] / end) + 1} or more"
        )
    depth = int(np.argmax(series)) + 1
    seen = depth < flowed
    if not seen:  # the flow ends before the maximum
        depth = max(2, round(rule))
    at = float(v[depth - 1]) if seen else found.fluctuation(depth / width)
    cutoffs = {
        "expansion": growth.last(growth.orders / width, BOUND),
        "kurtosis": growth.last(3 * v, kurtosis),
        "tangent kernel": growth.last(np.sqrt(growth.tangent / width), tangent),
    }
    information = series_at(found.groups, at)
    mixture = mixture_information(*found.groups, at)[0]
    short = [name for name, last in cutoffs.items() if last is not None and last < depth]
    reasons = _reasons(
        found, width, depth, seen, at, information, mixture, cutoffs, growth.order, flowed, kurtosis, tangent
    )
    if short:
        listed = ", ".join(f"{name} from layer {(cutoffs[name] or 0) + 1}" for name in short)
        warnings.warn(
            f"{depth} layers of width {width} are beyond what the expansion in 1/n is trusted for ({listed})",
            DomainWarning,
            stacklevel=3,
        )
    return Recommendation(width, depth, at, information, mixture, MappingProxyType(cutoffs), flowed, reasons)


def _per_pair(n_out: int, v: NDArray[np.float64]) -> NDArray[np.float64]:
    """The truncated series, per pair of outputs: the function whose maximum is v*."""
    import sympy as sp

    from rgflow.predict.information.series import per_pair

    expression = per_pair().subs(sp.Symbol("N", positive=True), n_out)
    coefficients = sp.Poly(expression, sp.Symbol("v", positive=True)).all_coeffs()
    found = np.polyval([float(c) for c in coefficients], v)
    return np.asarray(found, np.float64)


def _reasons(
    found: Scale,
    width: int,
    depth: int,
    seen: bool,
    at: float,
    information: float,
    mixture: float,
    cutoffs: Mapping[str, int | None],
    order: int,
    flowed: int,
    kurtosis: float,
    tangent: float,
) -> tuple[str, ...]:
    a, b = found.groups
    how = "of a flow at this width" if seen else f"by nu alone: the flow of {flowed} layers ends before"
    reasons = [
        f"V/(n K^2) = {at:.3g} at the last layer ({how}), where the truncated series of the information is "
        f"largest; r* n = {found.optimal * width:.1f}",
        f"I({a};{b}) = {information:.3g} nats by that series, {mixture:.3g} of a scale mixture, which rises further "
        "with depth: r* is the book's estimate, not an extremum of the information itself",
    ]
    bounds = {
        "expansion": f"the ratio of successive orders (through order {order}) passes {BOUND:g}",
        "kurtosis": f"the excess kurtosis of an output passes {kurtosis:g}",
        "tangent kernel": f"the tangent kernel of an output fluctuates by more than {tangent:g} of its mean",
    }
    for name, text in bounds.items():
        last = cutoffs[name]
        reasons.append(
            f"{text} after layer {last}" if last is not None else f"{text} beyond {flowed} layers, if at all"
        )
    if depth > flowed:
        reasons.append(f"cut-offs were looked for in {flowed} layers only: deeper flows take too long")
    if found.tangent_depth is not None and depth > found.tangent_depth:
        reasons.append(
            f"beyond layer {found.tangent_depth:.0f} tangent kernels fluctuate faster than nu says (half-stable point)"
        )
    if found.continued:
        reasons.append("one output: the formula is continued to it, information is that of two neurons")
    return tuple(reasons)


def standing(found: Scale, net: Network) -> Standing:
    """See :attr:`AspectRatio.standing`."""
    from rgflow.flow import flow
    from rgflow.universality.tune import tune

    hidden = np.array(net.widths[1:-1], np.float64)
    width = float(len(hidden) / np.sum(1 / hidden))
    tuned = tune(net)
    same = [
        np.allclose(net.hyperparameter(name)[1:], tuned.hyperparameter(name)[1:], rtol=1e-6, atol=0)
        for name in ("C_b", "C_W")
    ]
    fluctuation = None
    if not kernel_step(found.criticality.layer).remembers or net.depth <= found.most_layers():
        ds = flow(net, first_kernel=found.first_kernel, tensors=["K", "V"], order=1)
        fluctuation = float(ds["V"][-1] / (net.fan_in[-1] * ds["K"][-1] ** 2))
    return Standing(width, net.depth / width, found.optimal, all(same), fluctuation)
