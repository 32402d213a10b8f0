"""Partial Jacobians of real networks, exactly: mean over networks and variance, at every layer above the one moved.

Of a network with drawn weights the products of Jacobians of two inputs,

    M^{l0,l}_jm;12 = sum_i dz^l_j1/dz^{l0}_i1 dz^l_m2/dz^{l0}_i2,        J_12 = (1/n_l) sum_j M_jj;12,

start as the identity at layer l0 and go through the stages of every layer by the chain rule, like a tangent kernel to
which no parameter adds.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

import rgflow.sampling.kinds  # noqa: F401  (every kind says how it is drawn)
from rgflow.checks import kinks_rule, whole
from rgflow.errors import AccuracyError, InputError, KinkError
from rgflow.labelled import dataset
from rgflow.network import Layer, Network
from rgflow.network.describe import described
from rgflow.network.inputs import given
from rgflow.progress import progress_bar
from rgflow.sampling import statistics
from rgflow.sampling.draw import Array, Streams
from rgflow.sampling.first import FirstLayer, first_layer
from rgflow.sampling.normalized import refuse_without_mean
from rgflow.sampling.plan import check_networks
from rgflow.sampling.routes import routes
from rgflow.sampling.signals import Start
from rgflow.sampling.stages import WeightStages
from rgflow.sampling.tangent import TangentKernel
from rgflow.seeds import seed_sequence, seed_text
from rgflow.threads import single_products

if TYPE_CHECKING:
    import xarray

CONVENTIONS = (
    "J is the mean over networks of (1/n_l) sum_ij dz_j(sample0)/dz0_i dz_j(sample1)/dz0_i with z0 of layer start; V_J "
    "is fan_in times its covariance over networks, all orders in 1/n included; NAME_se is one standard error of NAME"
)
_TOGETHER, _CACHE = 64, 2**19  # networks that share arrays, and numbers of one of their matrices


def sample_jacobian(
    net: Network,
    inputs: Any = None,
    *,
    first_kernel: Any = None,
    start: int = 1,
    networks: int = 1000,
    seed: Any = None,
    kinks: str = "error",
    progress: bool = False,
) -> xarray.Dataset:
    """Partial Jacobian norms of real networks with respect to z of layer ``start``, exactly for each network.

    Parameters
    ----------
    net : Network
        Of any kinds that a file of :mod:`rgflow.sampling.kinds` draws; learning rates play no part.
    inputs, first_kernel : as in :func:`rgflow.sampling.sample`
    start : int
        l0, from 1.
    networks : int
        At least 100. Products of n x n matrices for each.
    seed : int, SeedSequence, Generator or None
    kinks : "error" or "almost_everywhere"
        What to do when sigma has a jump, so that sigma' is no function.
    progress : bool
        Show a bar.

    Returns
    -------
    xarray.Dataset
        J, V_J, J_se and V_J_se with dims ``layer`` (start..L) and ``sample0``, .. (absent for one input); V_J of
        several inputs is the covariance of J[sample0, sample1] and J[sample2, sample3], times fan_in. At the layer
        ``start`` they are 1 and 0. Kind "totals": unbiased, no truncation.

    Raises
    ------
    InputError, KinkError
    AccuracyError
        When a network overflows.

    Source: the definitions of Doshi, He, Gromov (arXiv:2111.12143).

    >>> from rgflow.network import MLP
    >>> ds = sample_jacobian(MLP([3, 20, 20, 20], "relu", C_W=2.0), first_kernel=1.0, networks=500, seed=1)
    >>> ds.J.dims, bool(abs(ds.J[2] - 1) < 5 * ds.J_se[2])
    (('layer',), True)
    """
    if not isinstance(net, Network):
        raise InputError(f"net is {net!r}; give an MLP or a Network")
    place = whole("start", start, 1)
    if place > net.depth:
        raise InputError(f"start is {place}; the network has the layers 1..{net.depth}")
    if kinks_rule(kinks) == "error" and not net.activation.continuous:
        raise KinkError(
            f"Jacobians of {net.activation.name!r} hold sigma', which is no function at its jump; "
            "kinks='almost_everywhere' measures them with derivatives of the branches only"
        )
    shown = given(net, inputs, first_kernel)
    first = first_layer(net, shown)
    networks = whole("networks", networks, 1)
    check_networks(networks, ("J",))
    sizes = statistics.batch_sizes(networks)
    sequence = seed_sequence(seed)
    combined = {name: statistics.Combination(networks) for name in ("J", "V_J")}
    fan_in = np.asarray(net.fan_in[place - 1 :], dtype=float)[:, None, None]
    with single_products(), progress_bar(progress, "sampling networks", networks) as advance:
        for batch, size in enumerate(sizes):
            found = np.concatenate(list(_batch(net, first, place, Streams(sequence, batch), size)))
            found = found.reshape(*found.shape[:2], -1)
            combined["J"].add(statistics.mean(found), size)
            with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is named by its layer, below
                combined["V_J"].add(fan_in * statistics.covariance(found, found), size)
            advance(size)
    return _dataset(net, place, shown, combined, kinks, {"networks": networks, "seed": seed_text(sequence)})


def _batch(net: Network, first: FirstLayer, start: int, streams: Streams, size: int) -> Iterator[Array]:
    """J of the networks of a batch, a chunk at a time, (m, layers, N, N)."""
    chunk = max(1, min(_TOGETHER, _CACHE // (max(net.widths) * len(first.kernel)) ** 2))
    for begin in range(0, size, chunk):
        with np.errstate(over="ignore", invalid="ignore"):  # overflow is looked for in the results
            yield _chunk(net, first, start, streams, min(chunk, size - begin))


def _chunk(net: Network, first: FirstLayer, start: int, streams: Streams, count: int) -> Array:
    z = first.neurons(streams, count)
    below = Start({(): z}, _moved(z) if start == 1 else None)
    shape = (count, z.shape[1], z.shape[1])
    found = [np.ones(shape)] if start == 1 else []
    for layer in range(2, net.depth + 1):
        stages = WeightStages(net, streams, layer, count, 1, 0)
        width = net.widths[layer]
        description = net.layers[layer - 1]
        output = stages.output(routes(_untrained(description), below, stages, width), width)
        if layer > start:
            refuse_without_mean(stages.normalised, ["A"], f"layer {layer}, {description!r},", "V_J")
        if layer < start:
            below = Start({(): output.values})
        elif layer == start:
            below = Start({(): output.values}, _moved(output.values))
            found.append(np.ones(shape))
        else:
            M = output.kernel(output)
            below = Start({(): output.values}, TangentKernel({((), ()): M}))
            found.append(np.trace(M, axis1=-2, axis2=-1) / width)
    return np.stack(found, axis=1)


def _moved(z: Array) -> TangentKernel:
    """The identity: each neuron of (m, N, n) is moved by itself, for all inputs alike."""
    count, inputs, width = z.shape
    return TangentKernel({((), ()): np.broadcast_to(np.eye(width), (count, inputs, inputs, width, width))})


def _untrained(layer: Layer) -> Layer:
    return layer.changed(**{name: 0.0 for name in layer.hyperparameters() if name.startswith("lambda_")})


def _dataset(
    net: Network,
    start: int,
    shown: Any,
    combined: dict[str, statistics.Combination],
    kinks: str,
    about: dict[str, Any],
) -> xarray.Dataset:
    inputs = len(shown.overlap)
    variables: dict[str, Any] = {}
    for name, arguments in (("J", 2), ("V_J", 4)):
        for variable, values in zip((name, f"{name}_se"), combined[name].result(), strict=True):
            bad = np.flatnonzero(~np.isfinite(values).reshape(len(values), -1).all(axis=1))
            if bad.size:
                raise AccuracyError(
                    f"J of {net.activation.name!r} networks overflows at layer {start + bad[0]}; lower C_W or the depth"
                )
            shape = () if shown.single else (inputs,) * arguments
            full = shown.expand(values.reshape(-1, *shape), arguments)
            variables[variable] = (("layer", *(f"sample{k}" for k in range(full.ndim - 1))), full)
    coords, attrs = described(net, "totals", kinks, CONVENTIONS)
    above = slice(start - 1, None)
    coords = {name: (x[0], x[1][above]) if isinstance(x, tuple) else x[above] for name, x in coords.items()}
    return dataset(variables, coords, {**attrs, **about, "start": start})
