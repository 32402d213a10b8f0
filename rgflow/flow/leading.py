"""The leading means of a network of stages: K and Theta of any number of inputs, with their numerical error.

K = constants + sum over parts of C_W <s_a s_b> (or of K below, for a part without activation) + skip^2 K below
Theta likewise, with <s'_a s'_b> Theta below. Of few inputs the averages are those of all layers at once, by quadrature;
of many each pair goes through the layers for itself (:mod:`rgflow.gram`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rgflow.activations import Activation
from rgflow.algebra import Bracket, Tensor
from rgflow.algebra.jets import Jet
from rgflow.algebra.response import OF_KERNEL, OF_VARIANCE, Entry, Neuron
from rgflow.brackets import gaussian_moments
from rgflow.derive.response import mean
from rgflow.errors import AccuracyError, InputError
from rgflow.flow.history import History
from rgflow.flow.inputs import entering
from rgflow.flow.moments import plan
from rgflow.gram.gram import matrices
from rgflow.gram.inputs import of_kernel
from rgflow.layers.stages import Stage
from rgflow.network import Network

PLAIN: Entry = (Jet(1), Jet(2))
TANGENT: Entry = (Jet(1, (0,)), Jet(2, (0,)))
EPSILON = np.finfo(float).eps
Rows = dict[Entry, list[Any]]  # by stage
MEAN, NU = Bracket(((0, 0),), 0), "1/nu"  # of inputs alone
FEW = 10  # inputs: beyond, pairs go one by one


@dataclass(frozen=True, eq=False)
class Leading:
    """K and Theta of every stage, (S, N, N), and bounds on their numerical error."""

    K: Any
    Theta: Any
    K_error: Any
    Theta_error: Any


def pairwise(tensors: Sequence[Tensor], overlap: Any) -> bool:
    """Whether K and Theta alone are asked, of more than a few inputs."""
    return len(overlap) > FEW and not any(tensor.cost for tensor in tensors)


def run_pairs(
    net: Network, stages: Sequence[Stage], overlap: Any, progress: bool = False, threads: int | None = None
) -> History:
    """K and Theta of every layer, pair by pair; errors (L, 1, 1) hold for all pairs."""
    found = matrices(net, stages, of_kernel(overlap), range(1, net.depth + 1), threads=threads, progress=progress)
    names = [Tensor.named(name) for name in ("K", "Theta")]
    errors = {name: found.errors[:, i, None, None] for i, name in enumerate(names)}
    how = "quadrature" if net.activation.slopes is None else "closed form"
    return History(dict(zip(names, (found.K, found.Theta), strict=True)), errors, how)


def leading(activation: Activation, stages: Sequence[Stage], overlap: Any) -> Leading:
    """Flow K and Theta from the overlaps x.x'/n_0 of the inputs through all stages."""
    samples = len(overlap)
    shapes = tuple(
        dict.fromkeys(
            _shape(bracket)
            for stage in stages[1:]
            for entry in (PLAIN, TANGENT)
            for answer in mean(entry, stage.law)
            for bracket in answer.brackets
            if len(bracket.samples) == 2
        )
    )
    moments = plan(shapes, samples)
    size = samples**2
    values: Rows = {PLAIN: [], TANGENT: []}
    errors: Rows = {PLAIN: [], TANGENT: []}
    blocks: list[dict[Any, tuple[Any, Any]]] = []
    first = dict(zip((PLAIN, TANGENT), entering(stages[0].description, overlap), strict=True))
    for t, stage in enumerate(stages):
        for entry in (PLAIN, TANGENT):
            total, doubt = (
                _stage(stage, entry, t, values, errors, blocks) if t else (first[entry], np.zeros_like(overlap))
            )
            values[entry].append(total)
            errors[entry].append(doubt + 4 * EPSILON * np.abs(total))
        blocks.append(_averages(activation, moments, shapes, size, values[PLAIN][t], errors[PLAIN][t], stage))
        if t + 1 < len(stages):
            blocks[t] |= _alone(activation, stages[t + 1], values[PLAIN][t], errors[PLAIN][t])
    found = [np.array(rows) for rows in (values[PLAIN], values[TANGENT], errors[PLAIN], errors[TANGENT])]
    return Leading(*found)


