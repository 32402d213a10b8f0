"""Processes for what takes longer than a frame: few, kept warm, and ended when nobody waits for their answer.

A computation that nobody wants any more cannot be asked to stop in the middle of a matrix product; a process can be
ended. So the event loop stays free, sliders stay quick, and a newer change supersedes an older one.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

from rgflow.errors import RgflowError
from rgflow.explorer.state import State

MOST = 4  # processes
_Value = TypeVar("_Value")


class TaskError(RgflowError):
    """A task that ended without an answer: what it said itself, or that its process died."""


class Workers:
    """Up to ``most`` processes that run the functions of :mod:`rgflow.explorer.tasks`."""

    def __init__(self, most: int = MOST):
        method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
        self.context: Any = multiprocessing.get_context(method)
        if method == "forkserver":
            self.context.set_forkserver_preload(["rgflow.explorer.preload"])
        self.slots = asyncio.Semaphore(most)
        self.idle: list[_Process] = []
        self.all: set[_Process] = set()
        self.threads = ThreadPoolExecutor(2 * most + 2, thread_name_prefix="rgflow-explorer")

    async def run(
        self, name: str, state: State, options: dict[str, Any], progress: Callable[[float], None] = lambda share: None
    ) -> Any:
        """The answer of a task; whoever cancels this ends its process.

        Raises TaskError with what the task itself said.
        """
        async with self.slots:
            process = self.idle.pop() if self.idle else await self._thread(self._begin)
            try:
                await self._thread(lambda: process.pipe.send((name, state, options)))
                while True:
                    word, value = await self._thread(process.pipe.recv)
                    if word != "progress":
                        break
                    progress(value)
            except (EOFError, OSError):
                self._end(process)
                raise TaskError("the computation ended without an answer; it may have run out of memory") from None
            except BaseException:  # cancelled: nobody waits for the rest
                self._end(process)
                raise
            self.idle.append(process)
        if word == "problem":
            raise TaskError(value)
        return value

    async def _thread(self, function: Callable[[], _Value]) -> _Value:
        return await asyncio.get_running_loop().run_in_executor(self.threads, function)

    def _begin(self) -> _Process:
        process = _Process(self.context)
        self.all.add(process)
        return process

    def _end(self, process: _Process) -> None:
        self.all.discard(process)
        process.end()

    def close(self) -> None:
        """End all processes."""
        for process in list(self.all):
            self._end(process)
        self.idle.clear()
        self.threads.shutdown(wait=False, cancel_futures=True)


class _Process:
    def __init__(self, context: Any):
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()  # so that the end of the process is seen

    def end(self) -> None:
        self.process.kill()
        with suppress(OSError):
            self.pipe.close()


def serve(pipe: Any) -> None:
    """The life of a process: one task after the other."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the server's to answer
    if hasattr(os, "nice"):
        os.nice(8)  # sliders go before
    from rgflow.explorer.tasks import run

    while True:
        try:
            name, state, options = pipe.recv()
        except (EOFError, OSError):
            return
        last = [-1.0]

        def report(share: float, last: list[float] = last) -> None:
            if share != last[0]:
                last[0] = share
                pipe.send(("progress", share))

        try:
            answer = ("done", run(name, state, options, report))
        except RgflowError as error:
            answer = ("problem", str(error))
        except MemoryError:
            answer = ("problem", "out of memory; take a smaller network")
        pipe.send(answer)
