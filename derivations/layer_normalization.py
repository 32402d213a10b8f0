r"""Doshi, He, Gromov, "Critical initialization of wide and deep neural networks using partial Jacobians"
(arXiv:2111.12143): networks with LayerNorm, and which of its two places is more stable.

Assumptions: widths n -> infinity in turn; z' = b + W sigma(norm(z)) + mu z (before, "on pre-activations") or z' = b +
W norm(sigma(z)) + mu z (after, "on activations"), norm(x) = (x - m)/nu with mean and variance over the neurons of one
input, epsilon = 0; sigma_w^2 = C_W, sigma_b^2 = C_b, mu = skip.

One layer. Before sigma the norm turns the kernel into 1, so that weights read <ss>_1; after it the weights read 1:

    before:  K' = C_W <ss>_1 + C_b + mu^2 K,    chi_J = mu^2 + C_W <s's'>_1/K,
    after:   K' = C_W + C_b + mu^2 K,           chi_J = mu^2 + C_W <s's'>_K/(<ss> - <s>^2)_K,

since at infinite width a small change of z moves neither m nor nu: dz is uncorrelated with z.

mu^2 < 1. Both kernels follow a straight line to K* = (C_b + C_W M)/(1 - mu^2), M = <ss>_1 or 1. With chi_J = mu^2 + C_W
s(K*), s = <s's'>_1/K or <s's'>_K/(<ss> - <s>^2)_K,

    1 - chi_J = (1 - mu^2) - C_W s = (1 - mu^2) [C_b - C_W (K* s - M)]/(C_b + C_W M):

critical is C_b = C_W (K* s - M), whatever mu is. Before, K s = <s's'>_1: the line C_b = C_W (<s's'>_1 - <ss>_1). After,
K s is a number for relu, (1/2)/(1/2 - 1/(2 pi)) = pi/(pi - 1): C_b = C_W/(pi - 1).

mu^2 = 1. K = (C_b + C_W M) l: chi_J = 1 + g/l before, g = C_W <s's'>_1/(C_b + C_W <ss>_1), so that J ~ l^g for every
C_W and C_b: critical everywhere. (zeta = -g: one convention, J ~ l^-zeta.) After relu g = C_W/(C_b + C_W) pi/(pi - 1).

Which place is more stable. At C_b = 0 relu before sigma has chi_J = 1, an infinite correlation length, near it chi_J =
1/(1 + 2 C_b/C_W), xi = C_W/(2 C_b). After it chi_J = pi/(pi - 1) at C_b = 0 for every C_W: xi = 1/ln(pi/(pi - 1)) =
2.61 layers. It is no accident of relu: K <s's'> >= <ss> - <s>^2 is the inequality of Poincare for a Gaussian, so that
after sigma chi_J >= 1 without biases for every activation, with equality for linear ones alone.

Engine: rg.derive("K" and "J", layer=rg.LayerNorm()), rg.critical_line, rg.jacobian_law, rg.partial_jacobian.
"""

import math
from functools import cache
from itertools import pairwise

import numpy as np
import sympy as sp
from rows import check_rows, row

import rgflow as rg

C_W, C_b = sp.symbols("C_W C_b", nonnegative=True)
asin = sp.asin(sp.Rational(2, 3))

# Section 2.1 with LayerNorm, typed; K_h is the kernel behind the norm, 1 for epsilon = 0. RMSNorm by analogy.
LINES = {
    (rg.LayerNorm(), "K"): ("K_h' = K / ν^2", "K' = C_b + skip^2 K + C_W <σσ>_h", "ν^2 = K + epsilon"),
    (rg.LayerNorm(), "J"): ("J_h' = J / ν^2", "J' = skip^2 J + C_W J_h <σ'σ'>_h", "ν^2 = K + epsilon"),
    (rg.LayerNorm(place="after"), "K"): (
        "K' = C_b + skip^2 K + C_W <σσ> / ν^2 - C_W <σ>^2 / ν^2",
        "ν^2 = <σσ> - <σ>^2 + epsilon",
    ),
    (rg.LayerNorm(place="after"), "J"): ("J' = skip^2 J + C_W J <σ'σ'> / ν^2", "ν^2 = <σσ> - <σ>^2 + epsilon"),
    (rg.RMSNorm(place="after"), "K"): ("K' = C_b + skip^2 K + C_W <σσ> / ν^2", "ν^2 = <σσ> + epsilon"),
    (rg.RMSNorm(place="after"), "J"): ("J' = skip^2 J + C_W J <σ'σ'> / ν^2", "ν^2 = <σσ> + epsilon"),
}
# <ss>_1 and <s's'>_1, exactly; and as section 2.2 prints c = <s's'>_1 - <ss>_1 and the growth g at mu = 1, C_b = 0
AT_ONE = {
    "relu": (sp.Rational(1, 2), sp.Rational(1, 2)),
    "erf": (2 * asin / sp.pi, 4 / (sp.pi * sp.sqrt(5))),
    "gelu": (sp.Rational(1, 3) + 1 / (2 * sp.pi * sp.sqrt(3)), sp.Rational(1, 3) + 2 / (3 * sp.pi * sp.sqrt(3))),
}
TABLE = {
    "relu": (0.0, 1.0),
    "erf": (0.1048509803, 1.2257000),
    "gelu": (0.0306293831, 1.0720316),
    "tanh": (0.0701084121, 1.1778072),
}


