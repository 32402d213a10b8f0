"""How costs grow: slopes in depth, number of inputs, grid size and order, fitted with their errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from rgflow.bench import kernels
from rgflow.bench.clock import Spread, in_turn, repeated, seconds
from rgflow.bench.rows import Row, row
from rgflow.network import MLP


def rows(threads: int, quick: bool) -> Iterator[Row]:
    """Exponents p of time ~ size^p."""
    from rgflow.flow import flow
    from rgflow.flow.points import flow_points
    from rgflow.gram.gram import gram

    X = kernels.inputs(2000)

    def of_depth(depth: int) -> Callable[[], Any]:
        net = kernels.net("gelu", depth)
        return lambda: gram(net, X[:500], threads=threads)

    def of_inputs(N: int) -> Callable[[], Any]:
        net = kernels.net("gelu", 8)
        return lambda: gram(net, X[:N], threads=threads)

    def of_points(P: int) -> Callable[[], Any]:
        net = MLP.uniform(n_in=100, width=100, depth=33, activation="tanh")
        points = {"C_W": np.linspace(0.8, 1.5, P)}
        return lambda: flow_points(net, points, 1.0, layers=[33], threads=threads)

    def of_layers(depth: int) -> Callable[[], Any]:
        net = MLP.uniform(n_in=100, width=100, depth=depth + 1, activation="tanh")
        points = {"C_W": np.linspace(0.8, 1.5, 4096)}
        return lambda: flow_points(net, points, 1.0, layers=[depth + 1], threads=threads)

    count = 3 if quick else 5
    yield slope("K and Theta of N inputs (gelu, N = 500) with depth", [8, 16, 32, 64], of_depth, count, threads)
    yield slope("K and Theta of N inputs (gelu, depth 8) with N", [250, 500, 1000, 2000], of_inputs, count, threads)
    yield slope("K, V, Theta of one input with grid points", [4096, 16384, 65536, 262144], of_points, count, threads)
    yield slope("K, V, Theta of one input with depth", [8, 16, 32, 64, 128], of_layers, count, threads)
    net = MLP.uniform(n_in=100, width=100, depth=16, activation="tanh")

    def of_order(order: int) -> Callable[[], Any]:
        return lambda: flow(net, first_kernel=1.0, tensors=["K"], order=order)

    yield from orders([1, 2, 3], of_order, threads)


def slope(what: str, sizes: Sequence[int], call: Callable[[int], Callable[[], Any]], rounds: int, threads: int) -> Row:
    """The exponent of a power law, each round fitted by itself; the spread is that of rounds and of the fit."""
    times = in_turn([repeated(call(size)) for size in sizes], rounds, threads)
    fits = [fit(sizes, [spent.wall for spent in line]) for line in times]
    found = float(np.median([p for p, _ in fits]))
    doubt = max(float(np.median([e for _, e in fits])), float(np.std([p for p, _ in fits])))
    shown = ", ".join(f"{size}: {seconds(times, i):.3g} s" for i, size in enumerate(sizes))
    return row(
        "growth",
        what,
        Spread(found, found - doubt, found + doubt),
        unit="exponent",
        threads=threads,
        note=f"fitted over {shown}",
    )


def fit(sizes: Sequence[float], times: Sequence[float]) -> tuple[float, float]:
    """Slope of log time over log size by least squares, with its standard error.

    >>> tuple(round(x, 6) for x in fit([1, 2, 4, 8], [3, 12, 48, 192]))
    (2.0, 0.0)
    """
    x, y = np.log(sizes), np.log(times)
    x = x - x.mean()
    p = float(x @ y / (x @ x))
    rest = y - y.mean() - p * x
    return p, float(np.sqrt(rest @ rest / max(len(x) - 2, 1) / (x @ x)))


def orders(which: Sequence[int], call: Callable[[int], Callable[[], Any]], threads: int) -> Iterator[Row]:
    """Time over the number of rows of the system: a power of it."""
    from rgflow.codegen.table import lower
    from rgflow.derive import closure

    sizes = []
    for order in which:
        names = ["K", *(f"K_{q}" for q in range(1, order + 1))]
        sizes.append(sum(len(recursion.terms) for recursion in lower(closure(names)).system))
    times = in_turn([repeated(call(order)) for order in which], 3, threads)
    p, doubt = fit(sizes, [seconds(times, i) for i in range(len(which))])
    shown = ", ".join(
        f"order {o} ({n} rows): {seconds(times, i):.3g} s" for i, (o, n) in enumerate(zip(which, sizes, strict=True))
    )
    yield row(
        "growth",
        "one flow of K to order 1, 2, 3 with rows of its system",
        Spread(p, p - doubt, p + doubt),
        unit="exponent",
        threads=threads,
        note=f"fitted over {shown}",
    )
