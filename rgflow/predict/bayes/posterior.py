"""``posterior``: Bayesian regression with a network of finite width as the prior, to first order in 1/n."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from rgflow.brackets import gaussian_moments
from rgflow.checks import not_negative, whole
from rgflow.errors import AccuracyError, InputError, KinkError
from rgflow.network import MLP, Network
from rgflow.network.describe import described
from rgflow.network.inputs import given
from rgflow.predict.bayes.metric import Metric, exact_metric
from rgflow.predict.bayes.neurons import Neurons, correction, neurons
from rgflow.predict.bayes.regression import Regression, Response, Shift, nothing, regression, respond
from rgflow.predict.bayes.sampled_response import lean_response, sampled_response
from rgflow.predict.bayes.trust import measures
from rgflow.predict.data import Task, task
from rgflow.predict.trust import judged
from rgflow.progress import progress_bar
from rgflow.seeds import seed_sequence, seed_text

if TYPE_CHECKING:
    import xarray

Floats = NDArray[np.float64]
Modes = Literal["auto", "exact", "sampled"]
Covariance = Literal["joint", "each", "none"]
FEW = 4  # different inputs, training and test together, whose modes are found exactly if nothing is said
ENOUGH = 512
SCRAMBLES = 8  # independent sets of Sobol points: their spread is the standard error
MOST = 1 << 23  # numbers in the covariance of all test inputs and outputs, kept for every scramble: 512 MiB
MOMENTS = ((((0, 0, 0, 0), 0),), (((0, 0), 0),))  # <sigma^4>, <sigma^2>
CONVENTIONS = (
    "targets = outputs + noise of variance noise; NAME = NAME_infinite + NAME_shift, where NAME_shift is the term of "
    "order 1/n at the network's own widths"
)


@dataclass(frozen=True, eq=False)
class _Found:
    """What either way of finding the fluctuations gives."""

    problem: Regression
    shift: Shift
    error: Shift | None
    strain: float
    vertex: float  # the largest V/(n K^2) of one input
    seed: str = ""


def posterior(
    net: Network,
    train: Any,
    test: Any,
    noise: float = 0.0,
    *,
    modes: Modes = "auto",
    draws: int = 2**14,
    seed: Any = None,
    covariance: Covariance = "joint",
    progress: bool = False,
) -> xarray.Dataset:
    r"""Mean and covariance of a network's outputs given data, and the log evidence, to order 1/n.

    At order 1/n a network is Gaussian with a random metric, E G = K + K_1/n, Cov(G, G) = V/n. The data weigh metrics by
    their evidence, so that the metric itself learns: it moves by :math:`\sum_k \mathcal{Dl}[G_k] G_k`, and outputs are
    no longer independent. Everything follows from the change of Gaussian regression with its metric,
    :mod:`rgflow.predict.bayes.regression`.

    Parameters
    ----------
    net : MLP or Network
        The prior: its weights drawn as it says.
    train : (inputs, targets)
        Arrays (N, n_0) and (N, n_out); (N,) for one output.
    test : inputs or (inputs, targets)
        Where to predict, (M, n_0); targets are kept in the result.
    noise : float
        Variance of Gaussian label noise; 0: outputs equal the targets. It belongs to the data, and may be given without
        its name.
    modes : "exact", "sampled" or "auto"
        How fluctuations of the metric are found: from the four-point vertex V at all inputs, for few of them and any
        layers; or as averages over draws of neurons, for MLPs and any number of inputs, at N^2 operations a draw at
        most. "auto" is "exact" for up to four different inputs, unless it is an MLP whose V cannot be had to any
        accuracy there (a kink at nearly dependent inputs).
    draws : int
        Neurons drawn at every hidden layer, rounded up to eight times a power of two: eight independently scrambled
        sets of Sobol points. Standard errors ``NAME_se`` come from their spread.
    seed : int, SeedSequence, Generator or None
        Of the draws, as in :func:`rgflow.sample`; ``attrs["seed"]`` tells which it was. Exact modes need none.
    covariance : "joint", "each" or "none"
        Of all test inputs and outputs (dims test, other_test, output, other_output); of the outputs at each test input
        alone; or none, which for one hidden layer is some ten times faster.
    progress : bool
        Show a bar.

    Returns
    -------
    xarray.Dataset
        ``mean``, ``covariance`` and ``log_evidence`` (with the noise-free outputs as what is predicted), each the sum
        of ``NAME_infinite`` and ``NAME_shift``; truncation error O(1/n^2). ``trusted`` says whether the expansion
        holds: no ``measure`` (of what the expansion takes to be small; :mod:`rgflow.predict.bayes.trust`) exceeds its
        ``limit``; ``attrs["doubts"]`` says which do.

    Warns
    -----
    DomainWarning
        If the expansion is not to be trusted: the data are too unlikely for this width.

    Raises
    ------
    InputError
        For wrong shapes, a singular kernel without noise, too many inputs for exact modes, sampled modes of a network
        that is not an MLP; and what :func:`rgflow.flow` raises.
    AccuracyError
        For exact modes of a kinked activation at inputs too near to be told apart (take sampled ones), and for inputs
        or targets whose squares leave the range of numbers.

    >>> net = MLP([2, 100, 1], "relu", C_W=2.0)
    >>> ds = posterior(net, ([[1.0, 0.5]], [0.2]), [[0.5, 1.0]], noise=0.1)
    >>> round(float(ds["mean_infinite"][0, 0]), 4), round(float(ds["mean_shift"][0, 0]), 4), bool(ds["trusted"])
    (0.1532, -0.0004, True)
    """
    what = task(net, train, test)
    noise = not_negative("noise", noise)
    draws = whole("draws", draws, 1)
    root = seed_sequence(seed)
    if not isinstance(modes, str) or modes not in ("auto", "exact", "sampled"):
        raise InputError(f"modes is {modes!r}; it is 'exact', 'sampled' or 'auto'")
    if not isinstance(covariance, str) or covariance not in ("joint", "each", "none"):
        raise InputError(f"covariance is {covariance!r}; it is 'joint', 'each' or 'none'")
    joint = covariance == "joint"
    numbers = (len(what.test) * net.widths[-1]) ** 2
    if joint and numbers > MOST:
        raise InputError(
            f"the covariance of {len(what.test)} test inputs and {net.widths[-1]} outputs has {numbers:.3g} entries; "
            "pass covariance='each' for that of the outputs at each test input"
        )
    if isinstance(net, MLP):
        found, modes = _mlp(net, what, noise, modes, covariance, draws, root, progress)
    elif modes == "sampled":
        raise InputError(f"{net!r} is not an MLP: sampled modes are offered for dense layers; take modes='exact'")
    else:
        found, modes = _exact(exact_metric(net, what.inputs, progress), what, noise, joint), "exact"
    if covariance == "none":
        found = replace(found, shift=found.shift._replace(covariance=None))
    return _dataset(net, what, noise, joint, modes, found)


def _mlp(
    net: MLP,
    what: Task,
    noise: float,
    modes: Modes,
    covariance: Covariance,
    draws: int,
    root: np.random.SeedSequence,
    progress: bool,
) -> tuple[_Found, Modes]:
    """By either way; which, if it is left open."""
    if modes == "exact" or (modes == "auto" and len(given(net, what.inputs).overlap) <= FEW):
        try:
            metric = exact_metric(net, what.inputs, progress)
        except (AccuracyError, KinkError) as error:
            if modes == "exact":
                raise type(error)(f"{error}; or take modes='sampled'") from error
        else:
            return _exact(metric, what, noise, covariance == "joint"), "exact"
    return _sampled(net, what, noise, covariance, draws, root, progress), "sampled"


def _relative(vertex: Any, kernel: Any) -> float:
    """The largest V/(n K^2) for V/n (N,) and K (N,) of single inputs; an input without outputs has none."""
    return float(np.divide(vertex / np.where(kernel > 0, kernel, 1), kernel, where=kernel > 0, out=0 * kernel).max())


def _exact(metric: Metric, what: Task, noise: float, joint: bool) -> _Found:
    problem = regression(metric.kernel, what.targets, noise, joint)
    response = respond(problem, *metric.modes())
    shift = problem.shift(metric.change, response)
    alone = _relative(np.einsum("aaaa->a", metric.vertex), np.diagonal(metric.kernel))
    return _Found(problem, shift, None, problem.strain(metric.change, response), alone)


def _sampled(
    net: MLP,
    what: Task,
    noise: float,
    covariance: Covariance,
    draws: int,
    root: np.random.SeedSequence,
    progress: bool,
) -> _Found:
    network = neurons(net, what.inputs, progress)
    problem = regression(network.kernel, what.targets, noise, covariance == "joint")
    lean = covariance == "none" and net.depth == 2
    each = 1 << max(0, math.ceil(math.log2(draws / SCRAMBLES)))
    layers = net.depth - 1
    shifts: list[Shift] = []
    change, response = np.zeros_like(network.kernel), nothing(problem)
    with progress_bar(progress, "neurons", SCRAMBLES * each * layers) as advance:
        for child in root.spawn(SCRAMBLES):
            above, inside = child.spawn(2)
            K_1 = correction(network, each, above)
            full = min(each, ENOUGH) if lean else each  # for the strain a few draws are enough
            part = sampled_response(problem, network, full, inside, (lambda count: None) if lean else advance)
            shift = problem.shift(K_1, part)
            if lean:
                mean_shift, evidence = lean_response(problem, network, each, inside.spawn(1)[0], advance)
                shift = Shift(mean_shift, np.zeros(()), np.asarray(evidence))
            shifts.append(shift)
            change += K_1 / SCRAMBLES
            response = response.plus(part)
    mean = Shift(*(sum(parts) / SCRAMBLES for parts in zip(*shifts, strict=True)))
    error = Shift(*(np.std(parts, axis=0, ddof=1) / np.sqrt(SCRAMBLES) for parts in zip(*shifts, strict=True)))
    response = Response(*(np.asarray(x) / SCRAMBLES for x in response))
    return _Found(problem, mean, error, problem.strain(change, response), _alone(network, net), seed_text(root))


def _alone(network: Neurons, net: MLP) -> float:
    """The largest V/(n K^2) of one input: exact averages over one neuron of every layer."""
    total = np.zeros(len(network.kernel))
    for layer in network.top:
        d = (layer.root**2).sum(axis=1)
        four = gaussian_moments(net.activation, d[:, None, None], MOMENTS, "almost_everywhere")[0]
        total += np.diagonal(layer.P) ** 2 * (four[:, 0] - four[:, 1] ** 2)
    return _relative(total, np.diagonal(network.kernel))


def _dataset(net: Network, what: Task, noise: float, joint: bool, modes: str, found: _Found) -> xarray.Dataset:
    import xarray

    problem, shift = found.problem, found.shift
    leading = Shift(
        problem.mean, problem.spread[..., None, None] * np.eye(problem.outputs), np.asarray(problem.log_evidence)
    )
    dims = {
        "mean": ("test", "output"),
        "covariance": ("test", *(("other_test",) if joint else ()), "output", "other_output"),
        "log_evidence": (),
    }
    data: dict[str, Any] = {}
    for name, order0, order1, error in zip(Shift._fields, leading, shift, found.error or (None,) * 3, strict=True):
        if order1 is None:
            continue
        data[name] = (dims[name], order0 + order1)
        data[f"{name}_infinite"] = (dims[name], order0)
        data[f"{name}_shift"] = (dims[name], np.asarray(order1), {"long_name": "term of order 1/n at these widths"})
        if error is not None:
            data[f"{name}_se"] = (dims[name], np.asarray(error), {"long_name": f"standard error of {name}_shift"})
    variance = problem.spread.diagonal() if joint else problem.spread
    small = measures(found.strain, found.vertex, shift, variance, problem.targets.size)
    verdict, names, doubts = judged("the posterior at order 1/n", small, stacklevel=3)
    data |= verdict
    if what.answers is not None:
        data["answers"] = (("test", "output"), what.answers)
    coords, attrs = described(net, "posterior", "almost_everywhere", CONVENTIONS)
    attrs |= {"order": 1, "noise": noise, "modes": modes, "doubts": doubts}
    if found.seed:
        attrs["seed"] = found.seed
    return xarray.Dataset(data, coords | names, attrs)
