r"""Nearly-kernel methods: the simplest learning of features, to first order in epsilon.

A model quadratic in its weights,

    z_i(x) = sum_j W_ij phi_j(x) + epsilon/2 sum_jk W_ij W_ik psi_jk(x),

has a second derivative and no third. Its kernel k_ab = sum phi_j(a) phi_j(b) and its *meta-kernel*

    mu_{a bc} = epsilon sum_jk psi_jk(a) phi_j(b) phi_k(c)

are all that predictions know of the features, to first order in epsilon: the trees of
:mod:`rgflow.predict.training.trees` with two edges, nothing random, with the times of the training algorithm. They are
to a network what the NTK and its first differential are. Source: PDLT section 11.4 (equation numbers not seen).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rgflow.predict.training.clock import Clock, algorithm
from rgflow.predict.training.kernel_problem import Problem, problems
from rgflow.predict.training.products import Grown, grown
from rgflow.predict.training.trees import Diagram, kernel_diagrams, output_diagrams, weight
from rgflow.predict.trust import HALF, Measure, judged
from rgflow.version import __version__

if TYPE_CHECKING:
    import xarray

Floats = NDArray[np.float64]
OUTPUT = 50  # the label of outputs in einsum, above those of nodes

CONVENTIONS = (
    "loss 1/2 sum (z - y)^2 over training samples and outputs; *_shift is the term of first order in the meta-kernel; "
    "training samples first"
)


def nearly_kernel_predict(
    kernel: Any,
    meta_kernel: Any,
    targets: Any,
    *,
    learning_rate: float | None = None,
    steps: int | None = None,
    time: float | None = None,
    start: Any = None,
) -> xarray.Dataset:
    r"""Predictions of a model with a slightly quadratic dependence on its weights, trained by gradient descent.

    .. math:: k(x, x') = \sum_j \phi_j(x) \phi_j(x'), \qquad
              \mu(x; x', x'') = \epsilon \sum_{jk} \psi_{jk}(x) \phi_j(x') \phi_k(x'')

    Parameters
    ----------
    kernel : array (S, S), or (n_out, S, S) with one for each output
        k of all samples, the N training samples first; symmetric, not negative.
    meta_kernel : array (S, S, S), or (n_out, S, S, S)
        mu_{a bc}, symmetric in b and c: the first argument is that of psi. It contains epsilon.
    targets : array (N, n_out), or (N,) for one output
    learning_rate : float or None
        eta of gradient descent with all training samples; None is gradient flow.
    steps, time : int, float or None
        How long: the number of steps, or the time of gradient flow; None is until the training error is gone.
    start : array (S, n_out) or (S,), optional
        Outputs before training; 0, as with weights 0. With other weights k and mu are made of effective features.

    Returns
    -------
    xarray.Dataset
        ``prediction`` (sample, output) = ``prediction_kernel``, the kernel method's, + ``prediction_shift``, the first
        order in mu; left out is the second. ``kernel`` and ``kernel_shift`` (output, sample, other_sample): the kernel
        at the start, and what training adds to it at first order: features have moved. ``eigenvalue`` and ``left``
        (output, mode): of the kernel on training samples, and what is left of each mode's error. ``trusted``: whether
        no doubt stands in ``attrs["doubts"]``.

    Raises
    ------
    InputError
        Shapes; values that are not finite; a kernel that is not symmetric or has negative eigenvalues; a meta-kernel
        that is not symmetric in its last two arguments; a learning_rate not below 2/largest eigenvalue; a singular
        kernel without ``steps`` or ``time``; too many training samples for the memory.

    Warns
    -----
    DomainWarning
        When the first order is not small: see ``attrs["doubts"]``.

    >>> ds = nearly_kernel_predict([[1.0, 0.5], [0.5, 1.0]], np.full((2, 2, 2), 0.1), [1.0], learning_rate=0.5)
    >>> ds["prediction"].values[:, 0].round(6).tolist()  # a kernel method says 0.5
    [1.0, 0.541667]
    """
    clock = algorithm(learning_rate, steps, time)
    given, several = problems(kernel, meta_kernel, targets, start, clock)
    found = [_trained(problem, clock) for problem in given]
    return _dataset(given, found, clock, several)


@dataclass(frozen=True, eq=False)
class Found:
    """What training makes of a problem, (S, outputs) and (outputs, S, S)."""

    kernel_method: Floats
    shift: Floats
    moved: Floats  # the change of sample a's effective features, times the features of sample b

    @property
    def kernel_shift(self) -> Floats:
        """First order."""
        return self.moved + self.moved.swapaxes(1, 2)

    def kernel_growth(self, kernel: Floats) -> Floats:
        """Second order, as far as the samples' features span it: the square of what features have moved."""
        return self.moved @ np.linalg.pinv(kernel, hermitian=True) @ self.moved.swapaxes(1, 2)


@lru_cache(maxsize=1)
def diagrams() -> tuple[tuple[Diagram, ...], tuple[Diagram, ...], tuple[Diagram, ...]]:
    """Of the trees of networks those of the kernel method, those with one meta-kernel, and of features that move.

    A network's other trees have a kernel that fluctuates, or jets of higher order.
    """
    outputs = output_diagrams(1)
    first_root = (diagram for diagram in kernel_diagrams(1) if diagram[0])  # the second is its mirror image
    return tuple(_with(0, outputs)), tuple(_with(2, outputs)), tuple(_with(2, first_root))


