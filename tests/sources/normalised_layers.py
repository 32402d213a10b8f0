"""Layers with LayerNorm, typed by hand: Doshi, He, Gromov, arXiv:2111.12143, in its notation sigma_w^2, sigma_b^2, mu.

Kernels and factors of partial Jacobians, with the norm on pre-activations or on activations; critical lines sigma_b^2 =
c sigma_w^2 and exponents at mu = 1, sigma_b = 0. Plain Python.
"""

# activation: <phi^2>_1, <phi'^2>_1, c of the norm on pre-activations, growth J ~ l^growth at mu = 1, sigma_b = 0
PRE = {
    "relu": (0.5, 0.5, 0.0, 1.0),
    "erf": (0.4645590544, 0.5694100347, 0.1048509803, 1.2257000),
    "gelu": (0.4252214826, 0.4558508656, 0.0306293831, 1.0720316),
    "tanh": (0.3942944904, 0.4644029024, 0.0701084121, 1.1778072),
}
# ten digits are printed of the averages and c, seven of the growth; typed values are rounded
DIGITS, OF_GROWTH = 6e-11, 6e-7


def on_pre_activations(averages, weight, bias, mu=0.0):
    """K -> (K', chi_J); averages(K) are <phi>, <phi^2>, <phi'^2>."""
    _, square, slope = averages(1.0)
    return lambda K: (weight * square + bias + mu**2 * K, mu**2 + weight * slope / K)


def on_activations(averages, weight, bias, mu=0.0, centred=True):
    """K -> (K', chi_J); RMSNorm if not centred."""

    def step(K):
        mean, square, slope = averages(K)
        return weight + bias + mu**2 * K, mu**2 + weight * slope / (square - mean**2 if centred else square)

    return step


def iterate(step, depth, K=1.0):
    """(K, chi_J) at the layers 1..depth."""
    found = []
    for _ in range(depth):
        after, chi = step(K)
        found.append((K, chi))
        K = after
    return found
