"""What the server holds between requests: its processes, one thread, and the last answers; nothing of a user."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

import xarray  # noqa: F401  (threads that load it at once stumble over each other)
from starlette.applications import Starlette

from rgflow.activations.catalogue import CATALOGUE
from rgflow.errors import RgflowError
from rgflow.explorer.answer import answer
from rgflow.explorer.first_order import first_order
from rgflow.explorer.leading import reader
from rgflow.explorer.phases import key
from rgflow.explorer.state import State, state_of
from rgflow.explorer.workers import TaskError, Workers

PATIENCE = 180.0  # seconds: then a task is given up
KEPT = 48  # answers that are kept for the next who asks


class Explorer:
    """Everything that the server holds: its processes, and the last answers; nothing of a user."""

    def __init__(self, warm: bool = True) -> None:
        self.warms = warm
        self.workers: Workers | None = None
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="rgflow-answer")
        self.background = ThreadPoolExecutor(1, thread_name_prefix="rgflow-prepare")
        self.ready: set[tuple[str, str]] = set()  # kinds of layers and activations whose kernels are loaded
        self.preparing: set[Any] = set()
        self.kept: OrderedDict[Any, Any] = OrderedDict()
        self.sampling = 0
        self.asked = 0  # tasks that somebody waits for

    # Answers ----------------------------------------------------------------------------------------------------------

    async def quick(self, state: State) -> dict[str, Any]:
        """The answer at once; an earlier one if it is still there."""
        ready = (state.layer, state.sigma.formula_text) in self.ready
        found = self.recall("answer", (state, ready))
        if found is None:
            loop = asyncio.get_running_loop()
            begun = time.perf_counter()
            found = await loop.run_in_executor(self.thread, answer, state, ready)
            found["milliseconds"] = round(1e3 * (time.perf_counter() - begun), 1)
            self.keep("answer", (state, ready), found)
        later = self.recall("first_order", state) if found["first_order"] == "later" else None
        return found if later is None else {**found, **later["answer"], "first_order": "here"}

    def _prepare(self, what: Any, work: Callable[[], None]) -> None:
        """Do something in the background, unless it is being done."""
        if what not in self.preparing:
            self.preparing.add(what)
            self.background.submit(_tried, work).add_done_callback(lambda _: self.preparing.discard(what))

    def _load(self, state: State) -> None:
        """Load the kernel of a state, which is on disk by now, so that its part 1/n is known at once."""
        what = (state.layer, state.sigma.formula_text)

        def load() -> None:
            net = small(state).network()
            first_order(net, state["first_kernel"])
            self.ready.add(what)

        if state.quick and what not in self.ready:
            self._prepare(("kernel", *what), load)

    def recall(self, task: str, state: Any) -> Any:
        """An answer that is still there."""
        found = self.kept.get((task, state))
        if found is not None:
            self.kept.move_to_end((task, state))
        return found

    def keep(self, task: str, state: Any, found: Any) -> None:
        """Remember an answer, and forget the oldest."""
        self.kept[task, state] = found
        while len(self.kept) > KEPT:
            self.kept.popitem(last=False)

    # Processes --------------------------------------------------------------------------------------------------------

    async def task(self, name: str, state: State, options: dict[str, Any], progress: Any = lambda share: None) -> Any:
        """A task in a process, or its answer if it is still there."""
        where = place(name, state, options)
        found = self.recall(name, where)
        if found is None:
            self.asked += 1
            try:
                found = await self.run(name, state, options, progress)
            finally:
                self.asked -= 1
            self.keep(name, where, found)
            if name == "first_order":
                self._load(state)
        return found

    async def run(self, name: str, state: State, options: dict[str, Any], progress: Any = lambda share: None) -> Any:
        """A task in a process; TimeoutError when it takes too long."""
        assert self.workers is not None
        return await asyncio.wait_for(self.workers.run(name, state, options, progress), PATIENCE)

    async def warm(self) -> None:
        """Compile for every activation of the menu while nobody asks, so that changing it is quick."""
        for name in ["tanh", *(name for name, entry in CATALOGUE.items() if not entry.parameters and name != "tanh")]:
            state = state_of({"activation": name})
            while self.asked:
                await asyncio.sleep(0.5)
            with suppress(TaskError, TimeoutError):
                reader(state.sigma).octaves |= await self.run("warm", small(state), {})
                self._load(state)

    @asynccontextmanager
    async def life(self, app: Starlette) -> AsyncIterator[None]:
        """From the first request to the last."""
        self.workers = Workers()
        warming = asyncio.create_task(self.warm()) if self.warms else None
        yield
        if warming is not None:
            warming.cancel()
        self.workers.close()
        for threads in (self.thread, self.background):
            threads.shutdown(wait=False, cancel_futures=True)


def small(state: State) -> State:
    """The same with few neurons and layers."""
    put = {"depth": 3.0, "width": 4.0}
    return replace(state, numbers=tuple((name, put.get(name, value)) for name, value in state.numbers))


def _tried(work: Callable[[], None]) -> None:
    with suppress(RgflowError):  # what cannot be prepared is said when it is asked for
        work()


def place(name: str, state: State, options: dict[str, Any]) -> Any:
    """What an answer depends on."""
    if name == "diagram":
        return key(state)
    if name == "reading":
        return state.activation, state.layer, state.place
    return (state, options.get("networks"), options.get("seed")) if name == "sampled" else state
