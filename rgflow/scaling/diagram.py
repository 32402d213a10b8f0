"""A phase diagram of gradients over two powers of the depth, as a Dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rgflow.activations import Activation
from rgflow.errors import InputError, NoClosedForm, UnknownName
from rgflow.scaling.depth_law import CONSTANT, LOGARITHMIC, POLYNOMIAL, QUANTITIES, REGIMES, DepthLaw
from rgflow.scaling.expressivity import Expressivity
from rgflow.scaling.powers import PowerLaw
from rgflow.scaling.signs import Condition
from rgflow.version import __version__

if TYPE_CHECKING:
    import xarray

UNKNOWN = -1
NEAR = 1e-9  # of a boundary of regimes


class Case(Protocol):
    """What is asked of a regime; see :class:`rgflow.scaling.phases.PhaseCase`."""

    @property
    def conditions(self) -> tuple[Condition, ...]: ...
    @property
    def laws(self) -> Mapping[str, DepthLaw]: ...
    @property
    def e(self) -> Expressivity | None: ...


class Phases(Protocol):
    """What is asked of several; see :class:`rgflow.scaling.phases.VariationPhases`."""

    @property
    def sigma(self) -> Activation | PowerLaw: ...
    @property
    def activation(self) -> str: ...
    @property
    def block(self) -> str: ...
    @property
    def betas(self) -> Mapping[str, Any]: ...
    @property
    def sizes(self) -> Mapping[str, Any]: ...
    @property
    def symbols(self) -> tuple[Any, ...]: ...
    @property
    def cases(self) -> Sequence[Case]: ...


def diagram(found: Phases, quantity: str, values: Mapping[str, Any]) -> xarray.Dataset:
    """Regimes of p and of one gradient ratio over a grid; see :meth:`VariationPhases.diagram`."""
    import xarray

    if quantity not in QUANTITIES:
        raise UnknownName("quantity", quantity, QUANTITIES)
    symbols = {str(s): s for s in found.symbols}
    if len(symbols) != 2 or set(values) != set(symbols):
        raise InputError(
            f"the powers hold the symbols {sorted(symbols)}, values are given for {sorted(values)}; a diagram needs "
            "two symbols and values for both"
        )
    if any(size.free_symbols for size in found.sizes.values()):
        raise InputError("the variances are symbols; give numbers for a diagram")
    names = list(values)
    x, y = (_axis(name, values[name]) for name in names)
    grid = dict(zip((symbols[n] for n in names), np.meshgrid(x, y, indexing="ij"), strict=True))
    wanted = list(dict.fromkeys(["p", quantity]))
    data: dict[str, Any] = {}
    regimes = {name: np.full((x.size, y.size), UNKNOWN, np.int8) for name in wanted}
    exponents = {name: np.full((x.size, y.size), np.nan) for name in wanted}
    limit = np.full((x.size, y.size), np.nan)
    for case in found.cases:
        here = _holds(case, grid)
        if not here.any():
            continue
        for name in wanted:
            law = case.laws[name]
            exponent = _numbers(law, grid)
            regime = np.full(here.shape, REGIMES.index(law.regime), np.int8)
            if law.regime == POLYNOMIAL:
                regime[np.abs(exponent) < NEAR] = REGIMES.index(LOGARITHMIC if law.growth.logs != 0 else CONSTANT)
            regimes[name][here], exponents[name][here] = regime[here], exponent[here]
        if case.e is not None and case.e.limit is not None:
            limit[here] = float(case.e.limit)
    for name in wanted:
        flags = {
            "flag_values": np.arange(len(REGIMES), dtype=np.int8),
            "flag_meanings": " ".join(_flag(r) for r in REGIMES),
        }
        data[f"regime_{name}"] = (names, regimes[name], {"long_name": f"regime of {QUANTITIES[name]}", **flags})
        meaning = f"exponent of {QUANTITIES[name]}: of l, or of l in the exponential"
        data[f"exponent_{name}"] = (names, exponents[name], {"long_name": meaning})
    data["e"] = (names, limit, {"long_name": "correlation of two inputs at infinite depth; NaN: inputs decide"})
    attributes = {
        "kind": "variation diagram",
        "activation": found.activation,
        "block": found.block,
        "quantity": quantity,
        "powers": ", ".join(f"{name} = {beta}" for name, beta in found.betas.items()),
        "rgflow_version": __version__,
    }
    if isinstance(found.sigma, PowerLaw) and found.sigma.degree != 1:
        attributes |= {"activation": "relu", "power": str(found.sigma.degree)}
    if any((r == UNKNOWN).any() for r in regimes.values()):
        raise NoClosedForm("some points of the grid lie in no case")
    return xarray.Dataset(data, {names[0]: x, names[1]: y}, attributes)


def _flag(regime: str) -> str:
    return regime.replace(" ", "_")


def _axis(name: str, values: Any) -> NDArray[np.float64]:
    array = np.asarray(values, float)
    if array.ndim != 1 or array.size < 2 or not (np.diff(array) > 0).all() or not (array >= 0).all():
        raise InputError(f"{name} has shape {array.shape}; give two or more increasing values, not negative")
    return array


def _holds(case: Case, grid: Mapping[Any, NDArray[np.float64]]) -> NDArray[np.bool_]:
    import sympy as sp

    shape = next(iter(grid.values())).shape
    found = np.ones(shape, bool)
    for expression, sign in case.conditions:
        value = np.broadcast_to(np.asarray(sp.lambdify(list(grid), expression, "numpy")(*grid.values()), float), shape)
        found &= np.where(np.abs(value) < NEAR, 0, np.sign(value)) == sign
    return found


def _numbers(law: DepthLaw, grid: Mapping[Any, NDArray[np.float64]]) -> NDArray[np.float64]:
    import sympy as sp

    shape = next(iter(grid.values())).shape
    if not law.exponent.free_symbols <= set(grid):
        return np.full(shape, np.nan)  # it holds an average at a kernel that is not known
    value = sp.lambdify(list(grid), law.exponent, "numpy")(*grid.values())
    return np.array(np.broadcast_to(np.asarray(value, float), shape))
