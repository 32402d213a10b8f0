"""The flow of one input: brackets and rows by the compiled kernel, under two quadrature rules side by side.

Brackets in closed form are the same under both rules, so that a flow of nothing else is found in one pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rgflow.activations import Activation
from rgflow.algebra import Tensor
from rgflow.brackets import least_nodes
from rgflow.codegen import QUADRATURE, Kernel, kernel
from rgflow.errors import AccuracyError
from rgflow.flow.history import History
from rgflow.flow.steps import Step

NODES = (24, 48, 96, 192, 384, 768, 1536)  # of the coarser rule on each side of zero, for a smooth activation
PANELS = (1, 2, 4, 8)  # between kinks, for one with kinks
# Differences of the two rules, relative to the integral of the absolute value: rounding of sums of hundreds of terms;
# good enough if more nodes do not help; and what no number should be built on.
ROUNDING, ENOUGH, USELESS = 1e-13, 1e-11, 1e-6
EPSILON = np.finfo(float).eps
_KERNEL = Tensor.named("K")
SUM_ROUNDING = 8 * EPSILON  # of a bracket, relative to the absolute values of its terms: weights, sigma and their sum


@dataclass(frozen=True)
class Pass:
    """One pass through the layers.

    history : (L, 2, tensors), the flow under the fine rule and under the coarse one. spread : the largest difference of
    both rules over all brackets, relative to the integral of their absolute terms. brackets, doubts : for each further
    layer the brackets of the fine rule and their errors.
    """

    history: Any
    spread: float
    brackets: list[Any]
    doubts: list[Any]


def run_one(
    activation: Activation, tensors: tuple[Tensor, ...], known: dict[Tensor, Any], steps: Sequence[Step]
) -> History:
    """All layers, with more nodes until the two rules agree.

    The error of a value is the distance of two whole flows, one under each rule, so that an instability of the flow
    shows in it, plus a bound on what rounding and quadrature of every layer leave where large terms cancel.
    """
    systems = {id(step.system): step.system for step in steps}  # layers share them, and they are long to compare
    made = {which: kernel(system, activation) for which, system in systems.items()}
    programs = [made[id(step.system)] for step in steps]
    hyper = [step.hyper for step in steps]
    first = np.array([float(np.ravel(known[t])[0]) if t in known else 0.0 for t in tensors])
    found = _refine(programs, activation, tensors, first, hyper)
    values = found.history[:, 0]
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is looked for, and named, by the caller
        errors = np.abs(found.history[:, 0] - found.history[:, 1]) + _bound(programs, values, found, hyper)
    methods = {method for program in made.values() for method in program.methods.values()}
    return History(
        {tensor: values[:, i] for i, tensor in enumerate(tensors)},
        {tensor: errors[:, i] for i, tensor in enumerate(tensors)},
        "both" if len(methods) == 2 else next(iter(methods), "closed form"),
    )


def _bound(programs: Sequence[Kernel], values: Any, found: Pass, hyper: Sequence[Any]) -> Any:
    """Errors carried by the polynomial with positive coefficients: its growth from (|x|, |b|) to (|x| + e, |b| + e)."""
    errors = [2 * EPSILON * np.abs(values[0])]
    for layer, (step, constants) in enumerate(zip(_steppers(programs), hyper, strict=True)):
        state, brackets = np.abs(values[layer]), np.abs(found.brackets[layer])
        below = step(state, brackets, constants, True)
        above = step(state + errors[-1], brackets + found.doubts[layer], constants, True)
        errors.append(above - below + 4 * EPSILON * below)
    return np.array(errors)


def _refine(
    programs: Sequence[Kernel], activation: Activation, tensors: tuple[Tensor, ...], first: Any, hyper: Sequence[Any]
) -> Pass:
    at_kernel = tensors.index(_KERNEL)
    different = {id(program): program for program in programs}.values()
    methods = {entry: method for program in different for entry, method in program.methods.items()}
    by_quadrature = [entry for entry, method in methods.items() if method == QUADRATURE]
    best: Pass | None = None
    spread = np.inf
    for nodes in PANELS if activation.kinks else NODES:
        found = flow_with(programs, first, hyper, nodes)
        if nodes < least_nodes(activation, by_quadrature, float(found.history[:, :, at_kernel].max())):
            continue  # two rules that cannot see an oscillation agree on a wrong value
        improved = found.spread < spread
        if improved:
            best, spread = found, found.spread
        if spread <= ROUNDING or (spread <= ENOUGH and not improved):
            break
    if best is None or spread > USELESS:
        known = "unresolved" if best is None else f"known to {spread:.0e} of their size only"
        raise AccuracyError(
            f"Gaussian averages of {activation.name} in this flow are {known} with {nodes} nodes; "
            "choose a smaller first_kernel or C_W"
        )
    return best


def flow_with(programs: Sequence[Kernel], first: Any, hyper: Sequence[Any], nodes: int) -> Pass:
    """One pass through all layers with a given number of nodes.

    Parameters
    ----------
    programs : sequence of L - 1 kernels
        One for every further layer; all of the same tensors.
    first : array (tensors,)
        Tensors at layer 1.
    hyper : sequence of L - 1 arrays
        The symbols of each kernel's table and r: for dense layers C_b, C_W, lambda_b, lambda_W, r.
    nodes : int
        Nodes of the coarse rule on each side of zero, or panels between kinks.
    """
    history = np.zeros((len(hyper) + 1, 2, len(first)))
    history[0, 0], history[0, 1] = first, first * (1 + 2 * EPSILON)
    brackets, doubts, spread = [], [], 0.0
    for layer, (step, constants) in enumerate(zip(_steppers(programs), hyper, strict=True), start=1):
        for rule in (0, 1):
            K = float(history[layer - 1, rule, step.at_kernel])
            if not 0 <= K < np.inf:
                raise AccuracyError(
                    f"K = {K} at layer {layer}: the flow runs away; choose a smaller C_W or fewer layers"
                )
            values, scale = step.program.brackets(K, nodes)
            if not np.isfinite(values).all():
                raise AccuracyError(
                    f"a Gaussian average at K = {K:.6g}, layer {layer}, is not finite: it overflows, or a kink meets a "
                    "vanishing kernel; choose other hyperparameters or inputs"
                )
            apart = np.abs(values[:, 0] - values[:, 1])
            spread = max(spread, float((apart / np.where(scale > 0, scale, 1.0)).max(initial=0.0)))
            if rule == 0:
                brackets.append(values[:, 0])
                doubts.append(apart + SUM_ROUNDING * scale)
            # the second flow is moved by what rounding may do, so that an instability shows how it would grow
            column = values[:, 0] if rule == 0 else values[:, 1] + SUM_ROUNDING * scale
            history[layer, rule] = step(history[layer - 1, rule], column, constants)
    return Pass(history, spread, brackets, doubts)


class Stepper:
    """One layer of one input: every tensor is one number."""

    def __init__(self, program: Kernel):
        count = len(program.table.tensors)
        self.program, self.at_kernel = program, program.table.tensors.index(_KERNEL)
        self.work = np.array([[i, 0, i] for i in range(count)], np.int64)
        self.offsets = np.arange(count, dtype=np.int64)
        self.places = np.arange(len(program.table.shapes), dtype=np.int64)

    def __call__(self, state: Any, brackets: Any, hyper: Any, positive: bool = False) -> Any:
        column = np.ascontiguousarray(brackets)
        return self.program.step(1, self.work, state, self.offsets, column, self.places, hyper, positive)


def _steppers(programs: Sequence[Kernel]) -> list[Stepper]:
    """One for each layer, shared by layers of one program."""
    made = {id(program): Stepper(program) for program in {id(program): program for program in programs}.values()}
    return [made[id(program)] for program in programs]
