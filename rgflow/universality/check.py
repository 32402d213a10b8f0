"""A formula in the layer compared with the flow that it claims to solve."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rgflow.activations import Activation
from rgflow.algebra import Tensor
from rgflow.checks import Kinks
from rgflow.errors import AccuracyError, InputError
from rgflow.network import Layer
from rgflow.universality.constants import near_input
from rgflow.universality.deep_flow import deep_flow

if TYPE_CHECKING:
    import sympy

Floats: TypeAlias = NDArray[np.float64]
Formula: TypeAlias = Callable[[Any], Floats]

_EPS = float(np.finfo(float).eps)
_NUDGE = 2.0**-26  # relative change by which sensitivities are measured: the middle between rounding and curvature
_SHOWN = 12
_CLOSE = 0.01  # an asymptotic formula is compared where it is good to a percent
_SMALL = 0.1  # what follows the correction, relative to it, at half of the depth; else the power law sets in later
_LARGE = 0.05  # of a correction: what follows it is of its square, half of what a check allows


@dataclass(frozen=True)
class Setting:
    """A network of equal widths, by its hyperparameters, and the tensor that is followed through it."""

    tensor: Tensor
    activation: Activation
    kinks: Kinks
    k: float
    C_b: float
    C_W: float
    lambda_b: float
    lambda_W: float
    rates: tuple[float, float] = (0.0, 0.0)
    layer: Layer | None = None
    closure: str = "full"

    def run(self, depth: int, besides: Iterable[str] = ()) -> tuple[dict[str, Floats], Floats]:
        """The tensor, and others, at layers 1..depth by name, and its numerical error."""
        names = dict.fromkeys([self.tensor.name, *besides])
        ds = deep_flow(
            self.activation,
            depth,
            map(Tensor.named, names),
            C_b=self.C_b,
            C_W=self.C_W,
            first_kernel=self.k,
            lambda_b=self.lambda_b,
            lambda_W=self.lambda_W,
            rates=self.rates,
            order=self.tensor.cost,
            kinks=self.kinks,
            layer=self.layer,
            closure=self.closure,
        )
        return {name: ds[name].values for name in names}, ds["numerical_error"].values[0]

    def sensitivity(self, depth: int, values: Floats) -> Floats:
        """What a change of the kernel, C_b and C_W by their last digit does at each layer."""
        total = np.zeros(depth)
        for name, factor in (("k", 1 + _NUDGE), ("C_b", 1 - _NUDGE), ("C_W", 1 + _NUDGE)):  # k - C_b stays positive
            if getattr(self, name):
                moved = replace(self, **{name: getattr(self, name) * factor}).run(depth)[0]
                total += np.abs(moved[self.tensor.name] - values) * (_EPS / _NUDGE)
        return total


@dataclass(frozen=True)
class Check:
    """A formula and a flow side by side.

    Attributes
    ----------
    name : str
    kind : "exact" or "asymptotic"
    layers : tuple of int
    flow, formula : tuple of float
    difference : tuple of float
        flow/formula - 1; flow - formula where the formula is zero.
    stated : tuple of float
        What the formula says of the difference: 0 if exact, else its correction.
    allowed : tuple of float
        How far the difference may be from what is stated: what the flow can tell (exact), what may follow the
        correction (asymptotic).
    numerical_error : tuple of float
        Of the flow, absolute.
    constants : mapping
        c_K and c_Theta of the stated correction, read off the same flow (asymptotic).
    passed : bool
    """

    name: str
    kind: str
    layers: tuple[int, ...]
    flow: tuple[float, ...]
    formula: tuple[float, ...]
    difference: tuple[float, ...]
    stated: tuple[float, ...]
    allowed: tuple[float, ...]
    numerical_error: tuple[float, ...]
    constants: Mapping[str, float]
    passed: bool

    @property
    def shallow(self) -> bool:
        """Whether the correction is too large at the last layer for a law to be told from another."""
        return self.kind == "asymptotic" and abs(self.stated[-1]) > _LARGE

    def __str__(self) -> str:
        head = f"{self.name}, {self.kind}: {'passed' if self.passed else 'undecided' if self.shallow else 'FAILED'}"
        exact = self.kind == "exact"
        beside, values = ("allowed", self.allowed) if exact else ("correction", self.stated)
        lines = [head, f"{'layer':>7} {'flow':>14} {'formula':>14} {'difference':>11} {beside:>10}"]
        rows = list(zip(self.layers, self.flow, self.formula, self.difference, values, strict=True))
        picked = sorted({round(i) for i in np.linspace(0, len(rows) - 1, min(_SHOWN, len(rows)))})
        lines += [
            f"{n:>7} {a:>14.8g} {b:>14.8g} {d:>11.2e} {e:>10.{1 if exact else 2}e}"
            for n, a, b, d, e in (rows[i] for i in picked)
        ]
        if self.constants:
            read = ", ".join(f"{name} = {value:.6g}" for name, value in self.constants.items())
            lines.append(f"constants of the correction, read off the flow: {read}")
        if not self.passed and self.shallow:
            lines.append(
                f"undecided: the correction is still {abs(self.stated[-1]):.0%} at layer {self.layers[-1]}, and what "
                "follows it is as large compared with it; check a greater depth"
            )
        return "\n".join(lines)

    def raise_if_failed(self) -> Check:
        """The check itself, or AccuracyError with its table."""
        if not self.passed:
            raise AccuracyError(str(self))
        return self


def check_exact(setting: Setting, formula: Formula, depth: int, first: int = 1) -> Check:
    """Every layer must agree within the error of the flow, that of its rounded hyperparameters, and a last digit."""
    flows, errors = setting.run(depth)
    values = flows[setting.tensor.name]
    allowed = errors + setting.sensitivity(depth, values) + 4 * _EPS * np.abs(values)
    expected = formula(np.arange(first, depth + 1))
    values, errors, allowed = values[first - 1 :], errors[first - 1 :], allowed[first - 1 :]
    passed = bool(np.all(np.abs(values - expected) <= allowed))
    scale = np.where(expected == 0, 1.0, np.abs(expected))
    return Check(
        name=setting.tensor.name,
        kind="exact",
        layers=tuple(range(first, depth + 1)),
        flow=tuple(values.tolist()),
        formula=tuple(expected.tolist()),
        difference=tuple(((values - expected) / np.where(expected == 0, 1.0, expected)).tolist()),
        stated=(0.0,) * len(expected),
        allowed=tuple((allowed / scale).tolist()),
        numerical_error=tuple(errors.tolist()),
        constants={},
        passed=passed,
    )


def check_asymptotic(
    setting: Setting,
    leading: Formula,
    correction: Callable[[Floats, Mapping[str, float]], Floats],
    power: float,
    known: Mapping[str, sympy.Expr],
    depth: int,
    first: int = 1,
) -> Check:
    """The relative residual must be the stated correction, and what then remains must fall away faster than it.

    The constants c_K and c_Theta of the correction, which falls as l^-q, are read off the flow of K and Theta at the
    last layer; nothing else is fitted. What follows the correction is O(ln^j(l) l^-q) of it, what is wrong in it a
    constant part, but for logarithms. A bound halfway between, l^(-q/2) of the correction, tells them apart; it is a
    tenth at half of the depth and holds at the last two layers, besides the numerical error of the flow and within a
    percent of the tensor.

    Parameters
    ----------
    leading : function of layers
    correction : function of layers and of the constants by name
    power : q
    known : mapping of tensor names to all their known terms, for the constants
    """
    layers = np.array(sorted({max(first, depth // part) for part in (8, 4, 2, 1)}))
    flows, errors = setting.run(depth, tuple(known))
    measured = {name: float(values[-1]) for name, values in flows.items()}
    rates = {"lambda_b": setting.lambda_b, "lambda_W": setting.lambda_W}
    constants = near_input(known, measured, depth, rates)
    values, error = flows[setting.tensor.name][layers - 1], errors[layers - 1]
    expected = leading(layers)
    if not np.all(expected):
        raise InputError(f"the leading term of {setting.tensor.name} vanishes at these rates; give them to solve")
    difference = values / expected - 1
    stated = correction(layers, constants)
    # its size at each layer, also where it crosses zero
    size = np.max(np.abs(stated) * layers**power) / layers**power
    bound = _SMALL * size * (layers[-2:][0] / layers) ** (power / 2)
    allowed = np.minimum(_CLOSE, bound + error / np.abs(expected))
    passed = bool(np.all(np.abs(difference - stated)[-2:] <= allowed[-2:]))
    return Check(
        name=setting.tensor.name,
        kind="asymptotic",
        layers=tuple(layers.tolist()),
        flow=tuple(values.tolist()),
        formula=tuple(expected.tolist()),
        difference=tuple(difference.tolist()),
        stated=tuple(stated.tolist()),
        allowed=tuple(allowed.tolist()),
        numerical_error=tuple(error.tolist()),
        constants=constants,
        passed=passed,
    )
