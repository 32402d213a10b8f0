"""From the arguments of a call to a Request: every one checked before the work."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rgflow.algebra import Tensor
from rgflow.checks import kinks_rule, whole
from rgflow.derive.derive import check_closure
from rgflow.errors import InputError
from rgflow.flow.orders import requested
from rgflow.network import Dense, Network
from rgflow.network.inputs import finite
from rgflow.sampling.names import validated_names
from rgflow.seeds import seed_sequence
from rgflow.sweeps.axes import read_axes
from rgflow.sweeps.networks import with_depth
from rgflow.sweeps.request import Request

METHODS = ("auto", "tabulated", "quadrature")
ERRORS = ("all", "sampled")


def request(
    net: Any,
    inputs: Any,
    first_kernel: Any,
    given: Mapping[str, Any],
    *,
    tensors: Any,
    order: int,
    kinks: str,
    closure: str,
    layers: Any,
    method: str,
    errors: str,
    networks: int | None,
    seed: Any,
) -> Request:
    """The Request of a call, every argument checked.

    Raises InputError, UnknownName, OrderError.
    """
    if not isinstance(net, Network):
        raise InputError(f"{net!r} is not a network; give rgflow.MLP(...) or rgflow.Network(...)")
    if (inputs is None) == (first_kernel is None):
        raise InputError(
            "give exactly one of inputs= (an array (N, n_0)) and first_kernel= (a number, an axis or N x N)"
        )
    sampled = networks is not None
    wanted = tuple(map(Tensor.named, validated_names(tensors))) if sampled else requested(tensors, order)
    for name, value, choices in (("method", method, METHODS), ("errors", errors, ERRORS)):
        if value not in choices:
            raise InputError(f"{name} is {value!r}; it must be one of {', '.join(map(repr, choices))}")
    net, axes, first_kernel = read_axes(net, given, first_kernel)
    if inputs is not None:
        inputs = finite("inputs", inputs)
        if inputs.ndim not in (1, 2) or inputs.shape[-1] != net.widths[0]:
            n_0 = net.widths[0]
            raise InputError(f"inputs has shape {inputs.shape}; the network takes (N, {n_0}) with N >= 1, or ({n_0},)")
    depths = next((axis.values for axis in axes if axis.name == "depth"), ())
    by_layers, kept, layer_dim = False, _layers(layers, net.depth, bool(depths)), not (_is(layers, "last") or depths)
    if depths:
        deepest = with_depth(net, int(max(depths)))
        by_layers = _begins_alike(deepest, sampled)
        if by_layers:
            net, kept = deepest, tuple(sorted(map(int, depths)))
    if seed is not None and not sampled:
        raise InputError(f"seed is {seed!r}, and nothing is drawn; give networks= to sample, or no seed")
    sequence = seed_sequence(seed) if sampled else None
    return Request(
        net,
        axes,
        inputs,
        first_kernel,
        wanted,
        whole("order", order, 0),
        kinks_rule(kinks),
        check_closure(closure),
        kept,
        layer_dim,
        by_layers,
        method,
        errors,
        None if networks is None else whole("networks", networks, 1),
        _plain(sequence.entropy) if sequence else None,
        tuple(map(int, sequence.spawn_key)) if sequence else (),
    )


def _plain(entropy: Any) -> Any:
    """Entropy of a SeedSequence as Python's integers, which JSON knows."""
    return [int(word) for word in entropy] if np.iterable(entropy) else entropy


def _is(layers: Any, word: str) -> bool:
    return isinstance(layers, str) and layers == word


def _layers(layers: Any, depth: int, deep: bool) -> tuple[int, ...] | None:
    """The layers asked for, ascending; None for the last of every network."""
    if isinstance(layers, str) and layers in ("all", "last"):
        return None if deep or layers == "last" else tuple(range(1, depth + 1))
    if deep:
        raise InputError(
            f"layers is {layers!r} and depth is an axis; results are those of the last layer of each depth"
        )
    wanted = f"layers is {layers!r}; it must be 'all', 'last' or a list of layers from 1 to {depth}"
    if isinstance(layers, (str, bytes)) or not np.iterable(layers):
        raise InputError(wanted)
    found = [whole("layers", layer, 1) for layer in layers]
    if not found or max(found) > depth or len(set(found)) < len(found):
        raise InputError(f"{wanted}, each once")
    return tuple(sorted(found))


def _begins_alike(net: Network, sampled: bool) -> bool:
    """Whether a network's first d layers have the law of a network of depth d with the same layers.

    Its last layer must be like those before it. The width above a layer enters the law of its weights only where these
    are not independent, and what can be measured in samples.
    """
    same_width = len(set(net.widths[1:])) == 1
    plain = not sampled and all(type(layer) is Dense for layer in net.layers)
    return len(set(net.layers[1:])) <= 1 and (same_width or plain)
