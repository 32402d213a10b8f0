"""Where a flow starts: from inputs, or from the kernel of the first layer, to the overlaps x.x'/n_0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rgflow.errors import InputError
from rgflow.network import MLP

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Start:
    """The different inputs of a flow.

    Attributes
    ----------
    overlap : array (M, M)
        x_a . x_b / n_0 of the inputs that differ.
    place : array of N ints
        For each input as given, its place among those that differ: equal inputs are merged before the expansion.
    single : bool
        One input, given as such: results carry no sample dimensions.
    """

    overlap: Floats
    place: NDArray[np.intp]
    single: bool


def start(net: MLP, inputs: Any = None, first_kernel: Any = None) -> Start:
    """Validate what the user gave: one of ``inputs`` (N, n_0) or (n_0,) and ``first_kernel``, a number or (N, N).

    Raises InputError for wrong shapes, values that are not finite, or a kernel that no input can have.
    """
    if (inputs is None) == (first_kernel is None):
        raise InputError("give exactly one of inputs= (an array (N, n_0)) and first_kernel= (a number or N x N)")
    if inputs is not None:
        return _from_inputs(net, inputs)
    return _from_kernel(net, first_kernel)


def _from_inputs(net: MLP, inputs: Any) -> Start:
    x = _floats("inputs", inputs)
    n_0 = net.widths[0]
    single = x.ndim == 1
    if single:
        x = x[None, :]
    if x.ndim != 2 or x.shape[1] != n_0 or x.shape[0] == 0:
        raise InputError(f"inputs has shape {np.shape(inputs)}; the network takes (N, {n_0}) with N >= 1, or ({n_0},)")
    different, place = np.unique(x, axis=0, return_inverse=True)
    order = np.unique(place, return_index=True)[1].argsort()  # keep the user's order
    rank = np.empty_like(order)
    rank[order] = np.arange(order.size)
    different, place = different[order], rank[np.reshape(place, -1)]
    with np.errstate(over="ignore"):
        overlap = different @ different.T / n_0
    if not np.isfinite(overlap).all():
        raise InputError("inputs are so large that x.x/n_0 overflows; rescale them")
    return Start((overlap + overlap.T) / 2, place, single or x.shape[0] == 1)


def _from_kernel(net: MLP, first_kernel: Any) -> Start:
    kernel = _floats("first_kernel", first_kernel)
    single = kernel.ndim == 0
    if single:
        kernel = kernel[None, None]
    if kernel.ndim != 2 or kernel.shape[0] != kernel.shape[1] or kernel.size == 0:
        raise InputError(f"first_kernel has shape {np.shape(first_kernel)}; give a number or a square matrix")
    scale = float(np.abs(kernel).max())
    if not np.allclose(kernel, kernel.T, rtol=0, atol=1e-12 * scale):
        raise InputError("first_kernel is not symmetric; K_ab = K_ba")
    kernel = (kernel + kernel.T) / 2
    C_b, C_W = net.layers[0].C_b, net.layers[0].C_W
    if C_W == 0:
        raise InputError("first_kernel with C_W = 0 in the first layer: no input gives it; use inputs=, or C_W > 0")
    overlap = (kernel - C_b) / C_W
    for name, matrix in (("first_kernel", kernel), ("(first_kernel - C_b) / C_W, the overlap of inputs,", overlap)):
        lowest = float(np.linalg.eigvalsh(matrix)[0])
        if lowest < -1e-12 * max(scale, C_b) * len(kernel):
            raise InputError(f"{name} is not positive semidefinite (eigenvalue {lowest:.3g}); no inputs have it")
    place = _equal_rows(kernel)
    kept = [int(np.flatnonzero(place == i)[0]) for i in range(place.max() + 1)]
    return Start(overlap[np.ix_(kept, kept)], place, single or len(kernel) == 1)


def _equal_rows(kernel: Floats) -> NDArray[np.intp]:
    """Inputs are equal if K_aa = K_ab = K_bb to rounding."""
    place: list[int] = []
    kept: list[int] = []
    for a in range(len(kernel)):
        for i, b in enumerate(kept):
            spread = abs(kernel[a, a] - kernel[a, b]) + abs(kernel[b, b] - kernel[a, b])
            if spread <= 4 * np.finfo(float).eps * abs(kernel[a, a]):
                place.append(i)
                break
        else:
            place.append(len(kept))
            kept.append(a)
    return np.array(place, np.intp)


def _floats(name: str, values: Any) -> Floats:
    if isinstance(values, (str, bytes)):
        raise InputError(f"{name} is {values!r}; give numbers")
    try:
        array = np.asarray(values)
        if array.dtype.kind not in "fiub":
            raise TypeError(array.dtype)
        floats: Floats = array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} is not an array of real numbers ({error})") from None
    if floats.size == 0:
        raise InputError(f"{name} is empty")
    if not np.isfinite(floats).all():
        raise InputError(f"{name} holds NaN or infinity; every value must be finite")
    return floats
