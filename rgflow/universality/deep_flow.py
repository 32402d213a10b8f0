"""A flow through many layers of equal width, with learning rates that are powers of the layer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rgflow.activations import Activation
from rgflow.algebra import Tensor
from rgflow.errors import InputError
from rgflow.flow import flow
from rgflow.network import MLP, Dense, Layer, Network
from rgflow.universality.kernel_step import kernel_step

if TYPE_CHECKING:
    import xarray


MOST_LAYERS = 1_000_000  # beyond, descriptions layer by layer do not fit into memory


def layers(depth: int) -> NDArray[np.float64]:
    """1, 2, .., depth; InputError where that is more than a network can be described for."""
    if depth > MOST_LAYERS:
        raise InputError(f"depth is {depth}; networks of up to {MOST_LAYERS} layers are described layer by layer")
    return np.arange(1.0, depth + 1)


def deep_flow(
    activation: Activation,
    depth: int,
    tensors: Iterable[str | Tensor],
    *,
    C_b: float,
    C_W: float,
    first_kernel: float,
    lambda_b: float = 1.0,
    lambda_W: float = 1.0,
    rates: tuple[float, float] = (0.0, 0.0),
    order: int = 1,
    kinks: str = "almost_everywhere",
    layer: Layer | None = None,
    closure: str = "full",
) -> xarray.Dataset:
    """The flow of a network with lambda_b l^x_b, lambda_W l^x_W at layer l, (x_b, x_W) = rates.

    Coefficients of equal widths do not depend on the width, which is therefore 1. All layers but the first are like
    ``layer``; the first is dense, before layers with a skip at C_b/(1 - skip^2), C_W/(1 - skip^2).
    """
    l = layers(depth)
    if layer is not None and type(layer) is not Dense:
        columns = {
            "C_b": np.full(depth, C_b),
            "C_W": np.full(depth, C_W),
            "lambda_b": lambda_b * l ** rates[0],
            "lambda_W": lambda_W * l ** rates[1],
        }
        network = _network(activation, layer, {name: column.tolist() for name, column in columns.items()})
        if order == 0:
            closure = "book"  # leading means are the same, and take one recursion
        ds = flow(network, first_kernel=first_kernel, tensors=tensors, order=order, kinks=kinks, closure=closure)
        return ds.isel(layer=slice(0, depth))
    net = MLP.uniform(
        n_in=1,
        width=1,
        depth=depth,
        activation=activation,
        C_b=C_b,
        C_W=C_W,
        lambda_b=list(lambda_b * l ** rates[0]),
        lambda_W=list(lambda_W * l ** rates[1]),
    )
    return flow(net, first_kernel=first_kernel, tensors=tensors, order=order, kinks=kinks)


def _network(activation: Activation, layer: Layer, columns: dict[str, list[float]]) -> Network:
    """A dense first layer, then layers of one kind, then a dense one where that kind cannot be the last."""
    kept = float(kernel_step(layer).carried)
    left = 1 - kept if kept < 1 else 1.0
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    first = rows[0] | {name: rows[0][name] / left for name in ("C_b", "C_W")}
    own = layer.hyperparameters()
    listed: list[Layer] = [Dense(**first)]
    for row in rows[1:]:
        listed.append(layer.changed(**{name: x for name, x in row.items() if name in own}))
    if not layer.ends:
        listed.append(Dense())
    return Network(listed, [1] * (len(listed) + 1), activation)
