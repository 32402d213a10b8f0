"""Kernels of many inputs: K and Theta, N x N, beside neural-tangents and what NumPy does."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rgflow.bench import machine, peers, yardsticks
from rgflow.bench.child import Child
from rgflow.bench.clock import Spread, in_turn, ratios, repeated, seconds
from rgflow.bench.reference import KNOWN, diagonal, error, gram
from rgflow.bench.rows import Row, row
from rgflow.network import MLP

FEW = 6  # inputs of the reference
WIDTH = 784
DEGREE = 25  # of neural-tangents' quadrature, as its documentation has it
NOTE = f"whole calls, in turn; errors relative to sqrt(X_aa X_bb), {FEW} inputs by formulas typed by hand"


def net(name: str, depth: int) -> MLP:
    """The network of ``depth`` activations, in the parametrization lambda = C of neural-tangents."""
    known = KNOWN[name]
    hyper = {"C_b": known.C_b, "C_W": known.C_W, "lambda_b": known.C_b, "lambda_W": known.C_W}
    widths = [WIDTH] * (depth + 2)
    return MLP(widths, name, **hyper)


def inputs(N: int) -> Any:
    """N inputs with normal entries."""
    return np.random.default_rng(0).standard_normal((N, WIDTH))


class Case(NamedTuple):
    """Activation, N, depth, the form of neural-tangents' network, and how many of the inputs it is given.

    Of tanh it needs gigabytes for a thousand inputs and an hour for two thousand through 64 layers; its time for an
    entry is the same for 200 to 1000 inputs, so that a part of them tells what all would take.
    """

    name: str
    N: int
    depth: int
    mode: str = "repeat"
    part: int | None = None

    @property
    def share(self) -> float:
        """How many times as many entries all inputs have."""
        return (self.N / (self.part or self.N)) ** 2

    @property
    def promise(self) -> float | None:
        """How many times as fast; given for 1000 and 2000 inputs."""
        return None if self.N < 1000 else 500.0 if self.name == "tanh" else 4.0


def cases(quick: bool) -> list[Case]:
    """What is measured."""
    sizes = [(1000, 8)] if quick else [(1000, 8), (1000, 64), (2000, 8), (2000, 64)]
    found = [Case(name, N, depth) for name in ("relu", "erf", "gelu") for N, depth in sizes]
    if quick:
        return [*found, Case("tanh", 300, 8)]
    found += [Case("tanh", 1000, 8), Case("tanh", 2000, 8, part=500)]
    found += [Case("tanh", N, 64, part=250) for N in (1000, 2000)]
    return [*found, *(Case(name, 1000, 8, "jit") for name in ("relu", "erf", "gelu"))]


def rows(threads: int, quick: bool) -> Iterator[Row]:
    """All comparisons, on that many threads."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        other = peers.neural_tangents()
        if other is None and threads == 1:
            yield Row("kernels", "K and Theta beside neural-tangents", skipped=peers.no_neural_tangents())
        elif other is not None:
            stack.enter_context(other)
            for case in cases(quick):
                yield beside_tangents(other, folder, case, threads, quick)
    yield beside_numpy("relu", 1000, 8, threads, quick)
    yield beside_numpy("tanh", 60 if quick else 100, 8, threads, quick)


def beside_tangents(other: Child, folder: Path, case: Case, threads: int, quick: bool) -> Row:
    """One case: both warm, whole calls in turn, both errors."""
    from rgflow.gram.gram import gram as ours

    name, N, depth, mode, part = case
    X, described = inputs(N), net(name, depth)
    np.save(folder / "inputs.npy", X[:part])
    first = other.ask(
        "kernels", act=name, deg=DEGREE, depth=depth, mode=mode, inputs=os.fspath(folder / "inputs.npy"), warm=True
    )["first"]
    theirs = other.work("run")
    both = [repeated(lambda: ours(described, X, threads=threads)), lambda: theirs() / (1 / case.share)]
    rounds = in_turn(both, 1 if first > 8 else 3 if quick else 5, threads)
    other.ask("save", to=os.fspath(folder / "found.npz"))
    found = np.load(folder / "found.npz")
    mine = ours(described, X, threads=threads)
    form = "stax.repeat" if mode == "repeat" else "stax.serial, as in its README"
    degree = f", degree {DEGREE}" if name == "tanh" else ""
    shared = f"; the other on {part} inputs, its time multiplied by {case.share:.0f}" if part else ""
    return row(
        "kernels",
        f"K and Theta, {name}, N = {N}, depth {depth}",
        ratios(rounds),
        threads=threads,
        promise=case.promise,
        beside=f"neural-tangents ({form}{degree})",
        seconds=seconds(rounds, 0),
        seconds_beside=seconds(rounds, 1),
        error=worst(mine["K"].values, mine["Theta"].values, name, X, depth),
        error_beside=worst(found["K"], found["Theta"], name, X, depth),
        note=f"{NOTE}; the other's compilation, {first:.2g} s, is not counted{shared}",
        label=f"{name}, {N} inputs, depth {depth}, beside neural-tangents" + ("" if mode == "repeat" else " (serial)"),
    )


