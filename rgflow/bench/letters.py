"""All eleven letters with K_1 and Theta_1 for one input, at 4096 points at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from rgflow.bench.clock import Spread, in_turn, ratios, repeated, seconds
from rgflow.bench.rows import Row, row
from rgflow.network import MLP

LETTERS = ("V", "A", "B", "D", "F", "P", "Q", "R", "S", "T", "U", "K_1", "Theta_1")
POINTS, LAYERS = 4096, 32
FEW = 8  # points that are also flowed one by one


def near_criticality(points: int) -> dict[str, Any]:
    """C_W and C_b around the critical point of tanh."""
    draws = np.random.default_rng(1)
    return {"C_W": draws.uniform(0.9, 1.4, points), "C_b": draws.uniform(0, 0.1, points)}


def rows(threads: int, quick: bool) -> Iterator[Row]:
    """Microseconds for a layer and a point, and how much one flow at a time would take."""
    from rgflow.flow import flow
    from rgflow.flow.points import flow_points

    for name in ("tanh",) if quick else ("tanh", "gelu", "swish"):
        net = MLP.uniform(n_in=100, width=100, depth=LAYERS + 1, activation=name)
        points = near_criticality(POINTS)

        def batch(net: MLP = net, points: dict[str, Any] = points) -> Any:
            return flow_points(net, points, 1.0, tensors=LETTERS, threads=threads)

        def singly(points: dict[str, Any] = points, name: str = name) -> list[Any]:
            chosen = zip(points["C_W"][:FEW], points["C_b"][:FEW], strict=True)
            return [
                flow(
                    MLP.uniform(n_in=100, width=100, depth=LAYERS + 1, activation=name, C_W=w, C_b=b),
                    first_kernel=b + w,
                    tensors=LETTERS,
                )
                for w, b in chosen
            ]

        rounds = in_turn([repeated(batch), repeated(singly)], 3 if quick else 5, threads)
        found, one = batch(), singly()
        apart = max(
            float(np.max(np.abs(found.values[t][:, i] - ds[t].values) / np.abs(ds[t].values).max()))
            for i, ds in enumerate(one)
            for t in LETTERS
        )
        per = 1e6 / (POINTS * LAYERS)
        yield row(
            "letters",
            f"eleven letters, K_1, Theta_1 of {name}, errors included, a layer and point of {POINTS}",
            Spread.of([times[0].wall * per for times in rounds]),
            unit="us",
            threads=threads,
            promise=5.0,
            seconds=seconds(rounds, 0),
            note=f"{LAYERS} layers; largest difference from single flows {apart:.0e} of the largest value",
        )
        each = ratios(rounds) * (POINTS / FEW)
        yield row(
            "letters",
            f"the same, {POINTS} points: one call of many points",
            each,
            threads=threads,
            beside="rg.flow, point by point",
            seconds=seconds(rounds, 0),
            seconds_beside=seconds(rounds, 1) * POINTS / FEW,
            error=apart,
            note=f"{FEW} points one by one, their time multiplied by {POINTS // FEW}",
        )
