"""A network with one thing changed: a hyperparameter of all its layers, its depth, its width, its activation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rgflow.activations import activation
from rgflow.activations.catalogue import CATALOGUE
from rgflow.errors import InputError
from rgflow.network import HYPERPARAMETERS, MLP, Layer, Network

MOST_LAYERS = 2**24  # beyond this the list of layers alone takes minutes and gigabytes


def rebuilt(net: Network, layers: Sequence[Layer], widths: Sequence[int], sigma: Any = None) -> Network:
    """A network of the same class from other parts."""
    chosen = net.activation if sigma is None else sigma
    if not isinstance(net, MLP):
        return Network(layers, widths, chosen)
    return MLP(widths, chosen, **{name: [layer.value(name) for layer in layers] for name in HYPERPARAMETERS})


def with_hyperparameters(net: Network, values: dict[str, float]) -> Network:
    """Each value in every layer that has a hyperparameter of that name."""
    if not values:
        return net
    known: dict[Layer, Layer] = {}  # most layers are alike, and checking each anew takes longer than a flow
    for layer in net.layers:
        if layer not in known:
            own = {name: value for name, value in values.items() if name in layer.hyperparameters()}
            known[layer] = layer.changed(**own) if own else layer
    return rebuilt(net, [known[layer] for layer in net.layers], net.widths)


def with_width(net: Network, width: int) -> Network:
    """All hidden layers of one width; the input and the output keep theirs."""
    if net.depth == 1:
        raise InputError(f"width: {net!r} has no hidden layer; give a network of depth 2 or more")
    return rebuilt(net, net.layers, [net.widths[0], *[width] * (net.depth - 1), net.widths[-1]])


def with_depth(net: Network, depth: int) -> Network:
    """The first layer, as many layers between as it takes, and the last.

    InputError where it is not clear what the layers between are: none, or of several sorts.

    >>> with_depth(MLP([3, 8, 8, 1], "tanh"), 5).widths
    (3, 8, 8, 8, 8, 1)
    """
    if net.depth == 1:
        raise InputError(f"depth: {net!r} has no hidden layer to repeat; give a network of depth 2 or more")
    inner = set(net.layers[1:-1]) or {net.layers[-1]}
    if len(inner) > 1 or len(set(net.widths[1:-1])) > 1:
        what = "layers" if len(inner) > 1 else f"widths {list(net.widths[1:-1])}"
        raise InputError(f"depth: {net!r} has hidden {what} that differ; depth repeats hidden layers that are alike")
    if depth > MOST_LAYERS:
        raise InputError(f"depth holds {depth:.6g}; a network is listed layer by layer, at most {MOST_LAYERS} of them")
    if depth == 1:
        return rebuilt(net, net.layers[:1], [net.widths[0], net.widths[-1]])
    (layer,) = inner
    middle = [net.widths[1]] * (depth - 1)
    layers = [net.layers[0], *[layer] * (depth - 2), net.layers[-1]]
    return rebuilt(net, layers, [net.widths[0], *middle, net.widths[-1]])


def parameters(net: Network) -> dict[str, float]:
    """Parameters of the activation as the catalogue names them, with their values; empty for a formula.

    >>> parameters(MLP([1, 1], "swish(beta=2)"))
    {'beta': 2.0}
    """
    name, _, rest = net.activation.formula_text.partition("(")
    if name not in CATALOGUE or "=" not in rest:
        return {}
    pairs = (part.split("=") for part in rest.rstrip(") ").split(","))
    return {key.strip(): float(value) for key, value in pairs}


def with_parameter(net: Network, name: str, value: float) -> Network:
    """Another value of a parameter of its activation."""
    sigma = net.activation.formula_text.partition("(")[0]
    changed = activation(sigma, **{**parameters(net), name: value})
    return rebuilt(net, net.layers, net.widths, changed)
