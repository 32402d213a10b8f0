"""Networks of which only the last layer learns."""

from __future__ import annotations

from typing import Any

from rgflow.errors import InputError
from rgflow.network import MLP, Network
from rgflow.network.network import HYPERPARAMETERS


def readout_only(net: Network) -> Network:
    """The network whose hidden layers are frozen, and whose last layer learns with lambda_b = C_b, lambda_W = C_W.

    Then Theta = K in every network, and gradient descent until convergence draws a function from the posterior of the
    Gaussian process with that network's features. At infinite width all networks have the same: training *is* Bayesian
    inference without noise, in mean and covariance. At order 1/n it is not: Bayes prefers networks whose features make
    the data likely, while training leaves every network in the ensemble
    (:func:`rgflow.posterior`, :func:`rgflow.trained`).

    Parameters
    ----------
    net : MLP or Network
        Its last layer is z = b + W x or z = b + W sigma(x), with independent Gaussian parameters.

    Raises
    ------
    InputError
        For a last layer of another kind, which learns in another way than it is drawn.

    >>> readout_only(MLP([2, 50, 1], "tanh", C_b=0.1, C_W=1.5))
    MLP([2, 50, 1], 'tanh', C_b=0.1, C_W=1.5, lambda_b=[0.0, 0.1], lambda_W=[0.0, 1.5])
    """
    if not isinstance(net, Network):
        raise InputError(f"{net!r} is not a network; give rgflow.MLP(...) or rgflow.Network(...)")
    *hidden, last = net.layers
    if type(last).__name__ not in ("Dense", "Linear"):
        raise InputError(f"the last layer is {last!r}; a read-out that learns as it is drawn is Dense or Linear")
    frozen = [x.changed(**{name: 0.0 for name in x.hyperparameters() if name.startswith("lambda_")}) for x in hidden]
    layers = [*frozen, last.changed(lambda_b=last.value("C_b"), lambda_W=last.value("C_W"))]
    if isinstance(net, MLP):
        values: dict[str, Any] = {name: [layer.value(name) for layer in layers] for name in HYPERPARAMETERS}
        return MLP(net.widths, net.activation, **values)
    return Network(layers, net.widths, net.activation)
