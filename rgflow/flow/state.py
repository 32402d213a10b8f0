"""The state of a flow: every tensor as a block of N^arity numbers, components related by symmetry computed once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rgflow.algebra import Tensor


@dataclass(frozen=True)
class State:
    """Where each tensor's components stand.

    Attributes
    ----------
    tensors : tuple of Tensor
        In the order of the state.
    samples : int
        N, the number of different inputs.
    """

    tensors: tuple[Tensor, ...]
    samples: int

    @property
    def arity(self) -> tuple[int, ...]:
        """Number of sample indices of each tensor."""
        return tuple(2 * t.level for t in self.tensors)

    @cached_property
    def offsets(self) -> NDArray[np.int64]:
        """The first place of each tensor, then the size of the state."""
        sizes = [self.samples**arity for arity in self.arity]
        return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)

    @cached_property
    def representative(self) -> NDArray[np.int64]:
        """For each component, the place of the one that symmetry says is equal and that is computed."""
        blocks = [
            offset + _lowest(tensor, arity, self.samples)
            for tensor, arity, offset in zip(self.tensors, self.arity, self.offsets[:-1], strict=True)
        ]
        return np.concatenate(blocks)

    @cached_property
    def work(self) -> NDArray[np.int64]:
        """The components to compute: (tensor, component, place)."""
        places = np.unique(self.representative)
        target = np.searchsorted(self.offsets, places, side="right") - 1
        return np.ascontiguousarray(np.stack([target, places - self.offsets[target], places], axis=1))

    def block(self, values: Any, index: int) -> Any:
        """One tensor's components, as an array (N,) * arity."""
        return values[self.offsets[index] : self.offsets[index + 1]].reshape((self.samples,) * self.arity[index])


def _lowest(tensor: Tensor, arity: int, samples: int) -> NDArray[np.int64]:
    codes = np.arange(samples**arity, dtype=np.int64)
    if arity == 0 or samples == 1:
        return codes
    digits = np.stack(np.unravel_index(codes, (samples,) * arity))
    lowest = codes
    for symmetry in tensor.symmetries:
        lowest = np.minimum(lowest, np.ravel_multi_index(tuple(digits[list(symmetry)]), (samples,) * arity))
    return lowest
