"""What a run leaves: every tensor at every layer, with its numerical error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rgflow.algebra import Tensor


@dataclass(frozen=True)
class History:
    """values, errors: {tensor: array (L,) with one input, (L, M, M, ..) with M different ones}.

    brackets: how the Gaussian averages were found, "closed form", "quadrature" or "both".
    """

    values: dict[Tensor, Any]
    errors: dict[Tensor, Any]
    brackets: str = "quadrature"
