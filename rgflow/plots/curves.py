"""What is drawn: theory, its limit of infinite width and sampled networks as arrays, after a look at what they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rgflow.algebra import Tensor
from rgflow.components import Component, distinct, families, has_unit, number_of_samples, picked, unit, unit_tex
from rgflow.errors import InputError
from rgflow.flow import total
from rgflow.network import HYPERPARAMETERS, Network

if TYPE_CHECKING:
    import xarray


@dataclass(frozen=True)
class Curve:
    """One component of one letter: arrays (L,), in its unit."""

    letter: str
    components: list[Component]  # those that look alike; the first one is drawn
    unit: str
    layer: NDArray[Any]
    value: NDArray[Any]
    error: NDArray[Any] | None = None
    leading: NDArray[Any] | None = None
    sampled: NDArray[Any] | None = None
    standard_error: NDArray[Any] | None = None


def curves(ds: xarray.Dataset, mc: xarray.Dataset | None) -> list[Curve]:
    """Every component to be drawn, letter by letter.

    Raises InputError if the Datasets are of the wrong kind or do not belong together.
    """
    _check_kinds(ds, mc)
    if mc is not None:
        _check_same(ds, mc)
    summed = total(ds) if ds.attrs["kind"] == "coefficients" and "expansion_ratio" in ds else None
    for letter, family in families(ds).items():
        if family[0].order:
            raise InputError(f"{letter} is known by its corrections alone; flow {letter!r} to draw it")
    return [
        _curve(ds, summed, mc, family[0], components)
        for family in families(ds).values()
        for components in distinct(ds, family)
    ]


def _curve(
    ds: xarray.Dataset,
    summed: xarray.Dataset | None,
    mc: xarray.Dataset | None,
    tensor: Tensor,
    components: list[Component],
) -> Curve:
    letter = tensor.letter
    size = unit(ds, tensor, components[0])
    source = ds if summed is None else summed
    first = 1 if tensor.level > 1 else 0  # the first layer is Gaussian: nothing to see above level 1

    def at(data: xarray.Dataset, name: str) -> NDArray[Any]:
        with np.errstate(divide="ignore", invalid="ignore"):
            values: NDArray[Any] = (picked(data, name, components[0]) / size)[first:]
        return values

    def known(data: xarray.Dataset | None, name: str) -> NDArray[Any] | None:
        return None if data is None or name not in data else at(data, name)

    return Curve(
        letter,
        components,
        unit_tex(tensor) if has_unit(ds, tensor) else "",
        ds["layer"].values[first:],
        at(source, letter),
        known(source, f"{letter}_error"),
        at(ds, letter) if summed is not None else None,
        known(mc, letter),
        known(mc, f"{letter}_se"),
    )


def beyond_trust(ds: xarray.Dataset) -> dict[str, int | None]:
    """For each letter the layer after which the expansion is not to be trusted."""
    if "trusted_layers" not in ds:
        return {}
    depth = ds.sizes["layer"]
    pairs = zip(ds["letter"].values, ds["trusted_layers"].values, strict=True)
    return {str(letter): (int(layer) if layer < depth else None) for letter, layer in pairs}


# What belongs together -----------------------------------------------------------------------------------------------


def _check_kinds(ds: xarray.Dataset, mc: xarray.Dataset | None) -> None:
    if getattr(ds, "attrs", {}).get("kind") not in ("coefficients", "totals"):
        raise InputError("plot_flow takes a Dataset that rgflow.flow or rgflow.total returned")
    if mc is not None and getattr(mc, "attrs", {}).get("kind") != "totals":
        raise InputError(
            f"mc holds {mc.attrs.get('kind')!r}; points are totals: rgflow.sample(...) or rgflow.total(...)"
        )


def _check_same(ds: xarray.Dataset, mc: xarray.Dataset) -> None:
    """Points and lines are of one network and the same inputs, or they say nothing of each other."""
    described = [Network.from_json(data.attrs["network"]) if "network" in data.attrs else None for data in (ds, mc)]
    if None in described:  # what the arrays themselves tell
        same = all(np.array_equal(ds[name], mc[name]) for name in ("fan_in", *HYPERPARAMETERS))
        same = same and ds.attrs.get("activation") == mc.attrs.get("activation")
    else:
        same = described[0] == described[1]
    if not same:
        raise InputError("ds and mc belong to different networks; sample the network that was flowed")
    counts = number_of_samples(ds), number_of_samples(mc)
    if counts[0] != counts[1]:
        raise InputError(f"ds holds {counts[0]} inputs and mc {counts[1]}; sample the inputs that were flowed")
    for name in ("K", "Theta"):
        if name in ds and name in mc:
            _check_first_layer(name, ds, mc)


def _check_first_layer(name: str, ds: xarray.Dataset, mc: xarray.Dataset) -> None:
    """Layer 1 is exact in both: another value comes from other inputs.

    Both compute C + c o from the overlap o = x.x'/n_0: a sum of n_0 terms, or (K - C_b)/C_W. Rounding is some eps of
    the larger of the two terms, C_b/C_W of the overlap among them.
    """
    one, other = ds[name].values[0], mc[name].values[0]
    C_b, C_W, lambda_W = (float(ds[parameter][0]) for parameter in ("C_b", "C_W", "lambda_W"))
    size = np.abs(one).max()
    if name == "Theta" and C_W > 0:
        size += lambda_W * C_b / C_W
    rounding = np.finfo(float).eps * (int(ds["fan_in"][0]) + 8 * number_of_samples(ds)) * size
    apart = np.abs(one - other)
    if not (apart <= rounding).all():
        place = np.unravel_index(int(apart.argmax()), apart.shape)
        raise InputError(
            f"ds and mc belong to different inputs: {name} of layer 1 is {float(one[place])!r} in ds "
            f"and {float(other[place])!r} in mc; sample the inputs that were flowed"
        )
