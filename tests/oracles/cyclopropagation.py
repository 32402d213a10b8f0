"""||J||_F^2/2 of a multilayer perceptron and its gradient, in closed form and plain NumPy.

J = J^(L) ... J^(1) with J^(l) = D_l W_l, D_l = diag(phi'(h_l)), h_l = W_l z_{l-1} + b_l, the last layer linear. With
the products J_{<l} of the layers below and J_{>l} of those above, Omega_l = J_{<l} J^T J_{>l} and

    q_l = D_l (W_{l+1}^T q_{l+1}) + phi''(h_l) * diag(W_l Omega_l),       q_L = 0 (phi'' = 0),
    dR/db_l = q_l,          dR/dW_l = q_l z_{l-1}^T + D_l Omega_l^T.

Source: Hoffman, Roberts, Yaida (arXiv:1908.02729), appendix on cyclopropagation.
"""

import numpy as np
from scipy.special import erf

DENSITY = 1 / np.sqrt(2 * np.pi)
# phi, phi', phi''
ACTIVATIONS = {
    "relu": (lambda h: np.maximum(h, 0), lambda h: np.heaviside(h, 0.0), np.zeros_like),
    "tanh": (np.tanh, lambda h: 1 - np.tanh(h) ** 2, lambda h: -2 * np.tanh(h) * (1 - np.tanh(h) ** 2)),
    "gelu": (
        lambda h: h * (1 + erf(h / np.sqrt(2))) / 2,
        lambda h: (1 + erf(h / np.sqrt(2))) / 2 + h * DENSITY * np.exp(-(h**2) / 2),
        lambda h: (2 - h**2) * DENSITY * np.exp(-(h**2) / 2),
    ),
}


def penalty_and_gradients(weights, biases, x, name, second_sign=1.0):
    """(R, [dR/dW_l], [dR/db_l]) of one input; ``second_sign`` = -1 is the control with a wrong sign of phi''."""
    phi, slope, curvature = ACTIVATIONS[name]
    depth = len(weights)
    z, h = [x], []
    for l, (W, b) in enumerate(zip(weights, biases, strict=True), start=1):
        h.append(W @ z[-1] + b)
        z.append(phi(h[-1]) if l < depth else h[-1])
    D = [slope(each) for each in h[:-1]] + [np.ones_like(h[-1])]
    bend = [second_sign * curvature(each) for each in h[:-1]] + [np.zeros_like(h[-1])]
    factors = [d[:, None] * W for d, W in zip(D, weights, strict=True)]
    below = [np.eye(len(x))]  # J_{<l}, of layers 1..l-1
    for factor in factors:
        below.append(factor @ below[-1])
    above = [np.eye(len(h[-1]))]  # J_{>l}, from the last layer down
    for factor in reversed(factors):
        above.append(above[-1] @ factor)
    J = below[-1]
    q, carried = None, np.zeros_like(h[-1])
    by_weight, by_bias = [], []
    for l in reversed(range(depth)):
        omega = below[l] @ J.T @ above[depth - 1 - l]
        q = D[l] * carried + bend[l] * np.einsum("ij,ji->i", weights[l], omega)
        by_bias.append(q)
        by_weight.append(np.outer(q, z[l]) + D[l][:, None] * omega.T)
        carried = weights[l].T @ q
    return (J**2).sum() / 2, by_weight[::-1], by_bias[::-1]
