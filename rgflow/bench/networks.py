"""Sampled networks: what one per cent on V costs by drawing weights, by collapsed sampling and by theory."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from rgflow.bench import peers
from rgflow.bench.child import Child
from rgflow.bench.clock import Spent, Spread, in_turn, repeated, spent
from rgflow.bench.reference import KNOWN
from rgflow.bench.rows import Row, row
from rgflow.network import MLP

WIDTH, DEPTH, N_IN = 256, 4, 784
GOAL = 0.01
NAME = "tanh"


def network() -> MLP:
    """The network whose V behind the fourth activation is wanted: that of its fifth preactivations."""
    known = KNOWN[NAME]
    return MLP([N_IN, *[WIDTH] * DEPTH, 1], NAME, C_b=known.C_b, C_W=known.C_W)


def rows(threads: int, quick: bool) -> Iterator[Row]:
    """Seconds to one per cent by each way: the relative variance falls with the number of networks."""
    from rgflow.flow import flow
    from rgflow.flow.points import flow_points
    from rgflow.sampling import sample

    net, x = network(), np.random.default_rng(0).standard_normal((1, N_IN))
    overlap = float(x[0] @ x[0]) / N_IN
    points = {"C_W": np.full(4096, 1.0)}

    def theory() -> Any:
        return flow_points(net, points, overlap, tensors=["V"], layers=[DEPTH + 1])

    def collapsed(networks: int, seed: int) -> Any:
        return sample(net, x, tensors=["V"], networks=networks, seed=seed, threads=threads)

    draws = 20_000 if quick else 100_000
    collapsed(1000, 1)  # loads what it needs
    mine = collapsed(draws, 2)
    exact = theory().values["V"][0, 0]
    per_network = float(mine["V_se"][-1] / mine["V"][-1]) ** 2 * draws
    works = [
        repeated(theory),
        lambda: spent(lambda: collapsed(draws, 3)),
        repeated(lambda: flow(net, x, tensors=["V"])),
    ]
    other = peers.neural_tangents()
    if other is None:
        if threads == 1:
            yield Row("networks", "V to 1 % beside neural-tangents", skipped=peers.no_neural_tangents())
        rounds = in_turn(works, 3, threads)
        yield from _rows(rounds, per_network / draws, None, threads, mine, exact, "")
        return
    with other, tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "inputs.npy"
        np.save(place, x)
        ask = _tangents(other, str(place))
        many = ask(500 if quick else 2000, 0)
        theirs = (many["se"] / many["V"]) ** 2 * (500 if quick else 2000)
        count = 100 if quick else 300

        def drawing() -> Spent:
            answer = ask(count, 1)
            return Spent(answer["wall"], answer["cpu"])

        rounds = in_turn([*works, drawing], 3 if quick else 5, threads)
    note = f"neural-tangents found V = {many['V']:.3g} +- {many['se']:.1g}"
    yield from _rows(rounds, per_network / draws, theirs / count, threads, mine, exact, note)


def _tangents(other: Child, place: str) -> Callable[[int, int], dict[str, Any]]:
    def ask(samples: int, seed: int) -> dict[str, Any]:
        return other.ask("monte_carlo", act=NAME, depth=DEPTH, width=WIDTH, inputs=place, samples=samples, seed=seed)

    return ask


def _rows(
    rounds: list[list[Spent]],
    variance: float,
    variance_beside: float | None,
    threads: int,
    mine: Any,
    exact: float,
    found: str,
) -> Iterator[Row]:
    """Ratios of the times to one per cent: times of each round by the relative variance that they leave."""
    reach = variance / GOAL**2
    theory, alone = [times[0].wall / 4096 for times in rounds], [times[2].wall for times in rounds]
    collapsed = [times[1].wall * reach for times in rounds]
    V, se = float(mine["V"][-1]), float(mine["V_se"][-1])
    what = f"V to 1 %, {NAME}, width {WIDTH}, depth {DEPTH}"
    note = f"theory V = {exact:.3g} at leading order; collapsed sampling {V:.3g} +- {se:.1g}; {found}".rstrip("; ")
    middle = {"threads": threads, "note": note}
    if variance_beside is None:
        yield row(
            "networks", f"{what}: collapsed sampling", Spread.of(collapsed), unit="s", seconds=collapsed[0], **middle
        )
        return
    weights = [times[3].wall * variance_beside / GOAL**2 for times in rounds]
    beside = "neural-tangents, Monte Carlo over weights"
    for name, ours, promise in (
        ("theory, one of 4096 points", theory, 1e6),
        ("collapsed sampling", collapsed, 300.0),
        ("theory, a whole call of rg.flow", alone, None),
    ):
        yield row(
            "networks",
            f"{what}: {name}",
            Spread.of([there / here for there, here in zip(weights, ours, strict=True)]),
            promise=promise,
            beside=beside,
            seconds=float(np.median(ours)),
            seconds_beside=float(np.median(weights)),
            label=f"{name}, beside Monte Carlo of neural-tangents" if promise else "",
            **middle,
        )
