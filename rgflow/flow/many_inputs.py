"""The flow of several inputs: brackets by nested quadrature, rows by the compiled kernel, errors carried along."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rgflow.activations import Activation
from rgflow.algebra import Tensor
from rgflow.codegen import Kernel, kernel
from rgflow.errors import AccuracyError
from rgflow.flow.history import History
from rgflow.flow.moments import Plan, plan
from rgflow.flow.orders import check_size
from rgflow.flow.state import State
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
) -> History:
    """All layers, for the different inputs of a flow."""
    at_kernel = tensors.index(Tensor.named("K"))
    samples = len(known[Tensor.named("K")])
    check_size(tensors, samples)
    state = State(tensors, samples)
    values = np.zeros(state.offsets[-1])
    for i, tensor in enumerate(tensors):
        if tensor in known:
            values[state.offsets[i] : state.offsets[i + 1]] = np.reshape(known[tensor], -1)
    errors = 2 * EPSILON * np.abs(values)
    history, uncertainty = [values], [errors]
    for step in steps:
        program = kernel(step.system)
        moments = plan(program.table.shapes, samples)
        K, doubt_of_K = state.block(values, at_kernel), state.block(errors, at_kernel)
        brackets, doubt = _brackets(activation, moments, K, doubt_of_K)
        values, errors = _step(program, state, moments.offsets, values, errors, brackets, doubt, step.hyper)
        history.append(values)
        uncertainty.append(errors)
        advance(1)
    return History(_split(np.array(history), state), _split(np.array(uncertainty), state))


def _brackets(activation: Activation, moments: Plan, K: Any, doubt_of_K: Any) -> tuple[Any, Any]:
    """Brackets at K and their error: of quadrature, of rounding, and of K itself.

    The last is the change when K moves by its error, variances up and correlations down, to which nearly equal inputs
    are most sensitive.
    """
    if doubt_of_K.max() > LOST * np.abs(K).max():
        raise AccuracyError(
            f"the numerical error of K, {doubt_of_K.max():.1e}, has grown to the size of K: the flow of "
            f"{activation.name} runs away from an unstable point; choose other hyperparameters or fewer layers"
        )
    values, errors = moments.evaluate(activation, K)
    outward = np.where(np.eye(len(K), dtype=bool), 1.0, -np.sign(K))
    moved, _ = moments.evaluate(activation, K + outward * doubt_of_K)
    return values, errors + EPSILON * np.abs(values) + np.abs(moved - values)


def _step(
    program: Kernel, state: State, places: Any, values: Any, errors: Any, brackets: Any, doubt: Any, hyper: Any
) -> tuple[Any, Any]:
    """One layer, and a bound on its error: the polynomial with positive coefficients, at |x| + error and at |x|."""

    def at(x: Any, b: Any, positive: bool) -> Any:
        out = program.step(state.samples, state.work, x, state.offsets, b, places, hyper, positive)
        return out[state.representative]

    new = at(values, brackets, False)
    size, weight = np.abs(values), np.abs(brackets)
    below = at(size, weight, True)
    bound = at(size + errors, weight + doubt, True) - below + 4 * EPSILON * below
    return new, bound


def _split(history: Any, state: State) -> dict[Tensor, Any]:
    found = {}
    for i, (tensor, arity) in enumerate(zip(state.tensors, state.arity, strict=True)):
        block = history[:, state.offsets[i] : state.offsets[i + 1]]
        found[tensor] = block.reshape((len(history),) + (state.samples,) * arity)
    return found
