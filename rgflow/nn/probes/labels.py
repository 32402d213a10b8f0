"""What every measurement says of itself: attributes of its Dataset."""

from __future__ import annotations

from typing import Any

from rgflow.network import Network
from rgflow.version import __version__


def measured(what: str, conventions: str, net: Network | None, about: dict[str, Any]) -> dict[str, Any]:
    """Attributes of a measurement; with the network that the models were drawn from, where there is one.

    >>> measured("ranks", "of outputs", None, {"networks": 1})["kind"]
    'measured'
    """
    known = {} if net is None else {"network": net.to_json(), "activation": net.activation.formula_text}
    return {
        "kind": "measured",
        "what": what,
        "conventions": f"{conventions}; NAME_se is one standard error of NAME, NAME_theory what the theory says",
        **known,
        **about,
        "rgflow_version": __version__,
    }
