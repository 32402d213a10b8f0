r"""``variation``: signals and gradients through a deep network whose variances and widths vary from layer to layer.

To leading order in 1/width, for two inputs of equal norm:

.. math:: p = \langle x_1^2\rangle,\quad q = \langle h_1^2\rangle,\quad \gamma = \langle x_1 x_1'\rangle,\quad
    \lambda = \langle h_1 h_1'\rangle,\quad s = p - \gamma,\quad e = \gamma/p,\quad c = \lambda/q

and squared gradients chi = <(dE/dx_1)^2>, chi_W = <(dE/dW_11)^2>, ... of a loss E whose gradients at the last layer are
independent. All recurrences follow from the laws of the layers (:mod:`rgflow.scaling.recurrences`).

Source: Yang and Schoenholz, arXiv:1712.08969 and "Deep Mean Field Theory: Layerwise Variance and Width Variation"
(2018).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rgflow.activations import Activation
from rgflow.checks import whole
from rgflow.errors import AccuracyError, InputError
from rgflow.network import Network
from rgflow.network.kinds.linear import Linear
from rgflow.scaling.homogeneous import Homogeneous, find, formula, refuse_jumps
from rgflow.scaling.recurrences import Recurrences, recurrences
from rgflow.scaling.schedule import Schedule, affordable, build, by_layer, read_network, scheduled
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


def variation(
    activation: Any,
    depth: int | None = None,
    *,
    C_W: Any = 1.0,
    C_V: Any = 1.0,
    C_a: Any = 1.0,
    C_b: Any = 1.0,
    beta_W: float = 0.0,
    beta_V: float = 0.0,
    beta_a: float = 0.0,
    beta_b: float = 0.0,
    widths: Any = None,
    reduced: bool = False,
    p0: float = 1.0,
    gamma0: float | None = None,
) -> xarray.Dataset:
    """Mean squares, correlations and gradients through L residual blocks, at leading order in 1/width.

    Parameters
    ----------
    activation : Activation, name, formula or SymPy expression; or a Network
        Also ``relu(z)^(3/4)``, a power between 1/2 and 1. A Network brings everything else along: its layers above the
        first, of any kind, without a linear read-out; p0 is then the kernel of its first layer.
    depth : int
        L, the number of blocks.
    C_W, C_V, C_a, C_b : number or array (L,)
        sigma_w^2, sigma_v^2, sigma_a^2, sigma_b^2.
    beta_W, beta_V, beta_a, beta_b : float
        Powers of the depth, not negative: C_W l^-beta_W at block l = 1..L, and so on; "1/2" is 0.5.
    widths : int, or L + 1 of them
        n_0, ..., n_L; where they differ the block has a random projection. Only their ratios matter.
    reduced : bool
        Reduced blocks x + sigma(W x + b), for an odd activation; C_V and C_a do not occur.
    p0 : float
        <x_1^2> of the input of the first block.
    gamma0 : float, optional
        <x_1 x'_1> of two inputs, both of size p0, |gamma0| <= p0; without it one input is followed.

    Returns
    -------
    xarray.Dataset
        Dim ``layer`` 0..L: p, q, chi and chi_W, chi_b, ... for every parameter that is trained; with gamma0 also gamma,
        lambda, s, e, c. Each of ``p, q, s, chi`` and so on has its natural logarithm as ``log_p``, ..., which never
        overflows, and ``log_gap`` and ``log_gap_c`` are those of 1 - e and 1 - c. Truncation error O(1/n).
        ``numerical_error`` (``quantity``: p, q, chi, ..., gap, gap_c) is the relative error of each by quadrature,
        interpolation and rounding, the largest over layers.

    Raises
    ------
    InputError
        For arguments out of their range; a reduced block with an activation that is not odd or with widths that vary.
    KinkError
        For an activation that jumps.
    AccuracyError
        Where an average cannot be computed; with the layer.

    >>> ds = variation("relu", 100, C_a=0, C_b=0)
    >>> bool(abs(ds["log_p"][-1] - 100 * np.log(1.5)) < 1e-9)
    True
    """
    sigma: Activation | Homogeneous
    if isinstance(activation, Network):
        if depth is not None or widths is not None:
            raise InputError("a Network has its own depth and widths; leave these arguments out")
        plan, sigma = read_network(activation), find(activation.activation)
        network: str | None = activation.to_json()
    else:
        plan, sigma = (
            _plan(depth, (C_W, C_V, C_a, C_b), (beta_W, beta_V, beta_a, beta_b), widths, reduced),
            find(activation),
        )
        network = None
    start = _checked_start(p0, gamma0)
    return flowed(plan, sigma, start, network)


def variation_network(
    activation: Any,
    depth: int,
    *,
    C_W: Any = 1.0,
    C_V: Any = 1.0,
    C_a: Any = 1.0,
    C_b: Any = 1.0,
    beta_W: float = 0.0,
    beta_V: float = 0.0,
    beta_a: float = 0.0,
    beta_b: float = 0.0,
    widths: Any = None,
    reduced: bool = False,
    n_in: int | None = None,
    n_out: int = 1,
) -> Network:
    """The network of :func:`variation`, between a linear first layer (C_W = 1) and a linear read-out.

    Parameters
    ----------
    activation : Activation, name, formula or SymPy expression
    depth : int
        L, the number of blocks.
    C_W, C_V, C_a, C_b, beta_W, beta_V, beta_a, beta_b
        Variances C l^-beta at block l, as of :func:`variation`.
    widths : int, or L + 1 of them
        n_0, ..., n_L; without it every layer has 256 neurons.
    reduced : bool
        Reduced blocks x + sigma(W x + b), for an odd activation.
    n_in, n_out : int
        Dimensions of the input, by default n_0, and of the read-out.

    Returns
    -------
    Network
        L + 2 layers, to be sampled (:func:`rgflow.sample`) or flowed at higher orders (:func:`rgflow.flow`).

    Raises
    ------
    InputError
        As :func:`variation` does, and for a power below 1, which is no activation of a network.

    >>> net = variation_network("tanh", 2, beta_V=0.5, widths=[8, 8, 4])
    >>> [type(layer).__name__ for layer in net.layers], net.depth
    (['Linear', 'Branch', 'Projection', 'Linear'], 4)
    """
    plan = _plan(depth, (C_W, C_V, C_a, C_b), (beta_W, beta_V, beta_a, beta_b), widths, reduced)
    return as_network(plan, activation, n_in, n_out)


def as_network(plan: Schedule, activation: Any, n_in: int | None = None, n_out: int = 1) -> Network:
    """A schedule as a Network; InputError for a power below 1, which no network has."""
    sigma = find(activation)
    if isinstance(sigma, Homogeneous) and sigma.degree != 1:
        raise InputError(f"{sigma} is not smooth enough for the activation of a Network; rgflow.variation follows it")
    return build(plan, activation, int(plan.widths[0]) if n_in is None else n_in, n_out, Linear())


def _plan(depth: Any, sizes: tuple[Any, ...], betas: tuple[Any, ...], widths: Any, reduced: bool) -> Schedule:
    layers = whole("depth", depth, 1)
    affordable(layers)
    names = ("C_W", "C_V", "C_a", "C_b")
    values = {n: by_layer(n, v, layers, b) for n, v, b in zip(names, sizes, betas, strict=True)}
    if reduced:
        values = {name: values[name] for name in ("C_W", "C_b")}
    return scheduled(values, widths, reduced)


def _checked_start(p0: Any, gamma0: Any) -> tuple[float, float]:
    """log p0 and log(p0 - gamma0), NaN without a second input."""
    try:
        first = float(p0)
        second = np.nan if gamma0 is None else float(gamma0)
    except (TypeError, ValueError):
        raise InputError(f"p0 is {p0!r}, gamma0 {gamma0!r}; give numbers") from None
    if not (np.isfinite(first) and first > 0):
        raise InputError(f"p0 is {p0!r}; it must be finite and above 0")
    if gamma0 is not None and not abs(second) <= first:
        raise InputError(f"gamma0 is {gamma0!r}; it must lie between -p0 and p0 = {first:g}")
    with np.errstate(divide="ignore"):
        return float(np.log(first)), float(np.log(first - second))


# The flow -------------------------------------------------------------------------------------------------------------


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
