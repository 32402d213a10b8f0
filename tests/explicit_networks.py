"""Tiny tanh networks with all their parameters in one vector, differentiated by Cauchy's integral formula.

Shares nothing with rgflow.sampling: no chain rule, no tangent kernels, no conditional averages. Derivatives of an
analytic function come from its values on small circles; averages over the last layer from the exact mean of quadratics.
"""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np

# Points on a circle and its radius. Along a direction of length v the nearest pole is about 1/v away: aliasing is of
# relative size (RADIUS v)^POINTS, 1e-11 at v = 2.4, and rounding of a third derivative 1e-16 / RADIUS^3 ~ 1e-12.
POINTS, RADIUS = 12, 0.05


class Network:
    """z^1 = b + W x, z^{l+1} = b + W tanh(z^l) as a function of its parameters."""

    def __init__(self, widths, C_b, C_W, lambda_b, lambda_W, inputs):
        self.widths, self.inputs = widths, np.asarray(inputs, dtype=float)
        self.slices, start, rates, variances = [], 0, [], []
        for l, (n, m) in enumerate(pairwise(widths)):
            self.slices.append((slice(start, start + n * m), slice(start + n * m, start + n * m + m)))
            start += n * m + m
            rates += [lambda_W[l] / n] * (n * m) + [lambda_b[l]] * m
            variances += [C_W[l] / n] * (n * m) + [C_b[l]] * m
        self.size, self.rates, self.variances = start, np.array(rates), np.array(variances)

    def outputs(self, theta, layer=None):
        """z of a layer (the last) for parameters (..., size): (..., N, width)."""
        s = np.broadcast_to(self.inputs, (*theta.shape[:-1], *self.inputs.shape))
        for l in range(layer or len(self.slices)):
            n, m = self.widths[l], self.widths[l + 1]
            weights, biases = (theta[..., part] for part in self.slices[l])
            weights = weights.reshape(*theta.shape[:-1], m, n)
            z = np.einsum("...ij,...aj->...ai", weights, s) + biases[..., None, :]
            s = np.tanh(z)
        return z

    def derivative(self, theta, directions, layer=None):
        """Mixed derivative along k directions (..., k, size): (..., N, width)."""
        directions = np.asarray(directions)
        k = directions.shape[-2]
        turns = np.array(list(product(range(POINTS), repeat=k)))
        phases = np.exp(2j * np.pi * turns / POINTS)
        shifts = np.einsum("...kp,tk->t...p", directions, RADIUS * phases)
        values = self.outputs(theta + shifts, layer)
        return (np.tensordot(np.prod(phases**-1, axis=1), values, 1) / (RADIUS * POINTS) ** k).real

    def gradients(self, theta, layer=None):
        """dz/dtheta: (size, N, width)."""
        return self.derivative(theta, np.eye(self.size)[:, None], layer)

    def tangent_kernel(self, theta, layer=None):
        """sum_mu lambda_mu dz_j1 dz_m2: (1, 2, j, m)."""
        J = self.gradients(theta, layer)
        return np.einsum("p,paj,pbm->abjm", self.rates, J, J)


def mean_of_quadratic(function, theta, groups, variances):
    """Exact Gaussian average of a function that is quadratic in every one of the groups of parameters.

    q(0) + sum_mu variance_mu (q(e_mu) + q(-e_mu) - 2 q(0)) / 2 for each group, nested.
    """
    points = [(1.0, theta)]
    for group in groups:
        nested = []
        for weight, at in points:
            centre = at.copy()
            centre[group] = 0.0
            nested.append((weight * (1 - np.sum(variances[group])), centre))
            for mu in np.arange(len(theta))[group]:
                for sign in (1.0, -1.0):
                    moved = centre.copy()
                    moved[mu] = sign
                    nested.append((weight * variances[mu] / 2, moved))
        points = nested
    return sum(weight * function(at) for weight, at in points)
