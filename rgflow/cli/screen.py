"""Where text goes: results to standard output, everything about the work to standard error."""

from __future__ import annotations

import codecs
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.box import Box
    from rich.console import Console


# One letter for one, so that columns stay aligned; what is not here becomes a question mark.
_SPELLED = {
    "σ": "s", "∂": "d", "β": "b", "κ": "k", "Σ": "S", "δ": "d", "Θ": "T", "λ": "l", "±": "+", "·": ".", "…": ".",
    "\N{NO-BREAK SPACE}": " ",
}  # fmt: skip


def _spelled(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_SPELLED.get(letter, "?") for letter in error.object[error.start : error.end]), error.end


def spell_out() -> None:
    """A terminal without Greek letters shows Latin ones; it does not crash."""
    codecs.register_error("rgflow.spelled", _spelled)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="rgflow.spelled")


def abandon() -> None:
    """What is still in the buffers of standard output can go nowhere: let no later flush try again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def results(width: int | None = None) -> Console:
    """Standard output: colour on a terminal without NO_COLOR; 80 columns in a pipe unless COLUMNS is set."""
    from rich.console import Console

    return Console(file=sys.stdout, width=width, highlight=False, markup=False, emoji=False)


def rule_below_titles() -> Box:
    """The one line that tables have; of hyphens where the encoding of standard output has no other."""
    from rich import box

    if (getattr(sys.stdout, "encoding", None) or "ascii").lower().startswith("utf"):
        return box.SIMPLE_HEAD
    return box.Box(str(box.SIMPLE_HEAD).replace("─", "-"), ascii=True)


def messages() -> Console:
    """Standard error."""
    from rich.console import Console

    return Console(file=sys.stderr, highlight=False, markup=False, emoji=False)


def warn(text: str) -> None:
    """A line on standard error that pipes and logs need, too."""
    messages().print(text, style="yellow", soft_wrap=True)


def fail(text: str) -> None:
    """One red line on standard error, never wrapped."""
    messages().print("error: " + " ".join(text.split()), style="bold red", soft_wrap=True)


def note(text: str) -> None:
    """A remark about the work: on a terminal only, so that pipes and logs hold results and errors alone."""
    console = messages()
    if console.is_terminal:
        console.print(text, style="dim", soft_wrap=True)


@contextmanager
def working(text: str) -> Iterator[None]:
    """Say what is happening while it happens, on a terminal."""
    console = messages()
    if not console.is_terminal:
        yield
        return
    with console.status(text, spinner="dots"):
        yield
