"""Cold starts: a new user's first calls, later processes, and what is compiled when.

Every time is that of a whole process with caches of its own; bytecode of the packages we stand on is there, as after an
installation.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median

from rgflow.bench.clock import Spent, Spread, in_turn, spent
from rgflow.bench.growth import fit
from rgflow.bench.rows import Row, row

BASE = "import numba, xarray"
NET = "import rgflow as rg; net = rg.MLP.uniform(n_in=10, width=100, depth=10, activation='tanh'); "
FIRST = {
    "rg.flow, one input": NET + "rg.flow(net, first_kernel=1.0)",
    "rg.flow, two inputs": NET + "import numpy as np; rg.flow(net, np.random.default_rng(0).normal(size=(2, 10)))",
    "rg.gram, 100 inputs": NET + "import numpy as np; rg.gram(net, np.random.default_rng(0).normal(size=(100, 10)))",
    "rg.sweep, 1000 points": NET + "import numpy as np; "
    "rg.sweep(net, first_kernel=1.0, C_W=np.linspace(0.8, 2, 1000), layers='last')",
}
# compile and flow K to an order; print the seconds of compilation and the number of rows
ORDER = (
    NET + "import time; from rgflow.derive import closure; names = ['K'] + ['K_%d' % q for q in range(1, {order} + 1)];"
    "system = closure(names); from rgflow.codegen import kernel; program = kernel(system, net.activation);"
    "t = time.perf_counter(); program.brackets(1.0, 24); print(time.perf_counter() - t, "
    "sum(len(line.terms) for line in system))"
)


def caches(folder: str) -> dict[str, str]:
    """An environment of empty caches."""
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    places = {"RGFLOW_CACHE_DIR": "rgflow", "NUMBA_CACHE_DIR": "numba", "PYTHONPYCACHEPREFIX": "bytecode"}
    return {**kept, **{name: os.path.join(folder, place) for name, place in places.items()}}


def run(code: str, environment: Mapping[str, str]) -> str:
    """What a process prints."""
    done = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True)
    return done.stdout


def process(code: str, environment: Mapping[str, str]) -> Spent:
    """The time of a whole process."""
    before = os.times()
    wall = spent(lambda: run(code, environment)).wall
    after = os.times()
    user, system = after.children_user - before.children_user, after.children_system - before.children_system
    return Spent(wall, user + system)


def rows(threads: int, quick: bool) -> Iterator[Row]:
    """First calls, second processes, files compiled again, compilation over rows."""
    for what, code in FIRST.items():
        with tempfile.TemporaryDirectory() as folder:
            users = [os.path.join(folder, str(user)) for user in range(1 if quick else 3)]
            for user in users:
                run(BASE, caches(user))
            try:
                first = [process(code, caches(user)) for user in users]
            except subprocess.CalledProcessError as error:
                yield Row("start", what, skipped=(error.stderr or "failed").strip().splitlines()[-1])
                continue
            yield row(
                "start",
                f"first process of a new user: {what}",
                Spread.of([each.wall for each in first]),
                unit="s",
                promise=10.0,
                note=f"{median(each.cpu for each in first):.2g} s of the processors",
            )
            folder, environment = users[0], caches(users[0])
            before = compiled(folder)
            yield _second(what, code, environment, 5 if quick else 9)
            again = len(compiled(folder) - before)
            yield row(
                "start",
                f"functions compiled again in later processes: {what}",
                Spread.of([float(again)]),
                unit="files",
                promise=0.0,
            )
    yield compilation()


def _second(what: str, code: str, environment: Mapping[str, str], rounds: int) -> Row:
    """Seconds above the imports that no one can avoid, the two in turn."""
    times = in_turn([lambda: process(BASE, environment), lambda: process(code, environment)], rounds)
    return row(
        "start",
        f"a later process, above '{BASE}': {what}",
        Spread.of([ours.wall - base.wall for base, ours in times]),
        unit="s",
        promise=1.0,
        seconds=sorted(ours.wall for _, ours in times)[len(times) // 2],
        note="whole processes in turn",
    )


def compiled(folder: str) -> set[str]:
    """Files of compiled code, with their sizes and times of change."""
    files = (path for path in Path(folder).rglob("*.nbc"))
    return {f"{path} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in files}


def compilation() -> Row:
    """How the time of compilation grows with the rows of a system, orders 1 to 3 of K."""
    times, sizes = [], []
    for order in (1, 2, 3):
        with tempfile.TemporaryDirectory() as folder:
            taken, lines = run(ORDER.format(order=order), caches(folder)).split()
        times.append(float(taken))
        sizes.append(float(lines))
    p, doubt = fit(sizes, times)
    shown = ", ".join(
        f"order {i}: {t:.2g} s, {n:.0f} rows" for i, (t, n) in enumerate(zip(times, sizes, strict=True), 1)
    )
    return row(
        "start",
        "compilation of K to order 1, 2, 3 with the rows of its system",
        Spread(p, p - doubt, p + doubt),
        unit="exponent",
        promise=1.0,
        note=shown,
    )
