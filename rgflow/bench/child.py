"""Another program beside ours: a process that answers questions, one JSON line each."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from rgflow.bench.clock import Spent, Work
from rgflow.errors import RgflowError


class Silent(RgflowError):
    """The other program ended without an answer."""


class Child:
    """A process that reads a JSON object a line and answers each with one."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] | None = None):
        self.command = command
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **(environment or {})},
        )

    def __enter__(self) -> Child:
        self.hello = self._read()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.communicate()

    def ask(self, do: str, **what: Any) -> dict[str, Any]:
        """Put a question and wait for its answer; Silent if there is none."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps({"do": do, **what}) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise Silent(f"{self.command[0]} has ended; ask it by hand what is wrong") from None
        return self._read()

    def work(self, do: str, **what: Any) -> Work:
        """Work that the child does and times."""

        def run() -> Spent:
            answer = self.ask(do, **what)
            return Spent(answer["wall"], answer["cpu"])

        return run

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise Silent(f"{' '.join(self.command)} gave no answer; run it by hand to see why")
        found: dict[str, Any] = json.loads(line)
        return found
