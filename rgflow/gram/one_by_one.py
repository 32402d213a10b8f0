"""Pairs of inputs by quadrature, each for itself: where no series serves, and as its witness."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rgflow.activations import Activation
from rgflow.brackets import gaussian_moments
from rgflow.gram.hermite import EPSILON
from rgflow.gram.lines import K_K, K_SS, T_DD, T_K, T_SS, T_T, Lines
from rgflow.gram.single import Alone

Floats = NDArray[np.float64]
Places = NDArray[np.intp]
MOMENTS = [(((0,), 0), ((0,), 0)), (((1,), 0), ((1,), 0))]
PAIRS = 2048  # at a time: their quadrature tables stay small


class Found(NamedTuple):
    """(stages wanted, pairs) each."""

    K: Floats
    Theta: Floats
    K_error: Floats
    Theta_error: Floats


def by_quadrature(
    activation: Activation,
    lines: Lines,
    alone: Alone,
    first: Places,
    other: Places,
    overlap: Floats,
    kept: Sequence[int],
) -> Found:
    """K and Theta of the pairs (first, other) of different inputs, from their overlaps x.x'/n_0."""
    C_b, C_W, lambda_b, lambda_W = lines.first
    last = max(kept)
    K, Theta = [C_b + C_W * overlap], [lambda_b + lambda_W * overlap]
    K_error, Theta_error = [4 * EPSILON * np.abs(K[0])], [4 * EPSILON * np.abs(Theta[0])]
    read = []
    for t in range(1, last + 1):
        below = t - 1
        own = [(alone.K[below, x], alone.K_error[below, x]) for x in (first, other)]
        read.append(_averages(activation, own, K[below], K_error[below]) if lines.averaged[below] else None)
        k, theta = (np.full(len(first), c) for c in lines.constants[t])
        bad, wrong = np.zeros(len(first)), np.zeros(len(first))
        for b in range(min(lines.reach, t)):
            at = below - b
            w = lines.coefficients[t, b]
            k += w[K_K] * K[at]
            theta += w[T_K] * K[at] + w[T_T] * Theta[at]
            bad += abs(w[K_K]) * K_error[at]
            wrong += abs(w[T_K]) * K_error[at] + abs(w[T_T]) * Theta_error[at]
            found = read[at]
            if found is not None:
                ss, ss_error, dd, dd_error = found
                k += w[K_SS] * ss
                theta += w[T_SS] * ss + w[T_DD] * dd * Theta[at]
                bad += abs(w[K_SS]) * ss_error
                wrong += abs(w[T_SS]) * ss_error
                wrong += abs(w[T_DD]) * (
                    np.abs(dd) * Theta_error[at] + dd_error * (np.abs(Theta[at]) + Theta_error[at])
                )
        K.append(k)
        Theta.append(theta)
        K_error.append(bad + 4 * EPSILON * np.abs(k))
        Theta_error.append(wrong + 4 * EPSILON * np.abs(theta))
    return Found(*(np.array([rows[t] for t in kept]) for rows in (K, Theta, K_error, Theta_error)))


def _averages(
    activation: Activation, own: list[tuple[Floats, Floats]], K: Floats, doubt: Floats
) -> tuple[Floats, Floats, Floats, Floats]:
    """<s s>, its error, <s' s'>, its error; what errors of K do is seen by moving it, variances up, |K_ab| down."""
    (a, a_error), (b, b_error) = own
    values, errors = gaussian_moments(activation, _kernels(a, b, K), MOMENTS, "almost_everywhere")
    outward = _kernels(a + a_error, b + b_error, K - np.sign(K) * np.minimum(doubt, np.abs(K)))
    moved, _ = gaussian_moments(activation, outward, MOMENTS, "almost_everywhere")
    errors = errors + EPSILON * np.abs(values) + np.abs(moved - values)
    return values[:, 0], errors[:, 0], values[:, 1], errors[:, 1]


def _kernels(a: Floats, b: Floats, K: Floats) -> Floats:
    # A recursion may carry a correlation beyond 1 by rounding.
    bound = np.sqrt(a * b)
    K = np.clip(K, -bound, bound)
    return np.array([[a, K], [K, b]]).transpose(2, 0, 1)
