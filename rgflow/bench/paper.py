"""A sweep of 10^9 points on 100 machines, on paper: from rates measured here, arithmetic shown."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from rgflow.bench.clock import Spread, in_turn, repeated, seconds, spent
from rgflow.bench.rows import Row, row
from rgflow.network import MLP

POINTS, MACHINES, LAYERS = 10**9, 100, 50
PROCESSORS = 16  # of each machine on paper
SHARED = 1e9  # bytes a second that all machines together can write to their shared storage


def rows(threads: int, quick: bool) -> Iterator[Row]:
    """Hours of one machine, and of a hundred."""
    from rgflow.sweeps.sweep import sweep

    if find_spec("zarr") is None:
        yield Row("paper", "10^9 points on 100 machines", skipped="no zarr here; pip install 'rgflow[zarr]'")
        return
    side = 500 if quick else 1000
    net = MLP.uniform(n_in=100, width=100, depth=LAYERS + 1, activation="tanh")
    axes: dict[str, Any] = {"C_W": np.linspace(0.5, 3, side), "C_b": np.linspace(0, 0.3, side)}
    with tempfile.TemporaryDirectory() as folder:
        names = iter(range(10**6))
        size = []

        def memory() -> None:
            sweep(net, first_kernel=1.0, layers="last", threads=1, **axes)

        def disk() -> None:
            path = Path(folder) / f"{next(names)}.zarr"
            sweep(net, first_kernel=1.0, layers="last", threads=1, path=path, **axes)
            size.append(sum(file.stat().st_size for file in path.rglob("*") if file.is_file()))

        times = in_turn([repeated(memory), lambda: spent(disk)], 3, 1)
    points = side * side
    in_memory, on_disk = points / seconds(times, 0), points / seconds(times, 1)
    bytes_each = size[-1] / points
    each = POINTS / MACHINES
    compute = each / (on_disk * PROCESSORS)
    write = POINTS * bytes_each / SHARED
    note = (
        f"measured, one thread: {in_memory:.3g} points/s in memory, {on_disk:.3g} points/s to Zarr, {bytes_each:.0f} "
        f"bytes a point on disk (K, V, Theta with errors, last of {LAYERS} layers). On paper: 10^9 / {MACHINES} = "
        f"{each:.0e} points a machine; {each:.0e} / ({on_disk:.3g} x {PROCESSORS} threads) = {compute:.3g} s; "
        f"output 10^9 x {bytes_each:.0f} B = {POINTS * bytes_each / 1e9:.0f} GB, at 1 GB/s of shared storage "
        f"{write:.3g} s, which overlaps with computing; one machine of {PROCESSORS} threads alone: "
        f"{compute * MACHINES / 60:.3g} min"
    )
    yield row(
        "paper",
        f"10^9 points, {LAYERS} layers, on {MACHINES} machines of {PROCESSORS} threads",
        Spread.of([max(compute, write)]),
        unit="s",
        note=note,
    )
