"""The Dataset of a sweep: coordinates, attributes, and the variables of a flow or a sample with more dims."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from rgflow.flow.dataset import CONVENTIONS
from rgflow.flow.dataset import attributes as of_tensor
from rgflow.flow.diagnostics import BOUND
from rgflow.labelled import dataset
from rgflow.network import Network
from rgflow.network.describe import described
from rgflow.sampling.sample import CONVENTIONS as SAMPLED
from rgflow.seeds import seed_text
from rgflow.sweeps.layout import Variable
from rgflow.sweeps.opening import TOLD
from rgflow.sweeps.request import Request
from rgflow.sweeps.status import MEANINGS, Reasons

if TYPE_CHECKING:
    import xarray


def frame(request: Request, told: dict[str, Any]) -> xarray.Dataset:
    """A result without its variables: coordinates and attributes."""
    kind, conventions = ("totals", SAMPLED) if request.sampled else ("coefficients", CONVENTIONS)
    _, attributes = described(request.net, kind, request.kinks, conventions)
    if request.sampled:
        attributes |= {"networks": request.networks, "seed": seed_text(_sequence(request))}
    else:
        attributes |= {"order": request.order, "closure": request.closure}
    coordinates: dict[str, Any] = {axis.name: (axis.name, list(axis.values)) for axis in request.axes}
    coordinates |= {name: value for name, value in _by_layer(request).items() if name not in coordinates}
    if not request.sampled:
        coordinates["coefficient"] = list(request.names)
    if request.letters:
        coordinates["letter"] = list(request.letters)
    return dataset({}, coordinates, {**attributes, TOLD: json.dumps(told)})


def _sequence(request: Request) -> Any:
    import numpy as np

    return np.random.SeedSequence(request.entropy, spawn_key=request.key)


def _by_layer(request: Request) -> dict[str, Any]:
    """``layer``, ``fan_in`` and the hyperparameters that are not swept, along layers, depth and width as they vary."""
    axes = {axis.name: axis.values for axis in request.axes}
    depths, widths = axes.get("depth"), axes.get("width")
    networks = [
        [request.network({"width": width} if width else {}, _depth(depth)) for width in widths or (None,)]
        for depth in depths or (None,)
    ]
    some = networks[0][0]
    layers = request.layers if request.layers is not None and not request.by_layers else None
    dims = ["depth"] if depths else ["layer"] if request.layer_dim else []

    def along(values: Any, wide: bool) -> Any:
        """Values (depth or 1, width or 1, layers kept), on the dimensions that they have."""
        found = [[one if request.layer_dim else one[0] for one in row] for row in values]
        rows = found if depths else found[0]
        if widths and wide:
            names = [*(["depth"] if depths else []), "width", *(["layer"] if request.layer_dim else [])]
            return tuple(names), rows
        rows = [row[0] for row in rows] if depths else rows[0]
        return tuple(dims), rows

    def kept(net: Network, values: Any) -> list[Any]:
        return [values[layer - 1] for layer in (layers or (net.depth,))]

    found: dict[str, Any] = {}
    if not depths:
        found["layer"] = (
            ("layer", list(layers or ())) if request.layer_dim else ((), some.depth if layers is None else layers[0])
        )
    found["fan_in"] = along([[kept(net, net.fan_in) for net in row] for row in networks], True)
    for name in some.hyperparameters:
        found[name] = along([[kept(net, net.hyperparameter(name)) for net in row] for row in networks], False)
    return found


def _depth(depth: float | None) -> int | None:
    return None if depth is None else int(depth)


def attributes(request: Request, variable: Variable) -> dict[str, Any]:
    """What a variable says of itself."""
    if variable.name == "numerical_error":
        long_name = "bound or estimate of the error of quadrature and rounding, absolute, largest over samples"
        return {"long_name": long_name}
    if variable.name == "expansion_ratio":
        return {"long_name": "size of the next order in 1/n relative to the last, as far as this flow knows"}
    if variable.name == "trusted_layers":
        return {"long_name": f"last layer up to which expansion_ratio stays below {BOUND}"}
    if variable.name == "status":
        codes = list(range(len(MEANINGS)))
        return {"long_name": "why a point has no numbers", "flag_values": codes, "flag_meanings": " ".join(MEANINGS)}
    if request.sampled:
        return {}
    return of_tensor(next(tensor for tensor in request.wanted if tensor.name == variable.name))


def failures(reasons: Reasons) -> dict[str, Any]:
    """Attributes of ``status``: the words of the first point of every failure."""
    return {MEANINGS[status]: reason.text for status, reason in reasons.items()}


def assembled(
    frame: xarray.Dataset, request: Request, arrays: dict[str, NDArray[Any]], variables: tuple[Variable, ...]
) -> xarray.Dataset:
    """The result in memory."""
    coordinates = {str(name): (each.dims, each.values) for name, each in frame.coords.items()}
    data = {v.name: (v.dims, arrays[v.name], attributes(request, v)) for v in variables}
    return dataset(data, coordinates, frame.attrs)