def _with(edges: int, several: Iterable[Diagram]) -> Iterator[Diagram]:
    for diagram in several:
        one = grown(diagram, count())
        if not one.centred and sum(len(jet.edges) for jet in one.jets) == 2 * edges:
            yield diagram


def _trained(problem: Problem, clock: Clock) -> Found:
    leading, shift, moved = (
        np.sum([_value(diagram, problem, clock) for diagram in several], axis=0) for several in diagrams()
    )
    return Found(leading, shift, np.moveaxis(moved, -1, 0))


def _value(diagram: Diagram, problem: Problem, clock: Clock) -> Floats:
    """One diagram: (S, outputs), or (S, S, outputs) with two roots."""
    one = grown(diagram, count())
    operands: list[Any] = []
    factor = 1.0
    for forest in diagram:
        factor *= float(weight(forest))
    if one.nodes:
        operands += [clock.weights(diagram, problem.eigenvalues), list(one.nodes)]
    for pair in one.means:
        operands += [problem.at(problem.kernel, pair, one.roots), list(pair)]
    if any(jet.edges for jet in one.jets):
        labels = _meta(one)
        operands += [problem.at(problem.meta_kernel, labels, one.roots), list(labels)]
    for label in one.errors:
        operands += [problem.errors, [label, OUTPUT]]
    if not one.nodes:  # nothing has acted: the output at the start
        operands += [problem.start, [*one.roots, OUTPUT]]
    return factor * np.asarray(np.einsum(*operands, [*one.roots, OUTPUT], optimize="greedy"))


def _meta(one: Grown) -> tuple[int, int, int]:
    """The arguments of the meta-kernel: the jet of two edges, and the two that share them."""
    (middle,) = (jet for jet in one.jets if len(jet.edges) == 2)
    first, second = (next(jet for jet in one.jets if jet.edges == (edge,)).sample for edge in middle.edges)
    return middle.sample, first, second


# What a user gets -----------------------------------------------------------------------------------------------------


def _dataset(given: list[Problem], found: list[Found], clock: Clock, several: bool) -> xarray.Dataset:
    import xarray

    outputs = sum(problem.start.shape[1] for problem in given)

    def each(values: Iterable[Floats]) -> Floats:
        """One for each output."""
        array = np.array(list(values))
        return array if several else np.repeat(array, outputs, axis=0)

    leading = np.concatenate([one.kernel_method for one in found], axis=1)
    shift = np.concatenate([one.shift for one in found], axis=1)
    each_output = zip(*(_measures(*pair, clock) for pair in zip(given, found, strict=True)), strict=True)
    worst = [max(alike, key=lambda measure: measure.value) for alike in each_output]
    judgement, doubt, doubts = judged("the first order of a nearly-kernel prediction", worst, stacklevel=3)
    square = ("output", "sample", "other_sample")
    return xarray.Dataset(
        {
            "prediction": (("sample", "output"), leading + shift),
            "prediction_kernel": (("sample", "output"), leading),
            "prediction_shift": (("sample", "output"), shift),
            "kernel": (square, each(problem.kernel for problem in given)),
            "kernel_shift": (square, np.concatenate([one.kernel_shift for one in found])),
            "eigenvalue": (("output", "mode"), each(problem.eigenvalues for problem in given)),
            "left": (("output", "mode"), each(clock.left(problem.eigenvalues) for problem in given)),
            **judgement,
        },
        coords=doubt,
        attrs={**attributes(clock), "kind": "nearly kernel", "doubts": doubts},
    )


def attributes(clock: Clock) -> dict[str, Any]:
    """Of every result: what was done."""
    return {
        "conventions": CONVENTIONS,
        "algorithm": clock.name,
        "duration": clock.duration,
        **({} if clock.step is None else {"learning_rate": clock.step}),
        "rgflow_version": __version__,
    }


def _measures(problem: Problem, found: Found, clock: Clock) -> list[Measure]:
    """What the first order takes to be small."""
    count = len(problem.modes)
    moved = np.abs(found.kernel_method - problem.start).max(axis=0) + np.abs(problem.errors).max(axis=0)
    share = float((np.abs(found.shift).max(axis=0) / np.where(moved > 0, moved, 1.0)).max())
    # what training does to the kernel, seen by the modes that it learns: slow ones see more
    seen = np.sqrt((1 - clock.left(problem.eigenvalues)).clip(0) / problem.eigenvalues.clip(np.finfo(float).tiny))
    change = np.array([problem.modes.T @ part[:count, :count] @ problem.modes for part in found.kernel_shift])
    growth = found.kernel_growth(problem.kernel)[:, :count, :count]
    further = change + problem.modes.T @ growth @ problem.modes
    strain = max(_size(seen[:, None] * part * seen) for part in (*change, *further))
    measures = [
        Measure("shift", share, HALF, "the first order's shift of predictions, relative to what is learnt,"),
        Measure("kernel", strain, HALF, "the change of the kernel of what is learnt by training, relative to it,"),
    ]
    if clock.step is not None:
        after = float(np.linalg.eigvalsh(np.diag(problem.eigenvalues) + further).max())
        meaning = "learning_rate times the largest eigenvalue of the kernel after training"
        measures.append(Measure("step", clock.step * after, 2, meaning, f"take less than {2 / after:.3g}"))
    return measures


def _size(matrix: Floats) -> float:
    return float(np.abs(np.linalg.eigvalsh(matrix)).max())
