r"""One dense layer as a map of kernels, with its first two derivatives, for any number of inputs.

.. math:: K'_{ab} = C_b + C_W \langle\sigma_a\sigma_b\rangle_K, \qquad
          \delta K' = A \circ \delta + B \circ (d\,1^T) + (B \circ (d\,1^T))^T, \qquad d = \mathrm{diag}\,\delta

with :math:`A_{ab} = C_W\langle\sigma'_a\sigma'_b\rangle` and :math:`B_{ab} = C_W\langle\sigma''_a\sigma_b\rangle/2` for
different inputs; on the diagonal all stands in A. Derivatives act on the average, so that kinks need no care. For
functions of two slopes all is closed (the arc-cosine kernel); averages of smooth functions over pairs of inputs are
Hermite series in their correlation; those of others, and of pairs too nearly parallel, are found by quadrature.

This is the derived recursion of K, with the brackets of that of K_1, <d d[ss]> and <d d d d[ss]>, sorted by the entries
of the kernel on which they act; that of N inputs at once would hold N^4 of them, one for each index of V. It is
therefore typed, and its tests evaluate the derived lines beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rgflow.activations import Activation
from rgflow.brackets import gaussian_moments
from rgflow.gram.derivatives import pair_averages

Floats = NDArray[np.float64]
Advance = Callable[[int], None]
PAIRS = 2048  # at a time: their quadrature tables stay small
# Written orders stay zero: pending derivatives (for a, for b) act on the average <sigma_a sigma_b>.
VALUE, CROSS, SQUARE = (0, 0), (1, 1), (2, 0)
SECOND = ((2, 2), (4, 0), (3, 1))


class Second(NamedTuple):
    """Second derivatives of <sigma_a sigma_b> by entries of K, (N, N) each, for a != b; on the diagonal see ``cross``.

    Attributes
    ----------
    cross : by K_ab twice; on the diagonal by K_aa twice, where the others are 0
    square : by K_aa twice
    mixed : by K_ab and K_aa
    squares : by K_aa and K_bb
    """

    cross: Floats
    square: Floats
    mixed: Floats
    squares: Floats


@dataclass(frozen=True, eq=False)
class KernelMap:
    """Averages at a kernel K (N, N) of different inputs; each an (N, N) array, zero if it was not asked for.

    Attributes
    ----------
    value : <sigma_a sigma_b>
    cross, square : its derivatives by K_ab and by K_aa, a != b; on the diagonal of ``cross`` that by K_aa, and 0
    second : its second derivatives
    """

    value: Floats
    cross: Floats
    square: Floats
    second: Second

    def push(self, change: Any) -> Floats:
        """The change of <sigma_a sigma_b> for a change (N, N) of the kernel, to first order."""
        mixed = self.square * np.diagonal(change)[:, None]
        return np.asarray(self.cross * change + mixed + mixed.T)


def kernel_map(activation: Activation, K: Any, order: int, advance: Advance = lambda count: None) -> KernelMap:
    """The map at K, with derivatives up to ``order`` (0, 1 or 2); those not asked for are zero."""
    return (two_slopes if activation.slopes is not None else by_averages)(activation, K, order, advance)


def pairs(size: int) -> int:
    """How many averages ``kernel_map`` finds, for a bar."""
    return size * (size + 1) // 2


def two_slopes(activation: Activation, K: Any, order: int, advance: Advance = lambda count: None) -> KernelMap:
    """sigma = alpha z + beta |z|: <sigma sigma> = alpha^2 k + beta^2 h, h = E|z z'| = (2/pi) (root + k asin c)."""
    minus, plus = activation.slopes or (0.0, 0.0)
    smooth, bent = ((plus + minus) / 2) ** 2, ((plus - minus) / 2) ** 2
    d = np.diagonal(K)
    size = np.sqrt(np.outer(d, d))
    c = np.clip(np.divide(K, size, out=np.zeros_like(K), where=size > 0), -1.0, 1.0)
    angle = np.arcsin(c)
    root = size * np.sqrt((1 - c) * (1 + c))
    value = smooth * K + bent * (2 / np.pi) * (root + K * angle)
    np.fill_diagonal(value, (smooth + bent) * d)
    with np.errstate(divide="ignore", invalid="ignore"):
        cross = smooth + bent * (2 / np.pi) * angle
        square = bent / np.pi * np.where(d[:, None] > 0, root / d[:, None], 0.0)
        np.fill_diagonal(cross, smooth + bent)
        np.fill_diagonal(square, 0.0)
        second = Second(*[np.zeros_like(K)] * 4)
        if order == 2:
            inverse = np.where(root > 0, 1 / root, 0.0)
            found = (
                2 * inverse,
                inverse * np.outer(1 / d, d) / 2 - root / d[:, None] ** 2,
                -K * inverse / d[:, None],
                inverse / 2,
            )
            second = Second(*(bent / np.pi * _hollow(part) for part in found))
    advance(pairs(len(K)))
    return KernelMap(value, cross, square, second)