def _stage(
    stage: Stage, entry: Entry, t: int, values: Rows, errors: Rows, blocks: list[dict[Any, tuple[Any, Any]]]
) -> tuple[Any, Any]:
    """One entry at stage t by the line of its mean, and its error from those of the factors."""
    total: Any = float(sum(map(stage.value, stage.law.constants(*entry))))
    doubt: Any = 0.0
    for answer in mean(entry, stage.law):
        below = t - answer.back
        term = stage.product(answer.symbols) * float(answer.coefficient) * np.ones_like(values[PLAIN][below])
        spread = np.zeros_like(term)
        factors = [(values[PLAIN][below], errors[PLAIN][below])] * len(answer.kernels)
        factors += [(values[TANGENT][below], errors[TANGENT][below])] * len(answer.thetas)
        for bracket in answer.brackets:
            value, error = blocks[below][_shape(bracket)]
            factors.append((value, error) if bracket.samples != (2,) else (value.T, error.T))
        for sample in answer.norms:
            value, error = blocks[below][NU]
            factors.append((value, error) if sample == 1 else (value.T, error.T))
        for value, error in factors:
            spread = np.abs(term) * error + spread * (np.abs(value) + error)
            term = term * value
        total, doubt = total + term, doubt + spread
    return total, doubt


def _shape(bracket: Neuron) -> Bracket:
    return Bracket(tuple((0, order) for order in bracket.orders), 0)


def _alone(activation: Activation, reader: Stage, K: Any, doubt: Any) -> dict[Any, tuple[Any, Any]]:
    """What a stage that normalises reads of inputs alone, as columns: <s> and 1/nu, with errors.

    Raises InputError where there is nothing to divide by.
    """
    if reader.law.scale is None:
        return {}
    variances, error = np.diagonal(K), np.diagonal(doubt)
    found: dict[Any, tuple[Any, Any]] = {}
    if reader.law.scale == OF_KERNEL:
        squares, doubts = variances, error
    else:
        moments = [(((0,), 0),), (((0, 0), 0),)]
        values, errors = gaussian_moments(activation, variances[:, None, None], moments, "almost_everywhere")
        moved, _ = gaussian_moments(activation, (variances + error)[:, None, None], moments, "almost_everywhere")
        errors = errors + EPSILON * np.abs(values) + np.abs(moved - values)
        squares, doubts = values[:, 1], errors[:, 1]
        found[MEAN] = values[:, :1] + 0 * K, errors[:, :1] + 0 * K
        if reader.law.scale == OF_VARIANCE:
            squares = squares - values[:, 0] ** 2
            doubts = doubts + 2 * np.abs(values[:, 0]) * errors[:, 0]
    squares = squares + reader.value("epsilon")
    if not (squares > 4 * doubts).all():
        raise InputError(
            f"at layer {reader.layer} the norm divides by the root of {squares.min():.3g}, which is nothing: "
            f"{activation.name} gives an input no variance there; use C_b > 0, epsilon > 0, or drop that input"
        )
    inverse = 1 / np.sqrt(squares)
    found[NU] = inverse[:, None] + 0 * K, (inverse * doubts / squares)[:, None] + 0 * K
    return found


def _averages(
    activation: Activation, moments: Any, shapes: tuple[Bracket, ...], size: int, K: Any, doubt: Any, stage: Stage
) -> dict[Any, tuple[Any, Any]]:
    """The brackets at K as matrices over inputs, with errors: their own and what that of K makes of them."""
    if not np.isfinite(K).all():
        raise AccuracyError(
            f"K of {activation.name} is not finite at layer {stage.layer}: the flow runs away; "
            "choose a smaller C_W, C_V or skip, or fewer layers"
        )
    if not shapes:
        return {}
    found, errors = moments.evaluate(activation, K)
    outward = np.where(np.eye(len(K), dtype=bool), 1.0, -np.sign(K))
    moved, _ = moments.evaluate(activation, K + outward * doubt)
    errors = errors + EPSILON * np.abs(found) + np.abs(moved - found)
    block = {}
    for shape, offset in zip(shapes, moments.offsets, strict=True):
        place = slice(int(offset), int(offset) + size)
        block[shape] = (found[place].reshape(K.shape), errors[place].reshape(K.shape))
    return block
