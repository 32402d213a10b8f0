"""Where a flow starts: the validated overlaps of :mod:`rgflow.network.inputs`."""

from __future__ import annotations

from typing import Any

import numpy as np

from rgflow.algebra import Tensor
from rgflow.errors import InputError
from rgflow.layers import Law
from rgflow.network import Network
from rgflow.network.inputs import Given as Start
from rgflow.network.inputs import given as start

__all__ = ["Start", "check_first", "start"]


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
