"""Linear networks of every kind: K, V and V6 exactly, by fractions, at every layer.

Without biases z^l is spread evenly over directions, so that its cumulants follow from the moments of rho = |z|^2, and a
layer multiplies E[rho^k] by a number:

    E[z_1^2 z_2^2] = E[rho^2]/(n (n+2)),        E[z_1^2 z_2^2 z_3^2] = E[rho^3]/(n (n+2) (n+4))
"""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from rgflow.network import Dense, Network
from rgflow.network.layer import KINDS
from rgflow.sampling import sample

Linear, Residual, Orthogonal = KINDS["Linear"], KINDS["Residual"], KINDS["Orthogonal"]
Branch, Projection, Reduced = KINDS["Branch"], KINDS["Projection"], KINDS["Reduced"]
K_1 = Fraction(4, 5)
# 2 layers or more, 3 tensors, 2 routes for each network below: about 100 comparisons, once in 400.
APART = 4.2

NETWORKS = {
    "residual": Network(
        [Dense(), Residual(skip=0.5, C_W=0.75), Residual(skip=-1.0), Dense()], [4, 5, 5, 5, 2], "linear"
    ),
    "orthogonal": Network([Dense(), *[Orthogonal()] * 3, Orthogonal(C_W=1.5)], [4, 5, 5, 7, 4, 3], "linear"),
    "haar first": Network([Orthogonal(), Orthogonal(), Orthogonal()], [6, 4, 6, 6], "linear"),
    "branch": Network([Linear(), Branch(C_V=0.5, hidden=3), Branch(C_W=0.25), Linear()], [4, 5, 5, 5, 2], "linear"),
    "projection": Network(
        [Linear(), Projection(C_P=0.5, C_V=0.75, hidden=3), Projection(C_W=0.5), Linear()], [3, 5, 6, 4, 1], "linear"
    ),
    "reduced": Network([Linear(), Reduced(C_W=0.25), Reduced(C_W=0.5), Linear()], [2, 5, 5, 5, 3], "linear"),
}


def chi(n):
    """1 and the first three moments of chi-squared with n degrees of freedom."""
    return [1, n, n * (n + 2), n * (n + 2) * (n + 4)]


def shifted(v, s, n):
    """Moments of |x + sqrt(v) g|^2 with |x|^2 = s, g standard Gaussian in n dimensions, from its cumulants."""
    mean, variance, third = s + n * v, 2 * n * v**2 + 4 * v * s, 8 * n * v**3 + 24 * v**2 * s
    return [1, mean, mean**2 + variance, mean**3 + 3 * mean * variance + third]


class Polynomial(list):
    """A polynomial in chi-squared, low powers first: enough to average what is polynomial in it."""

    def __add__(self, other):
        other = other if isinstance(other, Polynomial) else Polynomial([other])
        size = max(len(self), len(other))
        return Polynomial(sum(p[i] for p in (self, other) if i < len(p)) for i in range(size))

    __radd__ = __add__

    def __mul__(self, other):
        other = other if isinstance(other, Polynomial) else Polynomial([other])
        out = [Fraction(0)] * (len(self) + len(other) - 1)
        for i, a in enumerate(self):
            for j, b in enumerate(other):
                out[i + j] += a * b
        return Polynomial(out)

    __rmul__ = __mul__

    def __pow__(self, power):
        return self * self ** (power - 1) if power > 1 else self

    def mean(self, n):
        return sum(a * b for a, b in zip(self, chi(n), strict=False))


def factors(layer, n, m):
    """E[rho'^k]/E[rho^k] for k = 1, 2, 3, from n neurons to m."""
    C = {name: Fraction(value) for name, value in vars(layer).items() if name.startswith("C_")}
    kind = type(layer).__name__
    if kind in ("Dense", "Linear"):
        return [(C["C_W"] / n) ** k * chi(m)[k] for k in (1, 2, 3)]
    if kind in ("Residual", "Reduced"):
        skip = Fraction(getattr(layer, "skip", 1.0))
        return shifted(C["C_W"] / n, skip**2, n)[1:]
    if kind == "Orthogonal":
        if m >= n:
            return [(C["C_W"] * m / n) ** k for k in (1, 2, 3)]
        return [C["C_W"] ** k * Fraction(chi(m)[k], chi(n)[k]) for k in (1, 2, 3)]
    M = layer.hidden or m
    v = Polynomial([Fraction(0), C["C_V"] * C["C_W"] / (M * n)])
    if kind == "Branch":
        return [x.mean(M) for x in shifted(v, 1, n)[1:]]
    return [((v + C["C_P"] / n) ** k).mean(M) * chi(m)[k] for k in (1, 2, 3)]


