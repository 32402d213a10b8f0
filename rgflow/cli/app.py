"""The ``rgflow`` program: its commands, its exit codes, and errors without tracebacks.

Exit codes: 0 done; 1 a typed error of rgflow, told in one line; 2 wrong usage; 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from rgflow.cli.derive import derive
from rgflow.cli.flow import flow
from rgflow.cli.screen import fail
from rgflow.errors import RgflowError

app = typer.Typer(
    name="rgflow", add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich", no_args_is_help=False
)


def _version(shown: bool) -> None:
    if shown:
        from rgflow.version import __version__

        typer.echo(f"rgflow {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def rgflow(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Derive, flow and check the 1/width expansion of deep random networks.

    \b
    Examples:
      rgflow derive V --samples many
      rgflow flow tanh --width 128 --depth 32
      rgflow flow gelu --width 64 --depth 8 --check 1000
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


app.command()(derive)
app.command()(flow)


def main() -> None:
    """Run the program and leave with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without Greek letters shows '?', it does not crash
    try:
        app(prog_name="rgflow")
    except RgflowError as error:
        fail(str(error))
        raise SystemExit(1) from None
    except MemoryError:
        fail("out of memory; ask fewer tensors, a lower order or fewer inputs")
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except BrokenPipeError:
        raise SystemExit(_closed_pipe()) from None
    finally:
        _flush()


def _flush() -> None:
    """A reader that went away is noticed when the interpreter flushes at its end, too late to be silent: do it here."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _closed_pipe()


def _closed_pipe() -> int:
    """What is still in the buffers has no reader: send it nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1