def lines() -> None:
    for (layer, name), typed in LINES.items():
        assert str(rg.derive(name, layer=layer)) == "\n".join(typed), (layer, name)
        print(f"{type(layer).__name__}, {layer.place}: {'; '.join(typed[:-1])}   equal")


def table() -> None:
    """Section 2.2: lines and exponents before sigma, for every mu; exactly, and as printed."""
    for name, (line, growth) in TABLE.items():
        slopes = [rg.critical_line(name, rg.LayerNorm(skip=mu)).slope for mu in (0.0, 0.5, 0.9)]
        law = rg.jacobian_law(name, rg.LayerNorm(skip=1.0))
        assert all(abs(float(slope) - line) < 6e-11 for slope in slopes)
        assert abs(float(law.zeta) + growth) < 6e-8
        if name in AT_ONE:
            square, slope = AT_ONE[name]
            assert sp.simplify(slopes[0] - (slope - square)) == 0
            assert sp.simplify(law.zeta + slope / square) == 0
        print(f"{name}: sigma_b^2 = {float(slopes[0]):.10f} sigma_w^2 for mu = 0, .5, .9; mu = 1: {law}")
    print("equal to the table of networks with LayerNorm\n")


def everywhere() -> None:
    """mu = 1: J ~ l^g to depth 400, by the flow; with biases too."""
    for layer in (rg.LayerNorm(skip=1.0), rg.LayerNorm(skip=1.0, C_W=2.0, C_b=0.7)):
        assert rg.critical_line("erf", layer).everywhere
        net = rg.Network([rg.Dense(), *[layer] * 400, rg.Dense()], [3] + [10] * 402, "erf")
        chi = rg.partial_jacobian(net, first_kernel=1.0)["chi_J"].values
        growth = float(-rg.jacobian_law("erf", layer).zeta)
        square, slope = (float(x) for x in AT_ONE["erf"])
        assert abs(growth - layer.C_W * slope / (layer.C_b + layer.C_W * square)) < 1e-14
        # K = 1 + (l - 1) kappa: chi_J - 1 = g/(l - 1 + 1/kappa)
        kappa = layer.C_b + layer.C_W * square
        typed = 1 + growth / (np.arange(400) + 1 / kappa)
        np.testing.assert_allclose(chi[:400], typed, rtol=1e-12)
        print(f"erf, mu = 1, C_W = {layer.C_W}, C_b = {layer.C_b}: chi_J = 1 + g/l + ..., g = {growth:.7f}: equal")


def after() -> None:
    """The norm behind sigma: relu's line, its exponent at mu = 1, and a flow."""
    layer = rg.LayerNorm(place="after", skip=0.5, C_W=0.8, C_b=0.3)
    assert rg.critical_line("relu", layer).slope == 1 / (sp.pi - 1)
    # section 2.2: chi_J = C_W/(C_W + C_b) pi/(pi - 1) at mu = 0
    chi = rg.critical_line("relu", rg.LayerNorm(place="after")).chi_J
    assert sp.simplify(chi - C_W / (C_W + C_b) * sp.pi / (sp.pi - 1)) == 0
    growth = -rg.jacobian_law("relu", layer.changed(skip=1.0)).zeta
    assert sp.simplify(growth - sp.Rational(8, 11) * sp.pi / (sp.pi - 1)) == 0
    net = rg.Network([rg.Dense(), *[layer] * 10, rg.Dense()], [3] + [10] * 12, "relu")
    flow = rg.partial_jacobian(net, first_kernel=1.0)["chi_J"].values
    kernel = 1.0
    for l in range(10):
        assert abs(flow[l] / (0.25 + 0.8 / kernel * math.pi / (math.pi - 1)) - 1) < 1e-11
        kernel = 0.8 + 0.3 + 0.25 * kernel
    print("relu, norm after sigma: line, exponent and factors layer by layer: equal\n")


