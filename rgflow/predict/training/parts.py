"""The order 1/n of training by its origin: which letter carries it, and what of it is representation learning."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rgflow.algebra import Tensor
from rgflow.predict.training.averages import Terms, covariance, mean
from rgflow.predict.training.clock import Clock
from rgflow.predict.training.ensemble import EPSILON, Ensemble
from rgflow.predict.training.trees import kernel_diagrams, output_diagrams

Floats = NDArray[np.float64]
Variables = dict[str, tuple[tuple[str, ...], Any]]  # name: dims, values

# Where a term of order 1/n comes from, by the letter that carries it.
PARTS = {
    "K_1": "prior",
    "Theta_1": "NTK mean",
    "D": "NTK with prior",
    "F": "NTK with prior",
    "A": "NTK fluctuation",
    "B": "NTK fluctuation",
    "P": "dNTK",
    "Q": "dNTK",
    "R": "ddNTK I",
    "S": "ddNTK II",
    "T": "ddNTK II",
    "U": "ddNTK II",
}
LEARNING = ("dNTK", "ddNTK I", "ddNTK II")  # representation learning
NAMES = tuple(dict.fromkeys(PARTS.values()))


def predictions(known: Ensemble, moved: Ensemble, clock: Clock, order: int) -> Variables:
    """Mean and covariance by order and origin; ``moved`` is the ensemble displaced by its numerical error."""
    diagrams = output_diagrams(order)
    found: Variables = {}
    squares = ("test", "other_test", "output", "other_output")
    for name, average, dims in (("mean", mean, ("test", "output")), ("covariance", covariance, squares)):
        terms = _by_part(average(known, clock, diagrams, order), known.outputs)
        shifted = _by_part(average(moved, clock, diagrams, order), known.outputs)
        parts = np.array([terms[part] for part in NAMES])
        found[f"{name}_infinite"] = (dims, terms[""])
        if order:
            found[f"{name}_shift"] = (dims, parts.sum(axis=0))
            found[f"{name}_shift_part"] = (("part", *dims), parts)
        found[name] = (dims, terms[""] + parts.sum(axis=0))
        doubt = sum(np.abs(shifted[part] - terms[part]) + 4 * EPSILON * np.abs(terms[part]) for part in terms)
        found[f"{name}_numerical_error"] = (dims, doubt)
    return found


def kernels(known: Ensemble, clock: Clock, order: int) -> Variables:
    """The tangent kernel of the test samples: its mean, and what training adds to it."""
    size = len(known.eigenvalues)
    found: Variables = {"ntk": (("test", "other_test"), known.tensors[Tensor.named("Theta")][size:, size:])}
    if order:
        shift = known.tensors[Tensor.named("Theta_1")][size:, size:] / known.width
        terms = _by_part(mean(known, clock, kernel_diagrams(order), order), known.outputs)
        change = np.sum([terms[part] for part in LEARNING], axis=0)
        found["ntk_shift"] = (("test", "other_test"), shift)
        found["ntk_change"] = (("test", "other_test", "output", "other_output"), change)
    return found


def errors(variables: Variables, answers: Floats, order: int) -> Variables:
    """E (z - y)^2 = (E z - y)^2 + Var z, order by order, split by origin."""
    dims = ("contribution", "test", "output")

    def own(name: str) -> Floats:
        return np.asarray(np.einsum("...aaii->...ai", variables[name][1]))

    bias, variance = variables["mean_infinite"][1] - answers, own("covariance_infinite")
    found: Variables = {"error_infinite": (dims, np.array([bias**2, variance, np.zeros_like(bias)]))}
    if order:
        learns = np.isin(NAMES, LEARNING)
        means, spreads = variables["mean_shift_part"][1], own("covariance_shift_part")
        lazy = 2 * bias * means[~learns].sum(axis=0), spreads[~learns].sum(axis=0)
        learnt = 2 * bias * means[learns].sum(axis=0) + spreads[learns].sum(axis=0)
        found["error_shift"] = (dims, np.array([*lazy, learnt]))
    return found


def _by_part(terms: Terms, outputs: int) -> dict[str, Floats]:
    """Sums by origin, "" for the leading order, with delta_ij of what is paired written out."""
    found: dict[str, Any] = {part: 0.0 for part in ("", *NAMES)}
    identity = np.eye(outputs)
    for letter, value in terms.apart.items():
        found[PARTS.get(letter, letter)] = found[PARTS.get(letter, letter)] + value
    for letter, value in terms.paired.items():
        found[PARTS.get(letter, letter)] = found[PARTS.get(letter, letter)] + value[..., None, None] * identity
    shape = np.broadcast_shapes(*(np.shape(value) for value in found.values()))
    return {part: np.broadcast_to(value, shape) for part, value in found.items()}
