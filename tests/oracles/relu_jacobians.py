"""Partial Jacobians of ReLU networks of finite width, exactly: one input, no biases.

Behind the layer that is moved, M = (dz^l/dz^{l0}) (dz^l/dz^{l0})^T becomes W D M D W^T, D the diagonal of active
neurons. Signs of neurons are independent of all that is even in each row of weights, so that D is a fair coin for each
neuron. With W Gaussian of variance g = C_W/n the moments

    a = E tr M,   b = E (tr M)^2,   c = E tr M^2,   d = E sum_i M_ii^2

close; J = tr M / n_l.
"""

from fractions import Fraction
from itertools import pairwise


def moments(widths, C_W):
    """(mean, variance) of J at every layer, for widths of the layers from the one that is moved."""
    n = Fraction(widths[0])
    a, b, c, d = n, n**2, n, n
    found = [(Fraction(1), Fraction(0))]
    for below, here in pairwise(widths):
        g, m = Fraction(C_W) / below, Fraction(here)
        trace, square, both = a / 2, (b + d) / 4, (c + d) / 4  # of D M D
        a = g * m * trace
        b = g**2 * (m**2 * square + 2 * m * both)
        c = g**2 * (m**2 * both + m * (square + both))
        d = g**2 * m * (square + 2 * both)
        found.append((a / m, (b - a**2) / m**2))
    return found
