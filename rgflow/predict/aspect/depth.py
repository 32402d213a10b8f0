"""A depth for a width, with the reasons; and where a network that exists stands."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rgflow.checks import whole
from rgflow.errors import DomainWarning, InputError
from rgflow.network import Network
from rgflow.predict.aspect.growth import Growth
from rgflow.predict.aspect.recommendation import Recommendation, Standing
from rgflow.predict.aspect.scale import Scale, continued_at, series_at
from rgflow.predict.aspect.text import reasons
from rgflow.predict.trust import HALF
from rgflow.universality.kernel_step import kernel_step

FARTHER = 1.5  # of r* n: how deep networks are flowed at least
WIDEST = 10**12  # neurons
PAST = 0.6  # the V/(n K^2) by nu to which they are flowed: what cut-offs ask for lies before


def recommend(found: Scale, width: int, kurtosis: float, tangent: float) -> Recommendation:
    """See :meth:`AspectRatio.recommend`."""
    from rgflow.predict.information.mixture import mixture_information

    width = whole("width", width, 1)
    if width > WIDEST:
        raise InputError(f"width is above {WIDEST:.0e}, where no layer fluctuates")
    growth = _flow(found, width)
    v = growth.metric / width
    depth = _depth(found, width, v)
    at = float(v[depth - 1]) if depth <= growth.depth else found.fluctuation(depth / width)
    bounds = {"expansion": HALF, "kurtosis": kurtosis, "tangent kernel": tangent}
    sizes = {
        "expansion": growth.orders / width,
        "kurtosis": 3 * v,
        "tangent kernel": np.sqrt(growth.tangent / width),
    }
    made = Recommendation(
        width,
        depth,
        at,
        series_at(found.groups, at),
        mixture_information(*found.groups, at)[0],
        tuple(bounds.items()),
        tuple((name, growth.last(sizes[name], bound)) for name, bound in bounds.items()),
        growth.depth,
        (),
    )
    _warn(made)
    return replace(made, reasons=reasons(found, made))


def _flow(found: Scale, width: int) -> Growth:
    """Fluctuations of as many layers as a depth for this width, and its cut-offs, are looked for in."""
    rule = found.best_ratio * width
    if not np.isfinite(rule):
        raise InputError("fluctuations do not grow with depth (nu = 0): no depth is better for its width than others")
    farthest = max(FARTHER * rule, PAST * width / float(found.nu)) + 4
    return found.growth(int(min(found.most_layers(), max(farthest, 8))))


def _depth(found: Scale, width: int, v: NDArray[np.float64]) -> int:
    """Where the series is largest along a flow, v by layer; by nu where the flow ends before."""
    series = continued_at(found, v)
    if not series[1] > 0:
        end = found.end * float(found.nu)
        raise InputError(
            f"width {width} is too narrow: two layers have V/(n K^2) = {v[1]:.3g}, and beyond {end:.3g} the series of "
            "the information is negative, so that no depth can be recommended; take width "
            f"{int(v[1] * width / end) + 1} or more"
        )
    depth = int(np.argmax(series)) + 1
    return depth if depth < len(v) else max(depth, round(found.best_ratio * width))


def _warn(made: Recommendation) -> None:
    short = [name for name, last in made.cutoffs.items() if last is not None and last < made.depth]
    if short:
        listed = ", ".join(f"{name} from layer {(made.cutoffs[name] or 0) + 1}" for name in short)
        warnings.warn(
            f"{made.depth} layers of width {made.width} are beyond what the expansion in 1/n is trusted for ({listed})",
            DomainWarning,
            stacklevel=4,
        )


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
    return Standing(width, net.depth / width, found.best_ratio, all(same), fluctuation)
