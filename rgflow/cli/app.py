"""The ``rgflow`` program: its commands, its exit codes, and errors without tracebacks.

Exit codes: 0 done; 1 a typed error of rgflow, told in one line; 2 wrong usage; 130 interrupted.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from rgflow.cli.aspect import aspect
from rgflow.cli.bench import bench
from rgflow.cli.critical import critical
from rgflow.cli.derive import derive
from rgflow.cli.flow import flow
from rgflow.cli.phase import phase
from rgflow.cli.screen import abandon, fail, spell_out
from rgflow.cli.solve import solve
from rgflow.cli.sweep import sweep
from rgflow.cli.variation import variation
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
    """Derive, solve, flow and check the 1/width expansion of deep random networks.

    \b
    Examples:
      rgflow derive V --samples many
      rgflow flow tanh --width 128 --depth 32
      rgflow flow gelu --width 64 --depth 8 --check 1000
      rgflow critical gelu --table
      rgflow aspect tanh --width 512
      rgflow solve V relu
      rgflow phase tanh --plot phase.png
      rgflow variation tanh --depth 100 --beta 0.2
      rgflow sweep tanh --C-W 0.5:3:200 --C-b 0:0.3:100 --depth 100 --plot phase.png
      rgflow bench --quick
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


app.command()(derive)
app.command()(flow)
app.command()(critical)
app.command()(aspect)
app.command()(solve)
app.command()(phase)
app.command()(variation)
app.command()(sweep)
app.command()(bench)


def main() -> None:
    """Run the program and leave with its exit code."""
    spell_out()
    try:
        try:
            app(prog_name="rgflow")
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()  # what cannot be written is noticed here, not at the interpreter's end
    except RgflowError as error:
        fail(str(error))
        raise SystemExit(1) from None
    except MemoryError:
        fail("out of memory; ask fewer tensors, a lower order or fewer inputs")
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except BrokenPipeError:  # a reader that went away is met with silence
        abandon()
        raise SystemExit(1) from None
    except OSError as error:
        abandon()
        fail(f"{error.filename or 'cannot write the output'}: {error.strerror or error}")
        raise SystemExit(1) from None
