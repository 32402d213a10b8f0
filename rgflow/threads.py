"""Threads: as many of ours as there are cores, and one for each product of matrices.

A library of linear algebra with threads of its own leaves them spinning after every product, on the cores that our
threads need.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from threading import Lock
from typing import Any


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
