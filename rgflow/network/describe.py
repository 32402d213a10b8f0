"""What every labelled result says of the network it belongs to: coordinates and attributes of its Dataset."""

from __future__ import annotations

from typing import Any

from rgflow.network.network import Network
from rgflow.version import __version__


def described(net: Network, kind: str, kinks: str, conventions: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Coordinates and attributes of a Dataset of this network.

    Coordinates: ``layer`` (1..L) and along it fan_in = n_{l-1} and the hyperparameters of every layer. Attributes: kind
    (of result, as "coefficients"), the activation's formula, the rule for kinks, conventions, the network as JSON (see
    :meth:`Network.from_json`) and the version of rgflow.

    >>> from rgflow.network.mlp import MLP
    >>> coordinates, attributes = described(MLP([3, 5, 1], "tanh"), "totals", "error", "PDLT")
    >>> coordinates["fan_in"], attributes["kind"]
    (('layer', [3, 5]), 'totals')
    """
    coordinates: dict[str, Any] = {
        "layer": list(range(1, net.depth + 1)),
        "fan_in": ("layer", list(net.fan_in)),
        **{name: ("layer", list(net.hyperparameter(name))) for name in net.hyperparameters},
    }
    attributes = {
        "kind": kind,
        "activation": net.activation.formula_text,
        "kinks": kinks,
        "conventions": conventions,
        "network": net.to_json(),
        "rgflow_version": __version__,
    }
    return coordinates, attributes
