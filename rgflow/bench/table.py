"""Rows as a table: on a terminal by Rich, in a file as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from textwrap import fill
from typing import Any

from rgflow.bench.measure import SUBJECTS
from rgflow.bench.rows import Row, duration, number

NARROW = 100  # columns of a terminal below which the spread goes to a line of its own
COLUMNS = {"threads": 7, "result": 9, "spread": 16, "promised": 14}


def value_text(row: Row) -> str:
    """The number of a row with its unit.

    >>> value_text(Row("grid", "x", 5.25)), value_text(Row("start", "x", 0.5, unit="s"))
    ('5.25 x', '0.5 s')
    """
    if row.skipped:
        return "-"
    units = {"times": " x", "exponent": "", "files": " files"}
    return number(row.value) + units.get(row.unit, f" {row.unit}")


def promise_text(row: Row) -> str:
    """What was promised, and whether it is kept."""
    if row.promise is None:
        return ""
    sign = ">=" if row.unit == "times" else "<="
    return f"{sign} {number(row.promise)}" + ("" if row.skipped else " kept" if row.kept else " MISSED")


def spread_text(row: Row) -> str:
    """From the smallest to the largest."""
    return "" if row.skipped or row.low == row.high else f"{number(row.low)} .. {number(row.high)}"


def sides(row: Row) -> list[str]:
    """Times and errors of both sides, a text each."""
    parts = [f"with {row.beside}" if row.beside and row.seconds_beside is None else ""]
    for who, time, error in (("rgflow", row.seconds, row.error), (row.beside, row.seconds_beside, row.error_beside)):
        if time is not None and not (row.unit != "times" and who == "rgflow"):
            known = "" if error is None else f", error {error:.0e}"
            parts.append(f"{who} {duration(time)}{known}")
    return [part for part in parts if part]


def tables(rows: Iterable[Row], width: int) -> list[tuple[str, Any]]:
    """A table for each subject, with its title: fits ``width`` columns."""
    grouped: dict[str, list[Row]] = {}
    for row in rows:
        grouped.setdefault(row.subject, []).append(row)
    return [(SUBJECTS[name].title, _table(group, width)) for name, group in grouped.items()]


def _table(rows: Sequence[Row], width: int) -> Any:
    from rich import box
    from rich.table import Table

    found = Table(box=box.SIMPLE_HEAD, padding=(0, 1), show_edge=False, pad_edge=False, width=width)
    columns = COLUMNS if width >= NARROW else {name: size for name, size in COLUMNS.items() if name != "spread"}
    first = width - sum(size + 2 for size in columns.values()) - 2
    found.add_column("what, and beside whom", width=first, overflow="fold")
    for name, size in columns.items():
        found.add_column(name, justify="left" if name == "promised" else "right", no_wrap=True, width=size)
    for row in rows:
        spread = [spread_text(row)] if width >= NARROW else []
        found.add_row(_what(row, width, first), str(row.threads), value_text(row), *spread, _promise(row))
    return found


def _what(row: Row, width: int, column: int) -> Any:
    from rich.text import Text

    def more(line: str, style: str) -> None:
        text.append(
            "\n" + fill(line, column, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False),
            style=style,
        )

    text = Text(fill(row.what, column, break_on_hyphens=False))
    for line in sides(row):
        more(line, "cyan")
    if row.skipped:
        more(f"skipped: {row.skipped}", "yellow")
    if width < NARROW and spread_text(row):
        more(f"spread {spread_text(row)}", "dim")
    if row.unit == "exponent" or row.subject == "paper":
        more(row.note, "dim")
    return text


def _promise(row: Row) -> Any:
    from rich.text import Text

    return Text(promise_text(row), style={True: "green", False: "bold red", None: ""}[row.kept])


def markdown(rows: Sequence[Row], machine: Mapping[str, str]) -> str:
    """The page: the machine, a table for each subject, and how each number was found."""
    lines = ["# Measured speed", "", "Ratios say how many times as long the other takes; medians of rounds in turn."]
    lines += ["", *(f"- {key}: {value}" for key, value in machine.items()), ""]
    for name, subject in SUBJECTS.items():
        group = [row for row in rows if row.subject == name]
        if not group:
            continue
        lines += [f"## {subject.title}", ""]
        lines += [
            "| what | threads | result | spread | promised | rgflow | the other |",
            "|---|---|---|---|---|---|---|",
        ]
        lines += [_line(row) for row in group]
        notes = dict.fromkeys(f"- {row.what}: {row.note}" for row in group if row.note)
        lines += ["", *notes, ""] if notes else [""]
    return "\n".join(lines)


def _line(row: Row) -> str:
    def side(time: float | None, error: float | None, name: str = "") -> str:
        return ", ".join(
            part for part in (name, duration(time), f"error {error:.0e}" if error is not None else "") if part
        )

    shown = f"skipped: {row.skipped}" if row.skipped else value_text(row)
    promise = promise_text(row).replace(">=", "≥").replace("<=", "≤")
    cells = (row.what, str(row.threads), shown, spread_text(row).replace(" .. ", " to "), promise)
    both = side(row.seconds, row.error), side(row.seconds_beside, row.error_beside, row.beside)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in (*cells, *both)) + " |"
