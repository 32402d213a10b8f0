"""Square roots of covariance matrices that survive correlation 1, equal inputs and zeros."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rgflow.errors import InputError

Array = NDArray[np.float64]
EPSILON = float(np.finfo(np.float64).eps)
_SLACK = 1e-9  # a kernel that a recursion has carried through many layers may miss semi-definiteness by rounding


def checked_kernels(kernels: object) -> Array:
    """The kernels as a float array (G, d, d), refused if not finite, symmetric and positive semi-definite.

    Raises
    ------
    InputError
        Naming the first offending matrix.
    """
    array = np.asarray(kernels, dtype=np.float64)
    if array.ndim != 3 or array.shape[1] != array.shape[2] or not 1 <= array.shape[1] <= 4:
        raise InputError(f"kernels has shape {array.shape}; give (G, d, d) covariance matrices with d = 1..4")
    if not np.isfinite(array).all():
        raise InputError(f"kernels holds {array[~np.isfinite(array)][0]}; every entry must be finite")
    size = np.abs(array).max(axis=(1, 2), initial=0.0)
    skew = np.abs(array - array.transpose(0, 2, 1)).max(axis=(1, 2), initial=0.0)
    low = np.linalg.eigvalsh(array)[:, 0] if array.shape[1] > 1 else array[:, 0, 0]
    bad = (skew > _SLACK * size) | (low < -_SLACK * size)
    if bad.any():
        worst = array[np.argmax(bad)]
        raise InputError(f"kernel {worst.tolist()} is not a symmetric positive semi-definite matrix; pass a covariance")
    return array


def pivot_orders(kernels: Array) -> NDArray[np.intp]:
    """Order of the inputs by greatest remaining variance, (G, d).

    With it |L_jk| <= L_kk: along the k-th axis no function varies faster than its own.
    """
    count, size, _ = kernels.shape
    rest = kernels.copy()
    order = np.zeros((count, size), dtype=np.intp)
    taken = np.zeros((count, size), dtype=bool)
    rows = np.arange(count)
    for k in range(size):
        variance = np.where(taken, -np.inf, np.einsum("gii->gi", rest))
        pick = np.argmax(variance, axis=1)
        order[:, k] = pick
        taken[rows, pick] = True
        pivot = rest[rows, pick, pick]
        column = rest[rows, :, pick]
        scale = np.divide(1.0, pivot, out=np.zeros(count), where=pivot > 0)
        rest = rest - column[:, :, None] * column[:, None, :] * scale[:, None, None]
    return order


def square_root(kernels: Array) -> tuple[Array, Array]:
    """Lower triangular L with L L^T = K, and the loss factor K_uu / (variance of u given the earlier inputs).

    A remaining variance within rounding of zero is zero, so that singular matrices pass.

    Returns
    -------
    L : (G, d, d)
    loss : (G, d), also for variances set to zero, except those that are zero exactly: there it is 1.
    """
    count, size, _ = kernels.shape
    L = np.zeros_like(kernels)
    loss = np.ones((count, size))
    for k in range(size):
        own = kernels[:, k, k]
        left = own - np.einsum("gi,gi->g", L[:, k, :k], L[:, k, :k])
        loss[:, k] = np.divide(own, np.abs(left), out=loss[:, k], where=left != 0)
        left = np.where(left <= 16 * EPSILON * own, 0.0, left)
        L[:, k, k] = np.sqrt(left)
        inverse = np.divide(1.0, L[:, k, k], out=np.zeros(count), where=left > 0)
        for j in range(k + 1, size):
            L[:, j, k] = (kernels[:, j, k] - np.einsum("gi,gi->g", L[:, j, :k], L[:, k, :k])) * inverse
    return L, loss
