"""``rgflow flow --json``: coefficients, totals with their errors, trust, and what was sampled."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rgflow.components import families

if TYPE_CHECKING:
    import xarray


def flow_answer(ds: xarray.Dataset, mc: xarray.Dataset | None) -> dict[str, Any]:
    """By tensor, layer by layer, then by input."""
    found: dict[str, Any] = {
        "network": json.loads(ds.attrs["network"]),
        "order": int(ds.attrs["order"]),
        "conventions": ds.attrs["conventions"],
        "layer": ds["layer"].values,
        "fan_in": ds["fan_in"].values,
        "coefficients": {str(name): ds[str(name)].values for name in ds["coefficient"].values},
        "numerical_error": _by_name(ds, "coefficient", "numerical_error"),
    }
    if "expansion_ratio" in ds:
        found["expansion_ratio"] = _by_name(ds, "letter", "expansion_ratio")
        found["trusted_layers"] = _by_name(ds, "letter", "trusted_layers")
    if "expansion_ratio" in ds and _whole(ds):
        from rgflow.flow import total

        found["totals"] = {str(name): array.values for name, array in total(ds).data_vars.items()}
    if mc is not None:
        sampled = {str(name): array.values for name, array in mc.data_vars.items()}
        found["sampled"] = {"networks": int(mc.attrs["networks"]), "seed": str(mc.attrs["seed"]), **sampled}
    return found


def _whole(ds: xarray.Dataset) -> bool:
    """Whether every letter is known from its leading order up: a correction asked for alone has no total."""
    orders = ([tensor.order for tensor in family] for family in families(ds).values())
    return all(known == list(range(len(known))) for known in orders)


def _by_name(ds: xarray.Dataset, dim: str, variable: str) -> dict[str, Any]:
    return {str(name): ds[variable].sel({dim: name}).values for name in ds[dim].values}
