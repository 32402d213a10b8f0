"""Means with their standard errors: over models, over projections of one model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def over_networks(values: Array) -> tuple[Array, Array]:
    """Mean over models, the first axis, and its standard error; NaN for one model, which knows no spread.

    >>> [float(x) for x in over_networks(np.array([1.0, 3.0]))]
    [2.0, 1.0]
    """
    mean = values.mean(axis=0)
    if len(values) == 1:
        return mean, np.full_like(mean, np.nan)
    return mean, values.std(axis=0, ddof=1) / np.sqrt(len(values))


def over_projections(values: Array) -> Array:
    """Standard error of the mean of values (..., N, P) over P independent projections of each of N inputs held fixed.

    NaN for one projection.
    """
    inputs, projections = values.shape[-2:]
    if projections == 1:
        return np.full(values.shape[:-2], np.nan)
    variance = values.var(axis=-1, ddof=1).sum(axis=-1) / projections
    error: Array = np.sqrt(variance) / inputs
    return error


def of_products(products: Array) -> tuple[Array, Array]:
    """Unbiased covariance over networks, the first axis, from products of deviations, and its standard error.

    The error is that of leaving out one network at a time. With deviations d, e from the means of m networks, the
    covariance without the i-th is (m - 1)/(m - 2) C - m/((m - 1)(m - 2)) d_i e_i.

    >>> deviation = np.array([1.0, 2.0, 4.0]) - 7 / 3
    >>> round(float(of_products(deviation**2)[0]), 6)
    2.333333
    """
    m = len(products)
    found = products.sum(axis=0) / (m - 1)
    if m < 3:
        return found, np.full_like(found, np.nan)
    left_out = m / ((m - 1) * (m - 2)) * (products - products.mean(axis=0))
    error: Array = np.sqrt((m - 1) / m * (left_out**2).sum(axis=0))
    return found, error
