"""Memory begun where the machine likes it: large matrices at pages, working space of loops at lines of the cache."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

HUGE = 2**21  # bytes of a huge page on most machines
KEPT = 2**25  # bytes of the largest piece of memory that an allocator keeps for the next one when it is freed
LINE = 64  # bytes of a line of the cache, and of the widest vector


def empty(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """``np.empty(shape)``, begun where a huge page may begin.

    A system hands out memory page by page when it is first written; of small pages there are thousands, which costs a
    tenth of a whole Gram matrix and keeps threads waiting for each other.

    >>> empty((2, 3)).shape, empty((1, 1000, 1000)).ctypes.data % HUGE
    ((2, 3), 0)
    """
    size = 8 * math.prod(shape)
    if size < HUGE:
        return np.empty(shape)
    raw: Any = np.empty((size // HUGE + 2) * HUGE, np.uint8)  # what is never written takes no memory
    start = -raw.ctypes.data % HUGE
    found: NDArray[np.float64] = raw[start : start + size].view(np.float64).reshape(shape)
    return found


def empties(count: int, shape: tuple[int, ...]) -> list[NDArray[np.float64]]:
    """So many ``empty(shape)``, parts of one piece of memory unless it is large.

    The C library of Linux returns to the system what is freed beyond twice the largest piece it has seen freed. Two
    matrices that are made and freed together are as much, so that whoever asks for them again and again would pay for
    new pages each time: on two threads a sixth of the Gram matrices of 1000 inputs.

    >>> [part.shape for part in empties(2, (1, 3, 3))]
    [(1, 3, 3), (1, 3, 3)]
    """
    if 8 * count * math.prod(shape) < KEPT:
        return list(empty((count, *shape)))
    return [empty(shape) for _ in range(count)]


def zeros(*shape: int) -> NDArray[np.float64]:
    """``np.zeros(shape)``, begun where a line of the cache does: a loop over vectors that straddle two takes longer.

    >>> zeros(3, 5).shape, zeros(3, 5).ctypes.data % LINE
    ((3, 5), 0)
    """
    size = math.prod(shape)
    raw = np.zeros(size + LINE // 8)
    start = -raw.ctypes.data % LINE // 8
    return raw[start : start + size].reshape(shape)
