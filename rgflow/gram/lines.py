"""The lines of K and Theta as numbers: what each stage of a network makes of what stands below.

At leading order both are linear in what stands below, so that a stage t is a few coefficients, read off the derived
means of its law, nothing typed:

    K(t)     = constant + sum_b [ a_b <s s>(t-b) + b_b K(t-b) ]
    Theta(t) = constant + sum_b [ c_b <s s>(t-b) + d_b K(t-b) + e_b Theta(t-b) + f_b <s' s'>(t-b) Theta(t-b) ]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rgflow.algebra.jets import Jet
from rgflow.algebra.response import Answer, Entry
from rgflow.derive.response import mean
from rgflow.errors import InputError
from rgflow.layers.stages import Stage

Floats = NDArray[np.float64]
PLAIN: Entry = (Jet(1), Jet(2))
TANGENT: Entry = (Jet(1, (0,)), Jet(2, (0,)))
K_SS, K_K, T_SS, T_K, T_T, T_DD = range(6)


@dataclass(frozen=True, eq=False)
class Lines:
    """The coefficients of all stages.

    Attributes
    ----------
    first : (C_b, C_W, lambda_b, lambda_W) of the first layer
    constants : (S, 2), of K and of Theta
    coefficients : (S, B, 6)
        Of stage t, read from stage t - 1 - b: a, b, c, d, e, f of the equation above.
    layers : (S,), the layer l of each stage
    last : (L,), the last stage of each layer
    """

    first: tuple[float, float, float, float]
    constants: Floats
    coefficients: Floats
    layers: NDArray[np.int64]
    last: NDArray[np.int64]

    @property
    def stages(self) -> int:
        return len(self.constants)

    @property
    def reach(self) -> int:
        """B: how many stages back a line may read."""
        return int(self.coefficients.shape[1])

    @cached_property
    def averaged(self) -> NDArray[np.bool_]:
        """Whether any line reads averages over the neurons of a stage, (S,)."""
        return self._read((K_SS, T_SS, T_DD))

    @cached_property
    def cuts(self) -> NDArray[np.bool_]:
        """Whether all later stages know enough from K and Theta of this one alone, (S,)."""
        found = np.ones(self.stages, np.bool_)
        for t in range(self.stages):
            for b in range(self.reach):
                if self.coefficients[t, b].any():
                    found[t - b : t] = False
        return found

    def _read(self, columns: Sequence[int]) -> NDArray[np.bool_]:
        found = np.zeros(self.stages, np.bool_)
        for t in range(1, self.stages):
            for b in range(min(self.reach, t)):
                found[t - 1 - b] |= bool(self.coefficients[t, b, list(columns)].any())
        return found


def lines(stages: Sequence[Stage]) -> Lines:
    """The lines of a network's stages.

    Raises InputError for a law whose leading mean is not of this form.
    """
    reach = max(
        (answer.back for stage in stages[1:] for e in (PLAIN, TANGENT) for answer in mean(e, stage.law)), default=1
    )
    constants = np.zeros((len(stages), 2))
    coefficients = np.zeros((len(stages), reach, 6))
    for t, stage in enumerate(stages[1:], 1):
        if stage.law.norm or stage.law.scale:
            raise InputError(
                f"layer {stage.layer} normalises, which Gram matrices of very many inputs do not offer; flow at most "
                "ten inputs at a time"
            )
        for row, entry in enumerate((PLAIN, TANGENT)):
            constants[t, row] = sum(map(stage.value, stage.law.constants(*entry)))
            for answer in mean(entry, stage.law):
                weight = stage.product(answer.symbols) * float(answer.coefficient)
                coefficients[t, answer.back - 1, _column(answer, row, stage)] += weight
    layer = stages[0].description
    C_b, C_W, lambda_b, lambda_W = (layer.value(name) for name in ("C_b", "C_W", "lambda_b", "lambda_W"))
    return Lines(
        (C_b, C_W, lambda_b, lambda_W),
        constants,
        coefficients,
        np.array([stage.layer for stage in stages], np.int64),
        np.array([t for t, stage in enumerate(stages) if stage.last], np.int64),
    )


def _column(answer: Answer, row: int, stage: Stage) -> int:
    """Which of the six terms an answer is."""
    orders = None if answer.bracket is None else answer.bracket.orders
    kind: tuple[Any, ...] = (orders, len(answer.kernels), len(answer.thetas))
    known = {
        ((0, 0), 0, 0): (K_SS, T_SS),
        (None, 1, 0): (K_K, T_K),
        (None, 0, 1): (-1, T_T),
        ((1, 1), 0, 1): (-1, T_DD),
    }
    column = known.get(kind, (-1, -1))[row]
    if column < 0:
        raise InputError(f"the leading mean of {stage.law.name} layers (layer {stage.layer}) is no line of this form")
    return column
