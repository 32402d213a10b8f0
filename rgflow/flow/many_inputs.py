"""The flow of several inputs: brackets on shared grids, rows by the compiled kernel, errors carried along."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np

from rgflow.activations import Activation
from rgflow.algebra import Tensor
from rgflow.codegen.packed import step as packed_step
from rgflow.codegen.table import Table, lower
from rgflow.errors import AccuracyError
from rgflow.flow.history import History
from rgflow.flow.moments import Plan, plan
from rgflow.flow.orders import check_size
from rgflow.flow.state import Packed
from rgflow.flow.steps import Step
from rgflow.progress import Advance

LOST = 0.01  # of K: with a larger error first-order estimates of its consequences mean nothing
EPSILON = np.finfo(float).eps


def run_many(
    activation: Activation,
    tensors: tuple[Tensor, ...],
    known: dict[Tensor, Any],
    steps: Sequence[Step],
    advance: Advance,
    threads: int = 1,
    wanted: Iterable[Tensor] | None = None,
) -> History:
    """All layers, for the different inputs of a flow; tensors that are not wanted stay as they are stored."""
    samples = len(known[Tensor.named("K")])
    check_size(tensors, samples, kinked=bool(activation.kinks))
    state = Packed(tensors, samples)
    values = np.zeros(len(state.work))
    for i, tensor in enumerate(tensors):
        if tensor in known:
            values[state.offsets[i] : state.offsets[i + 1]] = state.packed(i, known[tensor])
    history, uncertainty = [values], [2 * EPSILON * np.abs(values)]
    for step in steps:
        found, doubt = layer(activation, state, step, history[-1][None], uncertainty[-1][None], threads)
        history.append(found[0])
        uncertainty.append(doubt[0])
        advance(1)
    return split(state, np.array(history), np.array(uncertainty), tensors if wanted is None else wanted)


def layer(
    activation: Activation, state: Packed, step: Step, values: Any, errors: Any, threads: int = 1
) -> tuple[Any, Any]:
    """One layer of B groups of N inputs each, states and errors (B, size)."""
    table = lower(step.system)
    moments = plan(table.shapes, state.samples)
    at_kernel = state.tensors.index(Tensor.named("K"))
    K, doubt_of_K = state.block(values, at_kernel), state.block(errors, at_kernel)
    brackets, doubt = _brackets(activation, moments, K, doubt_of_K, threads)
    return _step(table, state, moments.offsets, values, errors, brackets, doubt, step.hyper, threads)


def _brackets(activation: Activation, moments: Plan, K: Any, doubt_of_K: Any, threads: int) -> tuple[Any, Any]:
    """Brackets at each K (B, N, N) and their error: of quadrature, of rounding, and of K itself."""
    lost = doubt_of_K.max(axis=(1, 2)) > LOST * np.abs(K).max(axis=(1, 2))
    if lost.any():
        raise AccuracyError(
            f"the numerical error of K, {doubt_of_K[lost].max():.1e}, has grown to the size of K: the flow of "
            f"{activation.name} runs away from an unstable point; choose other hyperparameters or fewer layers"
        )
    return moments.evaluate(activation, K, threads, doubt_of_K)


def _step(
    table: Table,
    state: Packed,
    places: Any,
    values: Any,
    errors: Any,
    brackets: Any,
    doubt: Any,
    hyper: Any,
    threads: int,
) -> tuple[Any, Any]:
    """One layer, and a bound on its error: the polynomial with positive coefficients, at |x| + error and at |x|."""
    new, bound = np.empty_like(values), np.empty_like(values)
    size = len(state.work)
    parts = np.linspace(0, size, (8 * threads if threads > 1 else 1) + 1).astype(int)

    def part(job: tuple[int, int, int]) -> None:
        group, first, last = job
        packed_step(
            *(state.samples, first, last, state.work, state.slots, state.starts),
            *(values[group], errors[group], brackets[group], doubt[group], places, hyper, table.arrays),
            *(new[group], bound[group]),
        )

    jobs = [(g, a, b) for g in range(len(values)) for a, b in pairwise(parts)]
    if threads == 1:
        for job in jobs:
            part(job)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(part, jobs))
    return new, bound


def split(state: Packed, history: Any, uncertainty: Any, wanted: Iterable[Tensor]) -> History:
    """Every tensor, those wanted with all their components (L, N, N, ..), and the errors of those that are stored."""
    values, errors, whole = {}, {}, set(wanted)
    for i, tensor in enumerate(state.tensors):
        stored = slice(state.offsets[i], state.offsets[i + 1])
        values[tensor] = state.block(history, i) if tensor in whole else history[:, stored]
        errors[tensor] = uncertainty[:, stored]
    return History(values, errors)
