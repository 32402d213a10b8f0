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


@dataclass(frozen=True)
class Packed:
    """The same with components related by symmetry stored once: about N^4 / 8 numbers for a four-point tensor."""

    tensors: tuple[Tensor, ...]
    samples: int

    @property
    def arity(self) -> tuple[int, ...]:
        """Number of sample indices of each tensor."""
        return tuple(2 * t.level for t in self.tensors)

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """Where the index map of each tensor starts, then its size."""
        return np.concatenate([[0], np.cumsum([self.samples**arity for arity in self.arity])]).astype(np.int64)

    @cached_property
    def _maps(self) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
        slots, work, offsets = [], [], [0]
        for index, (tensor, arity) in enumerate(zip(self.tensors, self.arity, strict=True)):
            components, place = np.unique(_lowest(tensor, arity, self.samples), return_inverse=True)
            slots.append((place.ravel() + offsets[-1]).astype(np.int32))
            work.append(np.stack([np.full_like(components, index), components], axis=1))
            offsets.append(offsets[-1] + len(components))
        return np.concatenate(slots), np.ascontiguousarray(np.concatenate(work)), np.array(offsets, np.int64)

    @property
    def slots(self) -> NDArray[np.int32]:
        """For each component of each tensor, its place among the stored ones."""
        return self._maps[0]

    @property
    def work(self) -> NDArray[np.int64]:
        """The stored components: (tensor, component)."""
        return self._maps[1]

    @property
    def offsets(self) -> NDArray[np.int64]:
        """The first stored component of each tensor, then their number."""
        return self._maps[2]

    def packed(self, index: int, block: Any) -> Any:
        """The stored components of one tensor."""
        start, stop = self.offsets[index : index + 2]
        return np.reshape(block, -1)[self.work[start:stop, 1]]

    def block(self, values: Any, index: int) -> Any:
        """One tensor's components from the stored ones (.., size), as an array (.., N, N, ..)."""
        found = values[..., self.slots[self.starts[index] : self.starts[index + 1]]]
        return found.reshape(values.shape[:-1] + (self.samples,) * self.arity[index])


def _lowest(tensor: Tensor, arity: int, samples: int) -> NDArray[np.int64]:
    codes = np.arange(samples**arity, dtype=np.int64)
    if arity == 0 or samples == 1:
        return codes
    digits = np.stack(np.unravel_index(codes, (samples,) * arity))
    lowest = codes
    for symmetry in tensor.symmetries:
        lowest = np.minimum(lowest, np.ravel_multi_index(tuple(digits[list(symmetry)]), (samples,) * arity))
    return lowest
