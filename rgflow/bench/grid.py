"""A grid of hyperparameters: K, chi_parallel, chi_perpendicular, V, Theta of tanh, beside hand-written C and NumPy."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from rgflow.algebra import Tensor
from rgflow.bench import peers, yardsticks
from rgflow.bench.clock import Spent, Spread, Work, in_turn, ratios, repeated, seconds, spent
from rgflow.bench.reference import error
from rgflow.bench.reference import grid as truth
from rgflow.bench.rows import Row, row
from rgflow.network import MLP

SIDE, LAYERS, WIDTH = 512, 50, 128
CHECKED = 200  # points compared with the reference
ENOUGH = 1e-10
# What C is run with, (rule, nodes, reach): as its head says, 64 Gauss-Hermite nodes, and the cheapest trapezoid rules
# found for errors of 1e-6, 1e-10 and rounding
SHIPPED = (0, 64, 8.5)
RULES = (SHIPPED, (1, 64, 7.5), (1, 92, 7.75), (1, 128, 8.5))
PROMISES = (5.0, None, None, 0.6)  # of tables, tables with errors, quadrature
LETTERS = (0, 3, 4)  # K, V, Theta among the five


@dataclass(frozen=True)
class Side:
    """One way to the grid: its work, and what it found at the checked points, (CHECKED, 3)."""

    name: str
    work: Work
    found: Callable[[], Any]


def axes(side: int) -> tuple[Any, Any]:
    """C_b in 0..1 and C_W in 0.5..3, every pair: (side^2,) each."""
    grids = np.meshgrid(np.linspace(0, 1, side), np.linspace(0.5, 3, side), indexing="ij")
    return grids[0].ravel(), grids[1].ravel()


@lru_cache(maxsize=4)
def checked(side: int) -> tuple[Any, Any]:
    """Places of the checked points, and the truth there."""
    places = np.random.default_rng(0).integers(0, side * side, CHECKED)
    C_b, C_W = axes(side)
    return places, truth(C_b[places], C_W[places], LAYERS)[:, LETTERS]


# The sides ------------------------------------------------------------------------------------------------------------


def tabulated(side: int, threads: int, errors: str = "none") -> Side:
    """rgflow from tables of brackets in K; errors of no points, of sampled ones or of all."""
    from rgflow.flow.points import flow_points

    C_b, C_W = axes(side)
    points = {"C_b": C_b, "C_W": C_W, "lambda_b": C_b, "lambda_W": C_W}
    net = MLP.uniform(n_in=WIDTH, width=WIDTH, depth=LAYERS + 1, activation="tanh")
    options: dict[str, Any] = {
        "tensors": [Tensor.named(name) for name in ("K", "V", "Theta")],  # without their corrections, as the others
        "brackets": [((0, 0), 2), ((1, 1), 0)],  # chi_parallel and chi_perpendicular
        "layers": [LAYERS + 1],
        "errors": errors,
        "expansion": False,
        "threads": threads,
    }

    def run() -> Any:
        return flow_points(net, points, (1 - C_b) / C_W, **options)

    def found() -> Any:
        values = run().values
        return np.stack([values[name][0] for name in ("K", "V", "Theta")], -1)

    shown = {"none": "", "sampled": ", errors sampled", "all": ", errors of all points"}[errors]
    return Side(f"rgflow, tables{shown}", repeated(run), found)


def quadrature(side: int, threads: int, tolerance: float = 1e-13) -> Side:
    """rgflow by quadrature at every point and layer, all five numbers."""
    from rgflow.activations import activation
    from rgflow.codegen.batch import batch_kernel
    from rgflow.derive import closure

    program = batch_kernel(closure(["K", "V", "Theta"]), activation("tanh"))
    C_b, C_W = axes(side)
    names = [tensor.name for tensor in program.table.tensors]
    first = np.zeros((len(names), C_b.size))
    first[[names.index("K"), names.index("Theta")]] = 1
    by_layer = np.ones((len(program.table.symbols) + 1, LAYERS))  # the last row: width ratios
    by_point = {"C_b": C_b, "C_W": C_W, "lambda_b": C_b, "lambda_W": C_W}

    def run() -> Any:
        return program.run(first, by_layer, by_point, [LAYERS + 1], tolerance=tolerance, threads=threads, brackets=True)

    def found() -> Any:
        values = run().values[:, 0]
        return np.stack([values[names.index(name)] for name in ("K", "V", "Theta")], -1)

    return Side(f"rgflow, quadrature to {tolerance:.0e}", repeated(run), found)


def in_c(program: Path, side: int, threads: int, rule: tuple[int, int, float], folder: Path) -> Side:
    """The hand-written program, which times itself: the start of its process does not count."""
    which, nodes, reach = rule
    sizes = [side, LAYERS, nodes, threads, 1, 1, which, reach]
    command = [str(program), *map(str, sizes)]

    def run() -> Spent:
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        wall, cpu = (float(x) for x in re.findall(r"(?:wall|cpu) ([0-9.]+)(?: s)?", text)[:2])
        return Spent(wall, cpu)

    def found() -> Any:
        subprocess.run([*command, str(folder / "grid.bin")], check=True, capture_output=True)
        return np.fromfile(folder / "grid.bin").reshape(side * side, 5)[:, LETTERS]

    kind = f"{nodes} Gauss-Hermite nodes" if which == 0 else f"{nodes} trapezoid nodes"
    return Side(f"C ({kind}, half of them by parity)", run, found)


# The table ------------------------------------------------------------------------------------------------------------


def rows(threads: int, quick: bool) -> Iterator[Row]:
    """Tables and quadrature beside C at several accuracies, then beside NumPy."""
    program = peers.grid_in_c()
    ours = [*(tabulated(SIDE, threads, errors) for errors in ("none", "sampled", "all")), quadrature(SIDE, threads)]
    mistakes = [mistake(side, SIDE) for side in ours]
    if program is None:
        said = "no C compiler here, or no sources"
        yield Row("grid", "K, V, Theta, chi of tanh beside C", threads=threads, skipped=said)
    else:
        with tempfile.TemporaryDirectory() as folder:
            others = [in_c(program, SIDE, threads, rule, Path(folder)) for rule in RULES]
            wrong = [mistake(side, SIDE) for side in others]
            rounds = in_turn([side.work for side in (*ours, *others)], 3 if quick else 7, threads)
            yield from _beside(ours, mistakes, others, wrong, rounds, threads)
    yield from beside_numpy(ours, mistakes, threads)


def mistake(side: Side, points: int) -> float:
    """The largest relative error of K, V and Theta at the checked points."""
    places, true = checked(points)
    return error(side.found()[places], true)


def _beside(
    ours: Sequence[Side],
    mistakes: Sequence[float],
    others: Sequence[Side],
    wrong: Sequence[float],
    rounds: list[list[Spent]],
    threads: int,
) -> Iterator[Row]:
    """Each of ours beside C as it comes, and beside the cheapest rule of C that is as good, if one is."""
    for i, side in enumerate(ours):
        wanted = max(2 * mistakes[i], ENOUGH if i < 3 else 0.0)
        equal = [j for j in range(len(others)) if wrong[j] <= wanted]
        cheapest = min(equal, key=lambda j: seconds(rounds, len(ours) + j)) if equal else len(others) - 1
        for j in dict.fromkeys((0, cheapest)):
            yield row(
                "grid",
                f"K, V, Theta, chi of tanh, {SIDE} x {SIDE} points, {LAYERS} layers: {side.name}",
                ratios(rounds, len(ours) + j, i),
                threads=threads,
                promise=PROMISES[i],
                label=f"{side.name.removeprefix('rgflow, ')}, beside C with {others[j].name[3:].split(',')[0]}",
                beside=others[j].name,
                seconds=seconds(rounds, i),
                seconds_beside=seconds(rounds, len(ours) + j),
                error=mistakes[i],
                error_beside=wrong[j],
                note="largest relative error of K, V, Theta at 200 points, by 800 nodes in extended precision",
            )


def beside_numpy(ours: Sequence[Side], mistakes: Sequence[float], threads: int) -> Iterator[Row]:
    """A yardstick for machines without a compiler: NumPy on a part of the points, its time scaled to all."""
    part = 64
    C_b, C_W = axes(part)
    share = (SIDE / part) ** 2
    works = [side.work for side in (ours[0], ours[3])]
    rounds = in_turn([*works, lambda: spent(lambda: yardsticks.tanh_grid(C_b, C_W, LAYERS))], 3, threads)
    places, true = checked(part)
    wrong = error(yardsticks.tanh_grid(C_b, C_W, LAYERS)[places][:, LETTERS], true)
    for i, which in enumerate((0, 3)):
        found = ratios(rounds, 2, i)
        yield row(
            "grid",
            f"K, V, Theta, chi of tanh, {SIDE} x {SIDE} points, {LAYERS} layers: {ours[which].name}",
            Spread(found.median * share, found.low * share, found.high * share),
            threads=threads,
            beside="NumPy (64 Gauss-Hermite nodes, half of them by parity)",
            seconds=seconds(rounds, i),
            seconds_beside=seconds(rounds, 2) * share,
            error=mistakes[which],
            error_beside=wrong,
            note=f"NumPy on {part} x {part} points, its time multiplied by {share:.0f}",
        )
