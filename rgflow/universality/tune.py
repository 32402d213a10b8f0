"""``tune``: a network at the critical point of its activation, layer by layer."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np

from rgflow.errors import InputError, NoCriticalPoint
from rgflow.network import MLP, Layer, Network
from rgflow.network.inputs import given
from rgflow.universality.points import HALF_STABLE, CriticalPoint, recommended
from rgflow.universality.rates import at_place
from rgflow.universality.rates import learning_rates as equal_rates

Net = TypeVar("Net", bound=Network)


def tune(net: Net, inputs: Any = None, *, learning_rates: bool = False) -> Net:
    """The same network with C_b and C_W of every layer at the recommended critical point of its kind.

    Parameters
    ----------
    net : Network
        Of layers of one weight matrix each, an MLP for example; skip strengths are kept.
    inputs : array (N, n_0) or (n_0,), optional
        For a half-stable point, whose kernel K* must be met: the first layer's C_W is chosen so that the mean kernel of
        these inputs starts at K*. Without inputs a half-stable network is critical but does not start at K*, so that
        the kernel drifts. Other classes do not need them.
    learning_rates : bool
        Also set lambda_b, lambda_W by layer as :func:`rgflow.learning_rates` does.

    Returns
    -------
    Network
        A new network, an MLP from an MLP; widths, kinds of layers and activation are kept.

    Raises
    ------
    NoCriticalPoint
        Naming the layer, where it is not dense; also if two layers need kernels of different classes.
    InputError

    >>> net = MLP.uniform(n_in=8, width=64, depth=3, activation="relu")
    >>> tune(net).hyperparameter("C_W")
    (2.0, 2.0, 2.0)
    """
    if not isinstance(net, Network):
        raise InputError(f"{net!r} is not a network; give rgflow.MLP(...) or rgflow.Network(...)")
    points = [recommended(net.activation)] * net.depth if isinstance(net, MLP) else _points(net)
    shown = None if inputs is None else given(net, inputs)
    layers = [_at(layer, point) for layer, point in zip(net.layers, points, strict=True)]
    needed = next((point for point in points if point.universality_class == HALF_STABLE), None)
    if shown is not None and needed is not None:
        assert needed.K_star is not None
        size = float(np.mean(np.diag(shown.overlap)[shown.place]))
        if size == 0:
            raise InputError("the inputs are all zero, and no C_W brings them to K*")
        layers[0] = _with(layers[0], C_W=(needed.K_star - layers[0].value("C_b")) / size)
    if learning_rates:
        rates = equal_rates(net)
        rows = zip(layers, rates["lambda_b"], rates["lambda_W"], strict=True)
        layers = [_with(layer, lambda_b=b, lambda_W=W) for layer, b, W in rows]
    tuned: Net = _like(net, layers)
    return tuned


def _points(net: Network) -> list[CriticalPoint]:
    """The point of every layer; they must be of one fixed point of the kernel."""
    found = []
    for i, layer in enumerate(net.layers, start=1):
        at_place(i, layer)
        try:
            found.append(recommended(net.activation, layer))
        except NoCriticalPoint as error:
            raise NoCriticalPoint(f"layer {i}: {error}") from None
    kernels = {point.K_star for point in found if point.K_star is not None}
    if len(kernels) > 1:
        listed = ", ".join(f"K* = {kernel:.6g}" for kernel in sorted(kernels))
        raise NoCriticalPoint(f"the layers of {net!r} are critical at different kernels: {listed}")
    return found


def _at(layer: Layer, point: CriticalPoint) -> Layer:
    return _with(layer, C_b=point.C_b, C_W=point.C_W)


def _with(layer: Layer, **values: float) -> Layer:
    """The layer with those of the values that its kind has."""
    own = layer.hyperparameters()
    found: Layer = layer.changed(**{k: v for k, v in values.items() if k in own})
    return found


def _like(net: Any, layers: list[Layer]) -> Any:
    """A network of these layers, of the same type."""
    if not isinstance(net, MLP):
        return Network(layers, net.widths, net.activation)
    columns = {name: [layer.value(name) for layer in layers] for name in ("C_b", "C_W", "lambda_b", "lambda_W")}
    return MLP(net.widths, net.activation, **columns)
