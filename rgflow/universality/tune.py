"""``tune``: a network at the critical point of its activation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from rgflow.errors import InputError
from rgflow.network import MLP
from rgflow.network.inputs import given
from rgflow.universality.points import HALF_STABLE, recommended
from rgflow.universality.rates import learning_rates as equal_rates


def tune(net: MLP, inputs: Any = None, *, learning_rates: bool = False) -> MLP:
    """The same network with C_b and C_W at the recommended critical point of its activation.

    Parameters
    ----------
    net : MLP
    inputs : array (N, n_0) or (n_0,), optional
        For a half-stable point, whose kernel K* must be met: the first layer's C_W is chosen so that the mean kernel of
        these inputs starts at K*. Without inputs a half-stable network is critical but does not start at K*, so that
        the kernel drifts. Other classes do not need them.
    learning_rates : bool
        Also set lambda_b, lambda_W by layer as :func:`rgflow.learning_rates` does.

    Returns
    -------
    MLP
        A new network; widths and activation are kept.

    Raises
    ------
    NoCriticalPoint, InputError

    >>> net = MLP.uniform(n_in=8, width=64, depth=3, activation="relu")
    >>> tune(net).hyperparameter("C_W")
    (2.0, 2.0, 2.0)
    """
    if not isinstance(net, MLP):
        raise InputError(f"{net!r} is not a network; give rgflow.MLP(...)")
    point = recommended(net.activation)
    shown = None if inputs is None else given(net, inputs)
    layers = [replace(layer, C_b=point.C_b, C_W=point.C_W) for layer in net.layers]
    if shown is not None and point.universality_class == HALF_STABLE:
        assert point.K_star is not None
        size = float(np.mean(np.diag(shown.overlap)[shown.place]))
        if size == 0:
            raise InputError("the inputs are all zero, and no C_W brings them to K*")
        layers[0] = replace(layers[0], C_W=(point.K_star - point.C_b) / size)
    columns: dict[str, Any] = {name: [getattr(layer, name) for layer in layers] for name in ("C_b", "C_W")}
    if learning_rates:
        columns |= equal_rates(net)
    else:
        columns |= {name: list(net.hyperparameter(name)) for name in ("lambda_b", "lambda_W")}
    return MLP(net.widths, net.activation, **columns)
