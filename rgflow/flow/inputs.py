"""Where a flow starts: the validated overlaps of :mod:`rgflow.network.inputs`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rgflow.algebra import Tensor
from rgflow.errors import InputError
from rgflow.layers import Law
from rgflow.network import Layer, Network
from rgflow.network.inputs import Given as Start
from rgflow.network.inputs import given as start

__all__ = ["Start", "check_first", "entering", "start"]


def check_first(net: Network, law: Law, overlap: Any) -> None:
    """InputError for overlaps that no inputs of n_0 entries have, where the first layer is not Gaussian.

    A Gaussian first layer depends on the overlaps alone; an orthogonal one acts on inputs that must exist.
    """
    n_0 = net.widths[0]
    if len(overlap) > n_0 and law.intrinsic(*Tensor.named("V").pairs) and np.linalg.matrix_rank(overlap) > n_0:
        raise InputError(
            f"first_kernel is that of {len(overlap)} independent inputs, and the first layer, {law.name}, takes inputs "
            f"of n_0 = {n_0} entries; widen n_0 or give inputs="
        )


def entering(layer: Layer, overlap: Any, swept: Mapping[str, Any] | None = None) -> tuple[Any, Any]:
    """K = C_b + C_W g and Theta = lambda_b + lambda_W g of the first layer, z^1 = b + W x with g = x.x'/n_0.

    ``swept`` replaces hyperparameters of the layer by arrays.
    """
    C_b, C_W, lambda_b, lambda_W = (
        (swept or {}).get(name, layer.value(name)) for name in ("C_b", "C_W", "lambda_b", "lambda_W")
    )
    return C_b + C_W * overlap, lambda_b + lambda_W * overlap
