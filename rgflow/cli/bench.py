"""``rgflow bench``: how fast rgflow is on this machine, beside what is found there."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rgflow.cli.completion import subjects
from rgflow.cli.machine import print_json
from rgflow.cli.options import JsonOption
from rgflow.cli.paths import PICTURES, writable

if TYPE_CHECKING:
    from rich.console import Console

    from rgflow.bench.rows import Row


def bench(
    quick: Annotated[bool, typer.Option("--quick", help="Smaller cases and fewer rounds: minutes.")] = False,
    only: Annotated[
        str | None,
        typer.Option(
            metavar="A,B",
            help="Subjects: kernels, memory, grid, letters, inputs, networks, ..",
            autocompletion=subjects,
        ),
    ] = None,
    threads: Annotated[
        str | None, typer.Option(metavar="N,M", help="Only what is measured with so many threads.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw the ratios: .png, .svg or .pdf.")] = None,
    save: Annotated[Path | None, typer.Option(metavar="FILE", help="Save the rows: .json.")] = None,
    json: JsonOption = False,
) -> None:
    """Measure times and ratios on this machine, beside the programs that are found here.

    Beside NumPy always; beside hand-written C if there is a compiler, and beside neural-tangents if it can be imported
    or RGFLOW_PEERS_PYTHON names an interpreter that has it. Each number is a median of rounds in turn.

    \b
    Examples:
      rgflow bench --quick
      rgflow bench --only grid,letters --threads 1
      rgflow bench --save bench.json --plot bench.png
    """
    from rgflow.bench import machine
    from rgflow.bench.measure import SUBJECTS, jobs, measure
    from rgflow.bench.rows import as_json
    from rgflow.cli.files import picture
    from rgflow.cli.screen import results, working

    for path, endings, option in ((plot, PICTURES, "--plot"), (save, (".json",), "--save")):
        writable(path, endings, option)
    chosen = jobs(_names(only), _counts(threads))
    console = results()
    found = machine.describe()
    for line in () if json else (f"{found['processor']}, {found['processors']} processors", _versions(found)):
        console.print(line, style="bold" if "processors" in line else "", soft_wrap=True)
    rows: list[Row] = []
    for name in dict.fromkeys(name for name, _ in chosen):
        group: list[Row] = []
        for _, count in (job for job in chosen if job[0] == name):
            with working(f"{SUBJECTS[name].title.lower()}, {count} thread{'s' * (count > 1)}"):
                group += measure(name, count, quick)
        if not json:
            _show(group, console)
        rows += group
    if json:
        print_json("bench", {"machine": found, "rows": [asdict(row) for row in rows]})
    if save is not None:
        save.write_text(as_json(rows, found), encoding="utf-8")
        if not json:
            console.print(f"rows: {save}", soft_wrap=True)
    if plot is not None:
        from rgflow.bench.picture import plot_bench

        picture(lambda: plot_bench(rows), plot, quiet=json)


def _names(text: str | None) -> list[str]:
    return [name.strip() for name in text.split(",")] if text else []


def _counts(text: str | None) -> list[int]:
    from rgflow.checks import whole
    from rgflow.errors import InputError

    try:
        return [whole("--threads", int(part), 1) for part in _names(text)]
    except ValueError:
        raise InputError(f"--threads is {text!r}; give numbers such as 1,2") from None


def _versions(found: dict[str, str]) -> str:
    return ", ".join(f"{name} {found[name]}" for name in ("python", "numpy", "numba", "scipy") if name in found)


def _show(rows: list[Row], console: Console) -> None:
    from rgflow.bench.table import tables

    for title, table in tables(rows, max(console.width, 60)):
        console.print()
        console.print(title, style="bold")
        console.print(table, soft_wrap=True)
