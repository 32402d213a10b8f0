"""Gaussian moments of all sets of some inputs, together: many inputs at once, or many groups of a few inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rgflow.activations import Activation
from rgflow.brackets.conditional import Group, conditional_averages, suited
from rgflow.brackets.covariance import EPSILON
from rgflow.brackets.hermite_series import hermite_averages
from rgflow.brackets.moments import Moment, gaussian_moments
from rgflow.brackets.sensitivity import rounding_size, sensitivity
from rgflow.brackets.smooth import is_odd
from rgflow.brackets.traits import traits

Array = NDArray[np.float64]
Whole = NDArray[np.int64]
GOOD = 20  # times the tolerance: what is not that good is left to the nested sums
CHUNK = 1 << 14  # kernels handed to the nested sums at a time


def moments_together(
    activation: Activation,
    kernels: Array,
    subsets: Whole,
    moments: Sequence[Moment],
    tolerance: float = 1e-11,
    threads: int = 1,
    doubts: Array | None = None,
) -> tuple[Array, Array]:
    """Moments of each set of d inputs; written derivatives at a kink are the branches'.

    Smooth activations take series of Hermite coefficients for one to three inputs of moderate correlation
    (:mod:`rgflow.brackets.hermite_series`; for three if they are few, so that few would share a grid), else the grids
    of :mod:`rgflow.brackets.conditional`; kinked ones, those that grow exponentially, and what does not meet the
    tolerance the nested sums of :func:`rgflow.brackets.gaussian_moments`.

    Parameters
    ----------
    kernels : (B, N, N)
        Covariances of B groups of N inputs.
    subsets : (S, d)
        Sets of d inputs, numbers increasing.
    moments : sequence of M moments
        Each has d entries ((k_1..k_w), m).
    doubts : (B, N, N), optional
        Errors of the kernels, to be carried along. For one and two inputs, whose averages feed K itself, they are the
        change when K moves by them, variances up and correlations down, to which nearly equal inputs are most
        sensitive; for more, where sigma is smooth, a bound (:mod:`rgflow.brackets.sensitivity`).

    Returns
    -------
    values, errors : (B, S, M)

    Raises
    ------
    InputError, AccuracyError
        As :func:`rgflow.brackets.gaussian_moments`.
    """
    if doubts is not None:
        if subsets.shape[1] > 2 and suited(activation, subsets.shape[1], moments):
            values, errors = moments_together(activation, kernels, subsets, moments, tolerance, threads)
            moved = sensitivity(activation, kernels, doubts, subsets, moments)
        else:
            outward = np.where(np.eye(kernels.shape[-1], dtype=bool), 1.0, -np.sign(kernels))
            both = np.concatenate([kernels, kernels + outward * doubts])
            found, doubt = moments_together(activation, both, subsets, moments, tolerance, threads)
            (values, displaced), errors = np.split(found, 2), doubt[: len(kernels)]
            moved = np.abs(displaced - values)
        return values, errors + EPSILON * np.abs(values) + moved
    count, (sets, size) = len(kernels), subsets.shape
    values, errors = np.zeros((2, count * sets, len(moments)))
    smooth = suited(activation, size, moments)
    live = [i for i, moment in enumerate(moments) if not (smooth and is_odd(activation, moment))]
    if live and values.size:
        wanted = tuple(moments[i] for i in live)
        pairs = kernels.shape[1] * (kernels.shape[1] - 1) // 2
        few = size <= 2 or (size == 3 and sets <= 2 * pairs)
        averages = (_few if few else _grids) if smooth else _nested
        values[:, live], errors[:, live] = averages(activation, kernels, subsets, wanted, tolerance, threads)
    return values.reshape(count, sets, -1), errors.reshape(count, sets, -1)


def _few(
    activation: Activation, kernels: Array, subsets: Whole, moments: tuple[Moment, ...], tolerance: float, threads: int
) -> tuple[Array, Array]:
    """Values and errors (B S, M) of one to three inputs: series of Hermite coefficients, and what they do not give."""
    with np.errstate(all="ignore"):
        found = hermite_averages(activation, kernels, subsets, moments, tolerance)
        value, error = (part.reshape(-1, len(moments)) for part in found)
        error += _rounding(activation, kernels, subsets, moments)
    lost = np.isnan(error).any(axis=1)
    if lost.any():
        rest, own = _parts(kernels, subsets, lost), np.arange(subsets.shape[1])[None]
        averages = _nested if own.size == 1 else _grids
        value[lost], error[lost] = averages(activation, rest, own, moments, tolerance, threads)
    return value, error


def _grids(
    activation: Activation, kernels: Array, subsets: Whole, moments: tuple[Moment, ...], tolerance: float, threads: int
) -> tuple[Array, Array]:
    """The same of two and more: what shared grids give, and nested sums for the rest."""
    with np.errstate(all="ignore"):
        value, error, natural = (
            part.reshape(-1, len(moments))
            for part in conditional_averages(activation, kernels, Group(subsets, moments), tolerance, threads)
        )
        rounding = _rounding(activation, kernels, subsets, moments)
        lost = ~(error <= GOOD * tolerance * natural + rounding).all(axis=1)
        error = error + rounding
    if lost.any():
        rest, own = _parts(kernels, subsets, lost), np.arange(subsets.shape[1])[None]
        value[lost], error[lost] = _nested(activation, rest, own, moments, tolerance)
    return value, error


def _rounding(activation: Activation, kernels: Array, subsets: Whole, moments: Sequence[Moment]) -> Array:
    frequency = traits(activation).frequency * max(sum(len(orders) for orders, _ in moment) for moment in moments)
    reach = np.sqrt(np.einsum("bii->bi", kernels).max())
    rough = rounding_size(activation, kernels, subsets, moments).reshape(-1, len(moments))
    return np.asarray(32 * EPSILON * (1 + frequency * reach) * rough)


def _parts(kernels: Array, subsets: Whole, chosen: Any) -> Array:
    """The covariances of some of all sets, (L, d, d); chosen (B S,)."""
    group, place = np.divmod(np.flatnonzero(chosen), len(subsets))
    some = subsets[place]
    return np.asarray(kernels[group[:, None, None], some[:, :, None], some[:, None, :]])


def _nested(
    activation: Activation,
    kernels: Array,
    subsets: Whole,
    moments: Sequence[Moment],
    tolerance: float,
    threads: int = 1,
) -> tuple[Array, Array]:
    """The same by nested sums, on one thread."""
    size = subsets.shape[1]
    kernels = kernels[:, subsets[:, :, None], subsets[:, None, :]].reshape(-1, size, size)
    parts = [
        gaussian_moments(activation, kernels[i : i + CHUNK], moments, kinks="almost_everywhere", tolerance=tolerance)
        for i in range(0, max(len(kernels), 1), CHUNK)
    ]
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])
