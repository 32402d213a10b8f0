"""A phase diagram of gradients over two powers of the depth, as a Dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rgflow.errors import InputError, NoClosedForm, UnknownName
from rgflow.scaling.growth.cases import PhaseCase
from rgflow.scaling.growth.depth_law import CONSTANT, LOGARITHMIC, POLYNOMIAL, QUANTITIES, REGIMES, DepthLaw
from rgflow.version import __version__

if TYPE_CHECKING:
    import xarray

UNKNOWN = -1
NEAR = 1e-9  # of a boundary of regimes
Grid = Mapping[Any, NDArray[np.float64]]


def diagram(
    cases: Sequence[PhaseCase], symbols: Sequence[Any], quantity: str, values: Mapping[str, Any]
) -> xarray.Dataset:
    """Regimes of p and of one gradient ratio over a grid; see :meth:`VariationPhases.diagram`."""
    import xarray

    if quantity not in QUANTITIES:
        raise UnknownName("quantity", quantity, QUANTITIES)
    known = {str(s): s for s in symbols}
    if len(known) != 2 or set(values) != set(known):
        raise InputError(
            f"the powers hold the symbols {sorted(known)}, values are given for {sorted(values)}; a diagram needs two "
            "symbols and values for both"
        )
    names = list(values)
    x, y = (_axis(name, values[name]) for name in names)
    grid = dict(zip((known[n] for n in names), np.meshgrid(x, y, indexing="ij"), strict=True))
    wanted = list(dict.fromkeys(["p", quantity]))
    regimes = {name: np.full((x.size, y.size), UNKNOWN, np.int8) for name in wanted}
    exponents = {name: np.full((x.size, y.size), np.nan) for name in wanted}
    limit = np.full((x.size, y.size), np.nan)
    for case in cases:
        here = _holds(case, grid)
        if not here.any():
            continue
        for name in wanted:
            regime, exponent = _law(case.laws[name], grid)
            regimes[name][here], exponents[name][here] = regime[here], exponent[here]
        if case.e is not None and case.e.limit is not None:
            limit[here] = float(case.e.limit)
    if any((r == UNKNOWN).any() for r in regimes.values()):
        raise NoClosedForm("some points of the grid lie in no case")
    data = _described(names, regimes, exponents)
    data["e"] = (names, limit, {"long_name": "correlation of two inputs at infinite depth; NaN: inputs decide"})
    attributes = {"kind": "variation diagram", "quantity": quantity, "rgflow_version": __version__}
    return xarray.Dataset(data, {names[0]: x, names[1]: y}, attributes)


def _law(law: DepthLaw, grid: Grid) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    """Regime and exponent of one law at every point, constant or logarithmic where its power is zero."""
    exponent = _numbers(law, grid)
    regime = np.full(exponent.shape, REGIMES.index(law.regime), np.int8)
    if law.regime == POLYNOMIAL:
        regime[np.abs(exponent) < NEAR] = REGIMES.index(LOGARITHMIC if law.growth.logs != 0 else CONSTANT)
    return regime, exponent


def _described(names: list[str], regimes: Mapping[str, Any], exponents: Mapping[str, Any]) -> dict[str, Any]:
    flags = {"flag_values": np.arange(len(REGIMES), dtype=np.int8), "flag_meanings": " ".join(map(_flag, REGIMES))}
    data: dict[str, Any] = {}
    for name, regime in regimes.items():
        data[f"regime_{name}"] = (names, regime, {"long_name": f"regime of {QUANTITIES[name]}", **flags})
        meaning = f"exponent of {QUANTITIES[name]}: of l, or of l in the exponential"
        data[f"exponent_{name}"] = (names, exponents[name], {"long_name": meaning})
    return data


def _flag(regime: str) -> str:
    return regime.replace(" ", "_")


def _axis(name: str, values: Any) -> NDArray[np.float64]:
    array = np.asarray(values, float)
    if array.ndim != 1 or array.size < 2 or not (np.diff(array) > 0).all() or not (array >= 0).all():
        raise InputError(f"{name} has shape {array.shape}; give two or more increasing values, not negative")
    return array


def _holds(case: PhaseCase, grid: Grid) -> NDArray[np.bool_]:
    import sympy as sp

    shape = next(iter(grid.values())).shape
    found = np.ones(shape, bool)
    for expression, sign in case.conditions:
        value = np.broadcast_to(np.asarray(sp.lambdify(list(grid), expression, "numpy")(*grid.values()), float), shape)
        found &= np.where(np.abs(value) < NEAR, 0, np.sign(value)) == sign
    return found


def _numbers(law: DepthLaw, grid: Grid) -> NDArray[np.float64]:
    import sympy as sp

    shape = next(iter(grid.values())).shape
    if not law.exponent.free_symbols <= set(grid):
        return np.full(shape, np.nan)  # it holds an average at a kernel that is not known
    value = sp.lambdify(list(grid), law.exponent, "numpy")(*grid.values())
    return np.array(np.broadcast_to(np.asarray(value, float), shape))
