"""What a network is shown: inputs, or the kernel they give at the first layer, as overlaps x.x'/n_0.

z^1 = b + W x depends on the inputs through g_ab = x_a.x_b/n_0 alone:

    K^1 = C_b + C_W g,    Theta^1 = lambda_b + lambda_W g.

Flows and samples start from the same validated overlaps, with equal inputs merged.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rgflow.errors import InputError
from rgflow.network.layer import Layer
from rgflow.network.network import HYPERPARAMETERS, Network

Floats = NDArray[np.float64]
Places = NDArray[np.intp]

# Roundings, each of eps times the scale of the kernel, that an entry may carry: its dot product, the division by n_0,
# C_b + C_W g and its inverse, and the eigenvalue routine. Kernels of dependent inputs show 3 at most.
_ROUNDINGS = 16
# The same input, computed in two ways, differs by a few roundings.
_EQUAL = 4 * np.finfo(float).eps
# Below, overlaps have lost digits.
_UNDERFLOW = 1e-300


@dataclass(frozen=True, eq=False)
class Given:
    """The different inputs of a network.

    Attributes
    ----------
    overlap : array (M, M)
        x_a . x_b / n_0 of the inputs that differ.
    place : array of N ints
        For each input as given, its place among those that differ: inputs equal to rounding are merged.
    single : bool
        One input: results carry no sample dimensions.
    """

    overlap: Floats
    place: Places
    single: bool

    def expand(self, values: Floats, arguments: int) -> Floats:
        """From the different inputs, (L, M, M, ...) or (L,), to the inputs as given, (L, N, N, ...); (L,) if single."""
        if self.single:
            return np.reshape(values, len(values))
        full = np.reshape(values, values.shape + (1,) * (arguments + 1 - values.ndim))
        for axis in range(1, arguments + 1):
            full = np.take(full, self.place, axis=axis)
        return full


def given(net: Network, inputs: Any = None, first_kernel: Any = None) -> Given:
    """Validate what the user gave: one of ``inputs`` (N, n_0) or (n_0,) and ``first_kernel``, a number or (N, N).

    Raises
    ------
    InputError
        When not exactly one is given; for wrong shapes, no inputs, values that are not finite or so large that the
        first layer overflows, and for a kernel that no inputs give with the C_b and C_W of layer 1.
    """
    if (inputs is None) == (first_kernel is None):
        raise InputError("give exactly one of inputs= (an array (N, n_0)) and first_kernel= (a number or N x N)")
    if inputs is not None:
        return _from_inputs(net, inputs)
    return _from_kernel(net.layers[0], first_kernel)


def _from_inputs(net: Network, inputs: Any) -> Given:
    x = finite("inputs", inputs)
    n_0 = net.widths[0]
    x = x[None, :] if x.ndim == 1 else x
    if x.ndim != 2 or x.shape[1] != n_0:
        raise InputError(f"inputs has shape {np.shape(inputs)}; the network takes (N, {n_0}) with N >= 1, or ({n_0},)")
    with np.errstate(over="ignore", invalid="ignore"):
        overlap = x @ x.T / n_0
    _refuse_overflow("inputs", net.layers[0], overlap)
    place, kept = _merged(len(x), lambda a, others: _same_inputs(x, overlap, a, others))
    if len(kept) < len(x):
        overlap = x[kept] @ x[kept].T / n_0
    return Given(overlap / 2 + overlap.T / 2, place, len(x) == 1)


def _from_kernel(first: Layer, first_kernel: Any) -> Given:
    kernel = finite("first_kernel", first_kernel, "fiu")
    kernel = kernel[None, None] if kernel.ndim == 0 else kernel
    if kernel.ndim != 2 or kernel.shape[0] != kernel.shape[1]:
        raise InputError(f"first_kernel has shape {np.shape(first_kernel)}; give a number or an N x N matrix")
    C_b, C_W = first.value("C_b"), first.value("C_W")
    if C_W == 0:
        raise InputError("first_kernel with C_W = 0 in the first layer: no input gives it; use inputs=, or C_W > 0")
    # A matrix whose entries are off by d has eigenvalues off by N d at most (Weyl).
    slack = _ROUNDINGS * len(kernel) * np.finfo(float).eps * max(float(np.abs(kernel).max()), C_b)
    with np.errstate(over="ignore"):
        skew = float(np.abs(kernel - kernel.T).max())
        kernel = kernel / 2 + kernel.T / 2
        overlap = (kernel - C_b) / C_W
    if skew > slack:
        raise InputError(f"first_kernel is not symmetric (entries differ by {skew:.3g}); K_ab = K_ba")
    _refuse_overflow("first_kernel", first, overlap)
    _refuse_indefinite("first_kernel", kernel, slack)
    implied = f"(first_kernel - C_b)/C_W with C_b = {C_b!r}, C_W = {C_W!r}, which is x.x'/n_0 of the inputs,"
    _refuse_indefinite(implied, overlap, slack / C_W)
    # Within that slack a vanishing input may have come out below zero.
    np.fill_diagonal(overlap, np.maximum(np.diagonal(overlap), 0.0))
    place, kept = _merged(len(kernel), lambda a, others: _same_kernel(kernel, a, others))
    return Given(overlap[np.ix_(kept, kept)], place, len(kernel) == 1)


def _merged(count: int, same: Callable[[int, Places], NDArray[np.bool_]]) -> tuple[Places, Places]:
    """For each input its place among those kept, and these, in the user's order: ``same`` as an earlier one is not."""
    place, kept = np.zeros(count, np.intp), np.zeros(count, np.intp)
    number = 0
    for a in range(count):
        equal = np.flatnonzero(same(a, kept[:number]))
        place[a] = equal[0] if equal.size else number
        if not equal.size:
            kept[number] = a
            number += 1
    return place, kept[:number]


