"""Threads: as many of ours as there are cores, and one for each product of matrices.

A library of linear algebra with threads of its own leaves them spinning after every product, on the cores that our
threads need.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import lru_cache, partial
from threading import Lock
from typing import Any

Wait = Callable[[], Any]
Start = Callable[..., Wait]


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def hands(threads: int) -> Iterator[Start]:
    """A function that hands a piece of work to other threads and returns what waits for its result.

    The thread that asks is one of the threads: what it waits for and nobody has begun, it does. So it waits for the
    last piece first (:func:`finished`), while the others take the first. Where the block ends by an error, what was not
    begun is dropped.

    >>> with hands(2) as start:
    ...     print(finished([start(pow, 2, power) for power in range(4)]))
    [1, 2, 4, 8]
    """
    if threads == 1:
        yield lambda work, *given: partial(work, *given)
        return
    pool = ThreadPoolExecutor(threads - 1)

    def start(work: Callable[..., Any], *given: Any) -> Wait:
        piece = pool.submit(work, *given)
        return lambda: work(*given) if piece.cancel() else piece.result()

    try:
        yield start
    finally:
        pool.shutdown(cancel_futures=True)


def finished(waits: Sequence[Wait]) -> list[Any]:
    """The results of all pieces, in their order; each is waited for once."""
    return [wait() for wait in reversed(waits)][::-1]


@contextmanager
def single_products() -> Iterator[None]:
    """Products of matrices on the thread that asks for them, in the whole process, until the last such block ends."""
    _enter()
    try:
        yield
    finally:
        _leave()


_lock = Lock()
_inside = 0
_limit = ExitStack()


def _enter() -> None:
    global _inside
    with _lock:
        if _inside == 0:
            _limit.enter_context(_controller().limit(limits=1, user_api="blas"))
        _inside += 1


def _leave() -> None:
    global _inside
    with _lock:
        _inside -= 1
        if _inside == 0:
            _limit.close()


@lru_cache(maxsize=1)
def _controller() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
