"""Blocks to be done by whoever is there: this thread, several, or the workers of an executor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ThreadPoolExecutor, wait
from threading import Event
from typing import Any

from rgflow.checks import whole
from rgflow.errors import InputError, RgflowError
from rgflow.sweeps.compute import Found, compute
from rgflow.sweeps.layout import Block
from rgflow.sweeps.request import Request
from rgflow.threads import cores

Done = Callable[[Block, Found], None]


def work(
    request: Request, blocks: Iterator[Block], done: Done, threads: int | None = None, executor: Any = None
) -> None:
    """Compute every block and hand it to ``done``, in whatever order they come.

    A thread hands over what it has computed before it begins another block; an executor is given one block for each of
    its workers. When something fails, or the user interrupts, what is finished is still handed over and what waits is
    cancelled.

    Raises InputError for what is no executor, RgflowError if its workers are gone.
    """
    if executor is not None:
        pool, count = _executor(executor)
        _feed(lambda block: pool.submit(compute, request, block), count, blocks, done)
        return
    count = _threads(threads)
    if count == 1:
        for block in blocks:
            done(block, compute(request, block))
        return
    _in_threads(request, blocks, done, count)


def workers(threads: int | None, executor: Any) -> int:
    """How many there are; InputError for what cannot work, before a store is made."""
    count = _threads(threads)
    return count if executor is None else _executor(executor)[1]


def _in_threads(request: Request, blocks: Iterator[Block], done: Done, count: int) -> None:
    stopped = Event()

    def run(block: Block) -> None:
        done(block, compute(request, block, stopped.is_set))

    pool = ThreadPoolExecutor(count, thread_name_prefix="rgflow-sweep")
    try:
        _feed(lambda block: pool.submit(run, block), 2 * count, blocks, lambda block, nothing: None)
    finally:
        stopped.set()
        pool.shutdown(cancel_futures=True)


def _feed(
    submit: Callable[[Block], Future[Any]], most: int, blocks: Iterator[Block], received: Callable[[Block, Any], None]
) -> None:
    """At most so many blocks in flight, so that no result piles up."""
    waiting: dict[Future[Any], Block] = {}
    try:
        while True:
            while len(waiting) < most and (block := next(blocks, None)) is not None:
                waiting[submit(block)] = block
            if not waiting:
                return
            for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                block = waiting.pop(future)
                received(block, future.result())
    except BaseException as error:
        _abandon(waiting, received)
        if _lost(error):
            raise RgflowError(
                f"the executor lost its workers ({type(error).__name__}: {str(error).strip() or 'no reason given'}); "
                "what was finished is kept where path= was given: start workers with more memory and call again"
            ) from error
        raise


def _abandon(waiting: dict[Future[Any], Block], received: Callable[[Block, Any], None]) -> None:
    """Cancel what waits, keep what has come back."""
    for future in waiting:
        future.cancel()
    for future, block in waiting.items():
        if future.done() and not future.cancelled() and future.exception() is None:
            try:
                received(block, future.result())
            except RgflowError:
                return  # what raised the first time


def _lost(error: BaseException) -> bool:
    """Whether an error is one of the executor, not of the work."""
    name = type(error).__name__
    return isinstance(error, BrokenExecutor) or name in ("KilledWorker", "CommClosedError", "FutureCancelledError")


def _executor(executor: Any) -> tuple[Executor, int]:
    """An executor of the standard library as it is; a Dask client as one."""
    if isinstance(executor, Executor):
        return executor, int(getattr(executor, "_max_workers", None) or cores())
    if hasattr(executor, "get_executor") and hasattr(executor, "nthreads"):
        return executor.get_executor(pure=False), max(1, sum(executor.nthreads().values()))
    raise InputError(
        f"executor is {executor!r}; give a concurrent.futures.Executor or a dask.distributed.Client (extra: dask)"
    )


def _threads(threads: int | None) -> int:
    return cores() if threads is None else whole("threads", threads, 1)
