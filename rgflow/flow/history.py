"""What a run leaves: every tensor at every layer, with its numerical error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rgflow.algebra import Tensor
from rgflow.errors import AccuracyError
from rgflow.network import Network


@dataclass(frozen=True)
class History:
    """values, errors: {tensor: array (L,) with one input, (L, M, M, ..) with M different ones}.

    brackets: how the Gaussian averages were found, "closed form", "quadrature" or "both".
    """

    values: dict[Tensor, Any]
    errors: dict[Tensor, Any]
    brackets: str = "quadrature"


def checked(net: Network, history: History) -> History:
    """The same history; AccuracyError where it is not finite."""
    for tensor, values in history.values.items():
        bad = np.flatnonzero(~np.isfinite(values.reshape(len(values), -1)).all(axis=1))
        if bad.size:
            raise AccuracyError(
                f"{tensor.name} of {net.activation.name} is not finite at layer {bad[0] + 1}: the flow runs away; "
                "choose a smaller C_W or fewer layers"
            )
    return history
