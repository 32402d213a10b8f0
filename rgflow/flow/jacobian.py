"""``partial_jacobian``: how the layers of a network move when one layer below is moved, layer by layer."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rgflow.algebra import Tensor
from rgflow.algebra.partial import own
from rgflow.brackets.kinks import check_kinks, check_written
from rgflow.checks import whole
from rgflow.derive.derive import check_closure, closures
from rgflow.derive.linked import check_linked
from rgflow.errors import AccuracyError, InputError, OrderError
from rgflow.flow.diagnostics import BOUND, expansion_ratios, trusted_layers
from rgflow.flow.history import History
from rgflow.flow.inputs import check_first
from rgflow.flow.inputs import start as given
from rgflow.flow.leading import leading, pairwise, run_pairs
from rgflow.flow.moved import Task, probed
from rgflow.flow.orders import check_size
from rgflow.flow.stages import highest_written, run_stages
from rgflow.labelled import dataset
from rgflow.network import Network
from rgflow.network.describe import described

if TYPE_CHECKING:
    import xarray

Array = NDArray[np.float64]

THETA, THETA_1, FLUCTUATION = (Tensor.named(name) for name in ("Theta", "Theta_1", "A"))
MEASURES = tuple(Tensor.named(name) for name in ("K", "V", "B"))
EPSILON = np.finfo(float).eps
LEAST = 1e-250  # below, a ratio of partial Jacobians has lost digits
CONVENTIONS = (
    "J at layer l is the mean over networks of (1/n_l) sum_ij dz_j(sample0)/dz0_i dz_j(sample1)/dz0_i with z0 of layer "
    "start; J_1 the coefficient of a further 1/n, V_J the leading coefficient of n times its covariance over networks, "
    "n = fan_in(layer); chi_J is J of the next layer with respect to layer l"
)
ERRORS = "bound or estimate of the error of quadrature and rounding, absolute, largest over samples"
MEANINGS = {
    "J": "partial Jacobian norm, mean over networks",
    "chi_J": "partial Jacobian norm of one layer: of z at the next layer with respect to this one; NaN at the last",
    "J_1": "partial Jacobian norm, coefficient of the further factor 1/n",
    "V_J": "n times the covariance over networks of partial Jacobian norms, leading order",
}


def partial_jacobian(
    net: Network,
    inputs: Any = None,
    *,
    first_kernel: Any = None,
    start: int = 1,
    order: int = 0,
    kinks: str = "error",
    closure: str = "full",
    progress: bool = False,
    threads: int = 1,
) -> xarray.Dataset:
    r"""The averaged partial Jacobian norm of every layer with respect to one of them.

    .. math:: J^{l_0, l}_{\alpha\beta} = E\Big[\frac{1}{n_l} \sum_{ij} \frac{\partial z^l_{j\alpha}}
              {\partial z^{l_0}_{i\alpha}} \frac{\partial z^l_{j\beta}}{\partial z^{l_0}_{i\beta}}\Big]
              = J + \frac{J_1}{n_{l-1}} + O(1/n^2), \qquad n_{l-1} \mathrm{Cov}(J_{12}, J_{34}) = V_J + O(1/n)

    It is the tangent kernel of a network in which z^{l0} alone is moved, and flows as that does: J' = chi_J J for every
    kind of layer, J_1 and V_J with all fluctuations of the metric.

    Parameters
    ----------
    net : MLP or Network
        Its learning rates play no part.
    inputs : array (N, n_0) or (n_0,)
    first_kernel : float or array (N, N)
        Instead of inputs: the kernel K of layer 1.
    start : int
        l0, from 1: the layer whose z is moved. Of a layer with several weight matrices z is the output.
    order : 0 or 1
        0: J and chi_J, for any number of inputs (some hundred if a layer has a norm). 1: J_1 and V_J besides, for as
        many inputs as :func:`rgflow.flow` offers at order 1.
    kinks, closure, progress, threads
        As for :func:`rgflow.flow`.

    Returns
    -------
    xarray.Dataset
        Dims ``layer`` (start..L) and ``sample0``, .. (absent for one input): J (1 at the layer ``start``); chi_J at
        layer l, the factor from l to l + 1 at leading order, NaN at the last; at order 1 also J_1, and V_J, which for
        several inputs has four sample dims. ``numerical_error`` (coefficient, layer) and ``chi_J_error`` (layer),
        absolute, the largest over samples; at order 1 ``expansion_ratio`` and ``trusted_layers`` as for a flow, and
        :func:`rgflow.total` takes it. Truncation error O(n^-(order+1)).

    Raises
    ------
    InputError, OrderError, KinkError, AccuracyError
        OrderError beyond the order to which the law of a layer holds.

    Source: Doshi, He, Gromov (arXiv:2111.12143), who write chi_J and the kernel of leading order.

    >>> from rgflow.network import MLP
    >>> net = MLP.uniform(n_in=3, width=100, depth=4, activation="relu", C_W=2.2)
    >>> ds = partial_jacobian(net, first_kernel=1.0, order=1)
    >>> ds["J"].values.round(6).tolist(), ds["V_J"].values.round(6).tolist()
    ([1.0, 1.1, 1.21, 1.331], [0.0, 1.21, 2.9282, 5.314683])
    """
    if not isinstance(net, Network):
        raise InputError(f"{net!r} is not a network; give rgflow.MLP(...) or rgflow.Network(...)")
    place = whole("start", start, 1)
    if place > net.depth:
        raise InputError(f"start is {place}; the network has the layers 1..{net.depth}")
    order = whole("order", order, 0)
    if order > 1:
        raise OrderError(f"order={order} of partial Jacobians is not offered; give 0, or 1 for J_1 and V_J")
    check_closure(closure)
    threads = whole("threads", threads, 1)
    begin = given(net, inputs, first_kernel)
    task = Task(*probed(net, place), begin, place, kinks, closure)
    check_first(net, task.through[0].law, begin.overlap)
    run = _flowed(task, progress, threads) if order else _leading(task, progress)
    return _dataset(net, task, run, order)


# Leading order --------------------------------------------------------------------------------------------------------


def _leading(task: Task, progress: bool) -> History:
    """J at every layer: by the compiled recursions, by the lines of the mean, or pair by pair for many inputs."""
    check_written("J", 1, task.one, task.net.activation, task.kinks)
    overlap = task.begin.overlap
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is named by its layer, later
        if pairwise([THETA], overlap, task.through):
            return run_pairs(task.net, task.through, overlap, progress)
        if task.one and task.in_one_time:
            with suppress(AccuracyError):  # kernels that underflow, say, where the lines below still hold
                return _compiled(task, (MEASURES[0], THETA), progress)
        found = leading(task.net.activation, task.through, overlap)
    last = [i for i, stage in enumerate(task.through) if stage.last]
    shape = (len(last), *(() if task.one else overlap.shape))
    values, errors = (np.reshape(x[last], shape) for x in (found.Theta, found.Theta_error))
    return History({THETA: values}, {THETA: errors})


def _compiled(task: Task, wanted: tuple[Tensor, ...], progress: bool, threads: int = 1) -> History:
    """By the recursions from one layer to the next."""
    from rgflow.flow.run import run  # loads Numba

    rules = tuple(stage.law for stage in task.through)
    systems = closures(wanted, "one" if task.one else "many", rules[1:] or rules)
    for system in systems.values():
        named = (replace(recursion, tensor=own(recursion.tensor)) for recursion in system)
        check_kinks(named, task.net.activation, task.kinks)
    return run(task.net, systems, rules, task.begin, progress, threads, wanted)


def _factors(task: Task, J: Array, error: Array) -> tuple[Array, Array]:
    """chi_J of every layer from ``start`` but the last, and its error; J and its error are of the same layers.

    A ratio of neighbours; where J itself has vanished, of a network in which every layer is moved: Theta' = chi Theta +
    1.
    """
    chi, doubt = _ratio(J[1:], error[1:], J[:-1], error[:-1])
    lost = np.abs(J[:-1]) < LEAST
    if lost.any():
        net, through = probed(task.net, None)
        run = _leading(task._replace(net=net, through=through), False)
        above = slice(task.start - 1, None)
        all_moved = run.values[THETA][above]
        spread = _largest(run.errors[THETA][above], J)
        added, more = _ratio(all_moved[1:] - 1.0, spread[1:] + EPSILON * all_moved[1:], all_moved[:-1], spread[:-1])
        chi, doubt = np.where(lost, added, chi), np.where(lost, more, doubt)
    return chi, doubt


def _largest(errors: Array, like: Array) -> Array:
    """The largest error of every layer, in the shape of the values."""
    most = np.abs(errors).reshape(len(like), -1).max(axis=1)
    return np.broadcast_to(most.reshape(-1, *(1,) * (like.ndim - 1)), like.shape)


def _ratio(above: Array, above_error: Array, below: Array, below_error: Array) -> tuple[Array, Array]:
    """Of neighbours; relative errors grow from layer to layer, and what they gain is that of the layer between."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        value = above / below
        grown = np.abs(above_error / below) - np.abs(value * below_error / below)
    return value, np.maximum(grown, 0.0) + 8 * EPSILON * np.abs(value)


