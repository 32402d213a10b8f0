"""Labelled results: coefficients of the expansion as an xarray Dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rgflow.algebra import LETTERS, Tensor
from rgflow.flow.diagnostics import BOUND, expansion_ratios, trusted_layers
from rgflow.flow.inputs import Start
from rgflow.labelled import dataset
from rgflow.network import Network
from rgflow.network.describe import described

if TYPE_CHECKING:
    import xarray

CONVENTIONS = (
    "PDLT (arXiv:2106.10165): a tensor of level k at layer l stands for n^(1-k) times its value, its correction X_q "
    "for a further factor n^-q, with n = fan_in(layer); sample arguments in PDLT's order"
)


def coefficients(
    net: Network,
    values: dict[Tensor, Any],
    errors: dict[Tensor, Any],
    wanted: tuple[Tensor, ...],
    begin: Start,
    order: int,
    kinks: str,
) -> xarray.Dataset:
    """The Dataset of a flow; see :func:`rgflow.flow` for its variables."""
    fan_in = np.array(net.fan_in, np.float64)
    ratios = expansion_ratios(values, fan_in)
    data: dict[str, Any] = {}
    for tensor in wanted:
        array = begin.expand(values[tensor], 2 * tensor.level)
        dims = ("layer", *(f"sample{i}" for i in range(array.ndim - 1)))
        data[tensor.name] = (dims, array, attributes(tensor))
    letters = list(dict.fromkeys(t.letter for t in wanted if t.letter in ratios))
    size = np.array([np.abs(errors[t]).reshape(net.depth, -1).max(axis=1) for t in wanted])
    data["numerical_error"] = (
        ("coefficient", "layer"),
        size,
        {"long_name": "bound or estimate of the error of quadrature and rounding, absolute, largest over samples"},
    )
    coords, attrs = described(net, "coefficients", kinks, CONVENTIONS)
    coords["coefficient"] = [t.name for t in wanted]
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
    return dataset(data, coords, {**attrs, "order": order})


def attributes(tensor: Tensor) -> dict[str, Any]:
    """What a variable says of itself."""
    meaning = LETTERS.get(tensor.letter, ("", "joint cumulant of the metric entries named by these jets"))[1]
    return {
        "long_name": meaning + (f", coefficient of the further factor 1/n^{tensor.order}" if tensor.order else ""),
        "level": tensor.level,
        "order": tensor.order,
        "power_of_n": -tensor.cost,
    }
