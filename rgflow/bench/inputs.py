"""Four inputs: one layer of the four-point vertex, beside adaptive cubature."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import numpy as np

from rgflow.bench import peers
from rgflow.bench.clock import Spread, in_turn, repeated
from rgflow.bench.reference import KNOWN, error
from rgflow.bench.rows import Row, row
from rgflow.network import MLP

NODES, REACH = 60, 8.5  # in each direction, of the product rule that V is checked with


def rows(threads: int, quick: bool) -> Iterator[Row]:
    """V of gelu with four inputs at its critical point."""
    command = peers.cubature()
    what = "one layer of V, four inputs, gelu"
    if command is None:
        yield Row("inputs", what, threads=threads, skipped="SciPy here has no cubature (1.15 has)")
        return
    from rgflow.flow import flow

    known = KNOWN["gelu"]
    X = np.random.default_rng(0).standard_normal((4, 8))  # as in peers/adaptive_cubature.py
    net = MLP([8, 8, 1], "gelu", C_b=known.C_b, C_W=known.C_W)
    works = [repeated(lambda: flow(net, X, tensors=["V"]))]
    others = []
    rounds = []
    for _ in range(1 if quick else 3):
        rounds += in_turn(works, 3, threads)
        text = subprocess.run([*command, "1e-3", "10000", "60", "4"], check=True, capture_output=True, text=True).stdout
        others.append(json.loads(text.splitlines()[-1])["est_layer_cpu_s"])
    ds = flow(net, X, tensors=["V"])
    truth = vertex(known.C_b + known.C_W * X @ X.T / 8)
    ours = float(np.median([times[0].cpu for times in rounds]))
    yield row(
        "inputs",
        what,
        Spread.of([other / ours for other in others]),
        threads=threads,
        promise=500.0,
        beside="adaptive cubature (SciPy, rtol 1e-3)",
        seconds=ours,
        seconds_beside=float(np.median(others)),
        error=error(ds["V"].values[1], truth, np.abs(truth).max()),
        error_beside=1e-3,
        note="processor times; ours: a whole call of rg.flow; the other: all averages of the layer, those of three "
        "inputs by a sample; error relative to the largest component, by a product rule typed by hand",
        label="one layer of V, 4 inputs, gelu, beside adaptive cubature",
    )


def vertex(K: Any) -> Any:
    """V of the second layer, (4, 4, 4, 4): C_W^2 (<s_a s_b s_c s_d> - <s_a s_b><s_c s_d>)."""
    known = KNOWN["gelu"]
    x = np.linspace(-REACH, REACH, NODES)
    w = np.exp(-x * x / 2)
    w /= w.sum()
    root = np.linalg.cholesky(K)
    axes = np.meshgrid(x, x, x, indexing="ij", sparse=True)
    weight = w[:, None, None] * w[:, None] * w
    four, two = np.zeros((16, 16)), np.zeros(16)
    for first, share in zip(x, w, strict=True):  # a slice of the first direction at a time: memory
        along = (np.full((1, 1, 1), first), *axes)
        z = [sum((root[a, b] * along[b] for b in range(a + 1)), start=np.zeros(())) for a in range(4)]
        sigma = np.stack([np.broadcast_to(known.sigma(y), weight.shape).reshape(-1) for y in z])
        pairs = np.einsum("an,bn->abn", sigma, sigma).reshape(16, -1)
        weighted = pairs * (share * weight.reshape(-1))
        four += weighted @ pairs.T
        two += weighted.sum(1)
    return known.C_W**2 * (four - np.outer(two, two)).reshape(4, 4, 4, 4)
