"""What the theory says of a model that was drawn from a description, for the probes to stand beside it.

Nothing is computed here: flows and partial Jacobians are asked at order 1 in 1/n where they know it, else at order 0,
and the answer says which.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from rgflow.checks import whole
from rgflow.errors import InputError, RgflowError
from rgflow.flow import flow, total
from rgflow.flow.jacobian import partial_jacobian
from rgflow.network import Network
from rgflow.nn.models.build import Model

if TYPE_CHECKING:
    import xarray

Array = NDArray[np.float64]
FEW = 8  # inputs for which the order 1/n is asked unless the user says so; K_1 of more takes long
PAST = 24  # layers, of networks whose neurons keep their past, of which the time grows with the square


def layer_numbers(model: nn.Module, net: Network, modules: Mapping[str, nn.Module]) -> list[int] | None:
    """l of every module, 1..L; None if one of them is no layer of the description.

    The layers of a model that was built; of another model its modules in order, if there are as many as layers.
    """
    if isinstance(model, Model):
        place = {layer: l for l, layer in enumerate(model.layers, start=1)}
        numbers = [place.get(module, 0) for module in modules.values()]
        return numbers if all(numbers) else None
    return list(range(1, net.depth + 1)) if len(modules) == net.depth else None


def shown(net: Network, inputs: Tensor) -> Array:
    """Inputs as the theory takes them, (N, n_0); InputError if they are not of the described width."""
    x: Array = inputs.detach().reshape(len(inputs), -1).double().cpu().numpy()
    if x.shape[1] != net.widths[0]:
        raise InputError(f"inputs have {x.shape[1]} entries each; the description has n_0 = {net.widths[0]}")
    return x


def orders(net: Network, inputs: int, order: int | None) -> tuple[int, ...]:
    """The orders in 1/n to ask, the best first."""
    if order is not None:
        return (whole("order", order, 0),)
    memory = any(layer.keeps_width for layer in net.layers) and net.depth > PAST
    return (0,) if inputs > FEW or memory else (1, 0)


def asked(question: Callable[[int], Any], orders: Sequence[int]) -> tuple[Any, str]:
    """The answer at the first order that is offered, and what to say of it: its order, or why there is none."""
    why = ""
    for order in orders:
        try:
            return question(order), f"order {order} in 1/n"
        except RgflowError as error:
            why = str(error)
    return None, f"none: {why}"


def jacobians(net: Network, x: Array, start: int, layers: Iterable[int], order: int | None) -> tuple[Any, str]:
    """J of the layers with respect to layer ``start``, averaged over inputs as a measurement is.

    Returns a dict of arrays (layers,): J_theory with the known orders summed, J_theory_error the size of what is left
    out, J_spread_theory the standard deviation of one network (both at order 1 only), chi_J_theory at leading order;
    and a word on their order.
    """
    places = [layer - start for layer in layers]
    sizes = (x**2).mean(axis=1)
    _, first, count = np.unique(sizes, return_index=True, return_counts=True)

    def question(order: int) -> dict[str, Array]:
        of_inputs = [_jacobian(net, x[i], start, order) for i in first]
        names = set.intersection(*(set(found) for found in of_inputs))
        return {name: np.average([found[name] for found in of_inputs], axis=0, weights=count)[places] for name in names}

    return asked(question, orders(net, len(first), order))


def _jacobian(net: Network, x: Array, start: int, order: int) -> dict[str, Array]:
    ds = partial_jacobian(net, x, start=start, order=order)
    found: dict[str, Array] = {"J_theory": ds["J"].values, "chi_J_theory": ds["chi_J"].values}
    if order:
        summed = total(ds)
        with np.errstate(invalid="ignore"):
            spread = np.sqrt(np.maximum(summed["V_J"].values, 0.0) / ds["fan_in"].values)
        found |= {"J_theory": summed["J"].values, "J_theory_error": summed["J_error"].values, "J_spread_theory": spread}
    return found


def kernels(net: Network, x: Array, layers: Sequence[int], order: int | None) -> tuple[Any, str]:
    """K of the layers, (layers, N, N) or (layers,) for one input; at order 1 its error and the spread over networks."""
    places = [layer - 1 for layer in layers]

    def question(order: int) -> dict[str, Array]:
        ds = flow(net, x, tensors=["K"], order=order)
        if not order:
            return {"K_theory": ds["K"].values[places]}
        summed = total(flow(net, x, tensors=["K", "V"], order=order))
        return {
            "K_theory": summed["K"].values[places],
            "K_theory_error": summed["K_error"].values[places],
            "K_spread_theory": _kernel_spread(net, summed)[places],
        }

    return asked(question, orders(net, len(x), order))


def _kernel_spread(net: Network, summed: xarray.Dataset) -> Array:
    """Standard deviation over networks of (1/n_l) sum_i z_ia z_ib: V between neurons, and that of n_l of them."""
    K, V = summed["K"].values, summed["V"].values
    if K.ndim == 1:
        own, between = 2 * K**2, V
    else:
        diagonal = np.diagonal(K, axis1=1, axis2=2)
        own = diagonal[:, :, None] * diagonal[:, None, :] + K**2
        between = np.einsum("labab->lab", V)
    shape = (-1, *(1,) * (K.ndim - 1))
    fan_in, width = (np.reshape(np.asarray(n, float), shape) for n in (net.fan_in, net.widths[1:]))
    spread: Array = np.sqrt(np.maximum(between / fan_in + own / width, 0.0))
    return spread


def tangent_kernels(net: Network, x: Array, order: int | None, letters: Sequence[str] = ()) -> tuple[Any, str]:
    """Theta of the outputs, (N, N) or (), at order 1 with its error and the letters asked, leading order."""

    def question(order: int) -> dict[str, Array]:
        ds = flow(net, x, tensors=["Theta", *(letters if order else ())], order=order)
        if not order:
            return {"Theta_theory": ds["Theta"].values[-1]}
        summed = total(ds)
        found = {}
        for name in ("Theta", *letters):
            found[f"{name}_theory"] = summed[name].values[-1]
            found[f"{name}_theory_error"] = summed[f"{name}_error"].values[-1]
        return found

    return asked(question, orders(net, len(x), order))
