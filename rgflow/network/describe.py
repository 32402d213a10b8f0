"""What every labelled result says of the network it belongs to: coordinates and attributes of its Dataset."""

from __future__ import annotations

import json
from typing import Any

from rgflow.errors import InputError
from rgflow.network.mlp import MLP
from rgflow.network.network import Network
from rgflow.version import __version__


def described(net: Network, kind: str, kinks: str, conventions: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Coordinates and attributes of a Dataset of this network.

    Coordinates: ``layer`` (1..L) and along it fan_in = n_{l-1} and the hyperparameters of every layer. Attributes: kind
    ("coefficients" or "totals"), the activation's formula, the rule for kinks, conventions, the network as JSON (see
    :func:`network_from_json`) and the version of rgflow.

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


def network_from_json(text: str) -> Network:
    """The network that ``to_json`` of an MLP or a Network describes; nothing is evaluated.

    Raises InputError for text that is no such description, UnknownName for a kind of layer nobody knows.

    >>> network_from_json(MLP([3, 1], "tanh").to_json())
    MLP([3, 1], 'tanh')
    """
    try:
        kind = json.loads(text).get("kind")
    except (TypeError, ValueError, RecursionError, AttributeError):
        raise InputError(f"{text!r} is not the JSON description of a network") from None
    return MLP.from_json(text) if kind == "MLP" else Network.from_json(text)
