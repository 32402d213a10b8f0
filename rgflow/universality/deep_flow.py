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
from rgflow.network import MLP

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
) -> xarray.Dataset:
    """The flow of a network with lambda_b l^x_b, lambda_W l^x_W at layer l, (x_b, x_W) = rates.

    Coefficients of equal widths do not depend on the width, which is therefore 1.
    """
    l = layers(depth)
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
