r"""What the same m neurons at two inputs know of each other, and how many digits of it rounding leaves.

The kernel and the four-point vertex are whitened with the pair's own kernel. Where two inputs are near, 1 - rho^2 is
small and the inverse kernel as large as its inverse: with errors e_K, e_V of kernel and vertex and s_a the sum of
absolute values of row a of the whitening matrix,

.. math:: \delta U_{abcd} \le e_V\, s_a s_b s_c s_d + 4\, \delta\, \max s\, \sqrt{\max K}\, \max|U|, \qquad
          \delta = \frac{4 e_K}{\min K\, (1 - \rho^2)},

is what errors make of the whitened vertex, to first order.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rgflow.errors import AccuracyError

Floats = NDArray[np.float64]

SAME = 1e-12  # 1 - rho^2 of inputs that cannot be told apart
DIGITS = 1e-3  # the error relative to the value, beyond which it is said


class Pairs(NamedTuple):
    """Arrays (L, N, N) of all pairs of inputs.

    Attributes
    ----------
    total, infinite, error : array
        The mutual information, its limit of infinite width, and the numerical error of the former.
    fluctuation : array
        The v of a scale mixture with the negentropy of the 2m neurons.
    """

    total: Floats
    infinite: Floats
    error: Floats
    fluctuation: Floats


def between_inputs(
    leading: Floats, kernel: Floats, vertex: Floats, fan_in: Floats, m: int, errors: tuple[Floats, Floats]
) -> Pairs:
    """I_ab of all pairs of inputs; errors are those of kernel and vertex by layer.

    AccuracyError if of some pair no digit is known.
    """
    found = Pairs(*(np.full(kernel.shape, x) for x in (np.inf, np.inf, 0.0, 0.0)))
    layers = range(len(kernel))
    for a in range(kernel.shape[1]):
        for b in range(a):
            pair, limit = (x[np.ix_(layers, (a, b), (a, b))] for x in (kernel, leading))
            pair_vertex = vertex[np.ix_(layers, *[(a, b)] * 4)]
            both, error = _negentropy(pair, pair_vertex, m, errors)
            ones = [_negentropy(pair[:, s, s], pair_vertex[:, s, s, s, s], m, errors)[0] for s in _ONE]
            gain = (both - ones[0] - ones[1]) / fan_in**2
            total = _gaussian(pair, m) + gain
            error = m / 2 * _doubt(pair, errors[0]) + error / fan_in**2
            apart = np.isfinite(total)
            error = np.where(apart, error, 0.0)
            v = np.where(apart, np.sqrt(16 * both / (2 * m * (2 * m + 2))) / fan_in, 0.0)
            for part, values in zip(found, (total, _gaussian(limit, m), error, v), strict=True):
                part[:, a, b] = part[:, b, a] = values
            _refuse_noise(total, error, pair, (a, b))
    return found


_ONE = (slice(0, 1), slice(1, 2))


def _left(pair: Floats) -> Floats:
    """1 - rho^2."""
    return np.asarray(1 - pair[:, 0, 1] ** 2 / (pair[:, 0, 0] * pair[:, 1, 1]), np.float64)


def _doubt(pair: Floats, error: Floats) -> Floats:
    """The relative error of 1 - rho^2; 0 for inputs that cannot be told apart."""
    left, least = _left(pair), np.minimum(pair[:, 0, 0], pair[:, 1, 1])
    return np.asarray(np.where(left > SAME, 4 * error / (least * np.where(left > SAME, left, 1.0)), 0.0), np.float64)


def _gaussian(pair: Floats, m: int) -> Floats:
    """-m/2 ln(1 - rho^2); infinite where two inputs are one."""
    left = _left(pair)
    known = left > SAME
    return np.asarray(np.where(known, -m / 2 * np.log(np.where(known, left, 1.0)), np.inf), np.float64)


def _negentropy(kernel: Floats, vertex: Floats, m: int, errors: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
    """n^2 J = (3 m^2 U_abcd U_abcd + 6 m U_abcd U_acbd) / 48, U the vertex in units of the kernel, and its error."""
    number = kernel.shape[1]
    inverse: Any
    if number == 1:
        inverse, doubt = 1 / np.sqrt(kernel), np.zeros(len(kernel))
    else:
        usable = np.where((_left(kernel) > SAME)[:, None, None], kernel, np.eye(number))
        inverse, doubt = np.linalg.inv(np.linalg.cholesky(usable)), _doubt(kernel, errors[0])
    U: Any = vertex
    for axis in range(1, 5):
        U = np.moveaxis(np.einsum("lij,l...j->l...i", inverse, np.moveaxis(U, axis, -1)), -1, axis)
    square, crossed = np.einsum("labcd,labcd->l", U, U), np.einsum("labcd,lacbd->l", U, U)
    s = np.abs(inverse).sum(axis=2)
    largest = np.abs(U).max(axis=(1, 2, 3, 4))
    off = errors[1][:, None, None, None, None] * np.einsum("la,lb,lc,ld->labcd", s, s, s, s)
    off = off + (4 * doubt * s.max(axis=1) * np.sqrt(kernel.max(axis=(1, 2))) * largest)[:, None, None, None, None]
    error = np.sum(2 * np.abs(U) * off + off**2, axis=(1, 2, 3, 4)) * (3 * m**2 + 6 * m) / 48
    return np.asarray((3 * m**2 * square + 6 * m * crossed) / 48, np.float64), np.asarray(error, np.float64)


def _refuse_noise(total: Floats, error: Floats, pair: Floats, names: tuple[int, int]) -> None:
    lost = np.flatnonzero(error > np.abs(total))
    if lost.size:
        layer = int(lost[0])
        raise AccuracyError(
            f"inputs {names[1]} and {names[0]} are too near at layer {layer + 1}: 1 - rho^2 = "
            f"{_left(pair)[layer]:.1e}, and no digit of what neurons there share is sure "
            f"({total[layer]:.2g}, its numerical error {error[layer]:.1g}); leave out one of "
            "them, or give inputs farther apart"
        )
