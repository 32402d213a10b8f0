"""Schedules: which kind every layer is, its hyperparameters and widths, from numbers, arrays or powers of the depth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rgflow.checks import whole
from rgflow.errors import InputError
from rgflow.network import Layer, Network
from rgflow.network.kinds.branch import Branch
from rgflow.network.kinds.linear import Linear
from rgflow.network.kinds.projection import Projection
from rgflow.network.kinds.reduced import Reduced

Array = NDArray[np.float64]
WIDTH = 256
BYTES, MOST_GIB = 1100, 2.0  # of a layer at the peak, with all its quantities and their witness; of a flow


@dataclass(frozen=True, eq=False)
class Schedule:
    """L layers above an input: kinds, hyperparameters (L,) by symbol, widths.

    Attributes
    ----------
    layers : tuple of Layer
        One of each kind; ``kind`` (L,) says which.
    values : dict of (L,)
    widths, hidden : (L + 1,), (L,)
    """

    layers: tuple[Layer, ...]
    kind: NDArray[np.int64]
    values: Mapping[str, Array]
    widths: NDArray[np.int64]
    hidden: NDArray[np.int64]

    @property
    def depth(self) -> int:
        """L."""
        return len(self.kind)


def by_layer(name: str, value: Any, depth: int, beta: Any = 0) -> Array:
    """C l^-beta at l = 1..L, of a number or an array (L,); InputError for others, or negative ones.

    A number may be written as a fraction: ``"1/2"``.
    """
    try:
        number, power = np.asarray(_written(value), float), float(_written(beta))
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        raise InputError(f"{name} is {value!r} with power {beta!r}; give numbers") from None
    if number.shape not in ((), (depth,)):
        raise InputError(f"{name} has shape {number.shape}; give one number, or one for each of the {depth} layers")
    if not np.isfinite(number).all() or (number < 0).any():
        raise InputError(f"{name} is {value!r}; it must be finite and not negative")
    if not np.isfinite(power):
        raise InputError(f"beta of {name} is {beta!r}; it must be finite")
    if power < 0:
        raise InputError(
            f"beta of {name} is {beta!r}; it must not be negative: variances fall with depth, or stay; give one that "
            f"grows layer by layer, as an array of {depth} numbers for {name}"
        )
    return np.asarray(number * np.arange(1, depth + 1, dtype=float) ** -power)


def _written(value: Any) -> Any:
    return Fraction(value) if isinstance(value, str) else value


def affordable(depth: int) -> None:
    """InputError for more layers than fit into memory."""
    needed = depth * BYTES / 2**30
    if needed > MOST_GIB:
        raise InputError(
            f"depth {depth} takes {needed:.3g} GiB of numbers, more than {MOST_GIB:g} GiB; take at most "
            f"{int(MOST_GIB * 2**30 / BYTES)} blocks, or variation_phases for the growth with depth"
        )


def widths_of(widths: Any, depth: int) -> NDArray[np.int64]:
    """n_0, ..., n_L of one number or L + 1 of them."""
    if widths is None:
        return np.full(depth + 1, WIDTH)
    if np.ndim(widths) == 0:
        return np.full(depth + 1, whole("widths", widths, 1))
    found = [whole(f"widths[{i}]", n, 1) for i, n in enumerate(widths)]
    if len(found) != depth + 1:
        raise InputError(f"{len(found)} widths for {depth} blocks; give one number or {depth + 1}: n_0, ..., n_L")
    return np.array(found)


def scheduled(values: Mapping[str, Array], widths: Any, reduced: bool, C_P: float = 1.0) -> Schedule:
    """Branches, or projections where the width changes; or reduced blocks, which keep it."""
    depth = len(next(iter(values.values())))
    n = widths_of(widths, depth)
    changes = n[1:] != n[:-1]
    if reduced:
        if changes.any():
            l = int(np.flatnonzero(changes)[0])
            raise InputError(
                f"a reduced block keeps the width; block {l + 1} goes from {n[l]} to {n[l + 1]}: reduced=False"
            )
        return Schedule((Reduced(),), np.zeros(depth, np.int64), values, n, n[1:])
    return Schedule(
        (Branch(), Projection()), changes.astype(np.int64), {**values, "C_P": np.full(depth, C_P)}, n, n[1:]
    )


def read_network(net: Network) -> Schedule:
    """The layers above the first; without a linear read-out at the end.

    Raises InputError for a network with nothing between.
    """
    last = net.depth - 1 if isinstance(net.layers[-1], Linear) and net.depth > 1 else net.depth
    above = net.layers[1:last]
    if not above:
        raise InputError(f"{net!r} has no layers above the first; give one with blocks")
    kinds = list(dict.fromkeys(type(layer) for layer in above))
    first = tuple(next(layer for layer in above if type(layer) is kind) for kind in kinds)
    names = {name for layer in above for name in layer.hyperparameters()}
    values = {name: np.array([layer.value(name) for layer in above]) for name in names}
    n = np.array(net.widths[1 : last + 1])
    hidden = np.array([getattr(layer, "hidden", None) or n[i + 1] for i, layer in enumerate(above)])
    return Schedule(first, np.array([kinds.index(type(layer)) for layer in above]), values, n, hidden)


def build(schedule: Schedule, activation: Any, n_in: int, n_out: int, first: Layer) -> Network:
    """The network of a schedule between a first layer and a linear read-out."""
    blocks: list[Layer] = []
    for l in range(schedule.depth):
        kind = type(schedule.layers[schedule.kind[l]])
        names = [name for name in kind.hyperparameters() if name in schedule.values]
        blocks.append(kind(**{name: float(schedule.values[name][l]) for name in names}))
    return Network([first, *blocks, Linear()], [n_in, *schedule.widths.tolist(), n_out], activation)
