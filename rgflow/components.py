"""Which components of a tensor to look at, what to measure them in, how to write them: for tables and plots."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rgflow.algebra import Tensor

if TYPE_CHECKING:
    import xarray

Component = tuple[int, ...]


def number_of_samples(ds: xarray.Dataset) -> int:
    """How many inputs a Dataset is about."""
    return int(ds.sizes.get("sample0", 1))


def representatives(tensor: Tensor, samples: int) -> list[Component]:
    """A few components that tell the others: diagonal ones and those that mix the first two inputs, none twice.

    >>> representatives(Tensor.named("V"), 2)
    [(0, 0, 0, 0), (0, 0, 1, 1), (0, 1, 0, 1)]
    >>> representatives(Tensor.named("K"), 1)
    [()]
    """
    if samples == 1:
        return [()]
    k = tensor.level
    found: list[Component]
    if k == 1:
        found = [*((a, a) for a in range(min(samples, 3))), (0, 1)]
    else:
        found = [(0,) * (2 * k), (0, 0) * (k - 1) + (1, 1), (0, 1) * k, (0, 1) + (1, 0) * (k - 1)]
    unique: dict[Component, Component] = {
        min(tuple(c[i] for i in order) for order in tensor.symmetries): c for c in reversed(found)
    }
    return [component for component in found if component in unique.values()]


def picked(ds: xarray.Dataset, name: str, component: Component) -> Any:
    """One component of a variable, layer by layer: an array (L,)."""
    place: Any = (slice(None), *component)
    return ds[name].values[place]


def scale(ds: xarray.Dataset, tensor: Tensor, component: Component) -> Any:
    """What a tensor of level 2 or more is measured in: n^{k-1} times a geometric mean of K and Theta, an array (L,).

    Each argument with m directions contributes K_aa^{1/2} (Theta_aa / K_aa)^{m/2}, its own size.
    """
    size = ds["fan_in"].values.astype(np.float64) ** (tensor.level - 1)
    for jet in (jet for pair in tensor.pairs for jet in pair):
        place = (component[jet.sample - 1],) * 2 if component else ()
        K = picked(ds, "K", place)
        size = size * np.sqrt(K)
        if jet.edges:
            size = size * (picked(ds, "Theta", place) / K) ** (len(jet.edges) / 2)
    return size


def scale_text(tensor: Tensor) -> str:
    """The same in letters.

    >>> scale_text(Tensor.named("V")), scale_text(Tensor.named("D")), scale_text(Tensor.named("R"))
    ('nK^2', 'nKΘ', 'nΘ^3/K')
    """
    edges = sum(len(jet.edges) for pair in tensor.pairs for jet in pair) // 2
    k = tensor.level
    parts = [("n", k - 1), ("K", k - edges), ("Θ", edges)]
    above = "".join(name if power == 1 else f"{name}^{power}" for name, power in parts if power > 0)
    below = "".join(name if power == -1 else f"{name}^{-power}" for name, power in parts if power < 0)
    return f"{above}/{below}" if below else above


def subscript(component: Component) -> str:
    """The inputs of a component, counted from 1.

    >>> subscript((0, 1)), subscript(())
    ('[1,2]', '')
    """
    return f"[{','.join(str(i + 1) for i in component)}]" if component else ""
