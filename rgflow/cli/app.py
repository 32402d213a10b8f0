"""The ``rgflow`` program: its commands, its exit codes, and errors without tracebacks.

Exit codes: 0 done; 1 a typed error of rgflow; 2 wrong usage; 130 interrupted. Errors and warnings are one line each,
on standard error.
"""

from __future__ import annotations

import sys
import warnings
from typing import Annotated, Any

import typer

from rgflow.cli.aspect import aspect
from rgflow.cli.bench import bench
from rgflow.cli.book import book
from rgflow.cli.cite import cite
from rgflow.cli.commands import USAGE, Command, Group, usage_text
from rgflow.cli.critical import critical
from rgflow.cli.derive import derive
from rgflow.cli.explore import explore
from rgflow.cli.flow import flow
from rgflow.cli.phase import phase
from rgflow.cli.screen import abandon, fail, spell_out, warn
from rgflow.cli.solve import solve
from rgflow.cli.sweep import sweep
from rgflow.cli.variation import variation
from rgflow.cli.welcome import group_of, print_welcome
from rgflow.errors import RgflowError

app = typer.Typer(
    name="rgflow", cls=Group, pretty_exceptions_enable=False, rich_markup_mode="rich", no_args_is_help=False
)
COMMANDS = (derive, solve, book, cite, flow, sweep, explore, bench, critical, aspect, phase, variation)


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
    """Derive, solve, flow and check the 1/width expansion of deep random networks.

    \b
    Examples:
      rgflow                      what one can do, with an example each
      rgflow derive V             the recursion of the four-point vertex
      rgflow flow tanh --help     options of a command, and more examples
    """
    if context.invoked_subcommand is None:
        print_welcome({each.__name__ for each in COMMANDS})


for each in COMMANDS:
    app.command(cls=Command, rich_help_panel=group_of(each.__name__))(each)


def main() -> None:
    """Run the program and leave with its exit code."""
    spell_out()
    with warnings.catch_warnings():
        warnings.showwarning = _told
        raise SystemExit(_run())


def _told(message: Warning | str, *place: Any, **more: Any) -> None:
    """A warning as a line; where in the program it arose says nothing to who runs it."""
    warn(f"warning: {message}")


def _run() -> int:
    """The exit code."""
    try:
        try:
            code = app(prog_name="rgflow", standalone_mode=False)
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()  # what cannot be written is noticed here, not at the interpreter's end
    except RgflowError as error:
        fail(str(error))
        return 1
    except USAGE as error:
        fail(usage_text(error))
        return int(getattr(error, "exit_code", 2))
    except MemoryError:
        fail("out of memory; ask fewer tensors, a lower order or fewer inputs")
        return 1
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except BrokenPipeError:  # a reader that went away is met with silence
        abandon()
        return 1
    except OSError as error:
        abandon()
        fail(f"{error.filename or 'cannot write the output'}: {error.strerror or error}")
        return 1
    return code if isinstance(code, int) else 0
