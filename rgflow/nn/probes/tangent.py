"""Gradients of outputs with respect to parameters, weighted by learning rates: what tangent kernels are made of."""

from __future__ import annotations

from collections.abc import Iterator
from math import sqrt
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap

from rgflow.errors import InputError
from rgflow.nn.models.build import Model
from rgflow.nn.models.groups import learning_rate_tensor
from rgflow.nn.probes.capture import hint, taking

TOGETHER = 2**25  # numbers of a Jacobian that are held at once
MOST = 2**29  # of all outputs together: four gigabytes
FROZEN = (
    "none: parameters that the description trains are frozen; give a network that does not train them as description="
)


def learning_rates(model: nn.Module, groups: Any = None) -> dict[str, float]:
    """lambda of every trained parameter by name; those in no group, or frozen, are not trained.

    Parameters
    ----------
    model : Module
    groups : optimizer or list of parameter groups, optional
        Each group with ``params`` and ``lr``. By default the learning-rate tensor of a model that was built from a
        description, and 1 for all parameters of another.

    Raises InputError for groups of another form, parameters of another model or in two groups, rates below 0.
    """
    named: dict[Tensor, str] = {parameter: name for name, parameter in model.named_parameters()}
    if groups is None:
        if isinstance(model, Model):
            known = learning_rate_tensor(model).items()
            return {name: rate for name, (parameter, rate) in known if rate > 0 and parameter.requires_grad}
        return {name: 1.0 for parameter, name in named.items() if parameter.requires_grad}
    found: dict[str, float] = {}
    for group in getattr(groups, "param_groups", groups):
        if not isinstance(group, dict) or "params" not in group or "lr" not in group:
            raise InputError(f"groups holds {group!r}; give dicts with 'params' and 'lr', or an optimizer")
        rate = float(group["lr"])
        if not 0 <= rate < float("inf"):
            raise InputError(f"groups holds the learning rate {rate!r}; it must be finite, 0 or above")
        parameters = [group["params"]] if isinstance(group["params"], Tensor) else list(group["params"])
        for parameter in parameters:
            if parameter not in named:
                raise InputError("groups holds a parameter that the model does not have")
            if named[parameter] in found:
                raise InputError(f"the parameter {named[parameter]!r} is in two groups")
            found[named[parameter]] = rate
    # an optimizer holds frozen parameters, too, and never moves them
    return {name: rate for parameter, name in named.items() if parameter.requires_grad and (rate := found.get(name, 0))}


def trained_as_described(model: nn.Module) -> bool:
    """Whether every parameter that the description of a built model trains is trained; True of other models."""
    if not isinstance(model, Model):
        return True
    return all(parameter.requires_grad or rate == 0 for parameter, rate in learning_rate_tensor(model).values())


class Gradients:
    """Outputs of a model at inputs, as functions of the parameters that are trained."""

    def __init__(self, model: nn.Module, inputs: Tensor, rates: dict[str, float]):
        if not rates:
            raise InputError("no parameter of the model is trained; its tangent kernel is zero")
        self.inputs, self.rates = inputs, rates
        parameters = dict(model.named_parameters())
        self._trained = {name: parameters[name].detach() for name in rates}
        fixed = {name: parameter.detach() for name, parameter in parameters.items() if name not in rates}
        fixed |= {name: buffer.detach() for name, buffer in model.named_buffers()}

        def function(trained: dict[str, Tensor], x: Tensor) -> Tensor:
            y = functional_call(model, {**fixed, **trained}, (x,))
            if not isinstance(y, Tensor) or len(y) != len(x):
                got = tuple(y.shape) if isinstance(y, Tensor) else type(y).__name__
                raise InputError(f"the model returns {got} of {len(x)} inputs; it should be ({len(x)}, ...){hint(x)}")
            return y.reshape(len(x), -1)

        self._function = function
        with torch.no_grad(), taking(inputs):
            y = function(self._trained, inputs)
        if not bool(torch.isfinite(y).all()):
            raise InputError("the model returns NaN or infinity on these inputs")
        self.outputs = y.shape[1]
        self.parameters = sum(one.numel() for one in self._trained.values())

    @property
    def size(self) -> int:
        """Numbers of the Jacobian of all outputs at all inputs."""
        return len(self.inputs) * self.outputs * self.parameters

    def rows(self) -> Iterator[Tensor]:
        """sqrt(lambda) dz_i/dtheta of some outputs after the others, (outputs, N, parameters) in double precision."""
        step = max(1, TOGETHER // (len(self.inputs) * self.parameters))
        for first in range(0, self.outputs, step):
            some = slice(first, first + step)

            def one(trained: dict[str, Tensor], x: Tensor, some: slice = some) -> Tensor:
                return self._function(trained, x[None])[0, some]

            jacobians = vmap(jacrev(one), (None, 0))(self._trained, self.inputs)
            flat = [sqrt(rate) * jacobians[name].flatten(2).double() for name, rate in self.rates.items()]
            yield torch.cat(flat, dim=2).transpose(0, 1)

    def jets(self, draws: torch.Generator, count: int) -> Iterator[Tensor]:
        """eps . dz/dtheta, (N, outputs), for ``count`` directions eps ~ N(0, lambda) of all parameters.

        The derivative of J^T u, which is linear in u, along eps: backward passes alone, one for each direction.
        """
        trained = {name: p.detach().requires_grad_() for name, p in self._trained.items()}
        with torch.enable_grad():
            y = self._function(trained, self.inputs)
            u = torch.zeros_like(y, requires_grad=True)
            pulled = torch.autograd.grad(y, list(trained.values()), u, create_graph=True, materialize_grads=True)
        for _ in range(count):
            eps = [
                sqrt(self.rates[name]) * torch.randn(p.shape, generator=draws, dtype=torch.float64).to(p)
                for name, p in trained.items()
            ]
            (moved,) = torch.autograd.grad(pulled, u, eps, retain_graph=True, materialize_grads=True)
            yield moved.double()

    def kernel(self) -> Tensor:
        """H_ij;ab of all pairs of outputs and inputs, (outputs, outputs, N, N); InputError if that is too much."""
        if self.size > MOST:
            raise InputError(
                f"the Jacobian has {self.size:.3g} entries ({len(self.inputs)} inputs, {self.outputs} outputs, "
                f"{self.parameters} parameters); give projections="
            )
        J = torch.cat(list(self.rows()))
        return torch.einsum("iap,jbp->ijab", J, J)

    def mean_kernel(self) -> Tensor:
        """(1/n_L) sum_i H_ii;ab, (N, N), with the Jacobian of a few outputs at a time."""
        if self.size // self.outputs > MOST:
            raise InputError(
                f"the Jacobian of one output has {self.size // self.outputs:.3g} entries ({len(self.inputs)} inputs, "
                f"{self.parameters} parameters); give projections="
            )
        parts = [torch.einsum("iap,ibp->ab", rows, rows) for rows in self.rows()]
        return torch.stack(parts).sum(dim=0) / self.outputs
