"""Points one by one: any network that can be flowed or drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rgflow.errors import AccuracyError, InputError, RgflowError
from rgflow.flow import flow
from rgflow.network import Network
from rgflow.sampling import sample
from rgflow.sweeps.axes import FIRST_KERNEL
from rgflow.sweeps.networks import parameters
from rgflow.sweeps.request import Request
from rgflow.sweeps.status import Reason, Reasons, code, first, where

if TYPE_CHECKING:
    import xarray


def one_by_one(
    request: Request,
    points: NDArray[np.intp],
    depth: int | None,
    layers: Sequence[int] | None,
    arrays: dict[str, NDArray[Any]],
    stopped: Callable[[], bool],
) -> Reasons:
    """Fill the rows of ``arrays``, one for every point; returns why some have none."""
    found: list[Reasons] = []
    for row, point in enumerate(map(int, points)):
        if stopped():
            break
        values = request.at(point)
        try:
            net = request.network(values, depth)
            _fill(request, _result(request, net, values, point), layers or (net.depth,), row, arrays)
        except RgflowError as error:
            if lasting(request, error):
                raise
            status = code(error)
            arrays["status"][row] = status
            found.append({status: Reason(point, type(error).__name__, where(values, str(error)))})
    return first(found)


def lasting(request: Request, error: RgflowError) -> bool:
    """Whether an error says nothing of numbers: every point would have it, unless the activation changes."""
    changing = any(axis.name in parameters(request.net) for axis in request.axes)
    return not isinstance(error, (AccuracyError, InputError)) and not changing


def _result(request: Request, net: Network, values: dict[str, float], point: int) -> xarray.Dataset:
    if request.networks is not None:
        return sample(
            net,
            **_shown(request, values),
            tensors=request.names,
            networks=request.networks,
            seed=request.seed(point),
            kinks=request.kinks,
        )
    return flowed(request, net, values)


def flowed(request: Request, net: Network, values: dict[str, float]) -> xarray.Dataset:
    """The flow of one point."""
    return flow(
        net,
        **_shown(request, values),
        tensors=request.wanted,
        order=request.order,
        kinks=request.kinks,
        closure=request.closure,
    )


def _shown(request: Request, values: dict[str, float]) -> dict[str, Any]:
    return {"inputs": request.inputs, FIRST_KERNEL: values.get(FIRST_KERNEL, request.first_kernel)}


def _fill(
    request: Request, ds: xarray.Dataset, layers: Sequence[int], row: int, arrays: dict[str, NDArray[Any]]
) -> None:
    kept = np.array(layers) - 1
    for name in arrays:
        if name in ("numerical_error", "expansion_ratio"):
            if name in ds:
                arrays[name][row] = ds[name].values[:, kept]
        elif name != "status":
            arrays[name][row] = ds[name].values[kept]
