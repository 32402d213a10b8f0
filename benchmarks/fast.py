"""How fast: rgflow beside what a user would run instead, in one run, in turn, on one thread and on all.

    python benchmarks/fast.py [--quick] [--only kernels,grid] [--threads 1] [--to benchmarks/results/fast]

Writes a table (fast.md), its numbers (fast.json) and a picture (fast.png); rows of subjects that are not measured again
stay as they were. What runs is ``rgflow.bench``, as in ``rgflow bench``; the opponents stand in ``benchmarks/peers``.
RGFLOW_PEERS_PYTHON names an interpreter that has neural-tangents; an opponent that is not there is skipped with a line.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rgflow.bench import machine
from rgflow.bench.measure import SUBJECTS, jobs, measure
from rgflow.bench.picture import grouped, plot_bench
from rgflow.bench.rows import Row, as_json
from rgflow.bench.table import markdown, promise_text, sides, spread_text, value_text
from rgflow.plots import write_picture


def shown(row: Row) -> str:
    """A row as lines of a log."""
    what = f"skipped: {row.skipped}" if row.skipped else f"{value_text(row)}  [{spread_text(row)}]  {promise_text(row)}"
    return f"{row.subject} ({row.threads}): {row.what}\n    {what}\n    {'; '.join(sides(row))}"


def write(rows: list[Row], target: Path) -> None:
    """The numbers, the table and, if there is a ratio to draw, the picture."""
    target.with_suffix(".json").write_text(as_json(rows, machine.describe()), encoding="utf-8")
    target.with_suffix(".md").write_text(markdown(rows, machine.describe()), encoding="utf-8")
    if grouped(rows):
        write_picture(plot_bench(rows), target.with_suffix(".png"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default="", help="subjects, with commas")
    parser.add_argument("--threads", default="", help="numbers of threads, with commas")
    parser.add_argument("--to", default=str(Path(__file__).parent / "results" / "fast"))
    options = parser.parse_args()
    counts = [int(count) for count in options.threads.split(",") if count]
    target = Path(options.to)
    known = target.with_suffix(".json")
    before = [Row(**row) for row in json.loads(known.read_text())["rows"]] if known.exists() else []
    for name, threads in jobs([name for name in options.only.split(",") if name], counts):
        twice = SUBJECTS[name].threads == "both"
        others = [row for row in before if row.subject != name or (twice and row.threads != threads)]
        found: list[Row] = []
        for row in measure(name, threads, options.quick):
            found.append(row)
            print(shown(row), flush=True)
            # after every row: what was measured is kept when the rest is interrupted
            before = sorted([*others, *found], key=lambda row: list(SUBJECTS).index(row.subject))
            write(before, target)


if __name__ == "__main__":
    main()
