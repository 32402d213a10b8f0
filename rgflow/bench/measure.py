"""All subjects, each in a process of its own that has the threads it is measured with and no others."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rgflow.bench import grid, growth, inputs, kernels, letters, machine, networks, paper, parallel, start
from rgflow.bench.rows import Row
from rgflow.errors import UnknownName

Rows = Callable[[int, bool], Iterator[Row]]


@dataclass(frozen=True)
class Subject:
    """A group of rows: on one thread and on all, on one only, or on all only."""

    title: str
    rows: Rows
    threads: str = "one"


SUBJECTS = {
    "kernels": Subject("Kernels of many inputs", kernels.rows, "both"),
    "memory": Subject("Memory", kernels.memory, "all"),
    "grid": Subject("Grids of hyperparameters", grid.rows, "both"),
    "letters": Subject("Eleven letters", letters.rows),
    "inputs": Subject("Four inputs", inputs.rows),
    "networks": Subject("Theory and sampled networks", networks.rows, "both"),
    "growth": Subject("How costs grow", growth.rows),
    "parallel": Subject("Threads and workers", parallel.rows, "all"),
    "paper": Subject("10^9 points, on paper", paper.rows),
    "start": Subject("Cold start", start.rows, "all"),
}


def jobs(only: Sequence[str] = (), threads: Sequence[int] = ()) -> list[tuple[str, int]]:
    """Subjects with the numbers of threads they are measured with.

    Raises UnknownName for a subject that is none.
    """
    for name in only:
        if name not in SUBJECTS:
            raise UnknownName("subject", name, SUBJECTS)
    every = len(machine.processors())
    counts = {"one": [1], "all": [every], "both": sorted({1, every})}
    chosen = {name: subject for name, subject in SUBJECTS.items() if not only or name in only}
    found = [(name, count) for name, subject in chosen.items() for count in counts[subject.threads]]
    return [job for job in found if not threads or job[1] in threads]


def measure(name: str, threads: int, quick: bool) -> Iterator[Row]:
    """The rows of one subject as they are found; a process that fails leaves a row that says so."""
    command = [sys.executable, "-m", "rgflow.bench", name, str(threads), *(["--quick"] if quick else [])]
    # what is measured on several threads of ours must not have those of libraries besides when it runs on one
    own = 1 if name == "parallel" else threads
    environment = {**os.environ, **machine.environment(own)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stdout:
            yield Row.from_json(line)
        message = process.stderr.read().strip().splitlines()
    if process.returncode:
        yield Row(name, SUBJECTS[name].title, threads=threads, skipped=message[-1] if message else "ended early")
