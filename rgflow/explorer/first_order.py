"""The part 1/n of one input where recursions go from one layer to the next: one pass of the compiled kernel.

:func:`rgflow.flow` runs the same kernel with more and more nodes until rounding is all that is left, and bounds what
that does to every number; a panel needs a tenth of it. ``tests/explorer`` compares the two.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from rgflow.activations import activation
from rgflow.algebra import System, Tensor
from rgflow.brackets.kinks import check_kinks
from rgflow.codegen import Kernel, kernel
from rgflow.derive.derive import closures
from rgflow.errors import AccuracyError
from rgflow.flow.diagnostics import expansion_ratios
from rgflow.flow.inputs import start
from rgflow.flow.one_input import PANELS, flow_with
from rgflow.flow.orders import measures, requested
from rgflow.flow.run import first_layer
from rgflow.flow.steps import steps
from rgflow.layers import Law
from rgflow.layers.stages import stages
from rgflow.network import Network

TENSORS = ("K", "V", "Theta")
NODES = (48, 192, 768)  # of the coarser of two rules on each side of zero
GOOD, USELESS = 1e-10, 1e-6  # what the two rules may differ by, relative to the average of the absolute integrand


def first_order(net: Network, first_kernel: float) -> tuple[dict[str, Any], dict[str, Any]]:
    """Coefficients by name, and the ratio of orders by letter: arrays (L,).

    Raises InputError, KinkError, AccuracyError as :func:`rgflow.flow`.

    >>> from rgflow.network import MLP
    >>> first_order(MLP.uniform(n_in=3, width=9, depth=4, activation="relu", C_W=2.0), 1.0)[0]["V"].round(9).tolist()
    [0.0, 5.0, 10.0, 15.0]
    """
    overlap = start(net, first_kernel=first_kernel).overlap
    rules = tuple(stage.law for stage in stages(net))
    systems, made = _prepared(tuple(dict.fromkeys(rules[1:])), net.activation.formula_text)
    tensors = next(iter(systems.values())).tensors
    through = steps(net, systems, rules)
    programs = [made[id(step.system)] for step in through]
    known = first_layer(net, rules[0], overlap)
    begin = np.array([float(np.ravel(known[t])[0]) if t in known else 0.0 for t in tensors])
    hyper = [step.hyper for step in through]
    for nodes in PANELS[1:] if net.activation.kinks else NODES:
        found = flow_with(programs, begin, hyper, nodes)
        if found.spread <= GOOD:
            break
    if not found.spread <= USELESS or not np.isfinite(found.history).all():
        raise AccuracyError(f"averages of {net.activation.name} are not known well at the kernels of this flow")
    values = {tensor: found.history[:, 0, i] for i, tensor in enumerate(tensors)}
    ratios = expansion_ratios(values, np.array(net.fan_in, np.float64))
    return {tensor.name: value for tensor, value in values.items()}, ratios


@lru_cache(maxsize=256)
def _prepared(rules: tuple[Law, ...], formula: str) -> tuple[dict[Law, System], dict[int, Kernel]]:
    """The recursions of some laws, and their kernels by the id of the recursions: these are long to compare."""
    sigma = activation(formula)
    wanted: tuple[Tensor, ...] = requested(TENSORS, 1)
    systems = closures([*wanted, *measures(wanted, 1)], "one", rules)
    for system in systems.values():
        check_kinks(system, sigma, "error")
    return systems, {id(system): kernel(system, sigma) for system in systems.values()}