def stability() -> None:
    before, behind = rg.critical_line("relu").chi_J, rg.critical_line("relu", rg.LayerNorm(place="after")).chi_J
    assert sp.simplify(before - 1 / (1 + 2 * C_b / C_W)) == 0
    assert sp.limit(-C_b / sp.log(before), C_b, 0) == C_W / 2
    assert sp.simplify(behind.subs(C_b, 0) - sp.pi / (sp.pi - 1)) == 0
    for weight in (0.5, 1.0, 4.0):
        one = rg.jacobian_law("relu", rg.LayerNorm(C_W=weight))
        other = rg.jacobian_law("relu", rg.LayerNorm(C_W=weight, place="after"))
        assert one.xi_J == math.inf
        assert abs(other.xi_J - 1 / math.log(math.pi / (math.pi - 1))) < 1e-13
    print(f"relu, no biases: xi = {one.xi_J} before sigma, {other.xi_J:.4f} layers after it, for every C_W")
    for name in ("erf", "gelu", "tanh", "swish", "sigmoid", "softplus", "sin"):
        chi = float(rg.jacobian_law(name, rg.LayerNorm(place="after")).chi_J)
        assert chi > 1
        print(f"{name}, norm after sigma, no biases: chi_J = {chi:.6f} > 1")
    assert rg.jacobian_law("linear", rg.LayerNorm(place="after")).chi_J == 1
    print("the norm before sigma is the more stable one for relu: equal to the paper's statement")


# Rows of the book -----------------------------------------------------------------------------------------------------

ITERATED = "tests/sources/normalised_layers.py: kernels and factors typed in plain Python, iterated"
w, b, mu = 1.5, 0.25, 0.5  # sigma_w^2, sigma_b^2 and the skip of the networks that are followed
SQUARE, SLOPE = ({name: float(at[i]) for name, at in AT_ONE.items()} for i in (0, 1))


@cache
def followed(name: str, place: str) -> tuple[list[float], list[float]]:
    """K and chi_J of the four layers of a kind, behind a dense one."""
    layers = [rg.Dense(), *[rg.LayerNorm(place=place, C_W=w, C_b=b, skip=mu)] * 4, rg.Dense()]
    net = rg.Network(layers, [3] + [10] * 6, name)
    flow = rg.flow(net, first_kernel=1.3, tensors=["K"], order=0)
    return flow["K"].values[:5].tolist(), rg.partial_jacobian(net, first_kernel=1.3)["chi_J"].values[:4].tolist()


def relu_averages(K: float) -> tuple[float, float, float]:
    """<s>, <ss>, <s's'>."""
    return math.sqrt(K / (2 * math.pi)), K / 2, 0.5


def erf_averages(K: float) -> tuple[float, float, float]:
    return 0.0, 2 / math.pi * math.asin(2 * K / (1 + 2 * K)), 4 / (math.pi * math.sqrt(1 + 4 * K))


def shown(layer: rg.LayerNorm, name: str) -> object:
    """The line that the flow runs, as it is typed above."""
    found = rg.derive(name, layer=layer)
    assert str(found) == "\n".join(LINES[layer, name])
    return found


@row("partial_jacobians/ln_pre_kernel", witness=ITERATED)
def ln_pre_kernel() -> object:
    for name in AT_ONE:
        kernels, _ = followed(name, "before")
        for K, after in pairwise(kernels):
            typed = w * SQUARE[name] + b + mu**2 * K
            assert abs(typed / after - 1) < 1e-11
    return shown(rg.LayerNorm(), "K")


@row("partial_jacobians/ln_pre_chi", witness=ITERATED)
def ln_pre_chi() -> object:
    for name in AT_ONE:
        for K, chi in zip(*followed(name, "before"), strict=False):
            typed = mu**2 + w * SLOPE[name] / K
            assert abs(typed / chi - 1) < 1e-11
    return shown(rg.LayerNorm(), "J")


@row("partial_jacobians/ln_act_kernel", witness=ITERATED)
def ln_act_kernel() -> object:
    for name in AT_ONE:
        kernels, _ = followed(name, "after")
        for K, after in pairwise(kernels):
            typed = w + b + mu**2 * K
            assert abs(typed / after - 1) < 1e-11
    return shown(rg.LayerNorm(place="after"), "K")


@row("partial_jacobians/ln_act_chi", witness=ITERATED)
def ln_act_chi() -> object:
    for name, averages in (("relu", relu_averages), ("erf", erf_averages)):
        for K, chi in zip(*followed(name, "after"), strict=False):
            mean, square, slope = averages(K)
            typed = mu**2 + w * slope / (square - mean**2)
            assert abs(typed / chi - 1) < 1e-11
    return shown(rg.LayerNorm(place="after"), "J")


if __name__ == "__main__":
    lines()
    table()
    everywhere()
    after()
    stability()
    check_rows(globals())
