r"""``aspect_ratio``: how deep a network should be for its width.

Depth l and width n enter through r = l/n. Fluctuations of the metric grow with it, V/(n K^2) -> nu r, and with them the
information that two groups of output neurons have of each other: I(n_1; n_2), a series in v = nu r. Its first two terms
have a maximum,

.. math:: r^* = \frac{v^*}{\nu}, \qquad v^* = \frac{4}{20 + 3\, n_{out}},

which PDLT proposes as the best depth over width. It is the maximum of a truncated series: the information of the scale
mixture itself goes on rising. So r* says where the expansion ends rather than where networks are best; both are given.
Neither nu nor v* is typed here: nu is derived by :func:`rgflow.criticality`, v* in
:mod:`rgflow.predict.information.series`. Source: PDLT appendices A and B.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from rgflow.activations import activation as find_activation
from rgflow.checks import positive
from rgflow.errors import InputError
from rgflow.network import Dense, Layer, Network
from rgflow.predict.aspect.depth import recommend, standing
from rgflow.predict.aspect.recommendation import Recommendation, Standing
from rgflow.predict.aspect.scale import Scale
from rgflow.predict.aspect.text import lines
from rgflow.predict.information.mixture import neurons_of
from rgflow.predict.trust import HALF
from rgflow.universality.criticality import criticality
from rgflow.universality.points import HALF_STABLE


@dataclass(frozen=True, repr=False)
class AspectRatio(Scale):
    """The emergent scale of a critical network: what depth over width does, and which of them is best.

    Printing it tells what is known; :meth:`recommend` gives a depth for a width. It has the attributes of
    :class:`Scale`, and

    Attributes
    ----------
    network : Network or None
        The network that was asked about, if one was.
    """

    network: Network | None = None

    def recommend(self, width: int, *, kurtosis: float = 1.0, tangent: float = HALF) -> Recommendation:
        """A depth for a width, and why.

        Parameters
        ----------
        width : int
            n of all hidden layers.
        kurtosis : float
            The excess kurtosis of outputs, 3 V/(n K^2), at which networks are too deep.
        tangent : float
            The same for the relative standard deviation of the tangent kernel of one output, with learning rates that
            give every layer an equal share.

        Raises
        ------
        InputError
            For a width below 1 or above 10^12, one at which no depth of two layers or more has a positive series, and
            where fluctuations do not grow, so that every depth is as good. DomainWarning if the depth is beyond a
            cut-off.
        """
        return recommend(self, width, positive("kurtosis", kurtosis), positive("tangent", tangent))

    @cached_property
    def standing(self) -> Standing | None:
        """Where the network that was asked about stands; None if an activation was."""
        return None if self.network is None else standing(self, self.network)

    def told(self) -> list[tuple[str, str]]:
        """What is known of it, as pairs of a label and a text."""
        more = [] if self.standing is None else [("this network", str(self.standing))]
        return [*lines(self), *more]

    def __str__(self) -> str:
        return "\n".join(f"{label:<17} {text}" for label, text in self.told())


def aspect_ratio(
    activation: Any, n_out: int | None = None, *, layer: Layer | None = None, first_kernel: float | None = None
) -> AspectRatio:
    r"""The emergent scale L/n of a critical network: nu, the best depth over width, and where the expansion ends.

    .. math:: \frac{V}{n K^2} \to \nu\, \frac{L}{n}

    Parameters
    ----------
    activation : activation or Network
        A network brings its layers and its number of outputs, and is told where it stands.
    n_out : int, default 1
        Output neurons, at most a million.
    layer : a layer description, default ``Dense()``
        Its kind and skip strength count.
    first_kernel : float, default 1
        K of layer 1 where flows start; at a half-stable point it is K*, always.

    Raises
    ------
    NoCriticalPoint
        With the reason, if the activation has none.
    NoClosedForm
        If nu is not known.
    InputError

    >>> found = aspect_ratio("tanh", n_out=10)
    >>> found.nu, found.best_fluctuation, found.best_ratio_exact
    (2/3, 2/25, 3/25)
    >>> aspect_ratio("relu").best_ratio_exact
    4/115
    """
    network = activation if isinstance(activation, Network) else None
    if network is not None:
        if layer is not None or n_out is not None:
            raise InputError("a network brings its own layers and outputs; leave out n_out and layer")
        found = criticality(network.activation, _inner(network))
        outputs = network.widths[-1]
    else:
        found = criticality(find_activation(activation), layer)
        outputs = 1 if n_out is None else neurons_of("n_out", n_out)
    start = 1.0 if first_kernel is None else positive("first_kernel", first_kernel)
    if found.universality_class == HALF_STABLE:
        start = float(found.K_star or 0.0)
    return AspectRatio(found, outputs, start, network)


def _inner(net: Network) -> Layer:
    """The kind of the layers between the first and the last, which must be one."""
    if net.depth < 2:
        raise InputError(f"{net!r} has one layer and no width; an aspect ratio needs a hidden layer")
    inner = net.layers[1:-1] if net.depth > 2 else net.layers[-1:]
    kinds = {(type(layer), layer.value("skip")) for layer in inner}
    if len(kinds) > 1:
        raise InputError(f"the hidden layers are of several kinds ({net.kinds}); flow the network instead")
    return Dense() if isinstance(inner[0], Dense) else inner[0]
