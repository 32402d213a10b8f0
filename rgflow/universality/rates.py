r"""Learning rates by layer: every layer with an equal share of the tangent kernel.

The last layer's mean tangent kernel is a sum over layers, Theta = sum_l (lambda_b^{(l)} + lambda_W^{(l)} g^{(l-1)}) x
prod_{l' >= l} chi_perp. At criticality g ~ l^{-p_0} and the product is (l/L)^{p_perp}, so that

.. math:: \lambda_b^{(\ell)} = \tilde\lambda_b\, \ell^{-p_\perp} L^{p_\perp - 1}, \qquad
          \lambda_W^{(\ell)} = \tilde\lambda_W\, \ell^{p_0 - p_\perp} L^{p_\perp - 1}

give each layer the same part and keep the whole of order one, at any depth L. Weights carry their 1/n_{l-1} besides.
A layer that keeps a part a = skip^2 of the kernel moves kernel and chi_perp by 1 - a of what a dense one does: in a
network of several kinds l stands for the sum of 1 - a over the layers up to l.

Source: PDLT chapter 9 (equivalence principle), equation numbers not seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from rgflow.activations import activation as find_activation
from rgflow.checks import whole
from rgflow.errors import InputError, NoCriticalPoint
from rgflow.network import Dense, Layer, Network
from rgflow.universality.deep_flow import layers
from rgflow.universality.kernel_step import KernelStep, kernel_step
from rgflow.universality.points import HALF_STABLE, SCALE_INVARIANT, CriticalPoint, recommended


@dataclass(frozen=True)
class LearningRates(Mapping[str, tuple[float, ...]]):
    """lambda_b and lambda_W of every layer; unpacks into a network: ``MLP(widths, sigma, **rates)``.

    Attributes
    ----------
    lambda_b, lambda_W : tuple of float
        For layers 1..L.
    p_0, p_perpendicular : float
        The exponents they rest on: K ~ l^{-p_0}, chi_perp = 1 - p_perpendicular/l.
    """

    lambda_b: tuple[float, ...]
    lambda_W: tuple[float, ...]
    p_0: float
    p_perpendicular: float

    def __getitem__(self, name: str) -> tuple[float, ...]:
        if name not in ("lambda_b", "lambda_W"):
            raise KeyError(name)
        found: tuple[float, ...] = getattr(self, name)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(("lambda_b", "lambda_W"))

    def __len__(self) -> int:
        return 2

    def per_parameter(self, net: Network) -> dict[str, tuple[float, ...]]:
        """What a framework multiplies the gradient of one bias and of one weight with: lambda_b, lambda_W/fan_in.

        >>> from rgflow.network import MLP
        >>> net = MLP.uniform(n_in=2, width=4, depth=2, activation="relu")
        >>> learning_rates(net).per_parameter(net)
        {'bias': (0.5, 0.5), 'weight': (0.25, 0.125)}
        """
        if not isinstance(net, Network) or net.depth != len(self.lambda_b):
            raise InputError(f"{net!r} is not a network of {len(self.lambda_b)} layers")
        weights = tuple(rate / n for rate, n in zip(self.lambda_W, net.fan_in, strict=True))
        return {"bias": self.lambda_b, "weight": weights}


def learning_rates(
    activation: Any, depth: int | None = None, *, lambda_b: float = 1.0, lambda_W: float = 1.0
) -> LearningRates:
    r"""Learning rates that give every layer of a critical network an equal share of the tangent kernel.

    .. math:: \lambda_b^{(\ell)} = \tilde\lambda_b\, \ell^{-p_\perp} L^{p_\perp - 1}, \qquad
              \lambda_W^{(\ell)} = \tilde\lambda_W\, \ell^{p_0 - p_\perp} L^{p_\perp - 1}

    Parameters
    ----------
    activation : activation or network
        A network brings its own depth, and its layers if they are not dense.
    depth : int
        L, the number of weight layers.
    lambda_b, lambda_W : float
        The overall sizes, independent of depth and width; not negative.

    Returns
    -------
    LearningRates
        Also a mapping with the keys ``lambda_b`` and ``lambda_W``.

    Raises
    ------
    NoCriticalPoint
        Also for a network with a layer that has no critical point, which it names.
    NoClosedForm, InputError

    >>> learning_rates("relu", depth=4)["lambda_b"]
    (0.25, 0.25, 0.25, 0.25)
    >>> learning_rates("tanh", depth=4)["lambda_b"]
    (1.0, 0.5, 0.3333333333333333, 0.25)
    """
    l: Any = None
    if isinstance(activation, Network):
        net = activation
        if depth is not None and depth != activation.depth:
            raise InputError(f"depth is {depth} but the network has {activation.depth} layers; leave it out")
        sigma, depth = net.activation, net.depth
        if any(type(layer) is not Dense for layer in net.layers):
            l = _renewed(net)
    else:
        sigma = find_activation(activation)
        if depth is None:
            raise InputError("depth is None; give the number of weight layers, or a network")
    depth = whole("depth", depth, 1)
    sizes = [_size("lambda_b", lambda_b), _size("lambda_W", lambda_W)]
    point = recommended(sigma)
    p_0, p_perpendicular = (float(p) for p in exponents(point))
    x_b, x_W = (float(x) for x in rate_exponents(point))
    if l is None:
        l, common = layers(depth), float(depth) ** (p_perpendicular - 1)
    else:
        common = float(l[-1]) ** p_perpendicular / depth
    columns = (sizes[0] * common * l**x_b, sizes[1] * common * l**x_W)
    return LearningRates(tuple(columns[0].tolist()), tuple(columns[1].tolist()), p_0, p_perpendicular)


def _renewed(net: Network) -> Any:
    """What stands for l: the sum of 1 - a over the layers up to l, a being what a layer keeps of the kernel."""
    parts = []
    for i, layer in enumerate(net.layers, start=1):
        step = at_place(i, layer)
        if i > 1 and step.weight is None:
            raise InputError(
                f"layer {i} is {layer!r}, whose share of the tangent kernel is another: it reads z, not sigma(z); "
                "equal rates are known for layers that read sigma(z)"
            )
        recommended(net.activation, layer)
        parts.append(1.0 if i == 1 else 1 - float(step.carried))
    return np.cumsum(parts)


def at_place(i: int, layer: Layer) -> KernelStep:
    """What layer i does to the kernel; NoCriticalPoint that names it if no hyperparameters make it critical."""
    try:
        return kernel_step(layer)
    except NoCriticalPoint as error:
        raise NoCriticalPoint(f"layer {i}: {error}") from None


def exponents(point: CriticalPoint) -> tuple[Any, Any]:
    """(p_0, p_perpendicular) at a critical point as SymPy numbers; at a half-stable one if the flow starts there."""
    import sympy

    if point.universality_class in (SCALE_INVARIANT, HALF_STABLE):
        return sympy.Integer(0), sympy.Integer(0)
    from rgflow.universality.vanishing import vanishing_kernel

    flow = vanishing_kernel(point.activation)
    return sympy.Rational(flow.p_0.numerator, flow.p_0.denominator), flow.number(flow.p_perpendicular)


def parallel_exponent(point: CriticalPoint) -> Any:
    """p_parallel of chi_parallel = 1 - p_parallel/l + ... as a SymPy number; 0 where the kernel stays."""
    import sympy

    if point.universality_class in (SCALE_INVARIANT, HALF_STABLE):
        return sympy.Integer(0)
    from rgflow.universality.vanishing import vanishing_kernel

    flow = vanishing_kernel(point.activation)
    return flow.number(flow.p_parallel)


def rate_exponents(point: CriticalPoint) -> tuple[Any, Any]:
    """(x_b, x_W) of the rates lambda_b l^x_b, lambda_W l^x_W that give every layer an equal share."""
    from rgflow.universality.vanishing import equal_share

    return equal_share(*exponents(point))


def _size(name: str, value: Any) -> float:
    if not isinstance(value, Real) or isinstance(value, bool) or not 0 <= float(value) < np.inf:
        raise InputError(f"{name} is {value!r}; it must be a finite number that is not negative")
    return float(value)
