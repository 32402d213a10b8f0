"""Labelled results: coefficients of the expansion as an xarray Dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rgflow.algebra import LETTERS, Tensor
from rgflow.flow.diagnostics import BOUND, expansion_ratios, trusted_layers
from rgflow.flow.inputs import Start
from rgflow.network import MLP

if TYPE_CHECKING:
    import xarray

CONVENTIONS = (
    "PDLT (arXiv:2106.10165): a tensor of level k at layer l stands for n^(1-k) times its value, its correction X_q "
    "for a further factor n^-q, with n = fan_in(layer); sample arguments in PDLT's order"
)


def coefficients(
    net: MLP,
    values: dict[Tensor, Any],
    errors: dict[Tensor, Any],
    wanted: tuple[Tensor, ...],
    begin: Start,
    order: int,
    kinks: str,
) -> xarray.Dataset:
    """The Dataset of a flow; see :func:`rgflow.flow` for its variables."""
    import xarray

    layers = np.arange(1, net.depth + 1)
    fan_in = np.array(net.fan_in, np.float64)
    ratios = expansion_ratios(values, fan_in)
    data: dict[str, Any] = {}
    for tensor in wanted:
        array = _expand(values[tensor], begin, 2 * tensor.level)
        dims = ("layer", *(f"sample{i}" for i in range(array.ndim - 1)))
        data[tensor.name] = (dims, array, _attributes(tensor))
    letters = list(dict.fromkeys(t.letter for t in wanted if t.letter in ratios))
    size = np.array([np.abs(errors[t]).reshape(net.depth, -1).max(axis=1) for t in wanted])
    data["numerical_error"] = (
        ("coefficient", "layer"),
        size,
        {"long_name": "bound or estimate of the error of quadrature and rounding, absolute, largest over samples"},
    )
    coords: dict[str, Any] = {"layer": layers, "coefficient": [t.name for t in wanted], **coordinates(net)}
    if letters:
        coords["letter"] = letters
        data["expansion_ratio"] = (
            ("letter", "layer"),
            np.array([ratios[letter] for letter in letters]),
            {"long_name": "size of the next order in 1/n relative to the last, as far as this flow knows"},
        )
        data["trusted_layers"] = (
            ("letter",),
            np.array([trusted_layers(ratios[letter]) for letter in letters]),
            {"long_name": f"last layer up to which expansion_ratio stays below {BOUND}"},
        )
    return xarray.Dataset(data, coords, attributes(net, "coefficients", order, kinks))


def coordinates(net: MLP) -> dict[str, Any]:
    """fan_in and the hyperparameters of every layer."""
    found: dict[str, Any] = {"fan_in": ("layer", np.array(net.fan_in))}
    for name in ("C_b", "C_W", "lambda_b", "lambda_W"):
        found[name] = ("layer", np.array(net.hyperparameter(name)))
    return found


def attributes(net: MLP, kind: str, order: int, kinks: str) -> dict[str, Any]:
    """What a Dataset says of itself."""
    from rgflow.version import __version__

    return {
        "kind": kind,
        "order": order,
        "activation": net.activation.formula_text,
        "kinks": kinks,
        "conventions": CONVENTIONS,
        "network": net.to_json(),
        "rgflow_version": __version__,
    }


def _expand(array: Any, begin: Start, arity: int) -> Any:
    """From the different inputs back to the inputs as given."""
    if begin.single:
        return np.reshape(array, len(array))
    full = np.reshape(array, array.shape + (1,) * (arity - array.ndim + 1))
    for axis in range(1, arity + 1):
        full = np.take(full, begin.place, axis=axis)
    return full


def _attributes(tensor: Tensor) -> dict[str, Any]:
    meaning = LETTERS.get(tensor.letter, ("", "joint cumulant of the metric entries named by these jets"))[1]
    return {
        "long_name": meaning + (f", coefficient of the further factor 1/n^{tensor.order}" if tensor.order else ""),
        "level": tensor.level,
        "order": tensor.order,
        "power_of_n": -tensor.cost,
    }