def _hollow(matrix: Any) -> Floats:
    """Zero on the diagonal, where the average is linear in K, and where an input vanishes."""
    return np.asarray(np.where(np.eye(len(matrix), dtype=bool) | ~np.isfinite(matrix), 0.0, matrix))


def by_averages(
    activation: Activation, K: Any, order: int, advance: Advance = lambda count: None, series: bool = True
) -> KernelMap:
    """For any activation: averages over single inputs and pairs of them; without ``series`` all by quadrature."""
    wanted = [VALUE, *((CROSS, SQUARE, SQUARE[::-1]) if order else ())]
    wanted += [shape for s in SECOND for shape in dict.fromkeys((s, s[::-1]))] if order == 2 else []
    found = _averages(activation, np.asarray(K, float), tuple(wanted), advance, series)
    zero = np.zeros_like(K)
    alone = [
        gaussian_moments(activation, np.diagonal(K)[:, None, None], [(((0, 0), p),)], "almost_everywhere")[0][:, 0]
        for p in range(0, 2 * order + 1, 2)
    ]
    value = found[VALUE] + np.diag(alone[0])
    cross = found[CROSS] + np.diag(alone[1] / 2) if order else zero
    square = found[SQUARE] / 2 if order else zero
    second = Second(zero, zero, zero, zero)
    if order == 2:
        both, four, three = (found[shape] for shape in SECOND)
        second = Second(both + np.diag(alone[2] / 4), four / 4, three / 2, both / 4)
    return KernelMap(value, cross, square, second)


def _averages(
    activation: Activation, K: Floats, wanted: tuple[tuple[int, int], ...], advance: Advance, series: bool
) -> dict[tuple[int, int], Floats]:
    """For each (m, m') the matrix <d_a^m sigma_a d_b^m' sigma_b>, zero on the diagonal."""
    shapes = [(m, p) for m, p in wanted if m >= p]
    found = pair_averages(activation, K, shapes) if series else None
    if found is None:
        out = {shape: np.zeros_like(K) for shape in wanted}
        first, other = np.triu_indices(len(K), 1)
    else:
        out = {shape: found.values[shape] for shape in shapes}
        out |= {(p, m): matrix.T.copy() for (m, p), matrix in out.items() if m > p}
        for matrix in out.values():
            np.fill_diagonal(matrix, 0.0)
        first, other = np.nonzero(np.triu(found.beyond, 1))
    advance(pairs(len(K)) - len(first))
    moments = [(((0,), m), ((0,), p)) for m, p in wanted]
    for start in range(0, len(first), PAIRS):
        a, b = first[start : start + PAIRS], other[start : start + PAIRS]
        kernels = np.array([[K[a, a], K[a, b]], [K[b, a], K[b, b]]]).transpose(2, 0, 1)
        values = gaussian_moments(activation, kernels, moments, "almost_everywhere", 1e-9)[0]
        for (m, p), column in zip(wanted, values.T, strict=True):
            out[m, p][a, b] = column
            out[p, m][b, a] = column
        advance(len(a))
    return out