def _same_kernel(kernel: Floats, a: int, others: Places) -> NDArray[np.bool_]:
    """Inputs are equal if K_aa = K_ab = K_bb to rounding."""
    crossed = kernel[a, others]
    spread = np.abs(kernel[a, a] - crossed) + np.abs(kernel[others, others] - crossed)
    return np.asarray(spread <= _EQUAL * abs(kernel[a, a]))


def _same_inputs(x: Floats, overlap: Floats, a: int, others: Places) -> NDArray[np.bool_]:
    """Inputs are equal if every entry is, to rounding at the scale of the largest.

    Stricter than the kernel, which moves by the square of their distance: 1e-9 apart is the same kernel to rounding.
    """
    found = np.zeros(len(others), np.bool_)
    # Most differ widely: their overlaps tell without a look at the entries.
    near = np.flatnonzero(np.abs(overlap[a, others] - overlap[a, a]) <= 1e-6 * overlap[a, a] + _UNDERFLOW)
    apart = np.abs(x[others[near]] - x[a]).max(axis=1)
    found[near] = apart <= _EQUAL * np.abs(x[a]).max()
    return found


def _refuse_overflow(name: str, first: Layer, overlap: Floats) -> None:
    """Refuse overlaps for which x.x'/n_0, K or Theta of the first layer is not finite."""
    with np.errstate(over="ignore", invalid="ignore"):
        C_b, C_W, lambda_b, lambda_W = (first.value(symbol) for symbol in HYPERPARAMETERS)
        entering = overlap, C_b + C_W * overlap, lambda_b + lambda_W * overlap
    for what, matrix in zip(("x.x'/n_0", "K of layer 1", "Theta of layer 1"), entering, strict=True):
        if not np.isfinite(matrix).all():
            raise InputError(f"{name} holds values so large that {what} overflows; rescale them")


def _refuse_indefinite(name: str, matrix: Floats, slack: float) -> None:
    lowest = float(np.linalg.eigvalsh(matrix)[0])
    if lowest < -slack:
        raise InputError(f"{name} is not positive semidefinite (eigenvalue {lowest:.3g}); no inputs have it")


def finite(name: str, values: Any, kinds: str = "fiub") -> Floats:
    """A finite array of float64 that is not empty, from numbers: text is not parsed, a mask is not dropped."""
    if np.ma.is_masked(values) or (isinstance(values, (list, tuple)) and any(map(np.ma.is_masked, values))):
        raise InputError(f"{name} holds masked entries, which have no value; leave them out or fill them (.filled)")
    try:
        array = np.asarray(values)
        numbers = array.dtype.kind in kinds
        if array.dtype.kind == "O":  # Python's integers beyond 64 bits and fractions arrive as objects
            bools = "b" in kinds
            numbers = all(isinstance(value, Real) and (bools or not isinstance(value, bool)) for value in array.flat)
        if not numbers:
            remedy = "; convert it with .astype(float)" if array.dtype.kind == "O" else ""
            raise TypeError(f"its type is {array.dtype}{remedy}")
        with np.errstate(over="ignore"):
            floats: Floats = array.astype(np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{name} is not an array of real numbers ({error})") from None
    if floats.size == 0:
        raise InputError(f"{name} is empty: its shape is {floats.shape}; give at least one input")
    if not np.isfinite(floats).all():
        raise InputError(f"{name} holds NaN or infinity; every value must be finite")
    return floats
