"""Which components of a tensor to look at, what to measure them in, how to write them: for tables and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rgflow.algebra import Tensor
from rgflow.algebra.partial import tensor_named
from rgflow.algebra.tex import letter_tex

if TYPE_CHECKING:
    import xarray

Component = tuple[int, ...]

# Relative difference that neither four digits nor a line of a picture show.
UNSEEN = 1e-6


def number_of_samples(ds: xarray.Dataset) -> int:
    """How many inputs a Dataset is about."""
    return int(ds.sizes.get("sample0", 1))


def families(ds: xarray.Dataset) -> dict[str, list[Tensor]]:
    """The tensors of a Dataset by letter, in its order, each letter from its lowest order in 1/n up."""
    if ds.attrs["kind"] == "coefficients":
        names = [str(name) for name in ds["coefficient"].values]
    else:
        names = [str(name) for name in ds.data_vars if not str(name).endswith(("_error", "_se"))]
    found: dict[str, list[Tensor]] = {}
    for tensor in map(tensor_named, names):
        found.setdefault(tensor.letter, []).append(tensor)
    return {letter: sorted(tensors, key=lambda tensor: tensor.order) for letter, tensors in found.items()}


# Components ----------------------------------------------------------------------------------------------------------


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


def distinct(ds: xarray.Dataset, family: Sequence[Tensor]) -> list[list[Component]]:
    """The representatives of a letter in groups that look the same at every order, as inputs of one norm do."""
    groups: list[list[Component]] = []
    shown: list[Any] = []
    for component in representatives(family[0], number_of_samples(ds)):
        size = unit(ds, family[0], component)
        values = np.array([picked(ds, tensor.name, component) for tensor in family])
        values = np.divide(values, size, out=np.zeros_like(values), where=size > 0)
        twin = next((i for i, others in enumerate(shown) if _look_alike(values, others)), None)
        if twin is None:
            groups.append([component])
            shown.append(values)
        else:
            groups[twin].append(component)
    return groups


def _look_alike(one: Any, other: Any) -> bool:
    """Numbers (orders, L) that differ by nothing seen, or by rounding where they vanish."""
    rounding = 1e-12 * np.abs(one).max(axis=1, keepdims=True)
    return bool((np.abs(one - other) <= UNSEEN * np.abs(one) + rounding).all())


def picked(ds: xarray.Dataset, name: str, component: Component) -> Any:
    """One component of a variable, layer by layer: an array (L,)."""
    place: Any = (slice(None), *component)
    return ds[name].values[place]


def subscript(component: Component) -> str:
    """The inputs of a component, counted from 1.

    >>> subscript((0, 1)), subscript(())
    ('[1,2]', '')
    """
    return f"[{','.join(str(i + 1) for i in component)}]" if component else ""


# Units ---------------------------------------------------------------------------------------------------------------


def has_unit(ds: xarray.Dataset, tensor: Tensor) -> bool:
    """Whether a tensor is measured in K and Theta: leading orders of level 2 and more, where these are known."""
    return tensor.level > 1 and not tensor.order and "K" in ds and ("Theta" in ds or not _directions(tensor))


def unit(ds: xarray.Dataset, tensor: Tensor, component: Component) -> Any:
    """What a tensor of level 2 or more is measured in: n^{k-1} times a geometric mean of K and Theta, an array (L,).

    Each argument with m directions contributes K_aa^{1/2} (Theta_aa / K_aa)^{m/2}, its own size. Tensors that are
    shown as they are have the unit 1.
    """
    size = np.ones(ds.sizes["layer"])
    if not has_unit(ds, tensor):
        return size
    size = ds["fan_in"].values.astype(np.float64) ** (tensor.level - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        for jet in (jet for pair in tensor.pairs for jet in pair):
            place = (component[jet.sample - 1],) * 2 if component else ()
            K = picked(ds, "K", place)
            size = size * np.sqrt(K)
            if jet.edges:
                size = size * (picked(ds, "Theta", place) / K) ** (len(jet.edges) / 2)
    return size


def unit_text(tensor: Tensor) -> str:
    """The same in letters.

    >>> unit_text(Tensor.named("V")), unit_text(Tensor.named("D")), unit_text(Tensor.named("R"))
    ('nK^2', 'nKΘ', 'nΘ^3/K')
    """
    factors = _factors(tensor)
    letters = {"Theta": "Θ"}
    above = "".join(_power(letters.get(name, name), f"{power}") for name, power in factors if power > 0)
    below = "".join(_power(letters.get(name, name), f"{-power}") for name, power in factors if power < 0)
    return f"{above}/{below}" if below else above


def unit_tex(tensor: Tensor) -> str:
    """The same in LaTeX.

    >>> print(unit_tex(Tensor.named("D")), unit_tex(Tensor.named("R")))
    n\\,K\\,\\Theta n\\,K^{-1}\\,\\Theta^{3}
    """
    return r"\,".join(_power(letter_tex(name), str(power), "{}") for name, power in _factors(tensor))


def _factors(tensor: Tensor) -> list[tuple[str, int]]:
    edges, k = _directions(tensor), tensor.level
    return [(name, power) for name, power in (("n", k - 1), ("K", k - edges), ("Theta", edges)) if power]


def _power(name: str, power: str, braces: str = "") -> str:
    if power == "1":
        return name
    return f"{name}^{braces[:1]}{power}{braces[1:]}"


def _directions(tensor: Tensor) -> int:
    return sum(len(jet.edges) for pair in tensor.pairs for jet in pair) // 2
