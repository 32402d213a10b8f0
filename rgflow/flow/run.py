"""Run the recursions of a network's layers through it: numbers and their numerical error."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from rgflow.algebra import System, Tensor
from rgflow.flow.history import History, checked
from rgflow.flow.inputs import Start, entering
from rgflow.flow.many_inputs import run_many
from rgflow.flow.one_input import run_one
from rgflow.flow.steps import steps
from rgflow.layers import Law
from rgflow.layers.laws import value
from rgflow.network import Network
from rgflow.progress import progress_bar

_K, _V, _THETA = (Tensor.named(letter) for letter in ("K", "V", "Theta"))


def run(
    net: Network,
    systems: dict[Law, System],
    rules: tuple[Law, ...],
    begin: Start,
    progress: bool = False,
    threads: int = 1,
    wanted: Iterable[Tensor] | None = None,
) -> History:
    """All tensors of the Systems at every layer, starting from the first layer.

    Parameters
    ----------
    systems : dict
        For each law that occurs the recursions of the same tensors.
    rules : tuple of L laws
        That of each layer.
    wanted : tensors, optional
        Of several inputs: those that are returned with all their components; None: all.

    Raises AccuracyError for a flow that overflows or whose Gaussian averages cannot be had.
    """
    known = first_layer(net, rules[0], begin.overlap)
    system = next(iter(systems.values()))
    through = steps(net, systems, rules)
    if system.samples == "one":
        return checked(net, run_one(net.activation, system.tensors, known, through))
    with progress_bar(progress, "averages", len(through)) as advance:
        return checked(net, run_many(net.activation, system.tensors, known, through, advance, threads, wanted))


def first_layer(net: Network, law: Law, overlap: Any) -> dict[Tensor, Any]:
    """K = C_b + C_W g, Theta = lambda_b + lambda_W g with g = x.x'/n_0, and V if the parameters are not Gaussian.

    The input is given, so that its averages do not fluctuate: only intrinsic cumulants remain,
    V[1,2,3,4] = sum of coefficient * <x_a x_c> <x_b x_d>.
    """
    layer = net.layers[0]
    K, Theta = entering(layer, overlap)
    found = {_K: K, _THETA: Theta}
    for exchange in law.intrinsic(*_V.pairs):
        weight = float(exchange.coefficient)
        for symbol in exchange.symbols:
            weight *= value(layer, symbol, *net.widths[:2])
        indices = ["".join("_abcd"[jet.sample] for jet in pair) for pair in exchange.pairs]
        found[_V] = found.get(_V, 0.0) + weight * np.einsum(f"{','.join(indices)}->abcd", overlap, overlap)
    return found
