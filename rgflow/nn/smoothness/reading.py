"""The description of a model that others wrote: widths, activation and weight variances of a chain of Linear layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from torch import nn

from rgflow.activations import Activation, activation
from rgflow.errors import InputError
from rgflow.network import Dense, Network
from rgflow.network.kinds.linear import Linear

NAMES: dict[type[nn.Module], Callable[[Any], Activation]] = {
    nn.ReLU: lambda m: activation("relu"),
    nn.LeakyReLU: lambda m: activation("leaky_relu", slope=m.negative_slope),
    nn.Tanh: lambda m: activation("tanh"),
    nn.Sigmoid: lambda m: activation("sigmoid"),
    nn.GELU: lambda m: activation("gelu" if m.approximate == "none" else "gelu_tanh"),
    nn.SiLU: lambda m: activation("silu"),
    nn.Mish: lambda m: activation("mish"),
}
REMEDY = "describe the network yourself, rgflow.MLP([...], activation, C_W=..., C_b=...), and give that"


def read_network(model: nn.Module) -> Network:
    """The network of which the model is one draw, as far as its weights tell: C_W = fan-in times the mean of W^2.

    Parameters
    ----------
    model : torch.nn.Module
        Of :func:`rgflow.nn.build`, whose description is returned as it is; or a Sequential (nested ones too) of Linear
        layers, with one activation between each two or none, and Flatten, Identity and resting Dropout.

    Returns
    -------
    Network
        Dense layers, :class:`rgflow.Linear` ones where there is no activation before. C_b is the mean of b^2. Both are
        known to the relative accuracy sqrt(2/number of entries) of a variance, if the entries are normal.

    Raises
    ------
    InputError
        For other modules, weights that are used twice, two kinds of activation, an activation at either end.

    >>> import torch
    >>> model = nn.Sequential(nn.Linear(3, 2, bias=False), nn.Tanh(), nn.Linear(2, 1, bias=False))
    >>> read_network(nn.Sequential(model)).widths
    (3, 2, 1)
    """
    described = getattr(model, "net", None)
    if isinstance(described, Network):
        return described
    if not isinstance(model, (nn.Sequential, nn.Linear)):
        raise InputError(f"the model is a {type(model).__name__}, of which the network is not known; {REMEDY}")
    maps: list[nn.Linear] = []
    acting: list[Activation | None] = []  # before each map
    waiting: Activation | None = None
    for name, module in _chain(model):
        if isinstance(module, nn.Linear):
            if any(module.weight is other.weight for other in maps):
                raise InputError(f"{name} shares its weights with another layer; layers must be drawn independently")
            maps.append(module)
            acting.append(waiting)
            waiting = None
            continue
        found = _activation(name, module)
        if waiting is not None:
            raise InputError(f"{name} ({type(module).__name__}) follows another activation; {REMEDY}")
        waiting = found
    _check_ends(maps, acting, waiting)
    kinds = {each for each in acting if each is not None}
    if len(kinds) > 1:
        raise InputError(f"the activations {', '.join(sorted(a.name for a in kinds))} differ; a network has one")
    widths = [maps[0].in_features, *(each.out_features for each in maps)]
    layers = []
    for i, (each, sigma) in enumerate(zip(maps, acting, strict=True)):
        kind = Dense if i == 0 or sigma is not None else Linear
        layers.append(kind(C_b=_square(each.bias), C_W=each.in_features * _square(each.weight)))
    return Network(layers, widths, kinds.pop() if kinds else "linear")


def _chain(model: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    if not isinstance(model, nn.Sequential):
        yield prefix or "the model", model
        return
    for name, module in zip(model._modules, model, strict=True):  # named_children leaves out what stands there twice
        place = f"{prefix}.{name}" if prefix else name
        resting = isinstance(module, nn.Dropout) and not module.training
        if not (resting or isinstance(module, (nn.Identity, nn.Flatten))):
            yield from _chain(module, place)


def _activation(name: str, module: nn.Module) -> Activation:
    known = NAMES.get(type(module))
    if known is None:
        rest = "; put it into eval()" if isinstance(module, nn.Dropout) else ""
        raise InputError(f"{name} is a {type(module).__name__}, which is not read{rest}; {REMEDY}")
    return known(module)


def _check_ends(maps: list[nn.Linear], acting: list[Activation | None], waiting: Activation | None) -> None:
    if not maps:
        raise InputError(f"the model has no Linear layer; {REMEDY}")
    if acting[0] is not None or waiting is not None:
        raise InputError(f"an activation stands before the first Linear layer or after the last; {REMEDY}")


def _square(values: Any) -> float:
    return 0.0 if values is None else float(values.detach().double().square().mean())
