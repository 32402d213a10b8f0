"""Orthogonal weights: how they are drawn, and their exact averages over two or three different neurons.

W = sqrt(C m/n) times an n' x n block of a Haar-distributed matrix of O(m), m = max(n, n'). For different neurons i, k
the average of four weights is that of independent Gaussian ones, changed by terms that pair the columns crosswise:

    E[W_ia W_ib W_kc W_kd] = (C/n)^2 ((1 + p) d_ab d_cd - q (d_ac d_bd + d_ad d_bc)),
    p = 2/((m - 1)(m + 2)),   q = m/((m - 1)(m + 2))

and that of six, three neurons, is m^3 times Weingarten's functions of the pairings of columns. Averages of fewer
weights of each neuron, or of an odd number, are those of Gaussian ones.

Source: Collins and Sniady (arXiv:math-ph/0402073); Haar matrices as in Mezzadri (arXiv:math-ph/0609050).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rgflow.sampling.draw import Array, Generators, covariance_root

Pairs = tuple[NDArray[np.intp], NDArray[np.intp]]


def crossing(m: int) -> tuple[float, float]:
    """p and q of the average of four weights; m >= 2.

    >>> crossing(2)
    (0.5, 0.5)
    """
    scale = (m - 1) * (m + 2)
    return 2 / scale, m / scale


def orthonormal(generator: np.random.Generator | Generators, count: int, rows: int, columns: int) -> Array:
    """Uniformly distributed matrices (count, rows, columns) with orthonormal columns; columns <= rows."""
    Q, R = np.linalg.qr(generator.standard_normal((count, rows, columns)))
    # Without the signs of the diagonal of R the law would be that of the routine, not Haar's.
    return np.asarray(Q * np.where(np.diagonal(R, axis1=1, axis2=2) < 0, -1.0, 1.0)[:, None, :])


def weights(generator: np.random.Generator | Generators, count: int, fan_in: int, fan_out: int, C_W: float) -> Array:
    """Orthogonal W_ij as an array (count, fan_in, fan_out): the index summed over comes first."""
    tall = fan_in >= fan_out
    drawn = orthonormal(generator, count, max(fan_in, fan_out), min(fan_in, fan_out))
    drawn *= np.sqrt(C_W * max(fan_in, fan_out) / fan_in)
    return drawn if tall else drawn.swapaxes(1, 2)


def image(generator: np.random.Generator | Generators, x: Array, count: int, width: int, C_W: float) -> Array:
    """x W for x (count or 1, N, n): (count, N, width).

    A Haar matrix takes the N inputs to a uniformly distributed frame with the same overlaps, so that only that is
    drawn, O(n) a network, unless there are more inputs than dimensions.
    """
    inputs, fan_in = x.shape[-2:]
    room = max(fan_in, width)
    if inputs > room:
        return np.asarray(np.matmul(x, weights(generator, count, fan_in, width, C_W)))
    root = covariance_root(np.matmul(x, x.swapaxes(1, 2)))
    frame = orthonormal(generator, count, room, inputs).swapaxes(1, 2)[..., :width]
    return np.asarray(np.matmul(root * np.sqrt(C_W * room / fan_in), frame))


def second(G: Array, m: int, pairs: Pairs) -> Array:
    """E[z_i1 z_i2 z_k3 z_k4] - G_12 G_34 over W for pairs (12), (34) of inputs: (M, N, N) -> (M, p, p)."""
    p, q = crossing(m)
    one, two = ((side[:, None]) for side in pairs)
    three, four = ((side[None, :]) for side in pairs)
    direct = G[:, one, two] * G[:, three, four]
    crossed = G[:, one, three] * G[:, two, four] + G[:, one, four] * G[:, two, three]
    return np.asarray(p * direct - q * crossed)


def third(G: Array, m: int, pairs: Pairs) -> Array:
    """The third cumulant of z_i1 z_i2, z_j3 z_j4, z_k5 z_k6 over W, three different neurons: (M, p, p, p); m >= 3.

    E[W^6] = (C m/n)^3 sum over pairings of the six columns of w: w_1 for that of the neurons, w_2 where one pair of it
    is kept (6 of them), w_3 where none is (8),
    w_1 : w_2 : w_3 = m^2 + 3m - 2 : -(m + 2) : 2, over m (m - 1)(m - 2)(m + 2)(m + 4).
    """
    places = [side.reshape(shape) for shape in ((-1, 1, 1), (1, -1, 1), (1, 1, -1)) for side in pairs]

    def product(*pairing: tuple[int, int]) -> Array:
        found = np.ones(())
        for j, k in pairing:
            found = found * G[:, places[j], places[k]]
        return found

    blocks = ((0, 1), (2, 3), (4, 5))
    straight = product(*blocks)
    kept, none = np.zeros_like(straight), np.zeros_like(straight)
    direct = np.zeros_like(straight)
    p, q = crossing(m)
    for j in range(3):
        (a, b), (c, d) = (blocks[k] for k in range(3) if k != j)
        crossed = product(blocks[j], (a, c), (b, d)) + product(blocks[j], (a, d), (b, c))
        kept += crossed
        direct += p * straight - q * crossed
    for x, left_x in ((2, 3), (3, 2)):
        for y, left_y in ((4, 5), (5, 4)):
            none += product((0, x), (1, y), (left_x, left_y)) + product((1, x), (0, y), (left_x, left_y))
    scale = m**2 / ((m - 1) * (m - 2) * (m + 2) * (m + 4))
    moment = scale * ((m**2 + 3 * m - 2) * straight - (m + 2) * kept + 2 * none)
    return np.asarray(moment - direct - straight)
