"""``--json``: the same results for programs."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from rgflow.components import families

if TYPE_CHECKING:
    import xarray


def as_json(ds: xarray.Dataset, mc: xarray.Dataset | None) -> str:
    """Coefficients, totals with their errors, trust, and what was sampled; NaN and infinity are null."""
    found: dict[str, Any] = {
        "rgflow": ds.attrs["rgflow_version"],
        "network": json.loads(ds.attrs["network"]),
        "order": int(ds.attrs["order"]),
        "conventions": ds.attrs["conventions"],
        "layer": ds["layer"].values.tolist(),
        "fan_in": ds["fan_in"].values.tolist(),
        "coefficients": {str(name): _plain(ds[str(name)].values.tolist()) for name in ds["coefficient"].values},
        "numerical_error": _by_name(ds, "coefficient", "numerical_error"),
    }
    if "expansion_ratio" in ds:
        found["expansion_ratio"] = _by_name(ds, "letter", "expansion_ratio")
        found["trusted_layers"] = _by_name(ds, "letter", "trusted_layers")
    if "expansion_ratio" in ds and _whole(ds):
        from rgflow.flow import total

        summed = total(ds)
        found["totals"] = {str(name): _plain(array.values.tolist()) for name, array in summed.data_vars.items()}
    if mc is not None:
        sampled = {str(name): _plain(array.values.tolist()) for name, array in mc.data_vars.items()}
        found["sampled"] = {"networks": int(mc.attrs["networks"]), "seed": str(mc.attrs["seed"]), **sampled}
    return json.dumps(found, allow_nan=False)


def _whole(ds: xarray.Dataset) -> bool:
    """Whether every letter is known from its leading order up: a correction asked for alone has no total."""
    orders = ([tensor.order for tensor in family] for family in families(ds).values())
    return all(known == list(range(len(known))) for known in orders)


def _by_name(ds: xarray.Dataset, dim: str, variable: str) -> dict[str, Any]:
    return {str(name): _plain(ds[variable].sel({dim: name}).values.tolist()) for name in ds[dim].values}


def _plain(values: Any) -> Any:
    if isinstance(values, list):
        return [_plain(value) for value in values]
    return None if isinstance(values, float) and not math.isfinite(values) else values
