"""A module whose blocks carry auxiliary scales: parameters of block k count times a_k until the scales are kept.

Blocks run from output to output of the modules looked at. Which parameters a block has is read from the graph: those
that its output depends on and the outputs below do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from rgflow.errors import InputError
from rgflow.nn.probes.capture import outputs


@dataclass(frozen=True)
class Scaled:
    """A module, and names of the parameters that each of its blocks is scaled by.

    Attributes
    ----------
    model : Module
    modules : dict of name to Module
        Those whose outputs end the blocks, in the order in which the model calls them.
    weights, biases : list of lists of names
        Of every block, the first included: parameters with two dims and more, and the vectors that are added beside
        them. Gains of norms are neither.
    """

    model: nn.Module
    modules: dict[str, nn.Module]
    weights: list[list[str]]
    biases: list[list[str]]

    @property
    def names(self) -> list[str]:
        """Of the modules."""
        return list(self.modules)

    def parameters(self, a: Tensor, a_b: Tensor) -> dict[str, Tensor]:
        """Parameters times the scales a, a_b (blocks,), by name."""
        named = dict(self.model.named_parameters())
        found: dict[str, Tensor] = {}
        for names, scales in ((self.weights, a), (self.biases, a_b)):
            for block, scale in zip(names, scales, strict=True):
                found |= {name: named[name] * scale.to(named[name]) for name in block}
        return found

    def outputs(
        self,
        inputs: Tensor,
        a: Tensor,
        a_b: Tensor,
        names: Sequence[str] | None = None,
        *,
        stop: bool = False,
        finite: bool = True,
    ) -> list[Tensor]:
        """Outputs of the modules named, all by default, with these scales; the first is a leaf of their graph."""
        values = self.parameters(a, a_b)
        looked = self.modules if names is None else {name: self.modules[name] for name in names}

        def call(x: Tensor) -> object:
            return functional_call(self.model, values, (x,))

        return list(outputs(self.model, looked, inputs, finite=finite, stop=stop, call=call).values())

    @torch.no_grad()
    def keep(self, a: Tensor, a_b: Tensor) -> None:
        """Multiply the scales into the parameters themselves."""
        named = dict(self.model.named_parameters())
        for name, value in self.parameters(a, a_b).items():
            named[name].copy_(value)


def scaled(model: nn.Module, modules: dict[str, nn.Module], inputs: Tensor) -> Scaled:
    """The blocks of a model between the outputs of these modules, and their parameters.

    Raises InputError if a block has no weights of its own that are trained.
    """
    z = outputs(model, modules, inputs[:1], cut=False, finite=False)
    named: dict[Tensor, str] = {parameter: name for name, parameter in model.named_parameters()}
    beside = _beside_weights(model)
    weights: list[list[str]] = []
    biases: list[list[str]] = []
    seen: set[object] = set()
    for i, (name, out) in enumerate(z.items()):
        own = [parameter for parameter in _leaves(out, seen) if parameter in named]
        weights.append(sorted(named[p] for p in own if p.ndim >= 2))
        biases.append(sorted(named[p] for p in own if p.ndim == 1 and p in beside))
        if i and not weights[-1]:
            raise InputError(
                f"between the outputs of {list(z)[i - 1]!r} and {name!r} there are no weights to scale (none, "
                "shared with a block below, or frozen); leave one of the two out of modules=[...]"
            )
    return Scaled(model, {name: modules[name] for name in z}, weights, biases)


def _leaves(out: Tensor, seen: set[object]) -> list[Tensor]:
    """Parameters in the graph of a tensor, as far as no earlier walk has been there."""
    found = []
    waiting = [out.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        variable = getattr(node, "variable", None)
        if variable is not None:
            found.append(variable)
        waiting += [below for below, _ in node.next_functions]
    return found


def _beside_weights(model: nn.Module) -> set[nn.Parameter]:
    """Vectors that stand in one module with a matrix: biases, and not the gain or shift of a norm."""
    found: set[nn.Parameter] = set()
    for module in model.modules():
        own = list(module.parameters(recurse=False))
        if any(parameter.ndim >= 2 for parameter in own):
            found |= {parameter for parameter in own if parameter.ndim == 1}
    return found