# Next order -----------------------------------------------------------------------------------------------------------


def _flowed(task: Task, progress: bool, threads: int) -> History:
    """J, J_1 and V_J with all that they need: in one time where neurons keep no past, or by the book's closure."""
    wanted = (THETA, THETA_1, FLUCTUATION)
    rules = tuple(stage.law for stage in task.through)
    limited = next((s for s in task.through if s.law.order == 0), None)
    if limited is not None:
        raise OrderError(
            f"order=1 needs more than the law of {limited.law.name} layers (layer {limited.layer}) holds, which is "
            "known at leading order; pass order=0, or sample the network"
        )
    if task.in_one_time:
        return _compiled(task, (*wanted, *MEASURES), progress, threads)
    if task.closure == "book":
        several = next(stage.description for stage in task.through if not stage.last or stage.law.norm)
        raise InputError(f"{several!r} has no recursion in one time; take closure='full'")
    check_size(wanted, len(task.begin.overlap), memory=True)
    for tensor in (*wanted, *MEASURES):
        check_linked(tensor, rules)
        if tensor.cost:
            highest = highest_written(tensor, task.through)
            check_written(own(tensor).name, highest, task.one, task.net.activation, task.kinks)
    return run_stages(task.net, task.through, (*MEASURES, *wanted), task.begin.overlap, progress)


