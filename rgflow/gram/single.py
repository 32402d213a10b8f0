"""Every input alone: K_aa and Theta_aa through all stages, with what pairs of inputs need to know of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rgflow.activations import Activation
from rgflow.brackets import gaussian_moments
from rgflow.errors import AccuracyError
from rgflow.gram.alike import Averages, averages
from rgflow.gram.arcs import Arc, arcs, closed
from rgflow.gram.hermite import EPSILON, Resolved
from rgflow.gram.lines import K_K, K_SS, T_DD, T_K, T_SS, T_T, Lines

Floats = NDArray[np.float64]
LOST = 0.01  # of K: with a larger error first-order estimates of its consequences mean nothing
SERIES, ANGLES, ARCS, QUADRATURE = "series", "angles", "arcs", "quadrature"


@dataclass(frozen=True, eq=False)
class Alone:
    """All stages, (S, N) over inputs.

    K, Theta, K_error, Theta_error : the diagonal, and bounds on its error to first order
    mean : <s_a>; of two slopes sqrt(K_aa) and of arcs their norms, which stand in its place in ``flow_pairs``
    sizes : (S, 8)
        Largest K_aa and Theta_aa; square roots of the largest <s s>, <s' s'> and <s'' s''>; largest error of K_aa;
        relative error of averages and rounding; square root of the largest <s''' s'''>. Of two slopes the fifth is what
        errors of norms do to correlations, the sixth relative, the last the largest ratio of K_aa below to K_aa.
    averages : of each stage, None where nobody reads them or they are no series
    """

    K: Floats
    Theta: Floats
    K_error: Floats
    Theta_error: Floats
    mean: Floats
    sizes: Floats
    averages: tuple[Averages | None, ...]


def route(activation: Activation) -> str:
    """How averages over pairs are found: by Hermite series, in closed form, or by quadrature of each pair."""
    if activation.slopes is not None:
        return ANGLES
    if activation in arcs():
        return ARCS
    return QUADRATURE if activation.kinks else SERIES


def alone(activation: Activation, lines: Lines, overlap: Floats) -> Alone:
    """Flow the diagonal from x.x/n_0 (N,).

    Raises AccuracyError for a flow that runs away, naming the layer.
    """
    with np.errstate(all="ignore"):  # what overflows is refused, by its layer
        return _flowed(activation, lines, overlap)


def _flowed(activation: Activation, lines: Lines, overlap: Floats) -> Alone:
    count, stages, way = len(overlap), lines.stages, route(activation)
    K, Theta, K_error, Theta_error, mean = (np.zeros((stages, count)) for _ in range(5))
    sizes = np.zeros((stages, 8))
    found: list[Averages | None] = []
    known: list[tuple[Floats, Floats, Floats, Floats]] = []  # <s s>, its error, <s' s'>, its error
    hint: Resolved | None = None
    C_b, C_W, lambda_b, lambda_W = lines.first
    for t in range(stages):
        if t == 0:
            K[0], Theta[0] = C_b + C_W * overlap, lambda_b + lambda_W * overlap
            K_error[0], Theta_error[0] = 4 * EPSILON * np.abs(K[0]), 4 * EPSILON * np.abs(Theta[0])
        else:
            _line(lines, t, K, Theta, K_error, Theta_error, known)
        _refuse_runaway(activation, lines, t, K[t], Theta[t], K_error[t])
        sizes[t, :2] = K[t].max(), Theta[t].max()
        series = None
        zero = np.zeros(count)
        read = (zero, zero, zero, zero)
        if lines.averaged[t]:
            if way == SERIES:
                try:
                    series, hint = averages(activation, K[t], hint)
                except AccuracyError as error:
                    raise AccuracyError(f"at layer {lines.layers[t]}: {error}") from None
                mean[t] = series.mean
                sizes[t, 6] = 8 * EPSILON + 2 * series.error
                read = _smooth(series, sizes[t], K_error[t], 4 * EPSILON + series.error)
            elif way == ARCS:
                arc = closed(activation, K[t])
                mean[t] = arc.norm
                # 1 - y^2 of an arc y = K/(1 + K) loses that much
                sizes[t, 6] = 8 * EPSILON * (1 + sizes[t, 0])
                read = _smooth(arc, sizes[t], K_error[t], 8 * EPSILON)
            else:
                read = (_angles if way == ANGLES else _quadrature)(activation, K[t], K_error[t])
                sizes[t, 2:4] = np.sqrt(read[0].max()), np.sqrt(read[2].max())
                sizes[t, 6] = 8 * EPSILON
        if way == ANGLES:
            positive = K[t] > 0
            sizes[t, 5] = np.max(K_error[t][positive] / K[t][positive], initial=0.0)
            sizes[t, 7] = _ratio(lines, t, K)
            sizes[t, 4] = _unequal(activation, lines, t, K[t], sizes)
            mean[t] = np.sqrt(K[t])
        found.append(series)
        known.append(read)
    return Alone(K, Theta, K_error, Theta_error, mean, sizes, tuple(found))


def _line(
    lines: Lines,
    t: int,
    K: Floats,
    Theta: Floats,
    K_error: Floats,
    Theta_error: Floats,
    known: list[tuple[Floats, Floats, Floats, Floats]],
) -> None:
    """Stage t of the diagonal and its error, to first order."""
    K[t], Theta[t] = lines.constants[t]
    for b in range(min(lines.reach, t)):
        at = t - 1 - b
        w = lines.coefficients[t, b]
        square, bad, slope, wrong = known[at]
        K[t] += w[K_SS] * square + w[K_K] * K[at]
        Theta[t] += w[T_SS] * square + w[T_K] * K[at] + (w[T_T] + w[T_DD] * slope) * Theta[at]
        K_error[t] += abs(w[K_SS]) * bad + abs(w[K_K]) * K_error[at]
        Theta_error[t] += abs(w[T_SS]) * bad + abs(w[T_K]) * K_error[at]
        Theta_error[t] += (abs(w[T_T]) + abs(w[T_DD]) * slope) * Theta_error[at] + abs(w[T_DD]) * wrong * Theta[at]
    K_error[t] += 4 * EPSILON * np.abs(K[t])
    Theta_error[t] += 4 * EPSILON * np.abs(Theta[t])


def _smooth(one: Averages | Arc, sizes: Floats, error: Floats, doubt: float) -> tuple[Floats, Floats, Floats, Floats]:
    """<s s>, <s' s'> and their errors, from those of K and ``doubt`` of their own, relative; their sizes."""
    sizes[2:5] = np.sqrt([one.square.max(), one.slope.max(), one.second])
    sizes[5], sizes[7] = error.max(), np.sqrt(one.third)
    change = (one.second + sizes[3] * sizes[7]) * error
    return one.square, np.abs(one.answer) * error + doubt * one.square, one.slope, change + doubt * one.slope


def _angles(activation: Activation, K: Floats, doubt: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    minus, plus = activation.slopes or (0.0, 0.0)
    whole = (minus * minus + plus * plus) / 2
    slope = np.full_like(K, whole)
    return whole * K, whole * (doubt + 4 * EPSILON * K), slope, 4 * EPSILON * slope


def _quadrature(activation: Activation, K: Floats, doubt: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """By quadrature; what an error of K does is seen by moving it."""
    moments = [(((0, 0), 0),), (((1, 1), 0),)]
    unique, places = np.unique(K, return_inverse=True)
    wrong = np.zeros_like(unique)
    np.maximum.at(wrong, places, doubt)
    values, errors = gaussian_moments(activation, unique[:, None, None], moments, "almost_everywhere")
    moved, _ = gaussian_moments(activation, (unique + wrong)[:, None, None], moments, "almost_everywhere")
    errors = errors + EPSILON * np.abs(values) + np.abs(moved - values)
    return values[places, 0], errors[places, 0], values[places, 1], errors[places, 1]


def _ratio(lines: Lines, t: int, K: Floats) -> float:
    """The largest K_aa of a stage that is read, relative to that of this one."""
    found = 0.0
    for b in range(min(lines.reach, t)):
        if lines.coefficients[t, b, :2].any():
            below = np.divide(K[t - 1 - b], K[t], out=np.zeros_like(K[t]), where=K[t] > 0)
            found = max(found, float(below.max()))
    return found


def _unequal(activation: Activation, lines: Lines, t: int, K: Floats, sizes: Floats) -> float:
    """What relative errors a of norms below do to the correlations of a stage, of two slopes.

    K_ab moves by p (a_a + a_b)/2 and K_aa by q_a a_a, both relative, p = rho - c/sqrt(K_aa K_bb), q_a = 1 - c/K_aa, so
    that rho moves by at most 2 c a/min K: nothing without a constant c. Lines that read several stages mix errors.
    """
    constant, lowest = float(lines.constants[t, 0]), float(K.min())
    read = [b for b in range(min(lines.reach, t)) if lines.coefficients[t, b, :2].any()]
    if len(read) <= 1 and constant >= 0:
        return float(2 * constant / lowest * sizes[t - 1 - read[0], 5]) if read and constant else 0.0
    minus, plus = activation.slopes or (0.0, 0.0)
    whole = (minus * minus + plus * plus) / 2
    found = float(sizes[t, 5])
    for b in read:
        w = np.abs(lines.coefficients[t, b])
        found += float(sizes[t, 7] * (w[K_SS] * whole + w[K_K]) * sizes[t - 1 - b, 5])
    return found


def _refuse_runaway(activation: Activation, lines: Lines, t: int, K: Floats, Theta: Floats, error: Any) -> None:
    layer = lines.layers[t]
    for name, values in (("K", K), ("Theta", Theta)):
        if not np.isfinite(values).all():
            raise AccuracyError(
                f"{name} of {activation.name} is not finite at layer {layer}: the flow runs away; "
                "choose a smaller C_W, C_V or skip, or fewer layers"
            )
    if error.max() > LOST * K.max():
        raise AccuracyError(
            f"the numerical error of K, {error.max():.1e}, has grown to the size of K at layer {layer}: the flow of "
            f"{activation.name} runs away from an unstable point; choose other hyperparameters or fewer layers"
        )
