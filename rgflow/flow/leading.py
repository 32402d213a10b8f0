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
Factor = tuple[Any, Any, Any]  # a value, its own error, and the value where the kernel has moved by its error
FEW = 10  # inputs: beyond, pairs go one by one


@dataclass(frozen=True, eq=False)
class Leading:
    """K and Theta of every stage, (S, N, N), and bounds on their numerical error."""

    K: Any
    Theta: Any
    K_error: Any
    Theta_error: Any


def pairwise(tensors: Sequence[Tensor], overlap: Any, through: Sequence[Stage]) -> bool:
    """Whether K and Theta alone are asked, of more than a few inputs, and pairs know enough of each other: no norm."""
    plain = not any(stage.law.norm or stage.law.scale for stage in through)
    return plain and len(overlap) > FEW and not any(tensor.cost for tensor in tensors)


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
    blocks: list[dict[Any, Factor]] = []
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
    stage: Stage, entry: Entry, t: int, values: Rows, errors: Rows, blocks: list[dict[Any, Factor]]
) -> tuple[Any, Any]:
    """One entry at stage t by the line of its mean, and its error.

    The error of K moves all averages of a line together: behind a norm they nearly cancel, and what it does to each of
    them alone would be counted again in every layer. Errors of their own are added up.
    """
    total: Any = float(sum(map(stage.value, stage.law.constants(*entry))))
    aside, doubt = total, 0.0
    for answer in mean(entry, stage.law):
        below = t - answer.back
        K, Theta = values[PLAIN][below], values[TANGENT][below]
        term = stage.product(answer.symbols) * float(answer.coefficient) * np.ones_like(K)
        other, spread = term, np.zeros_like(term)
        factors = [(K, np.zeros_like(K), _moved(K, errors[PLAIN][below]))] * len(answer.kernels)
        factors += [(Theta, errors[TANGENT][below], Theta)] * len(answer.thetas)
        for bracket in answer.brackets:
            found = blocks[below][_shape(bracket)]
            factors.append(found if bracket.samples != (2,) else _transposed(found))
        for sample in answer.norms:
            factors.append(blocks[below][NU] if sample == 1 else _transposed(blocks[below][NU]))
        for value, error, moved in factors:
            spread = np.abs(term) * error + spread * (np.abs(value) + error)
            term, other = term * value, other * moved
        total, aside, doubt = total + term, aside + other, doubt + spread
    return total, doubt + np.abs(aside - total)


def _moved(K: Any, doubt: Any) -> Any:
    """K by its error: variances larger, correlations smaller."""
    return K + np.where(np.eye(len(K), dtype=bool), 1.0, -np.sign(K)) * doubt


def _transposed(found: Factor) -> Factor:
    value, error, moved = found
    return value.T, error.T, moved.T


def _shape(bracket: Neuron) -> Bracket:
    return Bracket(tuple((0, order) for order in bracket.orders), 0)


def _alone(activation: Activation, reader: Stage, K: Any, doubt: Any) -> dict[Any, Factor]:
    """What a stage that normalises reads of inputs alone, as columns: <s> and 1/nu, with errors.

    Raises InputError where there is nothing to divide by.
    """
    if reader.law.scale is None:
        return {}
    means, mean_errors, inverse, errors = _single(activation, reader, np.diagonal(K))
    other_means, _, other_inverse, _ = _single(activation, reader, np.diagonal(_moved(K, doubt)))
    columns = {MEAN: (means, mean_errors, other_means), NU: (inverse, errors, other_inverse)}
    return {name: (x[:, None] + 0 * K, y[:, None] + 0 * K, z[:, None] + 0 * K) for name, (x, y, z) in columns.items()}


def _single(activation: Activation, reader: Stage, variances: Any) -> tuple[Any, Any, Any, Any]:
    """<s> of each input and its error, 1/nu and its error."""
    squares, (means, mean_errors, errors) = variances, np.zeros((3, len(variances)))
    if reader.law.scale != OF_KERNEL:
        moments = [(((0,), 0),), (((0, 0), 0),)]
        values, uncertain = gaussian_moments(activation, variances[:, None, None], moments, "almost_everywhere")
        (means, squares), (mean_errors, errors) = values.T, (uncertain + EPSILON * np.abs(values)).T
        if reader.law.scale == OF_VARIANCE:
            squares = squares - means**2
            errors = errors + 2 * np.abs(means) * mean_errors
    squares = squares + reader.value("epsilon")
    if not (squares > 4 * errors).all():
        raise InputError(
            f"at layer {reader.layer} the norm divides by the root of {squares.min():.3g}, which is nothing: "
            f"{activation.name} gives an input no variance there; use C_b > 0, epsilon > 0, or drop that input"
        )
    inverse = 1 / np.sqrt(squares)
    return means, mean_errors, inverse, inverse * errors / squares


def _averages(
    activation: Activation, moments: Any, shapes: tuple[Bracket, ...], size: int, K: Any, doubt: Any, stage: Stage
) -> dict[Any, Factor]:
    """The brackets at K as matrices over inputs, with errors: their own and what that of K makes of them."""
    if not np.isfinite(K).all():
        raise AccuracyError(
            f"K of {activation.name} is not finite at layer {stage.layer}: the flow runs away; "
            "choose a smaller C_W, C_V or skip, or fewer layers"
        )
    if not shapes:
        return {}
    found, errors = moments.evaluate(activation, K)
    moved, _ = moments.evaluate(activation, _moved(K, doubt))
    errors = errors + EPSILON * np.abs(found)
    block = {}
    for shape, offset in zip(shapes, moments.offsets, strict=True):
        place = slice(int(offset), int(offset) + size)
        value, error, other = (x[place].reshape(K.shape) for x in (found, errors, moved))
        block[shape] = (value, error, other)
    return block
