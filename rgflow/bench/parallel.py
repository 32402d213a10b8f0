"""Strong scaling: the same work on more threads, and on more workers of a Dask cluster on this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from typing import Any

import numpy as np

from rgflow.bench import kernels, machine
from rgflow.bench.clock import in_turn, ratios, repeated, seconds
from rgflow.bench.rows import Row, row
from rgflow.network import MLP


def rows(threads: int, quick: bool) -> Iterator[Row]:
    """Speed-ups from one to all threads and workers; ``threads`` is how many there are."""
    many = min(threads, len(machine.processors()))
    if many < 2:
        yield Row("parallel", "more threads", skipped="this machine has one processor")
        return
    yield from of_threads(many, 3 if quick else 7)
    yield from of_workers(many, 3 if quick else 5)


def of_threads(many: int, rounds: int) -> Iterator[Row]:
    """Gram kernels, sweeps and sampled networks."""
    from rgflow.gram.gram import gram
    from rgflow.sampling import sample
    from rgflow.sweeps.sweep import sweep

    X, described = kernels.inputs(2000), kernels.net("gelu", 32)
    net = MLP.uniform(n_in=100, width=100, depth=50, activation="tanh")
    C_W, C_b = np.linspace(0.5, 3, 400), np.linspace(0, 0.3, 400)
    small = MLP.uniform(n_in=100, width=256, depth=5, activation="tanh")

    def kernel(threads: int) -> Callable[[], Any]:
        return lambda: gram(described, X, threads=threads)

    def swept(threads: int) -> Callable[[], Any]:
        return lambda: sweep(net, first_kernel=1.0, C_W=C_W, C_b=C_b, layers="last", threads=threads)

    def drawn(threads: int) -> Callable[[], Any]:
        return lambda: sample(small, first_kernel=1.0, tensors=["V"], networks=50_000, seed=0, threads=threads)

    for what, call in (
        ("K and Theta, gelu, N = 2000, depth 32", kernel),
        ("sweep of 160 000 points, 50 layers, with errors", swept),
        ("50 000 sampled networks, V, width 256, depth 5", drawn),
    ):
        try:
            times = in_turn([repeated(call(many)), repeated(call(1))], rounds, many)
        except TypeError as error:
            yield Row("parallel", what, threads=many, skipped=str(error))
            continue
        yield row(
            "parallel",
            f"{what}: {many} threads",
            ratios(times),
            threads=many,
            beside="one thread",
            seconds=seconds(times, 0),
            seconds_beside=seconds(times, 1),
        )


def of_workers(many: int, rounds: int) -> Iterator[Row]:
    """A sweep on one Dask worker and on more, all processes of this machine."""
    what = "sweep of 1 000 000 points, 50 layers, with errors"
    if find_spec("distributed") is None:
        yield Row("parallel", what, threads=many, skipped="no Dask here; pip install distributed")
        return
    import distributed

    from rgflow.sweeps.sweep import sweep

    net = MLP.uniform(n_in=100, width=100, depth=50, activation="tanh")
    C_W, C_b = np.linspace(0.5, 3, 1000), np.linspace(0, 0.3, 1000)
    with ExitStack() as stack:

        def client(workers: int) -> Any:
            dask: Any = distributed
            cluster = dask.LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=":0")
            return stack.enter_context(dask.Client(stack.enter_context(cluster)))

        def swept(executor: Any) -> Callable[[], Any]:
            return lambda: sweep(net, first_kernel=1.0, C_W=C_W, C_b=C_b, layers="last", executor=executor)

        times = in_turn([repeated(swept(client(many))), repeated(swept(client(1)))], rounds, many)
        yield row(
            "parallel",
            f"{what}: {many} Dask workers",
            ratios(times),
            threads=many,
            beside="one Dask worker",
            seconds=seconds(times, 0),
            seconds_beside=seconds(times, 1),
            note="workers of one thread; chunks travel back to the caller, who holds the result",
        )
