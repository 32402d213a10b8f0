"""The flow of one input: brackets and rows by the compiled kernel, under two quadrature rules side by side."""

from __future__ import annotations

from typing import Any

import numpy as np

from rgflow.activations import Activation
from rgflow.algebra import System, Tensor
from rgflow.brackets import least_nodes
from rgflow.codegen import Kernel, kernel
from rgflow.errors import AccuracyError
from rgflow.flow.history import History

NODES = (24, 48, 96, 192, 384, 768, 1536)  # of the coarser rule on each side of zero, for a smooth activation
PANELS = (1, 2, 4, 8)  # between kinks, for one with kinks
# Differences of the two rules, relative to the integral of the absolute value: rounding of sums of hundreds of terms;
# good enough if more nodes do not help; and what no number should be built on.
ROUNDING, ENOUGH, USELESS = 1e-13, 1e-11, 1e-6


def run_one(activation: Activation, system: System, known: dict[Tensor, Any], hyper: Any) -> History:
    """All layers, with more nodes until the two rules agree.

    The error of a value is the distance of two whole flows, one under each rule, so that an instability of the flow
    shows in it, plus the rounding of one layer for every layer.
    """
    program = kernel(system, activation)
    first = np.array([float(known[t][0, 0]) if t in known else 0.0 for t in system.tensors])
    found = _refine(program, activation, system, first, hyper)
    values = found[:, 0]
    rounding = 8 * np.finfo(float).eps * np.abs(values) * np.arange(1, len(values) + 1)[:, None]
    errors = np.abs(found[:, 0] - found[:, 1]) + rounding
    return History(
        {tensor: values[:, i] for i, tensor in enumerate(system.tensors)},
        {tensor: errors[:, i] for i, tensor in enumerate(system.tensors)},
    )


def _refine(program: Kernel, activation: Activation, system: System, first: Any, hyper: Any) -> Any:
    at_kernel = system.tensors.index(Tensor.named("K"))
    specifications = [(shape.orders, shape.pending) for shape in program.table.shapes]
    best, spread = None, np.inf
    for nodes in PANELS if activation.kinks else NODES:
        found, now = flow_with(program, first, hyper, nodes)
        if nodes < least_nodes(activation, specifications, float(found[:, :, at_kernel].max())):
            continue  # two rules that cannot see an oscillation agree on a wrong value
        improved = now < spread
        if improved:
            best, spread = found, now
        if spread <= ROUNDING or (spread <= ENOUGH and not improved):
            break
    if best is None or spread > USELESS:
        known = "unresolved" if best is None else f"known to {spread:.0e} of their size only"
        raise AccuracyError(
            f"Gaussian averages of {activation.name} in this flow are {known} with {nodes} nodes; "
            "choose a smaller first_kernel or C_W"
        )
    return best


def flow_with(program: Kernel, first: Any, hyper: Any, nodes: int) -> tuple[Any, float]:
    """One pass through all layers with a given number of nodes.

    Parameters
    ----------
    first : array (tensors,)
        Tensors at layer 1.
    hyper : array (L - 1, 5)
        C_b, C_W, lambda_b, lambda_W, r for every further layer.
    nodes : int
        Nodes of the coarse rule on each side of zero, or panels between kinks.

    Returns
    -------
    history : array (L, 2, tensors)
        The flow with the fine rule and with the coarse one.
    spread : float
        The largest difference of both rules over all brackets, relative to the integral of the absolute value.
    """
    count = len(program.table.tensors)
    work = np.array([[i, 0, i] for i in range(count)], np.int64)
    offsets = np.arange(count, dtype=np.int64)
    places = np.arange(len(program.table.shapes), dtype=np.int64)
    at_kernel = program.table.tensors.index(Tensor.named("K"))
    history = np.zeros((len(hyper) + 1, 2, count))
    history[0] = first
    spread = 0.0
    for layer, constants in enumerate(hyper, start=1):
        for rule in (0, 1):
            K = float(history[layer - 1, rule, at_kernel])
            if not 0 <= K < np.inf:
                raise AccuracyError(
                    f"K = {K} at layer {layer}: the flow runs away; choose a smaller C_W or fewer layers"
                )
            values, scale = program.brackets(K, nodes)
            if not np.isfinite(values).all():
                raise AccuracyError(
                    f"a Gaussian average at K = {K:.6g}, layer {layer}, is not finite: it overflows, or a kink meets a "
                    "vanishing kernel; choose other hyperparameters or inputs"
                )
            apart = np.abs(values[:, 0] - values[:, 1]) / np.where(scale > 0, scale, 1.0)
            spread = max(spread, float(apart.max(initial=0.0)))
            column = np.ascontiguousarray(values[:, rule])
            history[layer, rule] = program.step(1, work, history[layer - 1, rule], offsets, column, places, constants)
    return history, spread
