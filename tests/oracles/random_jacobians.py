"""||dz^L/dx||_F^2 of many random perceptrons at once, in plain NumPy: no gradient by machine, no theory."""

from itertools import pairwise

import numpy as np

from oracles.cyclopropagation import ACTIVATIONS


def norms(name, widths, C_W, x, networks, seed, C_b=0.0, normal=True):
    """One number for each network; W with variance C_W / fan-in, normal or uniform."""
    rng = np.random.default_rng(seed)
    chunk = max(1, 2_000_000 // max(m * n for m, n in pairwise(widths)))
    parts = [min(chunk, networks - begin) for begin in range(0, networks, chunk)]
    return np.concatenate([_norms(name, widths, C_W, x, part, rng, C_b, normal) for part in parts])


def _norms(name, widths, C_W, x, networks, rng, C_b, normal):
    phi, slope, _ = ACTIVATIONS[name]
    C_W = np.broadcast_to(C_W, len(widths) - 1)

    def drawn(shape):
        return rng.normal(size=shape) if normal else rng.uniform(-(3**0.5), 3**0.5, size=shape)

    z, J = None, None
    for below, here, variance in zip(widths[:-1], widths[1:], C_W, strict=True):
        W = drawn((networks, here, below)) * (variance / below) ** 0.5
        b = rng.normal(size=(networks, here)) * C_b**0.5
        if z is None:
            z, J = W @ x + b, W
        else:
            J = W @ (slope(z)[:, :, None] * J)
            z = (W @ phi(z)[:, :, None])[:, :, 0] + b
    return (J**2).sum(axis=(1, 2))


def relu_moments(widths, C_W):
    """Mean and variance over networks, exactly, of relu without biases (or with symmetric ones, for the mean).

    J J^T becomes W D J J^T D W^T, D the fair coins of the active neurons, independent of all that is even in each row
    of W; the first layer has no D. With M = J J^T, a = E tr M, b = E (tr M)^2, c = E tr M^2, d = E sum_i M_ii^2.
    """
    C_W = np.broadcast_to(C_W, len(widths) - 1)
    n = float(widths[0])
    a, b, c, d = n, n**2, n, n
    for l, (below, m, variance) in enumerate(zip(widths[:-1], widths[1:], C_W, strict=True)):
        trace, square, both = (a / 2, (b + d) / 4, (c + d) / 4) if l else (a, b, c)
        g = variance / below
        a = g * m * trace
        b = g**2 * (m**2 * square + 2 * m * both)
        c = g**2 * (m**2 * both + m * (square + both))
        d = g**2 * m * (square + 2 * both)
    return a, b - a**2
