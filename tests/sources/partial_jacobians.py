"""Partial Jacobians, typed by hand: Doshi, He, Gromov, arXiv:2111.12143, in its notation sigma_w^2, sigma_b^2, mu.

Kernels and factors of networks without LayerNorm; critical points and exponents J ~ l^-zeta. Plain Python.
"""

import math

# activation: (sigma_w, sigma_b) critical, K* (None: any), zeta
VANILLA = {
    "relu": (math.sqrt(2), 0.0, None, 0),
    "erf": (math.sqrt(math.pi / 4), 0.0, 0.0, 1),
    "gelu": (1.4082110, 0.4158394, 3.5615528, 0),
    "tanh": (1.0, 0.0, 0.0, 1),
}
# how many digits of these are printed
DIGITS = 5e-8


def erf_averages(K):
    """<phi^2>, <phi'^2> of erf."""
    return 2 / math.pi * math.asin(2 * K / (1 + 2 * K)), 4 / (math.pi * math.sqrt(1 + 4 * K))


def relu_averages(K):
    """<phi^2>, <phi'^2> of relu."""
    return K / 2, 0.5


def iterate(averages, depth, weight, bias, mu=0.0, K=1.0):
    """(K, chi_J) at the layers 1..depth: K' = weight <phi^2> + bias + mu^2 K, chi = mu^2 + weight <phi'^2>."""
    found = []
    for _ in range(depth):
        square, slope = averages(K)
        found.append((K, mu**2 + weight * slope))
        K = weight * square + bias + mu**2 * K
    return found


def stretched(weight, bias):
    """1/lambda of erf at mu = 1, J ~ exp(sqrt(l/lambda)): lambda = pi^2 (sigma_w^2 + sigma_b^2)/(16 sigma_w^4)."""
    return 16 * weight**2 / (math.pi**2 * (weight + bias))
