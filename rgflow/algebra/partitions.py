"""Set partitions, listed once and remembered."""

from __future__ import annotations

from functools import cache

Blocks = tuple[tuple[int, ...], ...]


@cache
def set_partitions(n: int) -> tuple[Blocks, ...]:
    """All partitions of {0, .., n-1} into blocks, blocks ordered by their smallest member.

    >>> set_partitions(2)
    (((0, 1),), ((0,), (1,)))
    """
    if n == 0:
        return ((),)
    found: list[Blocks] = []
    for smaller in set_partitions(n - 1):
        for i, block in enumerate(smaller):
            found.append((*smaller[:i], (*block, n - 1), *smaller[i + 1 :]))
        found.append((*smaller, (n - 1,)))
    return tuple(found)
