"""The three averages that move a kernel and its perturbations, at any kernel: tabulated once for each activation.

g = <sigma sigma>, g' = <d^2[sigma sigma]>/2 and <sigma'sigma'> are functions of the one number K. A table of Chebyshev
polynomials in ln K says where to look; what is reported is computed at the kernel itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from rgflow.activations import Activation
from rgflow.brackets import gaussian_moments
from rgflow.errors import AccuracyError

Array = NDArray[np.float64]

_BRACKETS = ((((0, 0), 0),), (((0, 0), 2),), (((1, 1), 0),))
_DEGREE = 16
_LEAST, _MIDDLE, _OCTAVES, _WAVES = (
    2.0**-40,
    40,
    80,
    60,
)  # kernels of the table: 1e-12 to 1e12, for oscillating sigma to 1e6


def averages(act: Activation, K: Array) -> tuple[Array, Array]:
    """g, g' and <s's'> at the kernels K > 0 with bounds of their errors, (3, P) each."""
    if not K.size:
        return np.zeros((3, 0)), np.zeros((3, 0))
    values, errors = gaussian_moments(act, K[:, None, None], _BRACKETS, tolerance=1e-14)
    halved = np.array([1.0, 0.5, 1.0])[:, None]
    return halved * values.T, halved * errors.T


def at_zero(act: Activation) -> tuple[float, float, float, float]:
    """g, g', <s's'> and g''/2 in the limit K -> 0, where half of the inputs are on either side of a kink at 0."""
    number = sum(kink <= 0 for kink in act.kinks)
    sides = {number, number - 1} if 0.0 in act.kinks else {number}
    d = np.mean([_squares(act.piece_derivatives(side, 0.0, 4)) for side in sides], axis=0)
    return float(d[0]), float(d[1]), float(d[2]), float(d[3]) if len(sides) == 1 else 0.0


def _squares(d: Array) -> list[float]:
    fourth = 2 * d[0] * d[4] + 8 * d[1] * d[3] + 6 * d[2] ** 2
    return [d[0] ** 2, d[1] ** 2 + d[0] * d[2], d[1] ** 2, fourth / 8]


def half_square(act: Activation) -> float | None:
    """A_2 = (a+^2 + a-^2)/2 if sigma is two lines through 0, whose g is A_2 K exactly; else None."""
    return None if act.slopes is None else (act.slopes[0] ** 2 + act.slopes[1] ** 2) / 2


def far_slopes(act: Activation) -> float | None:
    """A_2 = (a+^2 + a-^2)/2 if sigma tends to lines of slopes a+ and a-; else None."""
    z = np.array([1e30, 1e60, 1e90])
    try:
        slopes = np.array([act.derivatives(sign * z, 1)[1] for sign in (-1, 1)])
        ratios = np.array([act(sign * z) / (sign * z) for sign in (-1, 1)])
    except AccuracyError:  # it overflows there
        return None
    seen = np.concatenate([slopes, ratios], axis=1)
    if not np.isfinite(seen).all() or np.ptp(seen, axis=1).max() > 1e-14:
        return None
    return float((slopes[:, -1] ** 2).mean())


@dataclass(frozen=True, eq=False)
class Table:
    """g, g', <s's'> at Chebyshev nodes K (N,) in ln K, cell by cell: values and errors (3, N), polynomials between.

    Nodes decide between which of them a flow ends, the polynomials say where to begin: what is reported is computed
    from averages at the fixed point itself.
    """

    K: Array
    values: Array
    errors: Array
    coefficients: Array
    start: float
    at_zero: tuple[float, float, float, float]

    def read(self, K: Array) -> tuple[Array, Array]:
        """Interpolated values; errors are not known here, zeros stand for them."""
        place = np.log2(K / self.start)
        cell = np.clip(place.astype(np.intp), 0, self.coefficients.shape[1] - 1)
        t = 2 * (place - cell) - 1
        c = self.coefficients[:, cell]
        one, two = np.zeros((3, K.size)), np.zeros((3, K.size))
        for k in range(_DEGREE - 1, 0, -1):  # Clenshaw
            one, two = c[..., k] + 2 * t * one - two, one
        values = c[..., 0] + t * one - two
        values[1] /= K  # K g' varies less
        return values, np.zeros_like(values)


@lru_cache(maxsize=32)
def averages_table(act: Activation) -> Table:
    """The table of an activation, over all kernels at which its averages can be computed."""
    angle = np.pi * (np.arange(_DEGREE)[::-1] + 0.5) / _DEGREE
    to_coefficients = 2 / _DEGREE * np.cos(np.outer(np.arange(_DEGREE), angle))
    to_coefficients[0] /= 2
    kernels = _LEAST * 2.0 ** (np.arange(_WAVES if act.oscillating else _OCTAVES)[:, None] + (1 + np.cos(angle)) / 2)
    # from 1 up and down, until kernels overflow, are too wide for oscillations, or sigma cancels near 0
    up = _averages_while_possible(act, kernels[_MIDDLE:])
    down = _averages_while_possible(act, kernels[_MIDDLE - 1 :: -1])
    parts = [*down[::-1], *up]
    if not up:
        averages(act, kernels[_MIDDLE])  # says why
    nodes, values, errors = (np.concatenate(x, axis=-1) for x in zip(*parts, strict=True))
    smooth = values * np.stack([np.ones_like(nodes), nodes, np.ones_like(nodes)])
    coefficients = smooth.reshape(3, -1, _DEGREE) @ to_coefficients.T
    return Table(nodes, values, errors, coefficients, _LEAST * 2.0 ** (_MIDDLE - len(down)), at_zero(act))


def _averages_while_possible(act: Activation, kernels: Array) -> list[tuple[Array, Array, Array]]:
    """Kernels, values and errors, one row of kernels after the other; several are tried at once, it is faster."""
    found: list[tuple[Array, Array, Array]] = []
    block = 8
    while len(found) < len(kernels) and block:
        rows = kernels[len(found) : len(found) + block]
        try:
            values, errors = averages(act, rows.ravel())
        except AccuracyError:
            block //= 2
            continue
        split = [x.reshape(3, *rows.shape) for x in (values, errors)]
        found += [(row, split[0][:, i], split[1][:, i]) for i, row in enumerate(rows)]
    return found
