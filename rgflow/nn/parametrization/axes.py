"""What the parameters of a module are: matrices with the axes they make and read, biases, gains, embeddings.

A kind of module is a function registered with :func:`reading`; it says so of each of its own parameters. What is not
read here is refused by name.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import singledispatch

from torch import nn

from rgflow.errors import InputError


@dataclass(frozen=True)
class Reading:
    """One parameter in one module.

    Attributes
    ----------
    kind : "matrix", "embedding", "gain" or "bias"
    out, into : int
        Sizes of the two axes of a matrix (neurons it makes, neurons it reads); of a vector out alone, into = 1.
    kernel : int
        Points of the convolution kernel; the fan-in is into * kernel.
    of : str
        For a bias, the name of the weight beside it in the same module.
    attention : bool
    """

    kind: str
    out: int
    into: int = 1
    kernel: int = 1
    of: str = ""
    attention: bool = False


@singledispatch
def reading(module: nn.Module) -> dict[str, Reading] | None:
    """What the module's own parameters are; None for a kind of module that is not known."""
    return None


@reading.register
def _linear(module: nn.Linear) -> dict[str, Reading]:
    width, fan_in = module.weight.shape
    return {"weight": Reading("matrix", width, fan_in), "bias": Reading("bias", width, of="weight")}


@reading.register(nn.Conv1d)
@reading.register(nn.Conv2d)
def _convolution(module: nn.Conv1d | nn.Conv2d) -> dict[str, Reading]:
    width, into = module.weight.shape[:2]
    if module.groups not in (1, module.in_channels):
        return {"bias": Reading("bias", width, of="weight")}
    kernel = math.prod(module.kernel_size)
    return {"weight": Reading("matrix", width, into, kernel), "bias": Reading("bias", width, of="weight")}


@reading.register
def _embedding(module: nn.Embedding) -> dict[str, Reading]:
    return {"weight": Reading("embedding", module.embedding_dim)} if module.max_norm is None else {}


@reading.register
def _layer_norm(module: nn.LayerNorm) -> dict[str, Reading]:
    size = module.normalized_shape[-1]
    return {"weight": Reading("gain", size), "bias": Reading("bias", size)}


@reading.register
def _attention(module: nn.MultiheadAttention) -> dict[str, Reading]:
    width = module.embed_dim
    q, k, v = (Reading("matrix", width, into, attention=True) for into in (width, module.kdim, module.vdim))
    bias = Reading("bias", width, of="in_proj_weight" if module.in_proj_weight is not None else "q_proj_weight")
    return {
        "in_proj_weight": q, "q_proj_weight": q, "k_proj_weight": k, "v_proj_weight": v, "in_proj_bias": bias,
        "bias_k": replace(bias, of=""), "bias_v": replace(bias, of=""),
    }  # fmt: skip


# The whole module ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Used:
    """One parameter where it is used: a parameter that is shared is used at several places."""

    name: str
    owner: nn.Module
    reading: Reading | None
    role: str = ""
    inside: bool = field(default=False)
    """Whether the axis that a matrix reads grows with the width."""


def uses(module: nn.Module) -> dict[nn.Parameter, list[Used]]:
    """Every parameter with all its names, in the order of ``named_parameters``.

    Raises InputError for no module, no parameters, or parameters that are not real floating numbers of a known shape.
    """
    if not isinstance(module, nn.Module):
        raise InputError(f"{module!r} is not a torch module")
    found: dict[nn.Parameter, list[Used]] = {}
    # A lazy module cannot even be read.
    for name, parameter in module.named_parameters():
        if nn.parameter.is_lazy(parameter):
            raise InputError(f"{name!r} has no shape yet; run the module once on a batch, then parametrize it")
    for prefix, owner in module.named_modules():
        known = reading(owner) if any(p is not None for p in owner._parameters.values()) else {}
        parent = owner_of(module, prefix)
        for key, parameter in owner._parameters.items():
            if parameter is None:
                continue
            name = f"{prefix}.{key}" if prefix else key
            if not parameter.is_floating_point():
                raise InputError(f"{name!r} is of dtype {parameter.dtype}; parameters are real floating numbers here")
            each = (known or {}).get(key)
            if each is not None and each.kind == "matrix" and isinstance(parent, nn.MultiheadAttention):
                each = replace(each, attention=True)
            found.setdefault(parameter, []).append(Used(name, owner, each))
    if not found:
        raise InputError(f"{type(module).__name__} has no parameters")
    return found


def owner_of(module: nn.Module, prefix: str) -> nn.Module | None:
    """The module that holds the one of this name; None for the outermost."""
    return module.get_submodule(prefix.rpartition(".")[0]) if prefix else None
