"""The axes of a sweep: their names, their values, and what a value changes in the network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rgflow.checks import whole
from rgflow.errors import InputError, UnknownName
from rgflow.network import HYPERPARAMETERS, Network
from rgflow.network.inputs import finite
from rgflow.sweeps.networks import parameters, with_depth, with_hyperparameters, with_parameter, with_width

FIRST_KERNEL = "first_kernel"
WHOLE = ("depth", "width", "degree")
# Axes along which one program serves: a network differs by numbers alone.
VECTOR = (*HYPERPARAMETERS, FIRST_KERNEL)


@dataclass(frozen=True)
class Axis:
    """A name and its values in the order given: floats, or ints of what is counted."""

    name: str
    values: tuple[float, ...]


def applied(net: Network, name: str, value: float) -> Network:
    """The network with the value of one axis."""
    if name == "depth":
        return with_depth(net, int(value))
    if name == "width":
        return with_width(net, int(value))
    if name in parameters(net):
        return with_parameter(net, name, value)
    return net if name == FIRST_KERNEL else with_hyperparameters(net, {name: value})


def read_axes(net: Network, given: Mapping[str, Any], first_kernel: Any) -> tuple[Network, tuple[Axis, ...], Any]:
    """The network with every single value applied, the axes in the order given, and a first kernel that is no axis.

    A one-dimensional first kernel is the last axis.

    Raises
    ------
    UnknownName
        For a name that no layer, no activation of this network carries.
    InputError
        For values that are no numbers, not finite, empty, repeated, of two dimensions or outside their domain.
    """
    known = (*net.hyperparameters, *parameters(net), "depth", "width")
    axes: list[Axis] = []
    for name, values in given.items():
        if name not in known:
            raise UnknownName("axis of a sweep", name, known)
        array = _numbers(name, values)
        if array.ndim == 0:
            net = applied(net, name, _number(name, array[()]))
        else:
            axes.append(Axis(name, tuple(_number(name, value) for value in array)))
    for axis in axes:
        _check(net, axis)
    if first_kernel is not None:
        kernel = _numbers(FIRST_KERNEL, first_kernel)
        if kernel.ndim == 1:
            axes.append(Axis(FIRST_KERNEL, _kernels(kernel)))
            first_kernel = None
        else:
            first_kernel = kernel
    for axis in axes:
        if len(set(axis.values)) < len(axis.values):
            twice = next(value for value in axis.values if axis.values.count(value) > 1)
            raise InputError(f"{axis.name} holds {twice!r} twice; every value of an axis is given once")
    return net, tuple(axes), first_kernel


def _kernels(kernel: Any) -> tuple[float, ...]:
    if kernel.min() < 0:
        raise InputError(f"{FIRST_KERNEL} holds {float(kernel.min())!r}; a kernel x.x is not negative")
    return tuple(float(value) for value in kernel)


def _numbers(name: str, values: Any) -> Any:
    if getattr(values, "size", None) == 0 or (isinstance(values, (list, tuple)) and not values):
        raise InputError(f"{name} is empty; give at least one value")
    array = finite(name, values, "fiu")
    if array.ndim > 1 and name != FIRST_KERNEL:
        raise InputError(f"{name} has shape {array.shape}; an axis is a number or a one-dimensional array")
    return array


def _number(name: str, value: Any) -> float:
    """A float, or an int of what is counted: 16.0 of an evenly spaced array is 16."""
    if name not in WHOLE:
        return float(value)
    if float(value) != int(value):
        raise InputError(f"{name} holds {float(value)!r}; it must be a whole number")
    return whole(name, int(value), 1)


def _check(net: Network, axis: Axis) -> None:
    """Every value is one that the network accepts; hyperparameters are asked of one layer of each sort."""
    if axis.name in net.hyperparameters and axis.name not in parameters(net):
        for layer in {type(layer): layer for layer in net.layers}.values():
            if axis.name in layer.hyperparameters():
                for value in {min(axis.values), max(axis.values)}:  # domains are intervals; a million checks take time
                    layer.changed(**{axis.name: value})
        return
    for value in axis.values:
        applied(net, axis.name, value)
