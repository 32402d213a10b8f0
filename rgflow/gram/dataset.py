"""Gram matrices as labelled results: the coefficients K and Theta of order 0."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rgflow.algebra import LETTERS
from rgflow.labelled import dataset
from rgflow.network import Network
from rgflow.network.describe import described

if TYPE_CHECKING:
    import xarray

CONVENTIONS = "PDLT (arXiv:2106.10165): K and Theta at leading order in 1/n"
ERROR = "bound, to first order, on the error of quadrature, series and rounding, absolute, largest over samples"


def labelled(
    net: Network, values: Mapping[str, Any], errors: Any, layers: Sequence[int], alone: bool
) -> xarray.Dataset:
    """The Dataset of matrices (layers, N, M) and errors (layers, 2) of K and Theta.

    ``alone``: of one layer, whose dim is dropped. Coordinates and attributes are those of a flow.
    """
    coords, attrs = described(net, "coefficients", "almost_everywhere", CONVENTIONS)
    at: Any = layers[0] - 1 if alone else [layer - 1 for layer in layers]
    above = () if alone else ("layer",)
    kept: dict[str, Any] = {
        name: (above, np.asarray(value[1] if isinstance(value, tuple) else value)[at]) for name, value in coords.items()
    }
    pick: Any = 0 if alone else slice(None)
    data = {name: ((*above, "sample0", "sample1"), array[pick], attributes(name)) for name, array in values.items()}
    rows = np.array([np.asarray(errors)[:, ("K", "Theta").index(name)][pick] for name in values])
    data["numerical_error"] = (("coefficient", *above), rows, {"long_name": ERROR})
    return dataset(data, {**kept, "coefficient": list(values)}, {**attrs, "order": 0, "closure": "full"})


def attributes(name: str) -> dict[str, Any]:
    return {"long_name": LETTERS[name][1], "level": 1, "order": 0, "power_of_n": 0}
