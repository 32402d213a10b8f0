"""<σσ> and <σ'σ'> of all pairs of tokens, in all replicas: each different pair of kernels once.

Pairs of a smooth activation go together, by Mehler's series (:mod:`rgflow.gram.derivatives`); those of kinked ones, and
tokens that nearly coincide where series do not end, one by one, by quadrature.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rgflow.activations import Activation
from rgflow.brackets import gaussian_moments
from rgflow.gram.derivatives import LEFT_OUT, pair_averages

Array = NDArray[np.float64]
# Kernels of tokens that are the same, computed in two ways, differ by a few roundings.
_EQUAL = 16 * float(np.finfo(float).eps)


def token_averages(activation: Activation, kernel: Array) -> tuple[Array, Array, float]:
    """Averages at kernels (R, A, A), each (R, A, A), and the largest error that one of them states.

    Raises KinkError for an activation that jumps, AccuracyError for what cannot be averaged.
    """
    if activation.kinks or kernel.shape[-1] == 1:
        return _one_by_one(activation, kernel)
    found = np.zeros((2, *kernel.shape))
    # The diagonal: one token each.
    own = np.diagonal(kernel, axis1=-2, axis2=-1)
    square, slope, worst = _one_by_one(activation, own.reshape(-1, 1, 1))
    for replica, matrix in enumerate(kernel):
        series = pair_averages(activation, matrix, [(0, 0), (1, 1)])
        if series is None:
            return _one_by_one(activation, kernel)
        worst = max(worst, LEFT_OUT * float(own[replica].max(initial=0.0)))
        for place, shape in enumerate(((0, 0), (1, 1))):
            found[place, replica] = series.values[shape]
        np.fill_diagonal(series.beyond, False)
        for t, u in np.argwhere(np.triu(series.beyond)):
            pair = matrix[np.ix_([t, u], [t, u])]
            *both, error = _one_by_one(activation, pair[None])
            worst = max(worst, error)
            for place, array in enumerate(both):
                found[place, replica, t, u] = found[place, replica, u, t] = array[0, 0, 1]
    size = kernel.shape[-1]
    diagonal = np.arange(size)
    found[0][:, diagonal, diagonal] = square.reshape(own.shape)
    found[1][:, diagonal, diagonal] = slope.reshape(own.shape)
    return found[0], found[1], worst


def _one_by_one(activation: Activation, kernel: Array) -> tuple[Array, Array, float]:
    one, two = np.triu_indices(kernel.shape[-1])
    entries = np.stack([kernel[:, one, one], kernel[:, one, two], kernel[:, two, two]], axis=-1)
    different, place = np.unique(entries.reshape(-1, 3), axis=0, return_inverse=True)
    averages, worst = np.zeros((len(different), 2)), 0.0
    spread = np.abs(different[:, 0] - different[:, 1]) + np.abs(different[:, 2] - different[:, 1])
    same = spread <= _EQUAL * np.abs(different[:, 0])
    for chosen, matrix, orders in (
        (same, different[:, 0][:, None, None], (((0, 0), 0),)),
        (~same, different[:, [[0, 1], [1, 2]]], (((0,), 0), ((0,), 0))),
    ):
        if chosen.any():
            slopes = tuple((tuple(k + 1 for k in written), 0) for written, _ in orders)
            values, errors = gaussian_moments(activation, matrix[chosen], [orders, slopes])
            averages[chosen] = values
            worst = max(worst, float(errors.max()))
    full = np.zeros((2, *kernel.shape))
    spelled = averages[place.reshape(-1)].reshape(*entries.shape[:2], 2).transpose(2, 0, 1)
    full[:, :, one, two] = full[:, :, two, one] = spelled
    return full[0], full[1], worst