def worst(K: Any, Theta: Any, name: str, X: Any, depth: int) -> float:
    """The larger error of K and Theta for the first few inputs."""
    true_K, true_Theta = gram(name, X[:FEW], depth)
    few = slice(FEW)
    return max(error(K[few, few], true_K, diagonal(true_K)), error(Theta[few, few], true_Theta, diagonal(true_Theta)))


def beside_numpy(name: str, N: int, depth: int, threads: int, quick: bool) -> Row:
    """The same beside a yardstick in NumPy."""
    from rgflow.gram.gram import gram as ours

    X, described = inputs(N), net(name, depth)

    def theirs() -> tuple[Any, Any]:
        return yardsticks.relu_gram(X, depth) if name == "relu" else yardsticks.product_gram(name, X, depth, DEGREE)

    rounds = in_turn([repeated(lambda: ours(described, X, threads=threads)), repeated(theirs)], 3, threads)
    mine, found = ours(described, X, threads=threads), theirs()
    return row(
        "kernels",
        f"K and Theta, {name}, N = {N}, depth {depth}",
        ratios(rounds),
        threads=threads,
        beside="NumPy, arc-cosine formula" if name == "relu" else f"NumPy, {DEGREE} x {DEGREE} Gauss-Hermite nodes",
        seconds=seconds(rounds, 0),
        seconds_beside=seconds(rounds, 1),
        error=worst(mine["K"].values, mine["Theta"].values, name, X, depth),
        error_beside=worst(*found, name, X, depth),
        note=NOTE,
    )


# Memory ---------------------------------------------------------------------------------------------------------------


def memory(threads: int, quick: bool) -> Iterator[Row]:
    """Peak resident memory above the warmed process, beside what is promised: the output and max(10 %, 64 MiB)."""
    from rgflow.gram.gram import gram as ours

    if not machine.measures_memory():
        yield Row("memory", "peak memory of K and Theta", skipped="the peak of a process can be read on Linux only")
        return
    N, depth = (1000, 8) if quick else (2000, 8)
    for name in ("relu", "gelu") if quick else ("relu", "erf", "gelu", "tanh"):
        described, X = net(name, depth), inputs(N)
        ours(described, X[:64], threads=threads)
        before = machine.mark()
        found = ours(described, X, threads=threads)
        extra = machine.peak() - before
        output = sum(found[tensor].values.nbytes for tensor in ("K", "Theta"))
        allowed = output + max(output // 10, 64 << 20)
        theirs = _tangents_memory(name, N, depth)
        yield row(
            "memory",
            f"peak above the warmed process, {name}, N = {N}, depth {depth}",
            Spread.of([extra / 2**20]),
            unit="MiB",
            threads=threads,
            promise=allowed / 2**20,
            beside="" if theirs is None else f"neural-tangents: {theirs / 2**20:.0f} MiB",
            note=f"output {output / 2**20:.0f} MiB; promised: that and the larger of 10 % and 64 MiB",
        )


def _tangents_memory(name: str, N: int, depth: int) -> int | None:
    """The same of neural-tangents, without its compilation's; not for tanh, which takes gigabytes."""
    other = peers.neural_tangents() if name != "tanh" else None
    if other is None:
        return None
    with other, tempfile.TemporaryDirectory() as folder:
        place = os.path.join(folder, "inputs.npy")
        np.save(place, inputs(64))
        what = {"act": name, "deg": DEGREE, "depth": depth, "mode": "repeat", "inputs": place}
        other.ask("kernels", **what)
        np.save(place, inputs(N))
        other.ask("kernels", **what, warm=False)
        before = other.ask("mark")["rss"]
        other.ask("run")
        return int(other.ask("peak")["peak"] - before)