# Labelled -------------------------------------------------------------------------------------------------------------


def _dataset(net: Network, task: Task, run: History, order: int) -> xarray.Dataset:
    above = slice(task.start - 1, None)
    J = run.values[THETA][above]
    error = _largest(run.errors[THETA][above], J)
    bad = np.flatnonzero(~np.isfinite(J).reshape(len(J), -1).all(axis=1))
    if bad.size:
        raise AccuracyError(
            f"J of {net.activation.name} is not finite at layer {task.start + bad[0]}: it grows too fast; choose a "
            "smaller C_W or fewer layers"
        )
    chi, doubt = (np.concatenate([x, np.full_like(J[:1], np.nan)]) for x in _factors(task, J, error))
    found = {"J": (J, error, 2)}
    if order:
        for name, tensor, arguments in (("J_1", THETA_1, 2), ("V_J", FLUCTUATION, 4)):
            found[name] = (run.values[tensor][above], run.errors[tensor][above], arguments)
    data: dict[str, Any] = {}
    for name, (values, _, arguments) in {**found, "chi_J": (chi, doubt, 2)}.items():
        array = task.begin.expand(values, arguments)
        dims = ("layer", *(f"sample{i}" for i in range(array.ndim - 1)))
        data[name] = (dims, array, {"long_name": MEANINGS[name]})
    data["chi_J_error"] = ("layer", doubt.reshape(len(J), -1).max(axis=1), {"long_name": ERRORS})
    size = np.array([np.abs(errors).reshape(len(J), -1).max(axis=1) for _, errors, _ in found.values()])
    data["numerical_error"] = (("coefficient", "layer"), size, {"long_name": ERRORS})
    coords, attrs = described(net, "coefficients", task.kinks, CONVENTIONS)
    coords = {name: (x[0], x[1][above]) if isinstance(x, tuple) else x[above] for name, x in coords.items()}
    coords["coefficient"] = list(found)
    if order:
        _expansion(net, task, run, data, coords)
    about = {"order": order, "start": task.start, "brackets": run.brackets, "closure": task.closure}
    return dataset(data, coords, {**attrs, **about})


def _expansion(net: Network, task: Task, run: History, data: dict[str, Any], coords: dict[str, Any]) -> None:
    """What the flow knows of its own expansion, as in :mod:`rgflow.flow.dataset`."""
    found = expansion_ratios(run.values, np.array(net.fan_in, np.float64))
    ratios = {name: found[tensor.letter] for name, tensor in (("J", THETA), ("V_J", FLUCTUATION))}
    # J averages over the n_l neurons of its layer, of which A is the covariance of two, A + 2 B/n the variance of one
    A, B = (np.abs(run.values[tensor]).reshape(net.depth, -1).max(axis=1) for tensor in (FLUCTUATION, MEASURES[2]))
    with np.errstate(divide="ignore", invalid="ignore"):
        own = np.where(B == 0, 0.0, 2 * B / (A * np.array(net.widths[1:], np.float64)))
    ratios["V_J"] = np.maximum(ratios["V_J"], own)
    coords["letter"] = list(ratios)
    data["expansion_ratio"] = (
        ("letter", "layer"),
        np.array([ratio[task.start - 1 :] for ratio in ratios.values()]),
        {"long_name": "size of the next order in 1/n relative to the last, as far as this flow knows"},
    )
    data["trusted_layers"] = (
        ("letter",),
        np.array([trusted_layers(ratio) for ratio in ratios.values()]),
        {"long_name": f"last layer up to which expansion_ratio stays below {BOUND}"},
    )
