"""Networks drawn without their weights: what every hidden layer says of the next one, and what foretells it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import repeat, tee

import numpy as np

from rgflow.sampling.backward import probed_squares
from rgflow.sampling.collapsed import Hidden, hidden_layers
from rgflow.sampling.controls import Controls, coefficients, learned, monomials, slopes_on_monomials, to_learn_from
from rgflow.sampling.draw import Array, Streams, Together
from rgflow.sampling.expected import expected_tangents
from rgflow.sampling.first import FirstLayer
from rgflow.sampling.plan import Plan
from rgflow.sampling.squared import ExpectedSquares, expected_squares

# Numbers of batches that teach, beyond all those that are counted.
_LESSONS = 2**60


def measured_layers(
    plan: Plan, first: FirstLayer, streams: Streams | Together, count: int
) -> Iterator[tuple[Hidden, dict[str, Array]]]:
    """Every hidden layer of networks without weights, and what it says about the next one."""
    layers = hidden_layers(plan.net, first, streams, count, int(plan.tangent), plan.names)
    if not plan.tangent:
        for hidden in layers:
            yield hidden, {"G": pairs_of(hidden.G)}
        return
    tangents, again = tee(expected_tangents(layers, first.tangent))
    squares: Iterator[ExpectedSquares | None] = repeat(None)
    if plan.squares == "probed":
        squares = probed_squares(again, streams, first.tangent)
    elif plan.squares:
        squares = expected_squares(again, first.tangent, plan.net.depth)
    for after, square in zip(tangents, squares, strict=False):
        found = {"G": pairs_of(after.hidden.G), "Hbar": pairs_of(after.Hbar)}
        if "F" in plan.names:
            found["F"] = after.F
        if square:
            found["A2"], found["B"] = square.A2, square.B
        yield after.hidden, found


def learned_controls(
    plan: Plan, first: FirstLayer, sequence: np.random.SeedSequence, chunk: int, networks: int
) -> Controls | None:
    """Control variates from networks that count for nothing else; None for too few networks or too many inputs."""
    widths, kinds = plan.net.widths[1:-1], monomials(plan.inputs, plan.net.activation.parity)
    pairs = plan.inputs * (plan.inputs + 1) // 2
    number = pairs * (2 if plan.tangent else 1)
    sizes = to_learn_from(kinds, widths, number, networks) if kinds else None
    if kinds is None or sizes is None:
        return None
    plan = replace(plan, names=("K", "Theta") if plan.tangent else ("K",))
    with np.errstate(over="ignore", invalid="ignore"):
        parts = [
            slopes_on_monomials(kinds, (hidden for hidden, _ in measured_layers(plan, first, streams, count)))
            for streams, count in _lessons(plan, sequence, sizes[0], 0, chunk)
        ]
        within = coefficients(kinds, [np.concatenate(part) for part in zip(*parts, strict=True)])
        foretold, entries = np.empty((sizes[1], len(widths), number)), np.empty((sizes[1], len(widths), number))
        start = 0
        for streams, count in _lessons(plan, sequence, sizes[1], 1, chunk):
            rows = slice(start, start + count)
            for k, (hidden, found) in enumerate(measured_layers(plan, first, streams, count)):
                foretold[rows, k] = np.matmul(kinds.centred(hidden.normal)[:, None], within[k])[:, 0]
                entries[rows, k] = np.concatenate(list(found.values()), axis=1)
            start += count
    if not (np.all(np.isfinite(entries)) and np.all(np.isfinite(foretold))):
        return None
    return learned(kinds, within, foretold, entries, pairs, widths)


def _lessons(
    plan: Plan, sequence: np.random.SeedSequence, networks: int, lesson: int, chunk: int
) -> Iterator[tuple[Streams, int]]:
    streams = open_streams(plan, sequence, _LESSONS + lesson)
    for start in range(0, networks, chunk):
        yield streams, min(chunk, networks - start)


def open_streams(plan: Plan, sequence: np.random.SeedSequence, batch: int) -> Streams:
    # The generator that makes normals fastest, where they are most of the work.
    return Streams(sequence, batch, np.random.SFC64 if plan.collapsed else np.random.PCG64)


def pairs_of(matrix: Array) -> Array:
    """(m, N, N) to (m, unordered pairs)."""
    N = matrix.shape[-1]
    return matrix.reshape(len(matrix), N * N)[:, [N * a + b for a in range(N) for b in range(a, N)]]
