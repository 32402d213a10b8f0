r"""``trained``: networks of finite width after training, at first order in 1/n.

Gradient descent on L = 1/2 sum (z - y)^2 from random initialisations,

    theta <- theta - eta lambda dL/dtheta,

with the learning-rate tensor lambda (lambda_b for biases, lambda_W/n_{l-1} for weights). At infinite width the
tangent kernel stays what it was and z(T) = z - Theta u (1 - (1 - eta Theta)^T)(z - y), u the inverse of Theta on the
training inputs. At order 1/n the kernel fluctuates from network to network (K_1, Theta_1, D, F, A, B) and changes while
it learns (P, Q, R, S, T, U: representation learning). Source: PDLT chapter 10 and its last chapter; here the sum over
the trees of :mod:`rgflow.predict.training.trees`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rgflow.checks import whole
from rgflow.errors import AccuracyError, OrderError
from rgflow.network import Network
from rgflow.network.describe import described
from rgflow.predict.data import task
from rgflow.predict.training.clock import Clock, algorithm
from rgflow.predict.training.doubts import measures
from rgflow.predict.training.ensemble import Ensemble, ensemble, flowed
from rgflow.predict.training.parts import NAMES, Variables, errors, kernels, predictions
from rgflow.predict.trust import judged

if TYPE_CHECKING:
    import xarray


CONVENTIONS = (
    "loss 1/2 sum (z - y)^2 over training inputs and outputs; learning_rate times lambda_b for biases and "
    "lambda_W/n_{l-1} for weights; *_shift is the term of order 1/n at the widths of the network"
)


def trained(
    net: Network,
    train: Any,
    test: Any,
    *,
    learning_rate: float | None = None,
    steps: int | None = None,
    time: float | None = None,
    order: int = 1,
    progress: bool = False,
) -> xarray.Dataset:
    r"""Mean and covariance, over initialisations, of the predictions of trained networks.

    .. math:: \theta_{t+1} = \theta_t - \eta\, \lambda \frac{\partial \mathcal{L}}{\partial \theta}, \qquad
              \mathcal{L} = \tfrac12 \sum_{i, \alpha} (z_{i;\alpha} - y_{i;\alpha})^2

    Parameters
    ----------
    net : MLP or Network
    train : (inputs, targets)
        Arrays (N, n_0) and (N, n_out); (N,) for one output.
    test : inputs, or (inputs, targets)
        Arrays (M, n_0) and (M, n_out). With targets the expected squared error is split. At order 1 all inputs that
        differ are 32 at most; give test inputs in groups.
    learning_rate : float or None
        eta of gradient descent with the whole training set; None is gradient flow, dtheta/dt = -lambda dL/dtheta.
    steps, time : int, float or None
        How long: the number of steps, or the time of gradient flow; None is until the training error is gone.
    order : 0 or 1
        Order in 1/n. 0 is infinite width, for any number of inputs.
    progress : bool
        Show a bar.

    Returns
    -------
    xarray.Dataset
        Dims ``test``, ``output`` (twice in covariances: ``other_test``, ``other_output``), ``mode`` (training modes,
        the eigenvectors of the tangent kernel) and ``part``.
        ``mean``, ``covariance``: all known orders; ``mean_infinite``, ``covariance_infinite``: infinite width;
        ``mean_shift``, ``covariance_shift``: the order 1/n at the network's widths, left out is O(1/n^2), with
        ``*_part`` by origin: prior (K_1), NTK mean (Theta_1), NTK with prior (D, F), NTK fluctuation (A, B), dNTK
        (P, Q), ddNTK I (R) and ddNTK II (S, T, U), of which the last three are representation learning. V alone has no
        part in them. ``*_numerical_error``: what errors of the tensors do to these, an estimate.
        ``ntk``, ``ntk_shift``, ``ntk_change`` (test, other_test): mean tangent kernel Theta, Theta_1/n, and what
        training adds to it at order 1/n, for outputs (output, other_output).
        ``eigenvalue``, ``left``, ``kernel_fluctuation`` (mode): of the mean tangent kernel on the training inputs, what
        is left of each mode's error, and the kernel's standard deviation relative to its mean, as far as it is learnt.
        ``error_infinite``, ``error_shift`` (contribution, test, output) with test targets: expected squared error from
        "bias", "variance" and "representation learning".
        ``answers``: the test targets. ``trusted``: whether every ``measure`` (doubt) of what the expansion takes to be
        small is within its ``limit``; ``attrs["doubts"]`` says which are not.

    Raises
    ------
    InputError
        Shapes; learning_rate not below 2/largest eigenvalue; training inputs whose tangent kernel is singular, without
        ``steps`` or ``time``; too many inputs.
    KinkError
        At order 1 for an activation with a kink: neurons cross it as they learn, and predictions of ReLU networks then
        move like n^(-1/2). Where the last layer learns alone there is no such limit.
    OrderError, AccuracyError
        As in :func:`rgflow.flow`.

    Warns
    -----
    DomainWarning
        When the order 1/n is not small: see ``attrs["doubts"]``.

    >>> from rgflow.network import MLP
    >>> net = MLP([1, 100, 100, 1], "sin", C_b=0.1)
    >>> ds = trained(net, ([[0.5], [1.5]], [1.0, -1.0]), [[0.5], [1.0]], learning_rate=0.2)
    >>> ds["mean"].values[:, 0].round(6).tolist()  # a training input is learnt
    [1.0, 0.072803]
    """
    import xarray

    if whole("order", order, 0) > 1:
        raise OrderError(f"order={order!r}: training is known to order 0 and 1 in 1/n")
    clock = algorithm(learning_rate, steps, time)
    data = task(net, train, test)
    ds = flowed(net, data, order, progress)
    known, moved = ensemble(ds, data), ensemble(ds, data, displaced=True)
    doubt = float(np.abs(moved.eigenvalues - known.eigenvalues).max())
    clock.check(known.eigenvalues, doubt, "tangent kernel of the training inputs")
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused by name
        variables = {**predictions(known, moved, clock, order), **kernels(known, clock, order)}
        variables |= _modes(known, clock, order)
        if data.answers is not None:
            variables |= errors(variables, data.answers, order)
            variables["answers"] = (("test", "output"), data.answers)
    for name, (_, values) in variables.items():
        if not np.isfinite(values).all():
            raise AccuracyError(f"{name} overflows: take smaller targets, fewer steps or a smaller learning rate")
    coords, attrs = described(net, "trained", ds.attrs["kinks"], CONVENTIONS)
    attrs |= {"order": order, "algorithm": clock.name, "duration": clock.duration}
    if clock.step is not None:
        attrs["learning_rate"] = clock.step
    if order:
        small = measures(net, ds, known, clock, variables)
        judgement, names, attrs["doubts"] = judged("training at order 1/n", small, stacklevel=2)
        variables |= judgement
        coords |= {**names, "part": list(NAMES)}
    if data.answers is not None:
        coords["contribution"] = ["bias", "variance", "representation learning"]
    return xarray.Dataset(variables, coords, attrs)


def _modes(known: Ensemble, clock: Clock, order: int) -> Variables:
    found: Variables = {
        "eigenvalue": (("mode",), known.eigenvalues),
        "left": (("mode",), clock.left(known.eigenvalues)),
    }
    if order:
        found["kernel_fluctuation"] = (("mode",), known.fluctuations() * clock.pull(known.eigenvalues))
    return found
