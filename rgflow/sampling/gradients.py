"""Gradients of real networks: how large they are at every layer, for neurons, weights and biases.

A loss E whose gradient at the output is +1 or -1 at random, whatever the network, is sent back through networks drawn
with all their weights. Per layer and input, averaged over neurons or entries and over networks,

    p = <z_1^2>,    chi = <(dE/dz_1)^2>,    chi_w = <(dE/dW_11)^2>,    chi_b = <(dE/db_1)^2>

where W, b are the weights inside a block, and chi_v, chi_a those of its outer V, a; in a layer with one weight matrix
W, b are its own. NaN where a layer has no such parameters.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

import rgflow.sampling.kinds  # noqa: F401  (every kind says how it is drawn)
from rgflow.checks import whole
from rgflow.errors import AccuracyError, InputError, KinkError
from rgflow.network import Network
from rgflow.network.describe import described
from rgflow.network.inputs import given
from rgflow.sampling import draw
from rgflow.sampling.draw import Array, Purpose, Streams
from rgflow.sampling.first import FirstLayer, first_layer
from rgflow.sampling.normalized import refuse_without_mean
from rgflow.sampling.routes import routes
from rgflow.sampling.signals import Signal, Start, Weighted
from rgflow.sampling.stages import WeightStages
from rgflow.seeds import seed_sequence, seed_text
from rgflow.threads import single_products

if TYPE_CHECKING:
    import xarray

CONVENTIONS = (
    "p = <z^2>, chi = <(dE/dz)^2> and of parameters, with (dE/dz^L)^2 = 1; NAME_se is one standard error of NAME"
)
NAMES = ("p", "chi", "chi_w", "chi_b", "chi_v", "chi_a")
# Networks that share arrays: as many as a cache holds, at most this.
_TOGETHER, _CACHE = 64, 2**19


def sample_gradients(
    net: Network, inputs: Any = None, *, first_kernel: Any = None, networks: int = 100, seed: Any = None
) -> xarray.Dataset:
    """Mean squares of neurons and gradients in real networks, at every layer.

    Weights are drawn twice, on the way forwards and again backwards, so that memory holds one layer's at a time.

    Parameters
    ----------
    net : Network
    inputs, first_kernel : as in :func:`rgflow.sampling.sample`
        Each input has a loss of its own.
    networks : int
        At least 2; standard errors come from the spread between them.
    seed : int, SeedSequence, Generator or None

    Returns
    -------
    xarray.Dataset
        p, chi, chi_w, chi_b, chi_v, chi_a and NAME_se with dims ``layer`` (1..L) and, for several inputs, ``sample0``;
        attrs kind "gradients", networks, seed and what a sample says of its network. chi of layer L is 1.

    Raises
    ------
    InputError
        For values outside their domain.
    KinkError
        For an activation that jumps: its derivative is not a function.
    AccuracyError
        When a network overflows.

    Source: the definitions of Yang and Schoenholz (arXiv:1712.08969), section 2.

    >>> from rgflow.network import MLP
    >>> ds = sample_gradients(MLP([4, 30, 30, 30], "linear"), first_kernel=1.0, seed=1)
    >>> bool(abs(ds.chi[0] - 1) < 5 * ds.chi_se[0])
    True
    """
    import xarray

    if not isinstance(net, Network):
        raise InputError(f"net is {net!r}; give an MLP or a Network")
    if not net.activation.continuous:
        raise KinkError(f"{net.activation.name!r} jumps; gradients of such networks do not tell how they change")
    shown = given(net, inputs, first_kernel)
    first = first_layer(net, shown)
    networks = whole("networks", networks, 2)
    sequence = seed_sequence(seed)
    each = np.empty((networks, len(NAMES), net.depth, len(shown.overlap)))
    with single_products(), np.errstate(over="ignore", invalid="ignore"):
        for batch, start in enumerate(range(0, networks, size := _batch_size(net))):
            rows = each[start : start + size]
            _measure(net, first, np.diagonal(shown.overlap), sequence, batch, rows)
    _refuse_overflow(net, each)
    variables: dict[str, Any] = {}
    for k, name in enumerate(NAMES):
        mean, error = each[:, k].mean(axis=0), each[:, k].std(axis=0, ddof=1) / np.sqrt(networks)
        for variable, array in ((name, mean), (f"{name}_se", error)):
            full = shown.expand(array, 1)
            variables[variable] = (("layer", "sample0")[: full.ndim], full)
    coordinates, attributes = described(net, "gradients", "error", CONVENTIONS)
    about = {**attributes, "networks": networks, "seed": seed_text(sequence)}
    return xarray.Dataset(variables, coords=coordinates, attrs=about)


def backwards(layer: Signal, delta: Array) -> dict[Signal, Array]:
    """dE/dx of every stage x that a layer is made of, from dE/dz of the layer: the chain rule, younger stages first."""
    found, waiting = {layer: delta}, {layer}
    while waiting:
        stage = max(waiting, key=lambda one: one.rank)
        waiting.remove(stage)
        for source, part in stage.back(found[stage]):
            found[source] = found[source] + part if source in found else part
            waiting.add(source)
    return found


def _measure(
    net: Network, first: FirstLayer, squares: Array, sequence: np.random.SeedSequence, batch: int, out: Array
) -> None:
    """The numbers of the networks of a batch, (m, names, L, N)."""
    out[:] = np.nan
    count = len(out)
    streams = Streams(sequence, batch)
    neurons = [first.neurons(streams, count)]
    for layer in range(2, net.depth + 1):
        neurons.append(_layer(net, streams, layer, Start({(): neurons[-1]}))[0].values)
    for l, z in enumerate(neurons):
        out[:, 0, l] = np.mean(z**2, axis=-1)
    delta = draw.signs(streams(Purpose.LOSS, net.depth), count, neurons[-1].shape[1:], 1.0)
    again = Streams(sequence, batch)
    for layer in range(net.depth, 0, -1):
        here = out[:, :, layer - 1]
        here[:, 1] = np.mean(delta**2, axis=-1)
        if layer == 1:
            here[:, 2], here[:, 3] = here[:, 1] * squares, here[:, 1]
            break
        below = Start({(): neurons[layer - 2]})
        output, stages = _layer(net, again, layer, below)
        found = backwards(output, delta)
        for stage, names in _named(stages):
            sizes = np.mean(found[stage] ** 2, axis=-1)
            for name, factor in zip(names, (np.mean(stage.source.values**2, axis=-1), 1.0), strict=True):
                here[:, NAMES.index(name)] = sizes * factor
        delta = found[below]


def _layer(net: Network, streams: Streams, layer: int, below: Signal) -> tuple[Signal, WeightStages]:
    stages = WeightStages(net, streams, layer, len(below.values), 1, 0)
    width, description = net.widths[layer], net.layers[layer - 1]
    found = stages.output(routes(description, below, stages, width), width)
    refuse_without_mean(stages.normalised, ["chi"], f"layer {layer}, {description!r},")
    return found, stages


def _named(stages: WeightStages) -> Iterator[tuple[Weighted, tuple[str, str]]]:
    """The first weights inside a block and the first of its own, with the names of what is measured of them."""
    if stages.inner:
        yield stages.inner[0], ("chi_w", "chi_b")
    if stages.own:
        yield stages.own[0], ("chi_v", "chi_a") if stages.inner else ("chi_w", "chi_b")


def _batch_size(net: Network) -> int:
    """Networks that are drawn together: it depends on the network alone, so that numbers do not on the machine."""
    return max(1, min(_TOGETHER, _CACHE // max(net.widths) ** 2))


def _refuse_overflow(net: Network, each: Array) -> None:
    finite = np.isfinite(each[:, :2]).all(axis=(0, 1, 3))
    if not finite.all():
        raise AccuracyError(
            f"{net.activation.name!r} networks overflow at layer {1 + int(np.argmin(finite))}; "
            "lower the variances, the input or the depth"
        )
