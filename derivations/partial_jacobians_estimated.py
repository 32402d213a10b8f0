r"""Doshi, He, Gromov, "Critical initialization of wide and deep neural networks using partial Jacobians"
(arXiv:2111.12143): what measuring partial Jacobians of one network does to them.

Assumptions: an N x N Jacobian M of one network, (1/N) |M|^2 its norm; a row v uniform on the unit sphere of the
outputs; logarithms averaged over networks whose norms scatter little.

Sphere. E v_i v_j = delta_ij/N by the symmetries of the sphere, and |v| = 1, so that E |M^T v|^2 = |M|^2/N: no factor is
left to divide by. Here by the integral over the circle and over the sphere in space, for a matrix of symbols.

Norm of a layer. LN(h) = (h - m)/s, s^2 = |h - m|^2/N, u = LN(h). The derivative of h - m takes the mean away, 1 - 1 1^T
/N, and that of 1/s the direction u: - u u^T/N. By derivatives of the definition, at points of exact numbers.

Logarithms. ln J - ln E J = x - x^2/2 + .. with J = E J (1 + x): the mean is low by half the relative variance. For two
layers of relu of width n all is known: the first moves m neurons that are switched on, each with probability 1/2, and
J = (1/n) sum of m n squares of N(0, C_W/n): a gamma variable of shape m n/2, of which E ln is a digamma function. Its
variance over networks is V_J/n of the engine, 1/n at C_W = 2.

Engine: rg.partial_jacobian at order=1; the first two are derived here from their definitions.

Sources: arXiv:2111.12143 and the code published with it; equation numbers not seen.
"""

import math

import numpy as np
import sympy as sp
from rows import check_rows, row
from scipy.special import digamma
from scipy.stats import binom

import rgflow as rg


@row("partial_jacobians/hutchinson", witness="tests/nn/test_probe_jacobians.py: explicit Jacobians of models")
def hutchinson() -> dict[str, sp.Expr]:
    """N = 2 and N = 3, every entry of the Jacobian a symbol."""
    shown = {}
    a, z = sp.symbols("a z", real=True)
    flat = sp.sqrt(1 - z**2)
    for N, v in ((2, (sp.cos(a), sp.sin(a))), (3, (flat * sp.cos(a), flat * sp.sin(a), z))):
        M = sp.Matrix(N, N, sp.symbols(f"J:{N * N}", real=True))
        typed = sum(entry**2 for entry in M) / N
        v = sp.Matrix(v)
        spread = (v * v.T).applyfunc(lambda f: average(f, a, z))
        mean = sp.expand((spread * M * M.T).trace())  # of |M^T v|^2 = v^T M M^T v
        assert sp.expand(mean - typed) == 0
        shown[f"N = {N}"] = mean
    return shown


def average(f: sp.Expr, a: sp.Symbol, z: sp.Symbol) -> sp.Expr:
    """Over the angle and the height, which is uniform on a sphere in space."""
    return sp.integrate(sp.expand(sp.integrate(f, (a, 0, 2 * sp.pi))), (z, -1, 1)) / (4 * sp.pi)


@row("partial_jacobians/layer_norm_jacobian", witness="tests/sampling/test_normalized.py: slopes are the Jacobian")
def layer_norm_jacobian() -> dict[str, sp.Expr]:
    """Derivatives of LN itself, at N = 4 and h = (1, 2, 4, 9)."""
    N = 4
    h = sp.Matrix(sp.symbols(f"h:{N}", real=True))
    one = sp.ones(N, 1)
    centred = h - one * sum(h) / N
    s = sp.sqrt(sum(x**2 for x in centred) / N)
    at = dict(zip(h, (1, 2, 4, 9), strict=True))
    u = (centred / s).subs(at)
    typed = sp.eye(N) / s.subs(at) - one * one.T / (N * s.subs(at)) - u * u.T / (N * s.subs(at))
    found = (centred / s).jacobian(h).subs(at)
    assert (found - typed).applyfunc(sp.radsimp).is_zero_matrix
    return {"the Jacobian at h = (1, 2, 4, 9)": found.applyfunc(sp.radsimp)}


@row("partial_jacobians/log_average", witness="tests/nn/test_probe_jacobians.py: averages of logarithms, sampled")
def log_average() -> dict[str, float]:
    """Two layers of relu at n = 4000: -1/2 V_J/n with V_J from the engine, up to terms of order 1/n^2."""
    n = 4000
    ds = rg.partial_jacobian(rg.MLP([3, n, n], "relu", C_W=2.0), first_kernel=1.0, order=1)
    variance = float(ds["V_J"][-1]) / n
    typed = -variance / 2
    m = np.arange(1, n + 1)
    found = float(binom.pmf(m, n, 0.5) @ (digamma(m * n / 2) + math.log(4 / n**2)))  # ln of (2/n)(1/n) 2 gamma(m n/2)
    assert abs(found - typed) < 5 / n**2
    return {"mean of ln J, exactly": found, "variance of J": variance}


if __name__ == "__main__":
    check_rows(globals())
