"""Run a System through the layers of a network: numbers and a bound on their numerical error."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from rgflow.activations import Activation
from rgflow.algebra import System, Tensor
from rgflow.brackets.traits import traits
from rgflow.codegen import Kernel, kernel
from rgflow.errors import AccuracyError, InputError
from rgflow.flow.inputs import Start
from rgflow.flow.moments import Kinks, plan
from rgflow.flow.state import State
from rgflow.network import MLP

NODES = (24, 48, 96, 192, 384, 768, 1536)  # of the coarser rule on each side of zero, for a smooth activation
PANELS = (1, 2, 4, 8)  # between kinks, for one with kinks
TOLERANCE = 1e-13  # of a bracket, relative to the integral of its absolute value
USELESS = 1e-6
CUT = 12.0  # standard deviations that the nodes span, at most
MOST_INPUTS = 4


@dataclass(frozen=True)
class History:
    """values, errors: {tensor: array (L,) or (L, M, M, ..)} for M different inputs."""

    values: dict[Tensor, Any]
    errors: dict[Tensor, Any]


def run(net: MLP, system: System, begin: Start, kinks: Kinks) -> History:
    """All tensors of the System at every layer, starting from the Gaussian first layer."""
    if system.samples == "one":
        return _run_one(net, system, begin)
    return _run_many(net, system, begin, kinks)


def hyperparameters(net: MLP) -> Any:
    """Rows (C_b, C_W, lambda_b, lambda_W, r) for layers 2..L, r = n_l / n_{l-1}."""
    rows = [
        (layer.C_b, layer.C_W, layer.lambda_b, layer.lambda_W, net.widths[i] / net.widths[i - 1])
        for i, layer in enumerate(net.layers)
        if i > 0
    ]
    return np.array(rows, np.float64).reshape(-1, 5)


def first_layer(net: MLP, overlap: Any) -> dict[Tensor, Any]:
    """The Gaussian first layer: K = C_b + C_W x.x'/n_0, Theta = lambda_b + lambda_W x.x'/n_0, all cumulants zero."""
    layer = net.layers[0]
    return {
        Tensor.named("K"): layer.C_b + layer.C_W * overlap,
        Tensor.named("Theta"): layer.lambda_b + layer.lambda_W * overlap,
    }


def _run_one(net: MLP, system: System, begin: Start) -> History:
    program = kernel(system, net.activation)
    known = first_layer(net, float(begin.overlap[0, 0]))
    first = np.array([known.get(tensor, 0.0) for tensor in system.tensors])
    hyper = hyperparameters(net)
    best, spread = None, np.inf
    for nodes in PANELS if net.activation.kinks else NODES:
        found, now = program.run(first, hyper, nodes)
        _check_finite(found[:, 0], system, net.activation)
        if nodes < _least_nodes(net.activation, system, found):
            continue  # two rules that cannot see an oscillation agree on a wrong value
        improved = now < spread
        if improved:
            best, spread = found, now
        if spread <= TOLERANCE or (spread <= 1e-11 and not improved):
            break
    if best is None or spread > USELESS:
        raise AccuracyError(
            f"Gaussian averages of {net.activation.name} in this flow are known to {spread:.1e} of their size only; "
            "choose a smaller first_kernel or C_W"
        )
    values = best[:, 0]
    rounding = 8 * np.finfo(float).eps * np.abs(values) * np.arange(1, len(values) + 1)[:, None]
    errors = np.abs(best[:, 0] - best[:, 1]) + rounding
    return History(
        {tensor: values[:, i] for i, tensor in enumerate(system.tensors)},
        {tensor: errors[:, i] for i, tensor in enumerate(system.tensors)},
    )


def _least_nodes(activation: Activation, system: System, found: Any) -> float:
    """Nodes that resolve an oscillating sigma: the aliased frequency 2 pi/h must pass that of any bracket by 9."""
    frequency = traits(activation).frequency
    if frequency == 0:
        return 0.0
    factors = max(len(b.factors) for b in system.brackets)
    kernel = float(found[:, :, system.tensors.index(Tensor.named("K"))].max())
    return CUT * (factors * frequency * math.sqrt(kernel) + 9) / (2 * math.pi)


def _run_many(net: MLP, system: System, begin: Start, kinks: Kinks) -> History:
    samples = len(begin.overlap)
    if samples > MOST_INPUTS and any(t.level > 1 or t.order > 0 for t in system.tensors):
        beyond = next(t.name for t in system.tensors if t.level > 1 or t.order > 0)
        raise InputError(
            f"{samples} different inputs: {beyond} has N^4 components and is offered for N <= {MOST_INPUTS}; "
            "flow the inputs in groups of four, or ask K and Theta at order 0"
        )
    program = kernel(system, None)
    state = State(program.table, samples)
    moments = plan(program.table.shapes, samples)
    known = first_layer(net, begin.overlap)
    values = np.zeros(state.offsets[-1])
    for i, tensor in enumerate(system.tensors):
        if tensor in known:
            values[state.offsets[i] : state.offsets[i + 1]] = np.reshape(known[tensor], -1)
    errors = np.finfo(float).eps * np.abs(values)
    at_kernel = system.tensors.index(Tensor.named("K"))
    history, uncertainty = [values], [errors]
    for hyper in hyperparameters(net):
        brackets, doubt = moments.evaluate(net.activation, state.block(values, at_kernel), kinks)
        doubt = doubt + np.finfo(float).eps * np.abs(brackets)
        values, errors = _step(program, state, moments.offsets, values, errors, brackets, doubt, hyper)
        history.append(values)
        uncertainty.append(errors)
    _check_finite(np.array(history), system, net.activation, state)
    return History(_split(np.array(history), system, state), _split(np.array(uncertainty), system, state))


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
    bound = at(size + errors, weight + doubt, True) - below + 4 * np.finfo(float).eps * below
    return new, bound


def _split(history: Any, system: System, state: State) -> dict[Tensor, Any]:
    found = {}
    for i, (tensor, arity) in enumerate(zip(system.tensors, state.table.arity, strict=True)):
        block = history[:, state.offsets[i] : state.offsets[i + 1]]
        found[tensor] = block.reshape((len(history),) + (state.samples,) * arity)
    return found


def _check_finite(history: Any, system: System, activation: Activation, state: State | None = None) -> None:
    bad = ~np.isfinite(history)
    if not bad.any():
        return
    layer, place = (int(i) for i in np.argwhere(bad)[0])
    i = place if state is None else int(np.searchsorted(state.offsets, place, side="right") - 1)
    raise AccuracyError(
        f"{system.tensors[i].name} of {activation.name} is not finite at layer {layer + 1}: the flow runs away there; "
        "choose a smaller C_W or fewer layers"
    )