def exact(net):
    """(K, V, V6) at every layer, fractions."""
    found, moments = [], None
    for layer, (n, m) in zip(net.layers, pairwise(net.widths), strict=True):
        # |x|^2 = n_0 K_1 / C_W
        moments = moments or [(n * K_1 / Fraction(layer.C_W)) ** k for k in (1, 2, 3)]
        moments = [x * y for x, y in zip(moments, factors(layer, n, m), strict=True)]
        one, two, three = (x / y for x, y in zip(moments, chi(m)[1:], strict=True))
        found.append((one, n * (two - one**2), n**2 * (three - 3 * two * one + 2 * one**3)))
    return np.array(found, dtype=float)


@pytest.mark.parametrize("weights", [False, True], ids=["neurons", "weights"])
@pytest.mark.parametrize("name", NETWORKS)
def test_moments_of_linear_networks(name, weights):
    net, names = NETWORKS[name], ("K", "V", "V6")
    # F draws weights; neurons alone are cheap.
    ds = sample(
        net, first_kernel=float(K_1), tensors=names + ("F",) * weights, networks=20_000 // (1 + 3 * weights), seed=17
    )
    for k, letter in enumerate(names):
        error, expected = ds[f"{letter}_se"].values, exact(net)[:, k]
        distance = np.abs(ds[letter].values - expected)
        assert np.all(distance <= APART * error + 1e-13 * np.abs(expected)), (
            letter,
            ds[letter].values,
            expected,
            error,
        )


def test_a_forgotten_term_is_noticed():
    """Controls: Gaussian weights in place of a skip (K is the same), and of orthogonal ones."""
    ds = sample(NETWORKS["reduced"], first_kernel=float(K_1), tensors=["V"], networks=20_000, seed=18)
    dense = Network([Dense(), Dense(C_W=1.25), Dense(C_W=1.5), Dense()], [2, 5, 5, 5, 3], "linear")
    assert np.allclose(exact(dense)[:, 0], exact(NETWORKS["reduced"])[:, 0])
    assert np.all(np.abs(ds.V.values - exact(dense)[:, 1])[1:] > 3 * APART * ds.V_se.values[1:])
    ds = sample(NETWORKS["orthogonal"], first_kernel=float(K_1), tensors=["V"], networks=20_000, seed=18)
    dense = Network([Dense(C_W=layer.C_W) for layer in NETWORKS["orthogonal"].layers], [4, 5, 5, 7, 4, 3], "linear")
    assert np.all(np.abs(ds.V.values - exact(dense)[:, 1])[1:] > 3 * APART * ds.V_se.values[1:])


def test_tangent_kernel_of_linear_networks():
    """E[Theta'] = lambda_b + lambda_W K + (skip^2 + C_W) E[Theta]."""
    net = Network(
        [Dense(), Residual(skip=0.5, lambda_W=0.3), Residual(skip=2.0, lambda_b=0.2), Dense()],
        [3, 4, 4, 4, 1],
        "linear",
    )
    ds = sample(net, first_kernel=1.0, tensors=["K", "Theta"], networks=4000, seed=19)
    K, Theta = 1.0, 2.0
    for l, layer in enumerate(net.layers[1:], start=1):
        gain = layer.value("skip") ** 2 + layer.C_W
        K, Theta = gain * K, layer.lambda_b + layer.lambda_W * K + gain * Theta
        assert abs(ds.Theta.values[l] - Theta) <= APART * ds.Theta_se.values[l]
        assert abs(ds.K.values[l] - K) <= APART * ds.K_se.values[l]
