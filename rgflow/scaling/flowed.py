"""A schedule flowed: kernels forwards, gradients backwards, block by block, in logarithms, with numerical errors.

What :func:`rgflow.variation` returns, and where its recurrences (:mod:`rgflow.scaling.recurrences`) meet its tables of
averages (:mod:`rgflow.scaling.tables`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rgflow.activations import Activation
from rgflow.errors import AccuracyError, InputError
from rgflow.scaling.homogeneous import Homogeneous, formula, refuse_jumps
from rgflow.scaling.recurrences import Recurrences, recurrences
from rgflow.scaling.schedule import Schedule
from rgflow.scaling.sweep import AVERAGE, CONSTANT, KERNEL, sweep
from rgflow.scaling.tables import Tables, tables_of
from rgflow.version import __version__

if TYPE_CHECKING:
    import xarray

Array = NDArray[np.float64]
CONVENTIONS = (
    "layer l = 0..L, 0 the input of the first block; p, gamma, e, s of x at layer l; q, lambda, c of the hidden "
    "neurons of block l; chi and chi_W, .. at layer l as multiples of chi at layer L; log_ is the natural logarithm"
)
ERROR = "relative error of quadrature, interpolation and rounding, the largest over layers"
EPSILON = float(np.finfo(float).eps)
MEANINGS = {
    "p": "mean square of a neuron x",
    "q": "mean square of a hidden neuron h",
    "gamma": "covariance of a neuron for two inputs",
    "lambda": "covariance of a hidden neuron for two inputs",
    "s": "metric expressivity, half the mean square distance of two inputs",
    "e": "angular expressivity, the correlation of two inputs",
    "c": "correlation of two inputs in a hidden neuron",
    "chi": "mean square gradient of a neuron, relative to layer L",
}


def flowed(
    plan: Schedule,
    sigma: Activation | Homogeneous,
    start: tuple[float, float],
    network: str | None = None,
    witness: bool = True,
) -> xarray.Dataset:
    """The Dataset of a schedule, without a witness also without numerical_error; see :func:`variation`."""
    import xarray

    refuse_jumps(sigma)
    rules = [recurrences(layer) for layer in plan.layers]
    odd = sigma.odd if isinstance(sigma, Homogeneous) else sigma.parity == -1
    if any(rule.odd for rule in rules) and not odd:
        raise InputError(
            f"the recurrences of a reduced block hold for odd activations; {sigma} is not odd: take full blocks "
            "(reduced=False)"
        )
    data = _followed(plan, rules, start, tables_of(sigma))
    filled: dict[str, Any] = {name: ("layer", values, {"long_name": _meaning(name)}) for name, values in data.items()}
    coordinates: dict[str, Any] = {"layer": np.arange(plan.depth + 1), "width": ("layer", plan.widths)}
    for name, values in sorted(plan.values.items()):
        coordinates[name] = ("layer", np.append(np.nan, values))
    if witness:
        errors = _numerical_error(data, _followed(plan, rules, start, tables_of(sigma, witness=True)))
        filled["numerical_error"] = ("quantity", list(errors.values()), {"long_name": ERROR})
        coordinates["quantity"] = list(errors)
    attributes = {
        "kind": "variation",
        "activation": formula(sigma),
        "layers": " + ".join(dict.fromkeys(type(plan.layers[k]).__name__ for k in plan.kind)),
        "conventions": CONVENTIONS,
        "rgflow_version": __version__,
    }
    if isinstance(sigma, Homogeneous) and sigma.degree != 1:
        attributes |= {"activation": "relu", "power": str(sigma.degree)}
    if network is not None:
        attributes["network"] = network
    return xarray.Dataset(filled, coordinates, attributes)


def _followed(plan: Schedule, rules: list[Recurrences], start: tuple[float, float], tables: Tables) -> dict[str, Array]:
    """Every quantity at every layer, and its logarithm."""
    stages = max(rule.stages for rule in rules)
    log_K = np.full((plan.depth + 1, stages + 1), -np.inf)
    log_D = np.full((plan.depth + 1, stages + 1), np.nan)
    log_K[0, 0], log_D[0, 0] = start
    terms, logs = _rows(plan, rules, stages)
    sweep(terms, logs, log_K, log_D, tables)
    log_K[0, stages], log_D[0, stages] = start
    log_K[1:, 0], log_D[1:, 0] = log_K[:-1, stages], log_D[:-1, stages]
    blocks = np.array([rule.stages > 1 for rule in rules])[plan.kind]
    data = _forward(log_K, log_D, stages, blocks) | _backward(plan, rules, stages, log_K, tables)
    _refuse_lost(data, blocks, tables.sigma)
    return data


def _refuse_lost(data: dict[str, Array], blocks: NDArray[np.bool_], sigma: Activation | Homogeneous) -> None:
    """AccuracyError unless every logarithm is finite, or -inf for a zero, where there is something to know."""
    for name, values in data.items():
        if not name.startswith("log_"):
            continue
        lost = np.isnan(values) | np.isposinf(values)
        lost[0] &= name in ("log_p", "log_s", "log_gap", "log_chi")  # the input is above no block
        if name in ("log_q", "log_gap_c"):
            lost[1:] &= blocks
        if lost.any():
            at = int(np.argmax(lost))
            plain = {"gap": "1 - e", "gap_c": "1 - c"}.get(name[4:], name[4:])
            raise AccuracyError(
                f"at layer {at} {plain} of {formula(sigma)} is {values[at]:g}: <s s> or <s' s'> is infinite or not "
                "known at the kernel there; take fewer layers or other variances"
            )


def _numerical_error(data: dict[str, Array], other: dict[str, Array]) -> dict[str, float]:
    """The relative error of every logarithm's quantity, the largest over layers.

    What the coarser rules change, and the rounding of logarithms: half a unit in the last place of each, in the six
    sums that lead through a block. Errors of kernels are averaged, not amplified, as all terms are positive.
    """
    found = {}
    for name, values in data.items():
        if name.startswith("log_"):
            here = np.isfinite(values) & np.isfinite(other[name])
            apart = np.abs(values[here] - other[name][here]).max(initial=0.0)
            rounding = 3 * EPSILON * len(values) * (1 + np.abs(values[here]).max(initial=0.0))
            found[name.removeprefix("log_")] = float(apart + rounding)
    return found


def _meaning(name: str) -> str:
    plain = name.removeprefix("log_")
    if plain.startswith("gap"):
        return f"logarithm of 1 - {'c' if plain.endswith('c') else 'e'}"
    found = (
        MEANINGS.get(plain) or f"mean square gradient of a parameter {plain.removeprefix('chi_')}, relative to layer L"
    )
    return f"logarithm of the {found}" if plain != name else found


def _placed(stage: int, rule: Recurrences, stages: int) -> int:
    """The last stage of every kind is the last column."""
    return stages if stage == rule.stages else stage


def _rows(plan: Schedule, rules: list[Recurrences], stages: int) -> tuple[NDArray[np.int64], Array]:
    """The terms of the kernels of all kinds, and the logarithms of their coefficients at every layer."""
    terms, columns = [], []
    for place, rule in enumerate(rules):
        here = plan.kind == place
        if not here.any():
            continue
        for share in sorted(rule.kernel, key=lambda x: x.stage):
            what = CONSTANT if share.source < 0 else AVERAGE if share.orders else KERNEL
            terms.append((_placed(share.stage, rule, stages), what, max(share.source, 0)))
            columns.append(np.where(here, coefficient(plan, share.symbols), -np.inf))
    order = np.argsort([t[0] for t in terms], kind="stable")
    return np.array(terms, np.int64)[order], np.stack(columns, axis=1)[:, order]


def coefficient(plan: Schedule, symbols: tuple[str, ...]) -> Array:
    """The logarithm of a product of hyperparameters at every layer."""
    with np.errstate(divide="ignore"):
        return np.asarray(sum((np.log(_value(plan, name)) for name in symbols), np.zeros(plan.depth)))


def _value(plan: Schedule, symbol: str) -> Array:
    if symbol == "narrowing":
        return np.asarray(plan.widths[:-1] / np.maximum(plan.widths[1:], plan.widths[:-1]))
    if symbol == "skip":
        return np.abs(plan.values[symbol])  # it occurs squared
    return np.asarray(plan.values.get(symbol, np.zeros(plan.depth)))


def _forward(log_K: Array, log_D: Array, stages: int, blocks: NDArray[np.bool_]) -> dict[str, Array]:
    log_p, log_s = log_K[:, stages], log_D[:, stages]
    found = {"log_p": log_p, "p": _exp(log_p)}
    hidden = stages > 1
    if hidden:
        log_q = np.append(np.nan, np.where(blocks, log_K[1:, 1], np.nan))  # other layers have no hidden neurons
        found |= {"log_q": log_q, "q": _exp(log_q)}
    if not np.isnan(log_s[0]):
        gap = log_s - log_p
        found |= {"log_s": log_s, "s": _exp(log_s), "log_gap": gap, "e": -np.expm1(gap)}
        found["gamma"] = found["p"] * found["e"]
        if hidden:
            same = np.isneginf(log_D[1:, 1])  # also where there is no hidden signal at all
            with np.errstate(invalid="ignore"):
                gap = np.append(np.nan, np.where(same & blocks, -np.inf, log_D[1:, 1] - log_q[1:]))
            found |= {"log_gap_c": gap, "c": -np.expm1(gap)}
            found["lambda"] = found["q"] * found["c"]
    return found


def _exp(values: Array) -> Array:
    with np.errstate(over="ignore"):
        return np.asarray(np.exp(values))


def _backward(plan: Schedule, rules: list[Recurrences], stages: int, log_K: Array, tables: Tables) -> dict[str, Array]:
    """Derivatives of the tangent kernel of the last layer, by the layer and by every learning rate, as gradients.

    Theta^L sums lambda/fan_in (dx_i/dw)^2 over all entries of a weight matrix of ``rows`` rows, so that the mean square
    gradient of one entry is (n_L/rows) chi^L dTheta^L/dlambda; of a neuron, (n_L/n_l) chi^L dTheta^L/dTheta^l.
    """
    depth = plan.depth
    through = np.full((depth, stages + 1), -np.inf)  # log dTheta_x'/dTheta_stage
    through[:, stages] = 0.0
    rates: dict[str, tuple[Array, Array]] = {}
    read: dict[tuple[int, int], Array] = {}
    for place, rule in enumerate(rules):
        here = plan.kind == place
        if not here.any():
            continue
        for share in sorted(rule.tangent, key=lambda x: -x.stage):
            stage = _placed(share.stage, rule, stages)
            value = through[:, stage].copy()
            if share.orders:
                if (place, share.source) not in read:
                    kernels = np.where(here, log_K[1:, share.source], 0.0)
                    read[place, share.source] = tables.read(kernels)
                value += read[place, share.source][1 if share.orders == (1, 1) else 0]
            names = [name for name in share.symbols if name.startswith("lambda_")]
            front = coefficient(plan, tuple(name for name in share.symbols if name not in names))
            value = np.where(np.isneginf(front), -np.inf, value + np.where(np.isneginf(front), 0.0, front))
            if share.tensor == "K":
                value += log_K[1:, share.source]
            if share.tensor == "Theta":
                joined = np.logaddexp(through[:, share.source], value)
                through[:, share.source] = np.where(here, joined, through[:, share.source])
            elif names:
                rows = (plan.widths[1:] if share.stage == rule.stages else plan.hidden).astype(float)
                old, old_rows = rates.get(names[0], (np.full(depth, -np.inf), rows))
                rates[names[0]] = np.where(here, np.logaddexp(old, value), old), np.where(here, rows, old_rows)
    above = np.append(np.cumsum(through[::-1, 0])[::-1], 0.0)  # log dTheta^L/dTheta^l
    ratio = np.log(plan.widths[-1])
    log_chi = above + ratio - np.log(plan.widths)
    found = {"log_chi": log_chi, "chi": _exp(log_chi)}
    for name, (values, rows) in sorted(rates.items()):
        log_rate = np.append(np.nan, values + above[1:] + ratio - np.log(rows))
        label = name.removeprefix("lambda_")
        found |= {f"log_chi_{label}": log_rate, f"chi_{label}": _exp(log_rate)}
    return found
