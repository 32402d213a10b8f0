"""How fast: rgflow beside what a user would run instead, in one run, in turn, on one thread and on all.

    python benchmarks/fast.py [--quick] [--only kernels,grid] [--to benchmarks/results/fast]

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
from rgflow.bench.picture import plot_bench
from rgflow.bench.rows import Row, as_json
from rgflow.bench.table import markdown, promise_text, sides, spread_text, value_text
from rgflow.plots import write_picture


def shown(row: Row) -> str:
    """A row as lines of a log."""
    what = f"skipped: {row.skipped}" if row.skipped else f"{value_text(row)}  [{spread_text(row)}]  {promise_text(row)}"
    return f"{row.subject} ({row.threads}): {row.what}\n    {what}\n    {'; '.join(sides(row))}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--to", default=str(Path(__file__).parent / "results" / "fast"))
    options = parser.parse_args()
    chosen = jobs([name for name in options.only.split(",") if name])
    measured: dict[str, list[Row]] = {}
    for name, threads in chosen:
        for row in measure(name, threads, options.quick):
            measured.setdefault(name, []).append(row)
            print(shown(row), flush=True)
    target = Path(options.to)
    known = target.with_suffix(".json")
    before = [Row(**row) for row in json.loads(known.read_text())["rows"]] if known.exists() else []
    kept = {name: [row for row in before if row.subject == name] for name in SUBJECTS}
    rows = [row for name in SUBJECTS for row in measured.get(name, kept[name])]
    known.write_text(as_json(rows, machine.describe()), encoding="utf-8")
    target.with_suffix(".md").write_text(markdown(rows, machine.describe()), encoding="utf-8")
    write_picture(plot_bench(rows), target.with_suffix(".png"))


if __name__ == "__main__":
    main()
